"""``synguard alerts --follow``: what a watcher sees, from whom, and when it ends."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.net.namespaces import wait_until
from synguard.endpoint import Listener
from synguard.history.records import alert_to_json
from synguard.history.store import HistoryStore
from synguard.model import Alert, AlertClass, AlertState, ClosedBecause, Severity
from tests.unit.cli.conftest import ALERTS, FLOOD, SCAN, SPOOFED, STARTED_AT_S, Cli, write_history
from tests.unit.cli.live import live_daemon
from tests.unit.history.helpers import Events

Process = subprocess.Popen[str]


@contextmanager
def _following(config_file: Path, *options: str) -> Iterator[Process]:
    command = [sys.executable, "-m", "synguard", "alerts", "--follow", "--config", str(config_file), *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _line(process: Process) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def _alert(process: Process) -> Any:
    return json.loads(_line(process))


def _ids(process: Process, count: int) -> list[int]:
    return [_alert(process)["id"] for _ in range(count)]


def _note(process: Process) -> str:
    assert process.stderr is not None
    return process.stderr.readline()


def _rest(process: Process) -> tuple[str, str]:
    """Press Ctrl-C, and return what was not read yet."""
    process.send_signal(signal.SIGINT)
    return process.communicate(timeout=10)


def _closed(alert: Alert) -> Alert:
    return replace(
        alert,
        state=AlertState.CLOSED,
        closed_because=ClosedBecause.ENDED,
        ended_at_s=alert.started_at_s + 60.0,
    )


def test_follow_prints_new_and_changed_alerts_until_interrupted(config_file: Path, database: Path) -> None:
    """Following prints what there is, oldest first, then what comes and what changes; Ctrl-C ends it."""
    with _following(config_file, "--format", "jsonl") as process:
        assert _ids(process, len(ALERTS)) == [23, 24, 25]
        write_history(database, replace(SPOOFED, severity=Severity.CRITICAL))
        assert _alert(process) == alert_to_json(replace(SPOOFED, severity=Severity.CRITICAL))
        write_history(database, replace(SPOOFED, id=26))
        assert _alert(process)["id"] == 26
        assert _rest(process) == ("", "")
    assert process.returncode == 130


@pytest.mark.parametrize("output_format", ["table", "csv"])
def test_follow_heads_its_columns(config_file: Path, output_format: str) -> None:
    """Followed tables and CSV begin with their headings, and each alert is one line."""
    with _following(config_file, "--format", output_format) as process:
        lines = [_line(process) for _ in range(1 + len(ALERTS))]
    assert lines[0].lower().lstrip().startswith("id")
    assert ["23" in lines[1], "24" in lines[2], "25" in lines[3]] == [True] * 3


def test_follow_ends_quietly_when_its_reader_leaves(config_file: Path) -> None:
    """A reader that has seen enough ends the command without a word, even when nothing happens any more."""
    with _following(config_file, "--format", "jsonl") as process:
        _ids(process, len(ALERTS))
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(10) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_follow_refuses_to_sort(run_cli: Cli) -> None:
    """What has no end has no order: another than the newest first is wrong usage."""
    result = run_cli("alerts", "--follow", "--sort", "attempts")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--sort" in result.stderr


Change = Callable[..., None]


@pytest.fixture(params=["daemon", "file"])
def change(request: pytest.FixtureRequest, database: Path, socket_path: Path) -> Iterator[Change]:
    """Return what takes in alerts as a running daemon does, whether it answers those who follow or not."""
    if request.param == "daemon":
        with live_daemon(database, socket_path) as daemon:
            yield daemon.save
        return
    store = HistoryStore(database, log=Events())
    store.start(30.0)

    def save(*alerts: Alert) -> None:
        for alert in alerts:
            store.save(alert)

    yield save
    store.close()


def test_limit_is_for_what_there_is_already(config_file: Path, change: Change) -> None:
    """A limit restricts the alerts at the beginning, not those that come."""
    with _following(config_file, "--format", "jsonl", "--limit", "1") as process:
        assert _ids(process, 1) == [25]
        change(replace(SPOOFED, id=26), replace(SPOOFED, id=27))
        assert _ids(process, 2) == [26, 27]
        change(_closed(SPOOFED))
        assert _alert(process) == alert_to_json(_closed(SPOOFED))


def test_shown_alerts_are_followed_to_their_end(config_file: Path, change: Change) -> None:
    """An alert that was shown is followed to its end though the filter asks for open ones; others are not."""
    with _following(config_file, "--format", "jsonl", "--state", "open") as process:
        assert _ids(process, 1) == [24]
        change(_closed(replace(SPOOFED, id=26)))
        change(_closed(SPOOFED))
        assert _alert(process) == alert_to_json(_closed(SPOOFED))
        change(replace(SPOOFED, id=27))
        assert _ids(process, 1) == [27]
        assert _rest(process) == ("", "")


def test_alerts_come_into_a_filter_and_leave_it(config_file: Path, change: Change) -> None:
    """An alert is shown once the filter lets it through, and on when it turns into another one."""
    distributed = replace(SPOOFED, id=26, alert_class=AlertClass.DISTRIBUTED)
    with _following(config_file, "--format", "jsonl", "--class", "spoofed") as process:
        assert _ids(process, 1) == [24]
        change(distributed)
        change(_closed(replace(SPOOFED, id=27)))
        assert _ids(process, 1) == [27]
        change(replace(SPOOFED, id=26))
        assert _alert(process) == alert_to_json(replace(SPOOFED, id=26))
        change(_closed(distributed))
        assert _alert(process) == alert_to_json(_closed(distributed))


def test_every_filter_holds_for_what_comes(config_file: Path, change: Change) -> None:
    """A source's and a listener's filter holds for alerts that come by as for those of the history."""
    options = ("--source", "2001:db8::/32", "--kind", "scan", "--since", "2026-11-22T10:00Z")
    with _following(config_file, "--format", "jsonl", *options) as process:
        assert _ids(process, 1) == [25]
        change(replace(FLOOD, id=26), replace(SCAN, id=27, source=FLOOD.source), replace(SCAN, id=28))
        assert _ids(process, 1) == [28]
        assert _rest(process) == ("", "")


def test_following_goes_on_over_a_restart(config_file: Path, database: Path, socket_path: Path) -> None:
    """It is said that a daemon ends or comes; what happens meanwhile is shown, and nothing twice."""
    opened = replace(SPOOFED, id=26)
    with _following(config_file, "--format", "jsonl") as process:
        assert _ids(process, len(ALERTS)) == [23, 24, 25]
        with live_daemon(database, socket_path) as daemon:
            assert "the daemon answers" in _note(process)
            daemon.save(opened)
            assert _ids(process, 1) == [26]
        assert "following the history file" in _note(process)
        write_history(database, _closed(opened), replace(SPOOFED, id=27))
        assert sorted(_ids(process, 2)) == [26, 27]
        with live_daemon(database, socket_path) as daemon:
            assert "the daemon answers" in _note(process)
            daemon.store.next_alert_id()
            daemon.store.close_interrupted(STARTED_AT_S + 900)
            interrupted = [_alert(process) for _ in range(2)]
            assert [(one["id"], one["closed_because"]) for one in interrupted] == [
                (24, "interrupted"),
                (27, "interrupted"),
            ]
            daemon.save(replace(SPOOFED, id=28))
            assert _ids(process, 1) == [28]
            assert _rest(process) == ("", "")


def test_an_earlier_daemon_is_followed_by_its_file(
    config_file: Path, database: Path, request: pytest.FixtureRequest
) -> None:
    """A daemon that does not know how to tell news is passed over, and that is said."""
    request.getfixturevalue("daemon")
    with _following(config_file, "--format", "jsonl") as process:
        assert "of another version" in _note(process)
        assert _ids(process, len(ALERTS)) == [23, 24, 25]
        write_history(database, replace(SPOOFED, id=26))
        assert _ids(process, 1) == [26]


def test_a_history_that_is_not_there_is_waited_for(config_file: Path, database: Path) -> None:
    """A file that is missing, or goes away, is named and waited for; another in its place is followed."""
    database.unlink()
    with _following(config_file, "--format", "jsonl") as process:
        assert "no history" in _note(process)
        write_history(database, SPOOFED)
        assert _ids(process, 1) == [24]
        aside = database.with_name("aside.db")
        database.rename(aside)
        assert "no history" in _note(process)
        write_history(database, SPOOFED, replace(SPOOFED, id=3))
        assert _ids(process, 1) == [3]
        aside.replace(database)
        write_history(database, _closed(SPOOFED))
        assert _alert(process)["state"] == "closed"


def test_following_a_file_leaves_no_trace(config_file: Path, database: Path) -> None:
    """Nothing is made beside the file, and a daemon that stops leaves it as if nobody had looked."""
    with _following(config_file, "--format", "jsonl", "--offline") as process:
        _ids(process, len(ALERTS))
        assert [path.name for path in database.parent.iterdir()] == [database.name]
        store = HistoryStore(database, log=Events())
        store.start(30.0)
        store.save(replace(SPOOFED, id=26))
        assert _ids(process, 1) == [26]
        # For the few milliseconds of a question after a change, the follower has the file open as any reader.
        wait_until(
            lambda: str(database) not in _open_files(process.pid), "the follower to let go of the file"
        )
        store.close()
        assert [path.name for path in database.parent.iterdir()] == [database.name]
        assert _rest(process) == ("", "")


def _open_files(pid: int) -> list[str]:
    """Return what a process has open."""
    found = []
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            found.append(str(descriptor.readlink()))
    return found


def test_followed_table_fits_its_terminal(config_file: Path, database: Path) -> None:
    """On a terminal no line is wider than it, and what is folded has lost no letter."""
    write_history(
        database, replace(SPOOFED, id=4711, silenced=True, listeners=(Listener.parse("192.0.2.1:443"),) * 3)
    )
    for width in (40, 80, 120):
        ours, theirs = os.openpty()
        command = [sys.executable, "-m", "synguard", "alerts", "--follow", "--config", str(config_file)]
        environment = {**os.environ, "COLUMNS": str(width), "TERM": "xterm"}
        with subprocess.Popen(
            command, stdout=theirs, stderr=subprocess.PIPE, text=True, env=environment
        ) as process:
            os.close(theirs)
            received = b""
            while b"scan" not in received:
                received += os.read(ours, 65536)
            _, errors = _rest(process)
        os.close(ours)
        lines = re.sub(r"\x1b\[[0-9;]*m", "", received.decode()).splitlines()
        assert max(map(len, lines)) <= width
        assert any("4711" in line for line in lines)
        assert "too narrow for HALF-OPEN" in errors
