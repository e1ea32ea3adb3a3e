"""Whatever bytes a capture file holds, it is read as far as it makes sense, and never a traceback."""

from __future__ import annotations

import gzip
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synguard.errors import SynguardError
from synguard.replay.capture import Capture
from synguard.replay.formats import INCOMING, OUTGOING, TIME_NS_MAX, UNKNOWN, Packet
from synguard.replay.frames import FRAME_BYTES_MAX, FRAMERS, addresses
from synguard.replay.sides import Members, infer
from synguard.replay.survey import Survey
from synguard.replay.ways import BOTH, NOWHERE, Ways, judge
from tests.unit.replay.making import (
    BEGIN_S,
    CLIENT,
    NS_PER_S,
    SERVER,
    SYN,
    enhanced,
    ethernet,
    interface,
    option,
    pcap,
    section,
    simple,
    tcp,
)

FRAME = ethernet(tcp(CLIENT, SERVER, SYN))
RECORDS = [(BEGIN_S * NS_PER_S + number, FRAME) for number in range(5)]
WHOLE = {
    "pcap": pcap(RECORDS),
    "pcap, big-endian": pcap(RECORDS, order=">", nano=True),
    "pcapng": section()
    + interface(1, option(9, b"\x09"), option(2, b"eth0"))
    + b"".join(enhanced(FRAME, number, option(2, b"\x01\0\0\0")) for number in range(4))
    + simple(FRAME),
    "pcapng, big-endian": section(">") + interface(113, order=">") + enhanced(FRAME, 1, order=">") * 5,
}  # fmt: skip
link_types = st.sampled_from(sorted(FRAMERS))


@pytest.fixture(scope="module")
def path() -> Iterator[Path]:
    """Yield where captures are written, one after another."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "capture"


def read(path: Path, content: bytes) -> tuple[list[Packet], str | None]:
    """Return the packets of a file, and what was wrong with it; all is surveyed as in a replay."""
    path.write_bytes(content)
    try:
        capture = Capture(str(path))
    except SynguardError as error:
        return [], str(error)
    survey = Survey()
    packets: list[Packet] = []
    with closing(capture):
        for batch in capture.batches():
            survey.take(batch)
            packets += batch
    members = Members(infer(survey).networks)
    judge(survey, members)
    for time_ns, link_type, direction, data in packets:
        assert time_ns is None or 0 <= time_ns <= TIME_NS_MAX
        assert direction in {UNKNOWN, INCOMING, OUTGOING}
        if link_type in FRAMERS:
            Ways(members, survey).of(*FRAMERS[link_type](data))
    return packets, capture.problem


@given(st.binary(max_size=400), st.sampled_from(sorted(WHOLE)), st.booleans())
def test_random_bytes_behind_any_header_are_told_or_read(
    path: Path, rest: bytes, kind: str, gzipped: bool
) -> None:
    """Garbage behind the file's own header gives packets or a reason, and no exception."""
    header_bytes = 24 if kind.startswith("pcap,") or kind == "pcap" else 28
    content = WHOLE[kind][:header_bytes] + rest
    read(path, gzip.compress(content) if gzipped else content)


@given(st.binary(max_size=64))
def test_random_bytes_are_no_capture(path: Path, content: bytes) -> None:
    """A file of random bytes is refused in words."""
    packets, problem = read(path, content)
    assert not packets
    assert problem is not None


@given(st.data(), st.sampled_from(sorted(WHOLE)), st.booleans())
def test_a_file_cut_anywhere_gives_what_it_still_has(
    path: Path, data: st.DataObject, kind: str, gzipped: bool
) -> None:
    """The packets before the cut are those of the whole file; a cut that splits something is told."""
    whole, problem = read(path, WHOLE[kind])
    assert (len(whole), problem) == (5, None)
    content = gzip.compress(WHOLE[kind]) if gzipped else WHOLE[kind]
    packets, problem = read(path, content[: data.draw(st.integers(0, len(content) - 1))])
    complete = packets[:-1] if packets and packets[-1] != whole[len(packets) - 1] else packets
    assert complete == whole[: len(complete)]
    if gzipped or len(complete) != len(packets):
        assert problem is not None


@given(st.data(), st.sampled_from(sorted(WHOLE)))
def test_flipped_bytes_harm_no_more_than_the_file(path: Path, data: st.DataObject, kind: str) -> None:
    """Any byte of a file may be wrong."""
    content = bytearray(WHOLE[kind])
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    read(path, bytes(content))


@given(link_types, st.binary(max_size=3000), st.sampled_from([UNKNOWN, INCOMING, OUTGOING]))
def test_any_packet_has_a_frame_and_a_way(link_type: int, content: bytes, direction: int) -> None:
    """Frames have sizes that the kernel runs programs on, addresses their lengths, and ways are known."""
    survey = Survey()
    survey.take([(0, link_type, direction, content)])
    frame, _ = FRAMERS[link_type](content)
    assert 14 <= len(frame) <= FRAME_BYTES_MAX
    found = addresses(frame)
    assert found is None or (len(found[0]) == len(found[1]) and len(found[0]) in {4, 16})
    way = Ways(Members(infer(survey).networks), survey).of(frame, direction)
    assert way in {NOWHERE, INCOMING, OUTGOING, BOTH}
