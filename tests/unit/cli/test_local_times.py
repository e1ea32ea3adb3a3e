"""Times are UTC, and this machine's where that is asked for."""

from __future__ import annotations

import time
from collections.abc import Iterator

import click
import pytest

from synguard.cli import cli
from tests.unit.cli.conftest import Cli, FakeDaemon
from tests.unit.cli.test_control_commands import BLOCK, STATUS

SILENCE = {"target": "203.0.113.5:443", "until": "2026-11-22T10:10:00Z", "asked_by": "uid 0", "reason": ""}
#: Commands whose text has the moment 2026-11-22T10:10:00Z.
TELLING = (
    ["block", "list"],
    ["block", "add", "192.0.2.1"],
    ["silence", "list"],
    ["silence", "add", "192.0.2.1"],
)


@pytest.fixture
def _in_kolkata(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Live five and a half hours before UTC."""
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("_in_kolkata")
@pytest.mark.parametrize("words", TELLING, ids=" ".join)
def test_times_are_utc_or_local(run_cli: Cli, daemon: FakeDaemon, words: list[str]) -> None:
    """Without a word a time is UTC and says so; with --local it is this machine's, with its offset."""
    daemon.answers |= {"block_list": [BLOCK], "block_add": BLOCK}
    daemon.answers |= {"silence_list": [SILENCE], "silence_add": SILENCE}
    assert "2026-11-22T10:10:00Z" in run_cli(*words).stdout
    assert "2026-11-22T15:40:00+05:30" in run_cli(*words, "--local").stdout


@pytest.mark.usefixtures("_in_kolkata")
def test_status_tells_every_time_alike(run_cli: Cli, daemon: FakeDaemon) -> None:
    """Since when it runs, is blind, blocks until, and wrote: all in UTC, or all local."""
    at = "2026-11-22T10:10:00Z"
    unseen = {"alert_id": 7, "cause": "stalled", "not_seen": "everything", "since": at, "to_do": "restart it"}
    kept = {"database_bytes": 2**20, "last_written_at": at, "retention_days": 90, "retention_mib": 1024}
    daemon.answers["status"] = {
        **STATUS,
        "started_at": at,
        "blind": [unseen],
        "responses": {**STATUS["responses"], "blocks": 1, "in_force": [{**BLOCK, "until": at}]},
        "history": {**STATUS["history"], **kept},
    }
    for options, told in (([], at), (["--local"], "2026-11-22T15:40:00+05:30")):
        result = run_cli("status", *options)
        assert (result.exit_code, result.stdout.count(told)) == (0, 4)


def test_whatever_tells_times_knows_local() -> None:
    """No command that prints times in its text goes without --local."""
    context = click.Context(cli)
    for words in (*TELLING, ["alerts"], ["explain"], ["report"], ["replay"], ["status"]):
        command: click.Command | None = cli
        for name in [word for word in words if word.isalpha()]:
            assert isinstance(command, click.Group)
            command = command.get_command(context, name)
        assert command is not None
        assert "local" in [parameter.name for parameter in command.params], words
