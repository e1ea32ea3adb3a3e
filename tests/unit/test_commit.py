"""Which commit an installation, a checkout, or neither of them says it is."""

from __future__ import annotations

import subprocess
from pathlib import Path

from synguard.commit import commit_of


def git(checkout: Path, *arguments: str) -> str:
    """Run git in a checkout as somebody."""
    somebody = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.org")
    command = ["git", "-C", str(checkout), *somebody, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_a_checkout_asks_git(tmp_path: Path) -> None:
    """And says when a tracked file is not as it was committed."""
    git(tmp_path, "init", "--quiet")
    (tmp_path / "file").write_text("a")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "--quiet", "--message", "First")
    head = git(tmp_path, "rev-parse", "HEAD")[:12]
    (tmp_path / "another").write_text("")
    assert commit_of(tmp_path) == head
    (tmp_path / "file").write_text("b")
    assert commit_of(tmp_path) == f"{head}-dirty"


def test_what_was_noted_goes_before(tmp_path: Path) -> None:
    """An installation has no git; one made from no checkout knows nothing."""
    noted = tmp_path / "commit.txt"
    noted.write_text("0123456789ab\n")
    assert commit_of(tmp_path, noted) == "0123456789ab"
    noted.write_text("\n")
    assert commit_of(tmp_path, noted) is None


def test_without_either_nobody_knows(tmp_path: Path) -> None:
    """Neither in a folder of its own nor where git fails."""
    assert commit_of(tmp_path, tmp_path / "missing") is None
    (tmp_path / ".git").write_text("nonsense")
    assert commit_of(tmp_path, tmp_path / "missing") is None
