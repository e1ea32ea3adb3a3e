"""The child that compiles: run as root, wherever the person who starts the daemon happens to stand."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from bench.net.namespaces import wait_until
from synguard.errors import SynguardError
from synguard.probe import compiler
from synguard.probe.compiler import ProgramType, load_object

pytestmark = [pytest.mark.root, pytest.mark.kernel]

PROGRAM = """
#include <uapi/linux/bpf.h>
int passes(struct xdp_md *frame) { return XDP_PASS; }
"""

#: Loads the file that is its argument, and prints what stands in the way.
LOAD = """
import sys; from pathlib import Path; from synguard.errors import SynguardError
from synguard.probe.compiler import ProgramType, load_object
try: load_object(Path(sys.argv[1]), {'passes': ProgramType.XDP})
except SynguardError as error: print(error)
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Write the smallest program there is."""
    path = tmp_path / "passes.c"
    path.write_text(PROGRAM)
    return path


def test_modules_in_the_working_directory_are_not_imported(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else's json.py in the folder where root types the command is not run as root."""
    trap = tmp_path / "trap"
    trap.mkdir()
    (trap / "json.py").write_text("raise SystemExit('not yours to import')")
    monkeypatch.chdir(trap)
    load_object(source, {"passes": ProgramType.XDP}).close()


def test_a_compiler_that_is_killed_leaves_no_folder(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thousands of links to headers do not gather in /tmp when compiling takes too long."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr(compiler, "COMPILE_TIMEOUT_S", 2.0)
    # However fast the machine is: nobody ever writes into this one.
    os.mkfifo(source.with_name("endless.h"))
    source.write_text('#include "endless.h"\n' + PROGRAM)
    with pytest.raises(SynguardError, match="longer than"):
        load_object(source, {"passes": ProgramType.XDP})
    assert list(temporary.iterdir()) == []


def test_a_compiler_that_is_killed_tells_of_memory(source: Path) -> None:
    """The kernel kills what exceeds its limit; who reads of it learns how much memory it takes."""
    os.mkfifo(source.with_name("endless.h"))
    source.write_text('#include "endless.h"\n' + PROGRAM)
    command = [sys.executable, "-c", LOAD, str(source)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
        wait_until(lambda: children.read_text(encoding="ascii") != "", "the compiler")
        os.kill(int(children.read_text(encoding="ascii")), signal.SIGKILL)
        said, _ = parent.communicate(timeout=60)
    assert "was killed" in said
    assert "MiB" in said
    assert "MemoryMax=" in said


def test_root_without_its_capabilities_is_not_permitted(source: Path) -> None:
    """A container's root gets exit code 3 and what is needed, not a failed compilation."""
    refused = subprocess.run(
        ["setpriv", "--bounding-set=-all", "--inh-caps=-all", sys.executable, "-c", LOAD, str(source)],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "CAP_NET_ADMIN" in refused.stdout
