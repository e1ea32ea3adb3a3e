"""A history to ask, a daemon's control socket with made-up answers, and the command line to ask with."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from synguard.cli import cli
from synguard.daemon.control import Handler
from synguard.daemon.permitting import Peer
from synguard.endpoint import Listener
from synguard.history.database import HistoryDatabase
from synguard.history.pending import Batch, Saved
from synguard.history.records import alert_to_json
from synguard.model import (
    Alert,
    AlertClass,
    AlertKind,
    AlertState,
    ClosedBecause,
    Evidence,
    Measurement,
    RespondMode,
    Response,
    Severity,
    TopSource,
)
from tests.unit.serving import serving

#: 2026-11-22T10:00:00Z.
STARTED_AT_S = 1_795_341_600.0

FLOOD = Alert(
    id=23,
    kind=AlertKind.SYN_FLOOD,
    alert_class=AlertClass.SINGLE_SOURCE,
    severity=Severity.HIGH,
    state=AlertState.CLOSED,
    closed_because=ClosedBecause.ENDED,
    started_at_s=STARTED_AT_S,
    ended_at_s=STARTED_AT_S + 72.0,
    listener=Listener.parse("203.0.113.5:443"),
    source=ip_network("198.51.100.7"),
    sources_estimated=1,
    attempts=210_000,
    answered=2_000,
    completed=3,
    half_open_ratio=0.9876,
    peak_syn_per_s=51_234.5,
    impact="cookies",
    evidence=(Evidence("never-completes", 1.0, 0.6), Evidence("ttl", "all 64", 0.4)),
    measurements=(Measurement("half_open", 50_812.0, 50.0, "1/s", 2.0),),
    top_sources=(TopSource(ip_network("198.51.100.7"), 209_000, 0),),
    response=Response(
        "drop", RespondMode.DRY_RUN, "198.51.100.7", "one source above the threshold", STARTED_AT_S + 600
    ),
    decision="Would be dropped, because drop = always takes the operator's word.",
)
SPOOFED = replace(
    FLOOD,
    id=24,
    alert_class=AlertClass.SPOOFED,
    state=AlertState.OPEN,
    closed_because=None,
    ended_at_s=None,
    started_at_s=STARTED_AT_S + 600,
    source=None,
    sources_estimated=65_000,
    listener=Listener.parse("[2001:db8::5]:443"),
    top_sources=(),
    response=None,
    decision="",
)
SCAN = replace(
    FLOOD,
    id=25,
    kind=AlertKind.SCAN,
    alert_class=AlertClass.FIN,
    severity=Severity.LOW,
    started_at_s=STARTED_AT_S + 1200,
    ended_at_s=STARTED_AT_S + 1202.5,
    listener=None,
    source=ip_network("2001:db8:7::/64"),
    half_open_ratio=None,
    evidence=(),
    measurements=(),
    top_sources=(),
    response=None,
)
ALERTS = (FLOOD, SPOOFED, SCAN)
#: What was not seen for a minute, and not for the first time.
BLIND = Alert(
    id=26,
    kind=AlertKind.BLIND,
    alert_class=None,
    severity=Severity.HIGH,
    state=AlertState.CLOSED,
    started_at_s=STARTED_AT_S,
    listener=None,
    source=None,
    closed_because=ClosedBecause.ENDED,
    ended_at_s=STARTED_AT_S + 60.0,
    evidence=(
        Evidence("cause", "detached", 0.0),
        Evidence("interface", "eth1", 0.0),
        Evidence("not_seen", "eth1: what comes in: somebody took the XDP program off", 1.0),
        Evidence("since", "2026-11-22T10:00:00Z", 0.0),
        Evidence("until", "2026-11-22T10:01:00Z", 0.0),
        Evidence("times", 3, 0.0),
        Evidence("outcome", "put back as xdp-native", 0.0),
        Evidence("to_do", "nothing now", 0.0),
    ),
    measurements=(Measurement("received_unseen", 250, 10, "packets"),),
)

Cli = Callable[..., Result]


def write_history(path: Path, *alerts: Alert) -> None:
    """Write alerts as the daemon would, and close the database."""
    database = HistoryDatabase(path)
    database.prepare()
    database.write(Batch(tuple(Saved(alert, alert.started_at_s) for alert in alerts), {}))
    database.close()


def on_terminal(config_file: Path, width: int, *arguments: str, **environment: str) -> tuple[list[str], str]:
    """Run ``synguard`` on a terminal of its own; return its lines and its standard error."""
    ours, theirs = os.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "synguard", *arguments, "--config", str(config_file)],
        stdout=theirs, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "COLUMNS": str(width), "TERM": "xterm", **environment},
    ) as process:  # fmt: skip
        os.close(theirs)
        received = b""
        while chunk := _read_terminal(ours):
            received += chunk
        _, errors = process.communicate(timeout=10)
    os.close(ours)
    return received.decode().splitlines(), errors


def followed_on_terminal(config_file: Path, width: int, lines: int, **environment: str) -> list[str]:
    """Follow the alerts on a terminal until there are so many lines below the headings; return all lines."""
    ours, theirs = os.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "synguard", "alerts", "--follow", "--config", str(config_file)],
        stdout=theirs, stderr=subprocess.DEVNULL,
        env={**os.environ, "COLUMNS": str(width), "TERM": "xterm", **environment},
    ) as process:  # fmt: skip
        os.close(theirs)
        received = b""
        while received.count(b"\n") <= lines and (chunk := _read_terminal(ours)):
            received += chunk
        process.terminate()
    os.close(ours)
    return received.decode().splitlines()


def _read_terminal(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError as error:
        # Linux says EIO when the last process has closed the other side.
        if error.errno != errno.EIO:
            raise
        return b""


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Return a history of a flood, a spoofed flood that goes on, and a scan."""
    path = tmp_path / "state" / "synguard.db"
    write_history(path, *ALERTS)
    return path


