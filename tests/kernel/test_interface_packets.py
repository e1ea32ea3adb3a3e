"""The packets that the probe saw, by interface: what comes in, what leaves, whatever they are."""

from __future__ import annotations

import os
import struct
import subprocess
from collections.abc import Callable, Iterator

import pytest

from bench.net.enter import call_in
from bench.net.links import create_namespace, remove_namespace
from synguard.probe.programs import TC_EGRESS_PROGRAM, TC_INGRESS_PROGRAM, XDP_PROGRAM
from synguard.probe.sight_layout import INTERFACE_SLOTS
from synguard.probe.syscall import test_run as run_program
from tests.kernel.wire import Wire

pytestmark = [pytest.mark.root, pytest.mark.kernel, pytest.mark.netns]

#: struct xdp_md: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex.
XDP_CONTEXT = struct.Struct("=6I")
#: struct __sk_buff down to ifindex, which comes behind ten words.
SKB_CONTEXT = struct.Struct("=40xI148x")
#: An index of its own, the last slot, the first one, and one whose slot the first has.
INDICES = (5, 63, 64, 5 + 64)


@pytest.fixture(scope="module")
def namespace() -> Iterator[str]:
    """Yield a namespace with an interface of each index."""
    name = f"synguard-indices-{os.getpid()}"
    create_namespace(name)
    try:
        for index in INDICES:
            link = ["link", "add", f"v{index}", "index", str(index), "type", "veth"]
            subprocess.run(["ip", "-n", name, *link, "peer", "index", str(1000 + index)], check=True)
        yield name
    finally:
        remove_namespace(name)


def passes(wire: Wire, namespace: str, frame: bytes) -> Callable[[str, int], None]:
    """Return what lets a program have a frame on the interface of an index."""

    def on(program: str, index: int) -> None:
        context = XDP_CONTEXT.pack(0, len(frame), 0, index, 0, 0)
        if program != XDP_PROGRAM:
            context = SKB_CONTEXT.pack(index)
        call_in(namespace, lambda: run_program(wire.probe.programs[program], frame, context=context))

    return on


def moved_by(wire: Wire, what: Callable[[], None]) -> dict[int, tuple[int, int]]:
    """Return the slots that something moves, and by how many packets in and out."""
    before = wire.reader.interface_packets()
    what()
    after = wire.reader.interface_packets()
    differences = {
        slot: tuple(new - old for new, old in zip(pair, before.get(slot, (0, 0)), strict=True))
        for slot, pair in after.items()
    }
    return {slot: (ingress, egress) for slot, (ingress, egress) in differences.items() if ingress or egress}


@pytest.mark.parametrize("index", INDICES)
@pytest.mark.parametrize("program", [XDP_PROGRAM, TC_INGRESS_PROGRAM, TC_EGRESS_PROGRAM])
def test_a_packet_is_counted_where_it_passes(
    xdp_wire: Wire, namespace: str, program: str, index: int
) -> None:
    """In the slot of its interface's index, and in its direction; and in the sums over all."""
    connection = xdp_wire.connection()
    give = passes(xdp_wire, namespace, connection.frame(connection.segment("A")))
    totals = xdp_wire.reader.totals()

    def seven() -> None:
        for _ in range(7):
            give(program, index)

    way = (0, 7) if program == TC_EGRESS_PROGRAM else (7, 0)
    assert moved_by(xdp_wire, seven) == {index % INTERFACE_SLOTS: way}
    after = xdp_wire.reader.totals()
    assert tuple(after[name] - totals[name] for name in ("packets", "egress_packets")) == way


def test_every_packet_counts_whatever_it_is(xdp_wire: Wire, namespace: str) -> None:
    """Not IP, broken off, or a SYN: a count that stands still means that nothing is seen."""
    connection = xdp_wire.connection()
    syn = connection.frame(connection.segment("S"))
    arp = syn[:12] + b"\x08\x06" + syn[14:]
    broken = syn[: 40 if xdp_wire.version == 4 else 60]

    def all_kinds() -> None:
        for frame in (syn, arp, broken):
            for program in (XDP_PROGRAM, TC_INGRESS_PROGRAM, TC_EGRESS_PROGRAM):
                passes(xdp_wire, namespace, frame)(program, 5)

    assert moved_by(xdp_wire, all_kinds) == {5: (6, 3)}
