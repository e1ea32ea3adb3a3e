"""What is read from capture files: times, link types, directions, sections, and how far damaged ones go."""

from __future__ import annotations

import gzip
import io
import os
import sys
from contextlib import closing
from pathlib import Path

import pytest

from synguard.errors import SynguardError, UsageError
from synguard.replay.capture import Capture
from synguard.replay.formats import INCOMING, OUTGOING, UNKNOWN

from .conftest import CaptureOf
from .making import (
    BEGIN_S,
    CLIENT,
    NS_PER_S,
    SERVER,
    SYN,
    block,
    enhanced,
    ethernet,
    interface,
    option,
    packets_of,
    pcap,
    section,
    simple,
    tcp,
)

FRAME = ethernet(tcp(CLIENT, SERVER, SYN))
TIME_NS = BEGIN_S * NS_PER_S + 123_456_789


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("nano", [False, True])
def test_pcap_is_read_in_both_byte_orders_and_resolutions(
    capture_of: CaptureOf, order: str, nano: bool
) -> None:
    """Times keep all the digits that the file has."""
    capture = capture_of(pcap([(TIME_NS, FRAME)], order=order, nano=nano))
    expected_ns = TIME_NS if nano else TIME_NS // 1000 * 1000
    assert packets_of(capture) == [(expected_ns, 1, UNKNOWN, FRAME)]
    assert (capture.format, capture.problem, capture.gzipped) == ("pcap", None, False)


