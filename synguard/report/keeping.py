"""Puts a page into a file: all of it or nothing, and whoever reads meanwhile sees the one before."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from pathlib import Path

from synguard.errors import SynguardError

#: Who may read a new report, less what the umask takes: it names addresses.
MODE = 0o640


def keep(page: str, path: Path) -> None:
    """Write a page to a file, in place of the one that was there, whose mode stays.

    Raises SynguardError where that cannot be written; what was there before is whole then.
    """
    try:
        # The file that a link means, not the link; what is no file (a pipe, a terminal) is written to.
        place = path.resolve()
        if place.exists() and not place.is_file() and not place.is_dir():
            place.write_text(page, encoding="utf-8")
            return
        _replace(place, page.encode())
    except OSError as error:
        raise SynguardError(f"cannot write the report to {path}: {error.strerror}") from error


def _replace(place: Path, content: bytes) -> None:
    mode = stat.S_IMODE(place.stat().st_mode) if place.is_file() else None
    temporary = place.with_name(f".{place.name[:100]}.{secrets.token_hex(6)}")
    try:
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE), "wb") as file:
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(place)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
