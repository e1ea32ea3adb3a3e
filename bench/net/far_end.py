"""The far end of the guarded's wire: an XDP program there, without which XDP_TX goes nowhere.

veth hands over what a program sends back only when the other end has a program, too: drivers/net/veth.c,
veth_xdp_flush(). NAPI alone is not enough; the frames wait in its ring, and nothing wakes it.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator
from pathlib import Path

from bench.net import links
from bench.net.namespaces import Topology
from synguard.probe.compiler import LoadedObject, ProgramType, load_object

_PROGRAM = "end_of_wire"


def load_far_end(topology: Topology) -> LoadedObject:
    """Compile and load the program for a topology's addresses, whose owner closes it.

    Raises as :func:`synguard.probe.compiler.load_object` does.
    """
    attacker = topology.attacker
    defines = {
        "ATTACKER_MAC_END": int(attacker.mac[-2:], 16),
        "ATTACKER_IPV4": struct.unpack("=I", attacker.ipv4.ip.packed)[0],
        "ATTACKER_IPV6_END": struct.unpack("=I", attacker.ipv6.ip.packed[-4:])[0],
    }
    return load_object(Path(__file__).with_suffix(".c"), {_PROGRAM: ProgramType.XDP}, defines)


@contextlib.contextmanager
def far_end(topology: Topology, loaded: LoadedObject) -> Iterator[None]:
    """Let XDP send back from the guarded, and answers to nobody vanish, while the ``with`` block lasts.

    The guarded's own kernel sends what it sends through the same program.
    """
    port = topology.guarded.port
    links.attach_xdp(topology.switch, port, loaded.programs[_PROGRAM], native=True)
    try:
        yield
    finally:
        links.attach_xdp(topology.switch, port, -1, native=True)
