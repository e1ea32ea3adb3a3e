"""Temporary folders: gone with their block, and after a kill with the next one's beginning."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.folders import folder
from bench.net.enter import child_environment

_MAKE_AND_WAIT = """
import sys
from bench.folders import folder
with folder("bench") as made:
    (made / "synguard.db").touch()
    print(made, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let every folder of this process and of its children be made here."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def dead() -> int:
    """Return the pid of a process that has ended."""
    with subprocess.Popen(["true"]) as process:
        pass
    return process.pid


def start() -> tuple[subprocess.Popen[str], Path]:
    """Return a process that keeps a folder until its input ends, and the folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", _MAKE_AND_WAIT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=child_environment(),
        text=True,
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_a_folder_is_gone_with_its_block(temporary: Path) -> None:
    """A folder has its kind and this process in its name, and is removed with all that is in it."""
    with folder("demo") as made:
        assert made.name.startswith(f"synguard-demo-{os.getpid()}-")
        (made / "file").touch()
    assert list(temporary.iterdir()) == []


def test_what_a_killed_process_left_is_removed_by_the_next(temporary: Path) -> None:
    """A folder outlives the kill of whoever made it, until anybody makes one of any kind."""
    process, left = start()
    with process:
        process.kill()
    assert (left / "synguard.db").exists()
    with folder("flood") as made:
        assert list(temporary.iterdir()) == [made]


def test_the_folder_of_a_running_process_stays() -> None:
    """Two that run at once leave each other's folders alone."""
    process, other = start()
    with process:
        with folder("bench"):
            pass
        assert (other / "synguard.db").exists()
    assert not other.exists()


@pytest.mark.parametrize("name", ["synguard-bench-abc", "synguard-test-{}-abc", "mine-synguard-bench-{}-abc"])
def test_folders_of_other_names_stay(temporary: Path, dead: int, name: str) -> None:
    """What is not named as the bench names its folders is not the bench's to remove."""
    foreign = temporary / name.format(dead)
    foreign.mkdir()
    with folder("bench"):
        pass
    assert foreign.exists()


def test_a_link_is_not_followed(temporary: Path, dead: int) -> None:
    """A link named as a dead process's folder, which anybody can make, costs its target nothing."""
    target = temporary / "target"
    target.mkdir()
    (target / "file").touch()
    link = temporary / f"synguard-bench-{dead}-abc"
    link.symlink_to(target)
    with folder("bench"):
        pass
    assert link.is_symlink()
    assert (target / "file").exists()


@pytest.mark.root
def test_the_folder_of_another_user_stays(temporary: Path, dead: int) -> None:
    """A dead process's folder that belongs to somebody else is theirs to remove."""
    theirs = temporary / f"synguard-bench-{dead}-abc"
    theirs.mkdir()
    os.chown(theirs, 65534, 65534)
    with folder("bench"):
        pass
    assert theirs.exists()
