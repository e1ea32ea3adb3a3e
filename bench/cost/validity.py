"""Whether a measurement was one of what it was meant to be, by the programs' own counters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from bench.cost.packets import Packet, Temperature
from bench.cost.stage import TOLERATED
from synguard.probe import layout

STATISTICS = Path("/proc/sys/kernel/bpf_stats_enabled")
JIT = Path("/proc/sys/net/core/bpf_jit_enable")

_XDP_DROP, _XDP_PASS, _TC_ACT_UNSPEC = 1, 2, 0xFFFFFFFF
_PLAIN_COUNTS = frozenset({"packets", "egress_packets"})


def kernel_faults() -> Iterator[str]:
    """Yield what in the kernel's settings makes every time measured worthless, and how to mend it."""
    if _setting(STATISTICS) not in {"0", None}:
        yield "kernel.bpf_stats_enabled adds some 75 ns to every program: set it to 0"
    if _setting(JIT) == "0":
        yield "net.core.bpf_jit_enable is 0, so programs are interpreted: set it to 1"


def _setting(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError:  # a kernel without that choice
        return None


def verdict_fault(verdict: int, *, outgoing: bool, dropped: bool) -> str | None:
    """Return what is wrong with a program's return value, None where nothing is."""
    expected = _TC_ACT_UNSPEC if outgoing else _XDP_DROP if dropped else _XDP_PASS
    return None if verdict == expected else f"the program returned {verdict}, not {expected}"


def count_faults(
    moved: Mapping[str, int], packets: int, packet: Packet, temperature: Temperature, *, outgoing: bool
) -> Iterator[str]:
    """Yield where synguard's counters do not tell of so many packets of that kind.

    ``moved`` is how far each counter went. All packets must have been seen; all but a hundredth must
    have been counted as what they are, and no more than that as anything else.
    """
    seen = "egress_packets" if outgoing else "packets"
    if moved[seen] != packets:
        yield f"{seen} moved by {moved[seen]}, not by {packets}"
    expected = packet.counted_as[temperature]
    tolerated = round(packets * TOLERATED)
    for name, count in moved.items():
        if name in expected and abs(packets - count) > tolerated:
            yield f"{name} moved by {count}, not by {packets}"
        elif name not in expected and _matters(name, packet) and count > tolerated:
            yield f"{name} moved by {count}, and should not have"


def _matters(counter: str, packet: Packet) -> bool:
    if counter in _PLAIN_COUNTS:
        return False
    return counter in packet.never or counter not in layout.LOSSES