@pytest.fixture
def socket_path(tmp_path: Path) -> Path:
    """Return where the daemon's socket would be."""
    return tmp_path / "run" / "control.sock"


@pytest.fixture
def config_file(tmp_path: Path, database: Path, socket_path: Path) -> Path:
    """Return a settings file that names the test's own history and socket."""
    path = tmp_path / "synguard.toml"
    path.write_text(f'[history]\ndatabase = "{database}"\n[control]\nsocket = "{socket_path}"\n')
    return path


@pytest.fixture
def run_cli(config_file: Path) -> Cli:
    """Return the command line, which reads the test's settings file."""

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(cli, [*arguments, "--config", str(config_file)], prog_name="synguard")

    return run


class FakeDaemon:
    """Answers each command with what the test says, and remembers what was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {"alerts": [alert_to_json(FLOOD)], "alert": alert_to_json(FLOOD)}
        self.asked: list[tuple[str, Mapping[str, Any]]] = []

    def handlers(self) -> dict[str, Handler]:
        """Return a handler for every command of the daemon's."""
        names = (
            "status", "alerts", "alert", "block_list", "block_add", "block_remove", "block_clear", "respond",
            "silence_list", "silence_add", "silence_remove",
        )  # fmt: skip
        return {name: self._handler(name) for name in names}

    def _handler(self, name: str) -> Handler:
        def answer(arguments: Mapping[str, Any], _peer: Peer) -> Any:
            self.asked.append((name, arguments))
            result = self.answers[name]
            if isinstance(result, Exception):
                raise result
            return result() if callable(result) else result

        return answer


@pytest.fixture
def daemon(socket_path: Path) -> Iterator[FakeDaemon]:
    """Return a running daemon of which only the socket is real."""
    fake = FakeDaemon()
    with serving(socket_path, fake.handlers()):
        yield fake
