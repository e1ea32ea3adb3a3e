"""Which settings a running daemon takes up, and what becomes of the others."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
import structlog

from synguard.config import Change, Settings, applicable, changes
from synguard.config.checking import declarations
from synguard.daemon import reloading as reloading_module
from synguard.daemon.reloading import Reloader
from synguard.errors import UsageError

FIXED = {
    *("probe.interfaces", "probe.xdp_mode", "probe.visibility", "probe.ipv6_prefix", "probe.prefix_ipv4"),
    *("probe.prefix_ipv6", "probe.max_sources", "probe.max_prefixes", "probe.max_listeners"),
    *("probe.keep_attached", "probe.pin_directory", "respond.backend", "respond.max_blocks"),
    *("history.database", "control.socket", "control.group", "control.changes_by"),
}


class Applied:
    """What was put in force."""

    def __init__(self) -> None:
        self.settings: list[Settings] = []
        self.keys: list[list[str]] = []

    async def __call__(self, settings: Settings, changed: tuple[Change, ...]) -> None:
        """Note it."""
        self.settings.append(settings)
        self.keys.append([change.key for change in changed])


def reloader(*files: Settings | UsageError, file: Path | None = None) -> Reloader:
    """Return one that reads these, one after the other."""
    waiting = list(files)

    def read() -> Settings:
        found = waiting.pop(0)
        if isinstance(found, UsageError):
            raise found
        return found

    return Reloader(Settings(), file, read, structlog.get_logger())


def with_(**sections: dict[str, object]) -> Settings:
    """Return settings with some changed."""
    overrides = {f"{name}.{key}": value for name, table in sections.items() for key, value in table.items()}
    return Settings().with_overrides(overrides)


def test_only_these_settings_need_a_restart() -> None:
    """What maps, sockets and files are made from; thresholds, responses, retention and the log do not."""
    assert {setting.key for setting in declarations(Settings) if setting.needs_restart} == FIXED


def test_what_needs_a_restart_keeps_its_value() -> None:
    """The rest is the file's."""
    new = with_(probe={"max_sources": 64, "poll_interval_ms": 20}, detect={"min_attempts": 5})
    in_force = applicable(Settings(), new)
    assert (in_force.probe.max_sources, in_force.probe.poll_interval_ms) == (8192, 20)
    assert [change.key for change in changes(Settings(), in_force)] == [
        "probe.poll_interval_ms",
        "detect.min_attempts",
    ]


def test_what_waits_for_a_restart_is_told_until_the_file_agrees() -> None:
    """A reload that leaves it as it is does not make it forgotten."""
    applied, waits = Applied(), with_(probe={"max_sources": 64})
    reloading = reloader(waits, waits, Settings())
    for expected in (["probe.max_sources"], ["probe.max_sources"], []):
        asyncio.run(reloading.reload(applied))
        assert reloading.describe()["needs_restart"] == expected
    assert applied.settings == [Settings()] * 3


def test_a_mode_that_was_set_by_hand_is_changed_by_a_change_of_the_files_alone() -> None:
    """What stays in the file is no change, whatever is in force meanwhile."""
    applied = Applied()
    reloading = reloader(
        with_(detect={"min_attempts": 5}),
        with_(respond={"mode": "enforce"}),
        with_(respond={"mode": "enforce"}),
    )
    for _ in range(3):
        asyncio.run(reloading.reload(applied))
    assert applied.keys == [["detect.min_attempts"], ["detect.min_attempts", "respond.mode"], []]


def test_a_wrong_file_is_refused_until_a_right_one_comes(tmp_path: Path) -> None:
    """Nothing is applied, and why is kept for whoever asks."""
    file = tmp_path / "synguard.toml"
    file.touch()
    applied = Applied()
    reloading = reloader(UsageError("line 3: respond.mode"), Settings(), file=file)
    asyncio.run(reloading.reload(applied))
    assert (reloading.refused, applied.settings) == ("line 3: respond.mode", [])
    asyncio.run(reloading.reload(applied))
    assert (reloading.refused, applied.settings) == (None, [Settings()])


def test_a_file_that_is_gone_is_refused(tmp_path: Path) -> None:
    """To go back to the defaults for want of it would be a surprise."""
    applied = Applied()
    reloading = reloader(Settings(), file=tmp_path / "synguard.toml")
    asyncio.run(reloading.reload(applied))
    assert reloading.refused is not None
    assert applied.settings == []


def test_a_default_file_that_comes_later_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Started without any, the daemon tells which it reads now; a pipe in its place is no file."""
    file = tmp_path / "synguard.toml"
    monkeypatch.setattr(reloading_module, "file_in_use", lambda path: path or file)
    os.mkfifo(file)
    applied, reloading = Applied(), reloader(Settings())
    asyncio.run(reloading.reload(applied))
    said_of_the_pipe = reloading.refused
    file.unlink()
    file.touch()
    asyncio.run(reloading.reload(applied))
    assert said_of_the_pipe is not None
    assert (reloading.refused, reloading.describe()["file"]) == (None, str(file))
