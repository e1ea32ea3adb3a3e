"""What somebody who is not root may enter, wherever the checkout lies, and commands as that somebody."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

#: Where the checkout appears to nobody: its own place may be closed to others, as /root and many homes are.
_PUBLIC_ROOT = Path("/mnt")
_BECOME_NOBODY = f"""
mount --bind "$1" {_PUBLIC_ROOT}
cd {_PUBLIC_ROOT}
capabilities=$2
shift 2
exec setpriv --reuid 65534 --regid 65534 --clear-groups \\
    --inh-caps="$capabilities" --ambient-caps="$capabilities" -- "$@"
"""


@contextmanager
def public_directory() -> Iterator[Path]:
    """Make a directory that everybody may read, and remove it."""
    with tempfile.TemporaryDirectory(prefix="synguard-test-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        yield directory


def python_as_nobody(
    *arguments: str, capabilities: Sequence[str] = (), timeout_s: float = 30.0
) -> subprocess.CompletedProcess[str]:
    """Run this interpreter as nobody, in the checkout, which appears elsewhere in mounts of its own.

    ``capabilities`` are those that nobody has then: ``bpf``, ``net_admin``.
    """
    python = Path(sys.executable)
    folder = python.parent.resolve()
    if folder.is_relative_to(ROOT):
        folder = _PUBLIC_ROOT / folder.relative_to(ROOT)
    granted = ",".join(["-all", *(f"+{name}" for name in capabilities)])
    become = ["unshare", "--mount", "--", "sh", "-euc", _BECOME_NOBODY, "sh", str(ROOT), granted]
    return subprocess.run(
        [*become, str(folder / python.name), *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout_s,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
