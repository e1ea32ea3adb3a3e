"""Which settings file a command goes by."""

from __future__ import annotations

from pathlib import Path

from synguard.config import file_in_use


def test_the_file_in_use_is_the_one_that_is_read(tmp_path: Path) -> None:
    """The one that is named, else the usual one if it is there, else none."""
    usual, named = tmp_path / "synguard.toml", tmp_path / "other.toml"
    assert file_in_use(None, default_path=usual) is None
    usual.touch()
    assert file_in_use(None, default_path=usual) == usual
    assert file_in_use(named, default_path=usual) == named
