"""What tells what the probe sees at all is added up over CPUs, and each flow is counted once."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from synguard.probe import sight_layout

Cells = dict[int, tuple[int, int, int, int]]

NUMBER = st.integers(0, 2**32 - 1)
#: A flow in a cell: of few tags, so that CPUs share some, with the numbers that it stopped at.
CELL = st.tuples(st.sampled_from((0, 1 << 31, 1 << 31 | 4096, 2**32 - 1)), NUMBER, NUMBER, st.integers(0, 5))
CELLS = st.dictionaries(st.integers(0, sight_layout.FLOW_CELLS - 1), CELL, max_size=8)
#: The bytes in which those tags have their bits, and one beside.
SHOWN = st.dictionaries(st.sampled_from((0, 1, 512, 16383)), st.integers(0, 255))


def pack_flows(cells: Cells, shown: dict[int, int]) -> bytes:
    """Return one CPU's flows."""
    empty = (0, 0, 0, 0)
    noted = b"".join(
        sight_layout.FLOW.pack(*cells.get(index, empty)) for index in range(sight_layout.FLOW_CELLS)
    )
    return noted + bytes(shown.get(index, 0) for index in range(sight_layout.FLOW_SHOWN_BITS // 8))


@given(st.lists(st.tuples(CELLS, SHOWN), min_size=1, max_size=3), st.integers(1, 5))
def test_flows_are_counted_once(copies: list[tuple[Cells, dict[int, int]]], least: int) -> None:
    """A flow that two CPUs carried is one, and one that egress showed on any CPU is shown."""
    raw = b"".join(pack_flows(*copy) for copy in copies)
    live, shown = sight_layout.decode_flows(raw, least)
    flows = {cell[0] for cells, _ in copies for cell in cells.values() if cell[3] >= least}
    seen = {
        8 * at + bit
        for _, marks in copies
        for at, mark in marks.items()
        for bit in range(8)
        if mark >> bit & 1
    }
    assert live == len(flows)
    assert shown == sum(tag % sight_layout.FLOW_SHOWN_BITS in seen for tag in flows)


@given(st.binary(min_size=64, max_size=64), st.integers(1, 3), st.integers(0, 2**32))
def test_any_flows_decode(noise: bytes, copies: int, least: int) -> None:
    """Never more are shown than there are, nor are there more than cells."""
    raw = noise * (copies * sight_layout.FLOWS_BYTES // len(noise))
    live, shown = sight_layout.decode_flows(raw, least)
    assert 0 <= shown <= live <= copies * sight_layout.FLOW_CELLS


PACKETS = st.integers(0, 2**64 - 1)
SLOTS = st.dictionaries(
    st.integers(0, sight_layout.INTERFACE_SLOTS - 1), st.tuples(PACKETS, PACKETS), max_size=6
)


@given(st.lists(SLOTS, min_size=1, max_size=4))
def test_packets_of_interfaces_are_added_up(copies: list[dict[int, tuple[int, int]]]) -> None:
    """What came and what went through each, over all CPUs; where nothing did, there is no entry."""
    raw, expected = bytearray(), dict[int, tuple[int, int]]()
    for copy in copies:
        for slot in range(sight_layout.INTERFACE_SLOTS):
            ingress, egress = copy.get(slot, (0, 0))
            raw += struct.pack("=QQ", ingress, egress)
            before = expected.get(slot, (0, 0))
            expected[slot] = (before[0] + ingress, before[1] + egress)
    passed = {slot: pair for slot, pair in expected.items() if pair != (0, 0)}
    assert sight_layout.decode_interfaces(bytes(raw)) == passed
