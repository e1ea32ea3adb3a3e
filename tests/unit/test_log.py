"""The log as its readers find it: JSON lines for machines, readable lines on a terminal."""

import io
import json
import logging
import os
import select
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from ipaddress import ip_network
from typing import Any

import pytest
import structlog

from synguard.observe.log import LogFormat, configure


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class _ClosedPipe(io.StringIO):
    def write(self, _text: str) -> int:
        raise BrokenPipeError


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """Leave the process's logging as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def _lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_json_line() -> None:
    """Away from a terminal an event is one JSON object with its level and a UTC time."""
    stream = io.StringIO()
    configure(stream=stream)
    structlog.get_logger().info("source.blocked", source=ip_network("192.0.2.0/24"), ttl_s=600)
    (line,) = _lines(stream)
    moment = datetime.fromisoformat(line.pop("timestamp"))
    assert abs((datetime.now(UTC) - moment).total_seconds()) < 60
    assert line == {"event": "source.blocked", "level": "info", "source": "192.0.2.0/24", "ttl_s": 600}


@pytest.mark.parametrize(
    ("log_format", "terminal", "is_json"),
    [
        ("auto", True, False),
        ("auto", False, True),
        ("json", True, True),
        ("console", False, False),
        ("console", True, False),
    ],
)
def test_format(log_format: LogFormat, terminal: bool, is_json: bool) -> None:
    """``auto`` is readable on a terminal and JSON elsewhere; the setting overrules it."""
    stream = _Terminal() if terminal else io.StringIO()
    configure(log_format=log_format, stream=stream)
    structlog.get_logger().info("probe.attached", interface="eth1")
    assert stream.getvalue().startswith("{") is is_json
    assert "eth1" in stream.getvalue()


@pytest.mark.parametrize("terminal", [True, False])
def test_colours_only_on_a_terminal(terminal: bool) -> None:
    """A readable log in a file has no escape sequences."""
    stream = _Terminal() if terminal else io.StringIO()
    configure(log_format="console", stream=stream)
    structlog.get_logger().info("probe.attached", interface="eth1")
    assert ("\x1b[" in stream.getvalue()) is terminal


def test_escape_sequences_are_spelled_out() -> None:
    """A value cannot drive the terminal of whoever reads the log."""
    stream = io.StringIO()
    configure(log_format="console", stream=stream)
    structlog.get_logger().info("source.blocked", reason="\x1b]0;owned\x07")
    assert "\x1b" not in stream.getvalue()
    assert r"\x1b]0;owned\x07" in stream.getvalue()


def test_level() -> None:
    """Events below the level are not written."""
    stream = io.StringIO()
    configure(level="warning", stream=stream)
    structlog.get_logger().info("snapshot.read")
    structlog.get_logger().warning("snapshot.truncated")
    assert [line["event"] for line in _lines(stream)] == ["snapshot.truncated"]


def test_exception_is_in_the_line() -> None:
    """A logged exception keeps its traceback, inside the one JSON line."""
    stream = io.StringIO()
    configure(stream=stream)
    try:
        raise ValueError("what went wrong")
    except ValueError:
        structlog.get_logger().exception("control.handler_failed")
    (line,) = _lines(stream)
    assert "ValueError: what went wrong" in line["exception"]


def test_libraries_are_heard() -> None:
    """A library's warning through the standard logging comes as an event like any other."""
    stream = io.StringIO()
    configure(stream=stream)
    logging.getLogger("asyncio").warning("slow callback took %d s", 3)
    (line,) = _lines(stream)
    assert line["event"] == "library.logged"
    assert (line["logger"], line["message"]) == ("asyncio", "slow callback took 3 s")


def test_closed_pipe_is_counted_not_raised() -> None:
    """When the log's reader goes away, the guard goes on and counts the lines it lost."""
    writer = configure(stream=_ClosedPipe())
    for _ in range(23):
        structlog.get_logger().info("snapshot.read")
    assert writer.lost_lines == 23


def test_a_reader_that_stops_reading_stops_nobody() -> None:
    """A full pipe costs lines, which are counted, and not the guard; read again, it goes on."""
    reader, writer_end = os.pipe()
    with os.fdopen(writer_end, "w") as stream:
        writer = configure(stream=stream)
        started_s = time.monotonic()
        for _ in range(1000):
            structlog.get_logger().info("snapshot.read", text="x" * 200)
        assert time.monotonic() - started_s < 5.0
        assert 0 < writer.lost_lines < 1000
        lost_lines = writer.lost_lines
        while select.select([reader], [], [], 0)[0]:
            os.read(reader, 1 << 16)
        structlog.get_logger().info("snapshot.read")
        assert writer.lost_lines == lost_lines
        assert b"snapshot.read" in os.read(reader, 1 << 16)
    os.close(reader)
