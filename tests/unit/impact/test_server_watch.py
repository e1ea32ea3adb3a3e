"""What is read when, and what becomes of what cannot be read."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from synguard.endpoint import Listener
from synguard.impact import conntrack, counters, impact
from synguard.impact.conntrack import read_conntrack
from synguard.impact.counters import Counters, read_settings
from synguard.impact.impact import ServerWatch
from synguard.impact.sockets import ListeningSocket, SocketTable
from synguard.server import ServerReading

WEB = Listener.parse("192.0.2.1:80")
SOCKET = ListeningSocket(ip_address("192.0.2.1"), 80, False, False, 0, 128, 0)
TABLE = SocketTable({80: [SOCKET]}, {WEB: 9})
NETSTAT = """\
TcpExt: SyncookiesSent SomethingElse ListenOverflows ListenDrops
TcpExt: 12 99 3 4
IpExt: InNoRoutes ListenDrops
IpExt: 5 6
"""


class Stage:
    """A machine that is read as a test says; its sockets are looked at within each read."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.looks = 0
        self.error: OSError | None = None
        self.events: list[tuple[str, str]] = []
        (folder / "netstat").write_text(NETSTAT)
        for name, value in (("tcp_syncookies", 1), ("tcp_max_syn_backlog", 512)):
            (folder / name).write_text(f"{value}\n")
        self.folder = folder
        monkeypatch.setattr(counters, "_NETSTAT", folder / "netstat")
        monkeypatch.setattr(counters, "_SETTINGS", folder)
        monkeypatch.setattr(conntrack, "_FOLDER", folder)
        monkeypatch.setattr(impact, "read_sockets", self._look)
        log: Any = SimpleNamespace(
            error=lambda event, what, error: self.events.append((event, what)),  # noqa: ARG005 - a log's
            info=lambda event, what: self.events.append((event, what)),
        )
        self.watch = ServerWatch(log)

    def _look(self) -> SocketTable:
        self.looks += 1
        if self.error:
            raise self.error
        return TABLE

    def read(self, at_s: float, *wanted: Listener) -> ServerReading | None:
        """Read at a moment, and let a look at sockets that it began end."""
        found = self.watch.read(round(at_s * 1e9), wanted)
        if self.watch._looking:
            self.watch._looking.exception()
        return found


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """Return a machine with counters and settings, without conntrack."""
    made = Stage(tmp_path, monkeypatch)
    yield made
    made.watch.close()


def test_counters_are_read_by_name(stage: Stage) -> None:
    """Of the group TcpExt, what is known by name; what this kernel lacks is left out."""
    found = stage.read(1)
    assert found is not None
    assert found.counters == {"SyncookiesSent": 12, "ListenOverflows": 3, "ListenDrops": 4}
    assert (found.read_ns, found.syncookies, found.queues, found.queues_read_ns) == (10**9, 1, {}, None)
    assert (found.conntrack_entries, found.conntrack_limit) == (None, None)
    (stage.folder / "netstat").write_text(NETSTAT.replace("12 99", "13 99"))
    found = stage.read(1.05)
    assert found is not None
    assert found.counters["SyncookiesSent"] == 13


def test_sockets_are_looked_at_once_a_second_and_only_if_wanted(stage: Stage) -> None:
    """A look shows in the next reading; while nobody is suspected there is none."""
    assert stage.read(0) is not None
    assert stage.looks == 0
    shown = [stage.read(at_s, WEB) for at_s in (1, 1.05, 1.95, 2.0, 2.05)]
    assert [one and one.queues_read_ns for one in shown] == [None, 10**9, 10**9, 10**9, 2 * 10**9]
    assert stage.looks == 2
    assert shown[1] is not None
    assert shown[1].queues[WEB].syn_queue == 9
    last = stage.read(3.5)
    assert last is not None
    assert (last.queues, last.queues_read_ns, stage.looks) == ({}, None, 2)


def test_a_look_that_takes_long_keeps_nobody_waiting(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Readings go on with what the last look found, and no second look begins meanwhile."""
    stage.read(1, WEB)
    stage.read(1.5, WEB)
    begun: list[Any] = []

    def submit(*_: Any) -> Any:
        begun.append(SimpleNamespace(done=lambda: False))
        return begun[-1]

    monkeypatch.setattr(stage.watch, "_thread", SimpleNamespace(submit=submit, shutdown=lambda: None))
    shown = [stage.watch.read(at_s * 10**9, [WEB]) for at_s in (2, 3, 9)]
    assert [one and one.queues_read_ns for one in shown] == [10**9] * 3
    assert len(begun) == 1


def test_what_cannot_be_read_is_told_once_and_when_it_can_be_again(stage: Stage) -> None:
    """Queues that fail are left out of readings that go on; the log hears of it twice in all."""
    stage.error = PermissionError("not permitted")
    shown = [stage.read(at_s, WEB) for at_s in (1, 2, 3)]
    assert all(one is not None and not one.queues for one in shown)
    assert stage.watch.problems == {"queues": "not permitted"}
    stage.error = None
    stage.read(4, WEB)
    last = stage.read(5, WEB)
    assert last is not None
    assert last.queues
    assert stage.watch.problems == {}
    assert stage.events == [("server.unreadable", "queues"), ("server.readable", "queues")]


@pytest.mark.parametrize(("file", "what"), [("netstat", "counters"), ("tcp_max_syn_backlog", "settings")])
def test_without_counters_or_settings_there_is_no_reading(stage: Stage, file: str, what: str) -> None:
    """Half a reading would be judged as if it were whole; it comes back with what was missing."""
    text = (stage.folder / file).read_text()
    (stage.folder / file).write_text("TcpExt: one\n")
    assert [stage.read(at_s, WEB) for at_s in (1, 2)] == [None, None]
    assert list(stage.watch.problems) == [what]
    (stage.folder / file).write_text(text)
    assert stage.read(3, WEB) is not None
    assert [event for event, _ in stage.events] == ["server.unreadable", "server.readable"]


def test_a_kernel_without_cookies_sends_none(stage: Stage) -> None:
    """Where tcp_syncookies is not there, it is as good as off."""
    (stage.folder / "tcp_syncookies").unlink()
    assert read_settings() == {"tcp_syncookies": 0, "tcp_max_syn_backlog": 512}


def test_conntrack_shows_its_entries_and_its_limit(stage: Stage) -> None:
    """Both come from the kernel's own settings; once a second is enough."""
    (stage.folder / "nf_conntrack_count").write_text("70\n")
    assert read_conntrack() is None
    (stage.folder / "nf_conntrack_max").write_text("1000\n")
    shown = [stage.read(1)]
    (stage.folder / "nf_conntrack_count").write_text("90\n")
    shown += [stage.read(1.5), stage.read(2.0)]
    assert [one and (one.conntrack_entries, one.conntrack_limit) for one in shown] == [
        (70, 1000), (70, 1000), (90, 1000)
    ]  # fmt: skip


def test_counters_closed_are_opened_again(stage: Stage) -> None:
    """Closing twice does no harm, and the next read opens the file anew."""
    read = Counters()
    first = read.read()
    read.close()
    read.close()
    (stage.folder / "netstat").unlink()
    with pytest.raises(FileNotFoundError):
        read.read()
    (stage.folder / "netstat").write_text(NETSTAT)
    assert read.read() == first
    read.close()
