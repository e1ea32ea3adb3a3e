"""The systemd journal as a log's target: lines with fields to search by, paced so that they are no flood.

Its native protocol is one datagram per line: https://systemd.io/JOURNAL_NATIVE_PROTOCOL.
"""

from __future__ import annotations

import os
import re
import socket
import struct
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TextIO

from synguard.observe.patience import has_room

SOCKET = Path("/run/systemd/journal/socket")
#: Lines of one event that may come at once, and that may follow each second.
BURST_LINES = 100
LINES_PER_S = 10
#: Kinds of events are few and ours; should one come from elsewhere, it shares a pace.
_EVENTS_MAX = 1000

#: So that an event's MESSAGE_ID is the same in every version and on every machine.
_MESSAGE_IDS = uuid.UUID("5f0b8f3c-2f6e-4b52-9d6c-0d7a6f1b9a53")
#: As syslog(3) has them.
_PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
_KEY = re.compile(r"[a-z][a-z0-9_]{0,40}")
_RESERVED = frozenset({"level", "timestamp", "exception", "stack"})


def leads_to_journal(stream: TextIO, environment: Mapping[str, str] = os.environ) -> bool:
    """Tell whether systemd connected a stream to the journal: systemd.exec(5), JOURNAL_STREAM."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):  # text in memory, or closed
        return False
    return environment.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def message_id(event: str) -> str:
    """Return the MESSAGE_ID of a kind of event: 32 hexadecimal digits, the same for ever."""
    return uuid.uuid5(_MESSAGE_IDS, event).hex


def fields_of(level: str, event: Mapping[str, Any]) -> dict[str, str]:
    """Return what a line can be found by: priority, kind, and ``SYNGUARD_KEY`` of each single value."""
    kind = str(event.get("event", ""))
    fields = {
        "PRIORITY": str(_PRIORITIES.get(level, _PRIORITIES["info"])),
        "SYSLOG_IDENTIFIER": "synguard",
        "MESSAGE_ID": message_id(kind),
    }
    for key, value in event.items():
        if key not in _RESERVED and _KEY.fullmatch(key) and isinstance(value, str | int | float):
            fields[f"SYNGUARD_{key.upper()}"] = str(value)
    return fields


class Pace:
    """Which lines may pass: of each kind of event a burst, and so many a second after it."""

    def __init__(self, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._monotonic_s = monotonic_s
        #: By event: lines that may still pass, as of when, and how many were kept back since one did.
        self._room: dict[str, tuple[float, float, int]] = {}

    def kept_back(self, event: str) -> int | None:
        """Return how many lines of that event were kept back before this one; None: this one is, too."""
        if event not in self._room and len(self._room) >= _EVENTS_MAX:
            event = ""
        now_s = self._monotonic_s()
        room, since_s, held = self._room.get(event, (float(BURST_LINES), now_s, 0))
        room = min(room + (now_s - since_s) * LINES_PER_S, BURST_LINES)
        if room < 1:
            self._room[event] = room, now_s, held + 1
            return None
        self._room[event] = room - 1, now_s, 0
        return held


class JournalWriter:
    """Sends log lines to the journal, and counts those that it would not take or that came too fast.

    A journal that is behind, or being restarted, costs lines and not the guard.
    """

    def __init__(self, path: Path | None = None, pace: Pace | None = None) -> None:
        """Connect. Raises OSError where nobody listens."""
        self._path = path or SOCKET
        self._pace = pace or Pace()
        self._behind = False
        #: Lines that were not written.
        self.lost_lines = 0
        self._socket: socket.socket | None = self._connect()

    def msg(self, message: str, *, fields: Mapping[str, str]) -> None:
        """Send one line and what it can be found by."""
        held = self._pace.kept_back(fields.get("SYNGUARD_EVENT", ""))
        if held is None:
            self.lost_lines += 1
            return
        more = {"SYNGUARD_KEPT_BACK": str(held)} if held else {}
        try:
            self._send(encode({"MESSAGE": message, **fields, **more}))
        except OSError:
            self.lost_lines += 1

    debug = info = warning = warn = error = exception = critical = fatal = msg

    def close(self) -> None:
        """Let go of the journal; the next line would look for it again."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, datagram: bytes) -> None:
        journal = self._socket = self._socket or self._connect()
        self._behind = not has_room(journal.fileno(), patient=not self._behind)
        if self._behind:
            raise BlockingIOError
        try:
            journal.send(datagram)
        except ConnectionError:
            # The journal was restarted: whoever listens at its path now has another socket.
            self.close()
            self._socket = self._connect()
            self._socket.send(datagram)

    def _connect(self) -> socket.socket:
        journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            journal.connect(str(self._path))
        except OSError:
            journal.close()
            raise
        return journal


def encode(fields: Mapping[str, str]) -> bytes:
    """Return a journal entry; a value of several lines is sent with its length."""
    parts = []
    for name, text in fields.items():
        value = text.encode(errors="backslashreplace")
        if b"\n" in value:
            parts.append(name.encode() + b"\n" + struct.pack("<Q", len(value)) + value + b"\n")
        else:
            parts.append(name.encode() + b"=" + value + b"\n")
    return b"".join(parts)
