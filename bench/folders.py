"""Makes temporary folders that go with their block, and with the next one when a process was killed.

Names are ``synguard-KIND-PID-…`` with the pid of the process that made them. Whoever comes next removes
those of the same user whose process has died.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args

#: Whose folder it is: a trial's, the demonstration's, a tool's or a server's.
Kind = Literal["bench", "demo", "flood", "nginx"]

_NAME = re.compile(rf"synguard-(?:{'|'.join(get_args(Kind))})-(?P<pid>\d+)-\w+")


@contextlib.contextmanager
def folder(kind: Kind) -> Iterator[Path]:
    """Yield a new folder, which is removed at the end; first remove those of processes that were killed."""
    _remove_stale()
    with tempfile.TemporaryDirectory(prefix=f"synguard-{kind}-{os.getpid()}-") as name:
        yield Path(name)


def _remove_stale() -> None:
    for path in Path(tempfile.gettempdir()).iterdir():
        match = _NAME.fullmatch(path.name)
        if match and not Path(f"/proc/{match['pid']}").exists() and _is_our_folder(path):
            # What another run is removing too is as good as gone.
            shutil.rmtree(path, ignore_errors=True)


def _is_our_folder(path: Path) -> bool:
    """Say whether it is a folder of this user's; a link to one is anybody's."""
    try:
        found = path.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
