"""What a good client's child process is told, and how its attempts travel back: packed, many a message."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from enum import IntEnum

import msgspec


class Outcome(IntEnum):
    """How an attempt, or a kept-alive connection, ended."""

    SUCCEEDED = 0
    #: No connection in time.
    NOT_CONNECTED = 1
    #: The server answered the SYN with RST.
    REFUSED = 2
    #: Connected, and no answer in time.
    NO_ANSWER = 3
    #: Connected, and the server reset or closed it before it answered.
    CUT = 4
    WRONG_ANSWER = 5
    #: The client's own host had no port, no file or no route for it.
    NOT_BEGUN = 6
    #: A kept-alive connection broke: no attempt of its own.
    BROKEN = 7


class Visit(msgspec.Struct, frozen=True):
    """Whom to visit, and how often."""

    namespace: str
    address: str
    port: int
    #: As in ``ServerSpec.kind``: it decides what is said.
    server_kind: str
    #: Bound to in turn; one that is no interface's needs a local route. The kernel chooses where
    #: there is none.
    sources: list[str]
    #: As in ``ClientSpec.kind``.
    kind: str
    per_s: float
    connections: int
    #: Where to run; None: wherever the kernel has room.
    cpu: int | None = None


class Progress(msgspec.Struct, frozen=True):
    """What has ended so far, with the records of what ended since the last message."""

    attempted: int
    succeeded: int
    broken: int
    #: Attempts that were never begun because the client was too late.
    skipped: int
    records: bytes
    #: Whether this is the last message.
    over: bool = False


class Connection(msgspec.Struct, frozen=True):
    """One attempt: a plain client's connection, or a keep-alive client's exchange."""

    #: CLOCK_MONOTONIC.
    start_ns: int
    succeeded: bool
    #: From the first SYN to the established connection; None when it was not established in time,
    #: and for exchanges.
    connect_ms: float | None
    #: In words.
    failure: str | None = None


_RECORD = struct.Struct("<qqB")
_NEVER_NS = -1
_FAILURES = {outcome: outcome.name.lower().replace("_", " ") for outcome in Outcome}


def pack(start_ns: int, connect_ns: int | None, outcome: Outcome) -> bytes:
    """Return one record, for ``unpack``."""
    return _RECORD.pack(start_ns, _NEVER_NS if connect_ns is None else connect_ns, outcome)


def attempts(records: Iterable[bytes]) -> Iterator[Connection]:
    """Yield the attempts among packed records, in the order in which they ended."""
    for start_ns, connect_ns, code in _unpacked(records):
        if code != Outcome.BROKEN:
            succeeded = code == Outcome.SUCCEEDED
            connect_ms = None if connect_ns == _NEVER_NS else connect_ns / 1e6
            yield Connection(start_ns, succeeded, connect_ms, None if succeeded else _FAILURES[code])


def breaks(records: Iterable[bytes]) -> Iterator[int]:
    """Yield when kept-alive connections broke, CLOCK_MONOTONIC in nanoseconds."""
    return (broken_ns for broken_ns, _, code in _unpacked(records) if code == Outcome.BROKEN)


def _unpacked(records: Iterable[bytes]) -> Iterator[tuple[int, int, Outcome]]:
    for packed in records:
        for start_ns, connect_ns, code in _RECORD.iter_unpack(packed):
            yield start_ns, connect_ns, Outcome(code)