def test_bits_above_the_link_type_tell_of_check_sequences(capture_of: CaptureOf) -> None:
    """A link type with the length of a frame check sequence in its upper bits is the same link type."""
    capture = capture_of(pcap([(TIME_NS, FRAME)], link_type=0x24000001))
    assert packets_of(capture)[0][1] == 1


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("resolution", "units_per_s"), [(None, 10**6), (9, 10**9), (0x80 | 20, 1 << 20), (0, 1), (0x80 | 3, 8)]
)
def test_pcapng_times_have_any_resolution(
    capture_of: CaptureOf, order: str, resolution: int | None, units_per_s: int
) -> None:
    """Powers of ten and of two count, and microseconds where nothing is said."""
    options = [] if resolution is None else [option(9, bytes([resolution]), order)]
    units = BEGIN_S * units_per_s + units_per_s // 4
    file = section(order) + interface(1, *options, order=order) + enhanced(FRAME, units, order=order)
    assert packets_of(capture_of(file)) == [(units * NS_PER_S // units_per_s, 1, UNKNOWN, FRAME)]


def test_an_interface_may_count_from_another_moment(capture_of: CaptureOf) -> None:
    """The offset of an interface is added to the times of its packets."""
    offset = option(14, (BEGIN_S).to_bytes(8, "little"))
    file = section() + interface(1, offset) + enhanced(FRAME, 5 * 10**6)
    assert packets_of(capture_of(file))[0][0] == (BEGIN_S + 5) * NS_PER_S


def test_interfaces_of_one_file_may_differ(capture_of: CaptureOf) -> None:
    """Each packet has the link type and the resolution of its own interface."""
    file = section() + interface(1) + interface(101, option(9, b"\x09"))
    file += enhanced(FRAME[14:], TIME_NS, number=1) + enhanced(FRAME, TIME_NS // 1000)
    assert [packet[:2] for packet in packets_of(capture_of(file))] == [
        (TIME_NS, 101),
        (TIME_NS // 1000 * 1000, 1),
    ]


def test_each_section_numbers_its_own_interfaces(capture_of: CaptureOf) -> None:
    """Interface 0 of the second section, of another byte order too, is not that of the first."""
    file = section() + interface(1) + enhanced(FRAME, 10**6)
    file += section(">") + interface(113, order=">") + enhanced(FRAME, 10**6, order=">")
    assert [packet[1] for packet in packets_of(capture_of(file))] == [1, 113]


@pytest.mark.parametrize(
    ("flags", "direction"), [(0, UNKNOWN), (1, INCOMING), (2, OUTGOING), (3, UNKNOWN), (0x11, INCOMING)]
)
def test_flags_tell_the_direction(capture_of: CaptureOf, flags: int, direction: int) -> None:
    """The lowest two bits of a packet's flags say which way it went."""
    file = section() + interface() + enhanced(FRAME, 10**6, option(2, flags.to_bytes(4, "little")))
    assert packets_of(capture_of(file))[0][2] == direction


def test_simple_packets_have_no_time(capture_of: CaptureOf) -> None:
    """A simple packet block is read whole, whatever its interface's snap length of 0 means to others."""
    capture = capture_of(section() + interface() + simple(FRAME))
    assert packets_of(capture) == [(None, 1, UNKNOWN, FRAME)]


def test_times_beyond_the_calendar_are_none(capture_of: CaptureOf) -> None:
    """A time that no calendar has is as good as no time."""
    file = section() + interface(1, option(9, b"\x00")) + enhanced(FRAME, (1 << 64) - 1)
    assert packets_of(capture_of(file))[0][0] is None


def test_other_blocks_are_passed_over(capture_of: CaptureOf, capfd: pytest.CaptureFixture[str]) -> None:
    """Statistics, names, secrets and unknown blocks harm nothing, and nobody speaks of them."""
    others = b"".join(block(kind, bytes(20)) for kind in (4, 5, 10, 0x80000001, 0x40000BAD))
    capture = capture_of(section() + interface() + others + enhanced(FRAME, 10**6) + others)
    assert len(packets_of(capture)) == 1
    assert capture.problem is None
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "content", [pcap([(TIME_NS, FRAME)] * 3), section() + interface() + enhanced(FRAME, 1) * 3]
)
def test_gzip_is_known_by_its_magic(capture_of: CaptureOf, content: bytes) -> None:
    """A gzipped file is read like any other, whatever its name, and more than once."""
    capture = capture_of(gzip.compress(content))
    assert capture.gzipped
    assert len(packets_of(capture)) == len(packets_of(capture)) == 3
    assert capture.problem is None


def test_a_pipe_is_read_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard input and named pipes are kept, for they are read twice."""
    content = pcap([(TIME_NS, FRAME)] * 2)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    with closing(Capture("-")) as standard_input:
        assert len(packets_of(standard_input)) == len(packets_of(standard_input)) == 2
    reader, writer = os.pipe()
    os.write(writer, content)
    os.close(writer)
    with closing(Capture(f"/dev/fd/{reader}")) as named:
        assert len(packets_of(named)) == 2
    os.close(reader)


@pytest.mark.parametrize(
    "whole",
    [pcap([(TIME_NS, FRAME)] * 3), section() + interface() + enhanced(FRAME, 1) * 3],
    ids=["pcap", "pcapng"],
)
@pytest.mark.parametrize("gzipped", [False, True])
def test_what_was_cut_is_read_up_to_there(capture_of: CaptureOf, whole: bytes, gzipped: bool) -> None:
    """Of a file cut anywhere in its last packet the two before it are read, and the damage is told."""
    for cut in (1, 10, len(FRAME), len(FRAME) + 15):
        content = whole[:-cut]
        capture = capture_of(gzip.compress(content) if gzipped else content)
        assert len(packets_of(capture)) in {2, 3}  # of pcap the cut packet, too
        assert capture.problem is not None
        assert capture.problem.startswith("damaged after ")


@pytest.mark.parametrize("left_bytes", [1, 4, 6, 8, 28])
def test_a_block_of_which_only_the_head_is_left_is_damage(capture_of: CaptureOf, left_bytes: int) -> None:
    """A file that ends between the fields of a block has lost that block, and the other is read."""
    whole = section() + interface() + enhanced(FRAME, 1)
    capture = capture_of(whole + enhanced(FRAME, 2)[:left_bytes])
    assert len(packets_of(capture)) == 1
    assert capture.problem is not None


def test_a_cut_gzip_stream_is_told(capture_of: CaptureOf) -> None:
    """What could be unpacked is read."""
    content = pcap([(TIME_NS + number, os.urandom(500)) for number in range(500)])
    capture = capture_of(gzip.compress(content)[:-20_000])
    assert 300 < len(packets_of(capture)) < 500
    assert "unpacked" in str(capture.problem)


def test_a_packet_that_claims_too_much_ends_it(capture_of: CaptureOf) -> None:
    """A length that no packet has is damage, not a packet."""
    content = pcap([(TIME_NS, FRAME)]) + bytes(8) + b"\xff" * 8 + bytes(100)
    capture = capture_of(content)
    assert len(packets_of(capture)) == 1
    assert "claims" in str(capture.problem)
    capture = capture_of(section() + interface() + b"\x06\0\0\0\0\0\0\x7f" + bytes(100))
    assert packets_of(capture) == []
    assert "claims" in str(capture.problem)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"hello, world", "no capture"),
        (b"\x28\xb5\x2f\xfd rest", "zstd -dc"),
        (b"\xfd7zXZ rest", "xz -dc"),
        (gzip.compress(b"hello, world"), "no capture"),
        (b"\x1f\x8bgarbage", "unpacked"),
    ],
)
def test_what_is_no_capture_is_told(capture_of: CaptureOf, content: bytes, words: str) -> None:
    """The message says what it is, and what to do about it."""
    with pytest.raises(SynguardError, match=words):
        capture_of(content)


def test_a_missing_file_is_wrong_usage(tmp_path: Path) -> None:
    """A name that leads nowhere is the caller's mistake, a folder cannot be read."""
    with pytest.raises(UsageError, match="no such file"):
        Capture(str(tmp_path / "missing.pcap"))
    with pytest.raises(SynguardError, match="cannot be read"):
        Capture(str(tmp_path))
