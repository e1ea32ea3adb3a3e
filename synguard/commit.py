"""Which commit this is: what the installation noted, or in a checkout what git says."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

#: Written beside this module by whoever installs from a checkout.
NOTED = Path(__file__).with_name("commit.txt")
CHECKOUT = Path(__file__).parents[1]
_TIMEOUT_S = 10


def commit_of(checkout: Path = CHECKOUT, noted: Path = NOTED) -> str | None:
    """Return 12 digits of the commit, with ``-dirty`` where tracked files differ; None where nobody knows."""
    try:
        return noted.read_text(encoding="ascii").strip() or None
    except OSError:
        return _asked(checkout) if (checkout / ".git").exists() else None


def _asked(checkout: Path) -> str | None:
    # Under sudo the checkout is somebody else's: git would not speak of it, and may not leave files in it.
    git = ("git", "--no-optional-locks", "-C", str(checkout), "-c", f"safe.directory={checkout}")
    head = _said(*git, "rev-parse", "HEAD").strip()
    if not re.fullmatch(r"[0-9a-f]{40,64}", head):
        return None
    changed = _said(*git, "status", "--porcelain", "--untracked-files=no").strip()
    return head[:12] + ("-dirty" if changed else "")


def _said(*command: str) -> str:
    """Return what a command says, nothing where it is missing, fails or hangs."""
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return result.stdout if result.returncode == 0 else ""
