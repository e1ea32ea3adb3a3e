"""Keeping a probe where that is not possible."""

from __future__ import annotations

from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs

from synguard.config.settings import ProbeSettings
from synguard.daemon.keeping import Keeper
from synguard.probe.known import KnownPrograms


@pytest.mark.parametrize("keep", [True, False])
def test_a_directory_that_cannot_be_used_is_said_only_where_it_is_wanted(tmp_path: Path, keep: bool) -> None:
    """Who asks for nothing to be kept needs no BPF file system, and hears of none."""
    settings = ProbeSettings(pin_directory=str(tmp_path / "synguard"), keep_attached=keep)
    with capture_logs() as said:
        keeper = Keeper(settings, KnownPrograms(), structlog.get_logger())
    assert [entry["event"] for entry in said] == (["pins.unavailable"] if keep else [])
    assert not keeper.leaves
    keeper.close()
