"""What a change of settings means for a probe that is pinned."""

from __future__ import annotations

from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs

from synguard.config.settings import ProbeSettings
from synguard.daemon.keeping import Keeper


@pytest.mark.parametrize(
    ("setting", "value", "matters"),
    [
        ("ipv6_prefix", 56, True),
        ("max_sources", 64, True),
        ("interfaces", ("eth1",), False),
        ("poll_interval_ms", 100, False),
        ("keep_attached", True, False),
        ("xdp_mode", "generic", False),
    ],
)
def test_settings_that_change_what_maps_hold_change_the_layout(
    tmp_path: Path, setting: str, value: object, matters: bool
) -> None:
    """A source of another prefix length is another source; how often it is read changes nothing."""
    directory = str(tmp_path / "synguard")
    before = ProbeSettings(pin_directory=directory)
    after = ProbeSettings(**{"pin_directory": directory, setting: value})  # type: ignore[arg-type]
    log = structlog.get_logger()
    assert (Keeper(before, log)._parameters() != Keeper(after, log)._parameters()) is matters


@pytest.mark.parametrize("keep", [True, False])
def test_a_directory_that_cannot_be_used_is_said_only_where_it_is_wanted(tmp_path: Path, keep: bool) -> None:
    """Who asks for nothing to be kept needs no BPF file system, and hears of none."""
    settings = ProbeSettings(pin_directory=str(tmp_path / "synguard"), keep_attached=keep)
    with capture_logs() as said:
        keeper = Keeper(settings, structlog.get_logger())
    assert [entry["event"] for entry in said] == (["pins.unavailable"] if keep else [])
    assert not keeper.leaves
    keeper.close()
