"""The records that the sending process shares with ``generator.c``, byte for byte.

The compiler refuses to build it when the layouts differ.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

import msgspec

from bench.flood.plan import ANY_IPV4, FloodPlan, Shape
from synguard.endpoint import Address

#: destination, source, source_random (4 words each), seed, source_count, interface, copies, acks, port,
#: first source port, tags, number of tags, family, shape, source_any, random_ports, destination MAC,
#: source MAC, hops, payload, hop_count.
_PLAN = struct.Struct("=16s16s16sQIIII2sH2s2sBBBBB6s6sBHB3x")
_STATE = struct.Struct("=11Q")

#: Where the program waits, it waits before each burst of so many frames; the kernel hands 16 over at once.
PACED_FRAMES = 32

DEFINES: Mapping[str, int] = {
    "PLAN_BYTES": _PLAN.size,
    "PLAN_SEED_OFFSET": 48,
    "PLAN_MAC_OFFSET": 85,
    "PLAN_PAYLOAD_OFFSET": 98,
    "STATE_BYTES": _STATE.size,
    "STATE_IDLE_OFFSET": 72,
    "PACED_FRAMES": PACED_FRAMES,
}

_SHAPES = {Shape.BARE: 0, Shape.LINUX: 1, Shape.HPING3: 2}
_ETHERNET_BYTES = 14
_VLAN_BYTES = 4
_TCP_BYTES = 20
_OPTION_BYTES = 20


class State(msgspec.Struct, kw_only=True):
    """What the program has done, and what it is to do in the next call. ``*_ns`` is CLOCK_MONOTONIC."""

    syns: int = 0
    acks: int = 0
    #: SYNs that have been sent with all their copies and ACKs, and frames of the next one.
    groups: int = 0
    position: int = 0
    first_ns: int = 0
    last_ns: int = 0
    #: When the next burst of ``PACED_FRAMES`` is due, and how long after it the next; 0: no waiting.
    due_ns: int = 0
    interval_ns: int = 0
    #: Frames that may still be sent.
    remaining: int = 0
    #: Time spent waiting for the next frame's time, and when the program looked at the clock last.
    idle_ns: int = 0
    clock_ns: int = 0

    @property
    def frames(self) -> int:
        """Frames sent."""
        return self.syns + self.acks

    @property
    def distinct_syns(self) -> int:
        """SYNs sent, copies left out."""
        return self.groups + (self.position > 0)


def encode_state(state: State) -> bytes:
    """Return the state as the program reads it."""
    return _STATE.pack(*msgspec.structs.astuple(state))


def decode_state(value: bytes) -> State:
    """Return the state as the program left it."""
    return State(**dict(zip(State.__struct_fields__, _STATE.unpack(value), strict=True)))


def _padded(address: Address) -> bytes:
    return address.packed.ljust(16, b"\0")


def encode_sources(plan: FloodPlan) -> list[bytes]:
    """Return the entries of the program's list, none where one prefix says it all."""
    networks = plan.networks()
    if len(networks) == 1 and networks[0].num_addresses > 1:
        return []
    return [_padded(network.network_address) for network in networks]


def frame_bytes(plan: FloodPlan) -> int:
    """Return the length of a frame with a SYN, in bytes."""
    ip_bytes = 20 if plan.version == 4 else 40
    options = _OPTION_BYTES if plan.shape is Shape.LINUX else 0
    return (
        _ETHERNET_BYTES + len(plan.vlans) * _VLAN_BYTES + ip_bytes + _TCP_BYTES + options + plan.payload_bytes
    )


def encode_plan(plan: FloodPlan, interface: int, destination_mac: str, source_mac: str, seed: int) -> bytes:
    """Return the plan as the program reads it, for frames between two MAC addresses.

    ``seed`` is below 2**64; floods with the same seed are alike.
    """
    network = plan.networks()[0]
    outer, inner, *_ = [*(vlan.to_bytes(2, "big") for vlan in plan.vlans), b"", b""]
    fields: tuple[Any, ...] = (
        _padded(ip_address(plan.destination)),
        _padded(network.network_address),
        _padded(network.hostmask),
        seed,
        len(encode_sources(plan)),
        interface,
        plan.copies,
        plan.acks_per_syn,
        plan.destination_port.to_bytes(2, "big"),
        # hping3 begins somewhere in the 2,000 ports from 1024 on.
        1024 + seed % 2000,
        outer,
        inner,
        len(plan.vlans),
        plan.version,
        _SHAPES[plan.shape],
        network == ANY_IPV4,
        plan.random_ports,
        bytes.fromhex(destination_mac.replace(":", "")),
        bytes.fromhex(source_mac.replace(":", "")),
        plan.ttls[0],
        plan.payload_bytes,
        plan.ttls[1] - plan.ttls[0] + 1,
    )
    return _PLAN.pack(*fields)
