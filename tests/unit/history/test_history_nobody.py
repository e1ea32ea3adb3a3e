"""What somebody who may read the history's file, but not write beside it, is told."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from synguard.history.database import HistoryDatabase
from tests.unit.public import public_directory, python_as_nobody

pytestmark = pytest.mark.root

_ASK = """
import sys
from pathlib import Path
from synguard.errors import SynguardError
from synguard.history.query import find_alerts
try:
    print(len(find_alerts(Path(sys.argv[1]))))
except SynguardError as error:
    print(type(error).__name__, error)
"""


@pytest.fixture
def public() -> Iterator[Path]:
    """Return a history that everybody may read, in a directory that nobody else may write to."""
    with public_directory() as directory:
        path = directory / "synguard.db"
        database = HistoryDatabase(path)
        database.prepare()
        database.close()
        path.chmod(0o644)
        yield path


def leave_a_log(path: Path) -> None:
    """Leave a -wal without its index beside the database, as a copy or a crash may."""
    writer = sqlite3.connect(path)
    writer.execute("UPDATE runs SET kernel = ''")
    writer.execute("CREATE TABLE more (id)")
    log = path.with_name(f"{path.name}-wal").read_bytes()
    writer.close()
    path.with_name(f"{path.name}-wal").write_bytes(log)


def ask(path: Path) -> str:
    """Return what nobody is told."""
    done = python_as_nobody("-c", _ASK, str(path))
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_log_that_only_others_can_index_is_asked_for_of_them(public: Path) -> None:
    """Root or the daemon could read it, so nobody is sent to them, and not off with a copy."""
    assert ask(public) == "0"
    leave_a_log(public)
    told = ask(public)
    assert told.startswith(f"UnsupportedError not permitted to read the history at {public}: ")
    for word in ("ask as root (sudo)", "running daemon"):
        assert word in told
    assert "copy" not in told


def test_a_file_that_may_not_be_read_is_asked_for_of_others(public: Path) -> None:
    """Without the right to read the file at all the words are the same."""
    public.chmod(0o600)
    assert "ask as root (sudo)" in ask(public)
