"""Every value of the flags byte, in every state of a handshake: what it is taken for, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.kernel.wire import Connection, Wire

pytestmark = [pytest.mark.root, pytest.mark.kernel]

FIN, SYN, RST, PSH, ACK, URG = (1 << bit for bit in range(6))
#: Where the flags byte lies behind the Ethernet and the IP header.
FLAGS_OFFSET = {4: 14 + 20 + 13, 6: 14 + 40 + 13}


def with_flags(connection: Connection, flags: int, *, outgoing: bool = False) -> bytes:
    """Return the frame of a segment with the numbers of a finished handshake and any flags byte."""
    own, peer = (
        (connection.server_isn, connection.isn) if outgoing else (connection.isn, connection.server_isn)
    )
    seq = own if flags & SYN else own + 1
    segment = connection.segment("A", seq=seq, ack=peer + 1, outgoing=outgoing)
    frame = bytearray(connection.frame(segment, outgoing=outgoing))
    frame[FLAGS_OFFSET[connection.server.version]] = flags
    return bytes(frame)


def kind(flags: int) -> str:
    """Return what RFC 9293 and the scanners' manuals call a segment; PSH, URG, ECE and CWR ride along."""
    control = flags & (FIN | SYN | RST | ACK)
    names = {SYN: "syn", SYN | ACK: "synack", ACK: "ack", FIN | ACK: "ack", RST: "rst", RST | ACK: "rst"}
    if control in names:
        return names[control]
    probes = {0: "null_probes", FIN: "fin_probes", FIN | PSH | URG: "xmas_probes"}
    return probes.get(flags & (FIN | SYN | RST | PSH | ACK | URG), "nonsense_flags")


def probes(taken_for: str) -> dict[str, int]:
    """Return the one counter that moves for what belongs to no handshake."""
    return {} if taken_for in {"synack", "ack", "rst"} else {taken_for: 1}


def every_value(wire: Wire) -> Iterator[int]:
    """Yield every flags byte, so slowly that each stranger gets its entry among the sources."""
    for flags in range(256):
        wire.wait(10)
        yield flags


def test_the_kinds_share_out_all_256_values() -> None:
    """The other tests' own table: a sixteenth of all values is of each kind of control flags."""
    kinds = [kind(flags) for flags in range(256)]
    assert kinds.count("syn") == kinds.count("synack") == 16
    assert kinds.count("ack") == kinds.count("rst") == 32
    assert kinds.count("null_probes") == kinds.count("fin_probes") == kinds.count("xmas_probes") == 4


def test_segments_of_no_handshake(wire: Wire) -> None:
    """From a stranger: a SYN is an attempt, a probe or nonsense is counted as such, the rest is nothing."""
    for flags in every_value(wire):
        taken_for = kind(flags)
        with wire.counted() as moved:
            assert wire.deliver(with_flags(wire.connection(), flags)) == "pass"
        expected = {"attempts": 1} if taken_for == "syn" else probes(taken_for)
        assert moved() == expected, f"flags {flags:#04x}"


def test_segments_with_the_right_numbers(wire: Wire) -> None:
    """To an answered SYN: every ACK completes, every RST aborts, the same SYN is a copy."""
    expected_of = {"syn": {"syn_duplicates": 1}, "ack": {"completed": 1}, "rst": {"aborted": 1}}
    for flags in every_value(wire):
        connection = wire.connection()
        wire.syn(connection)
        wire.synack(connection)
        with wire.counted() as moved:
            wire.deliver(with_flags(connection, flags))
        assert moved() == expected_of.get(kind(flags), probes(kind(flags))), f"flags {flags:#04x}"


def test_segments_before_the_answer(host_wire: Wire) -> None:
    """To a SYN that was not answered: neither ACK nor RST of the peer does anything."""
    wire = host_wire
    for flags in every_value(wire):
        connection = wire.connection()
        wire.syn(connection)
        with wire.counted() as moved:
            wire.deliver(with_flags(connection, flags))
        expected = {"syn_duplicates": 1} if kind(flags) == "syn" else probes(kind(flags))
        assert moved() == expected, f"flags {flags:#04x}"


def test_segments_of_ours_to_an_open_attempt(host_wire: Wire) -> None:
    """Only SYN-ACK answers and only RST with ACK refuses, whatever rides along."""
    wire = host_wire
    for flags in every_value(wire):
        connection = wire.connection()
        wire.syn(connection)
        with wire.counted() as moved:
            wire.emit(with_flags(connection, flags, outgoing=True))
        expected = {"answered": 1} if kind(flags) == "synack" else {}
        if flags & (FIN | SYN | RST | ACK) == RST | ACK:
            expected = {"refused": 1}
        assert moved() == expected, f"flags {flags:#04x}"


@pytest.mark.parametrize("finished", [False, True])
def test_segments_of_ours_after_the_answer(host_wire: Wire, finished: bool) -> None:
    """A SYN-ACK is one sent again; nothing else that we send counts any more."""
    wire = host_wire
    for flags in every_value(wire):
        connection = wire.connection()
        wire.syn(connection)
        wire.synack(connection)
        if finished:
            wire.ack(connection)
        with wire.counted() as moved:
            wire.emit(with_flags(connection, flags, outgoing=True))
        assert moved() == ({"synack_retransmits": 1} if kind(flags) == "synack" else {}), (
            f"flags {flags:#04x}"
        )


def test_reserved_bits_beside_the_header_length_say_nothing(wire: Wire) -> None:
    """All sixteen values of the four bits after the data offset: whole handshakes."""
    offset = FLAGS_OFFSET[wire.version] - 1
    first = wire.connection()
    for bits in range(16):
        connection = replace(first, isn=first.isn + bits * 70_000)
        with wire.counted() as moved:
            for flags, outgoing, send in (("S", False, wire.deliver), ("SA", True, wire.emit)):
                segment = connection.segment(flags, outgoing=outgoing)
                frame = bytearray(connection.frame(segment, outgoing=outgoing))
                frame[offset] |= bits
                send(bytes(frame))
            wire.ack(connection)
        assert moved() == {"attempts": 1, "answered": 1, "completed": 1}
