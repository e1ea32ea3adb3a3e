"""The log as the systemd journal gets it: fields to search by, and never more than a journal can take."""

from __future__ import annotations

import json
import logging
import os
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TextIO

import pytest
import structlog

from synguard.observe import journal, log
from synguard.observe.journal import BURST_LINES, LINES_PER_S, JournalWriter, Pace, encode, message_id

README = Path(__file__).parents[2] / "README.md"


class FakeJournal:
    """Listens where a journal would; the real one is asked in tests/service."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)

    def entries(self) -> list[dict[str, str]]:
        """Return what came since last time."""
        found = []
        while True:
            try:
                found.append(decoded(self._socket.recv(1 << 20)))
            except BlockingIOError:
                return found

    def close(self) -> None:
        """Be gone, as a journal that is restarted."""
        self._socket.close()
        self.path.unlink(missing_ok=True)


def decoded(datagram: bytes) -> dict[str, str]:
    """Return an entry's fields, as JOURNAL_NATIVE_PROTOCOL says."""
    fields = {}
    while datagram:
        head, _, rest = datagram.partition(b"\n")
        name, equals, value = head.partition(b"=")
        if not equals:
            (length,) = struct.unpack_from("<Q", rest)
            value, rest = rest[8 : 8 + length], rest[8 + length + 1 :]
        fields[name.decode()] = value.decode()
        datagram = rest
    return fields


@pytest.fixture
def listening(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeJournal]:
    """Yield a journal where the log looks for one."""
    monkeypatch.setattr(journal, "SOCKET", tmp_path / "socket")
    with closing(FakeJournal(tmp_path / "socket")) as listener:
        yield listener


@pytest.fixture
def writer(listening: FakeJournal) -> Iterator[JournalWriter]:
    """Yield what writes there."""
    with closing(JournalWriter(listening.path)) as writer:
        yield writer


@pytest.fixture
def connected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TextIO]:
    """Yield a stream that systemd would have connected to the journal."""
    with (tmp_path / "stream").open("w", encoding="utf-8") as stream:
        status = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
        yield stream


@pytest.fixture
def configure() -> Iterator[Callable[[TextIO], None]]:
    """Return what configures the log for a stream; leave the process's logging as it was."""
    root, made = logging.getLogger(), []
    handlers, level = root.handlers[:], root.level
    yield lambda stream: made.append(log.configure(stream=stream))
    for writer in made:
        if isinstance(writer, JournalWriter):
            writer.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


Configure = Callable[[TextIO], None]


def test_a_line_has_priority_kind_and_keys(
    listening: FakeJournal, connected: TextIO, configure: Configure
) -> None:
    """Beside the line itself, which is the JSON that any other reader gets."""
    configure(connected)
    say = structlog.get_logger()
    say.warning("alert.raised", alert="a-1", syn_per_s=20.5, cold=True, sources=["x"], none=None)
    say.error("block.not_kept", error="a\nb")
    raised, refused = listening.entries()
    line = json.loads(raised.pop("MESSAGE"))
    assert (line["event"], line["level"], line["sources"]) == ("alert.raised", "warning", ["x"])
    assert raised == {
        "PRIORITY": "4",
        "SYSLOG_IDENTIFIER": "synguard",
        "MESSAGE_ID": message_id("alert.raised"),
        "SYNGUARD_EVENT": "alert.raised",
        "SYNGUARD_ALERT": "a-1",
        "SYNGUARD_SYN_PER_S": "20.5",
        "SYNGUARD_COLD": "True",
    }
    assert (refused["PRIORITY"], refused["SYNGUARD_ERROR"]) == ("3", "a\nb")
    assert connected.tell() == 0


def test_what_libraries_say_gets_there_too(
    listening: FakeJournal, connected: TextIO, configure: Configure
) -> None:
    """And with the priority that it was said with."""
    configure(connected)
    logging.getLogger("asyncio").error("slow")
    (entry,) = listening.entries()
    assert (entry["PRIORITY"], entry["SYNGUARD_LOGGER"]) == ("3", "asyncio")


