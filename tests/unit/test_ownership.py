"""Files that root makes in other users' directories."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from synguard.ownership import open_or_create

pytestmark = pytest.mark.root

NOBODY = 65534


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """Make a directory that is not root's."""
    folder = tmp_path / "theirs"
    folder.mkdir()
    os.chown(folder, NOBODY, NOBODY)
    return folder


def test_what_root_makes_there_is_the_owners(theirs: Path, tmp_path: Path) -> None:
    """And what it makes in its own is its own; what is there already stays whose it is."""
    os.close(open_or_create(theirs / "made", 0o640))
    assert ((theirs / "made").stat().st_uid, (theirs / "made").stat().st_mode & 0o777) == (NOBODY, 0o640)
    os.close(open_or_create(tmp_path / "made", 0o600))
    assert (tmp_path / "made").stat().st_uid == 0
    (theirs / "roots").touch()
    os.close(open_or_create(theirs / "roots", 0o600))
    assert (theirs / "roots").stat().st_uid == 0


@pytest.mark.parametrize("exists", [True, False])
def test_no_link_there_leads_root_elsewhere(theirs: Path, tmp_path: Path, exists: bool) -> None:
    """Neither to a file that is there nor to one that would be made."""
    target = tmp_path / "target"
    if exists:
        target.touch()
    (theirs / "link").symlink_to(target)
    with pytest.raises(OSError, match="link"):
        os.close(open_or_create(theirs / "link", 0o600))
    assert target.exists() == exists


def test_in_ones_own_directory_a_link_is_followed(tmp_path: Path) -> None:
    """A history may lie on another disk, also one that is yet to be made."""
    (tmp_path / "link").symlink_to(tmp_path / "target")
    os.close(open_or_create(tmp_path / "link", 0o600))
    assert (tmp_path / "target").exists()
    os.close(open_or_create(tmp_path / "link", 0o600))
    with pytest.raises(OSError, match="link"):
        os.close(open_or_create(tmp_path / "link", 0o600, follow=False))
