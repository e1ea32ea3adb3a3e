"""What two CPUs have in common when each delivers its packets: from one handshake down to nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench.cost.frames import Segment
from bench.cost.stage import KNOWN_SOURCES
from bench.cost.writer import Stream
from bench.scenario.model import Family
from synguard.errors import UsageError

#: Clients of this package's own, see ``bench.cost.writer``: not those of other scenarios' flows and blocks.
_FIRST = 4 << 20
#: So many /24 further on.
_APART = 1 << 16
#: How far apart the two CPUs' packet numbers are.
_NUMBERS = 1 << 40


@dataclass(frozen=True, slots=True)
class Sharing:
    """One kind of packets, of which each CPU has a stream of its own."""

    name: str
    #: Makes the stream of the first (0) or second (1) CPU, of a family, out of so many flows.
    stream: Callable[[int, Family, int], Stream]
    #: The counter of the probe's that each packet moves; None: none but that of packets.
    counted_as: str | None = "attempts"


def _clients(first_client: int, clients: int) -> Callable[[int, Family, int], Stream]:
    """Return what makes SYNs of the same clients on both CPUs, each with a port and an ISN of its own."""

    def stream(cpu: int, family: Family, _flows: int) -> Stream:
        return Stream(Segment.SYN, family, cpu * _NUMBERS, first_client, clients, fresh_numbers=True)

    return stream


def _one_client_each(apart: int) -> Callable[[int, Family, int], Stream]:
    """Return what makes SYNs of one client on each CPU, whose addresses are so far apart."""
    return lambda cpu, family, flows: _clients(_FIRST + 2 + cpu * apart, 1)(cpu, family, flows)


def _one_handshake(_cpu: int, family: Family, _flows: int) -> Stream:
    return Stream(Segment.SYN, family, first_client=_FIRST, clients=1)


def _strangers(cpu: int, family: Family, _flows: int) -> Stream:
    return Stream(Segment.SYN, family, cpu * _NUMBERS, scattered=True)


def _acks(cpu: int, family: Family, flows: int) -> Stream:
    return Stream(Segment.ACK, family, cpu * _NUMBERS, clients=flows)


#: From what shares most.
SHARINGS = (
    # The same SYN again and again: one source, one slot in the table of handshakes.
    Sharing("one-handshake", _one_handshake),
    # One source's SYNs, each with another port and ISN.
    Sharing("one-source", _clients(_FIRST + 1, 1)),
    # A source for each CPU, next to each other in one prefix.
    Sharing("one-prefix", _one_client_each(1)),
    # A source for each CPU, in prefixes of their own.
    Sharing("own-source", _one_client_each(_APART)),
    # Many sources that have entries, the same ones on both CPUs.
    Sharing("known-sources", _clients(_FIRST + 2 * _APART, KNOWN_SOURCES)),
    # Strangers.
    Sharing("strangers", _strangers),
    # ACKs of established flows, the same ones on both CPUs.
    Sharing("acks", _acks, None),
)


def chosen(names: tuple[str, ...]) -> list[Sharing]:
    """Return those of these names. Raises UsageError for one that there is not."""
    unknown = sorted(set(names) - {sharing.name for sharing in SHARINGS})
    if unknown:
        known = ", ".join(sharing.name for sharing in SHARINGS)
        raise UsageError(f"there is no sharing {', '.join(unknown)}; there are {known}")
    return [sharing for sharing in SHARINGS if sharing.name in names]