def test_message_ids_never_change() -> None:
    """Who looks for one finds it in every version, and the README names one."""
    assert message_id("alert.raised") == "f26ba6b76d8d59248691c82fc4dc8df4"
    assert message_id("alert.closed") == "2c3cb14d7d58510abe3ab7ea7fd6e344"
    assert f"MESSAGE_ID={message_id('alert.raised')}" in README.read_text(encoding="utf-8")


@pytest.mark.usefixtures("connected")
def test_elsewhere_it_is_lines(listening: FakeJournal, configure: Configure, tmp_path: Path) -> None:
    """Into another stream than the one that systemd connected: a file that a shell redirected to."""
    with (tmp_path / "file").open("w", encoding="utf-8") as stream:
        configure(stream)
        structlog.get_logger().info("daemon.ready")
    assert json.loads((tmp_path / "file").read_text())["event"] == "daemon.ready"
    assert listening.entries() == []


def test_without_its_socket_the_stream_is_the_way(
    connected: TextIO, configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a root without /run/systemd: nothing is lost but the fields."""
    monkeypatch.setattr(journal, "SOCKET", tmp_path / "missing")
    configure(connected)
    structlog.get_logger().info("daemon.ready")
    assert json.loads((tmp_path / "stream").read_text())["event"] == "daemon.ready"


def test_a_flood_of_one_event_is_paced(listening: FakeJournal) -> None:
    """A burst, then so many a second; what was kept back is counted and told, other events pass."""
    now_s, passed = [100.0], 0
    with closing(JournalWriter(pace=Pace(lambda: now_s[0]))) as writer:
        for _ in range(BURST_LINES + 23):
            writer.warning("line", fields={"SYNGUARD_EVENT": "alert.raised"})
            passed += len(listening.entries())
        writer.warning("line", fields={"SYNGUARD_EVENT": "alert.closed"})
        assert [entry["SYNGUARD_EVENT"] for entry in listening.entries()] == ["alert.closed"]
        assert (passed, writer.lost_lines) == (BURST_LINES, 23)
        now_s[0] += 1.0
        after = []
        for _ in range(BURST_LINES):
            writer.warning("line", fields={"SYNGUARD_EVENT": "alert.raised"})
            after += listening.entries()
    assert [entry.get("SYNGUARD_KEPT_BACK") for entry in after] == ["23"] + [None] * (LINES_PER_S - 1)


def test_a_journal_that_stops_reading_stops_nobody(listening: FakeJournal, writer: JournalWriter) -> None:
    """A full socket costs lines, which are counted, and little time; read again, it goes on."""
    started_s = time.monotonic()
    for number in range(1000):
        writer.info("x" * 1000, fields={"SYNGUARD_EVENT": str(number)})
    assert time.monotonic() - started_s < 5
    lost = writer.lost_lines
    assert 0 < lost < 1000
    assert len(listening.entries()) == 1000 - lost
    writer.info("again", fields={})
    assert [entry["MESSAGE"] for entry in listening.entries()] == ["again"]
    assert writer.lost_lines == lost


def test_a_journal_that_is_restarted_is_found_again(
    listening: FakeJournal, writer: JournalWriter, tmp_path: Path
) -> None:
    """Lines are lost while nobody listens, and counted."""
    writer.info("before", fields={})
    assert len(listening.entries()) == 1
    listening.close()
    for _ in range(3):
        writer.info("meanwhile", fields={})
    assert writer.lost_lines == 3
    with closing(FakeJournal(tmp_path / "socket")) as second:
        writer.info("after", fields={})
        assert [entry["MESSAGE"] for entry in second.entries()] == ["after"]
    assert writer.lost_lines == 3


def test_values_of_several_lines_are_sent_whole() -> None:
    """With their length, so that nothing in them can pass for another field."""
    fields = {"MESSAGE": "line\nPRIORITY=0", "SYNGUARD_TEXT": "a=b", "SYNGUARD_ODD": "\udcff"}
    assert decoded(encode(fields)) == {**fields, "SYNGUARD_ODD": "\\udcff"}
