"""The byte layouts of ``bpf/layout.h`` that tell what the probe sees at all: interfaces and flows."""

from __future__ import annotations

import struct

from synguard.probe.layout import add_copies, require_copies

INTERFACE_SLOTS = 64
INTERFACES_BYTES = 1024
FLOW_CELLS = 1024
FLOW_SHOWN_BITS = 1 << 17
FLOW = struct.Struct("=IIII")
FLOWS_BYTES = 32768
FLOWS_SHOWN = 16384


def decode_interfaces(raw: bytes) -> dict[int, tuple[int, int]]:
    """Return (ingress, egress) packets by interface slot, summed over the CPUs' copies in ``raw``.

    Slots through which nothing has passed are left out.
    """
    require_copies("interfaces", raw, INTERFACES_BYTES)
    words = memoryview(raw).cast("Q")
    sums = add_copies(
        words[start : start + 2 * INTERFACE_SLOTS] for start in range(0, len(words), 2 * INTERFACE_SLOTS)
    )
    pairs = zip(sums[0::2], sums[1::2], strict=True)
    return {slot: pair for slot, pair in enumerate(pairs) if any(pair)}


def decode_flows(raw: bytes, advances: int) -> tuple[int, int]:
    """Return how many flows went on at least ``advances`` times, and how many of those egress showed."""
    require_copies("flows", raw, FLOWS_BYTES)
    copies = [raw[start : start + FLOWS_BYTES] for start in range(0, len(raw), FLOWS_BYTES)]
    live = {
        tag
        for copy in copies
        for tag, _, _, gone_on in FLOW.iter_unpack(copy[:FLOWS_SHOWN])
        if gone_on >= advances
    }
    return len(live), sum(any(_shows(copy, tag % FLOW_SHOWN_BITS) for copy in copies) for tag in live)


def _shows(copy: bytes, bit: int) -> bool:
    """Tell whether one CPU saw a flow with such a bit leave."""
    return bool(copy[FLOWS_SHOWN + bit // 8] >> bit % 8 & 1)
