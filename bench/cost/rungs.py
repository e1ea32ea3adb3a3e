"""The programs that the ladder measures: from nothing up to synguard's own and the naive design."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import NamedTuple, TypeVar

from bench.cost.resident import resident
from bench.cost.writer import Writer
from bench.defences.naive.load import PROGRAM as NAIVE_PROGRAM
from bench.defences.naive.load import load_naive
from bench.scenario.model import CostScenario
from synguard.endpoint import Address
from synguard.errors import UsageError
from synguard.probe import address_layout
from synguard.probe.compiler import LoadedObject, load_object
from synguard.probe.probe import Groups, Loader, Probe, Sizes
from synguard.probe.programs import TC_EGRESS_PROGRAM, XDP_PROGRAM
from synguard.probe.reader import ProbeReader
from synguard.probe.source_rules import SourceAction, SourceRules
from synguard.probe.syscall import map_memlock_bytes

#: Nothing but the return value: what the loop, the writer and the call cost.
EMPTY = "empty"
#: Ethernet, IP and TCP headers, without keeping anything.
PARSE = "parse"
#: Synguard's XDP program, and its tc program for what the server sends.
FULL = "full"
#: An LRU entry for each source and each connection, and a lookup among the blocked for each packet.
NAIVE = "naive"
NAMES = (EMPTY, PARSE, FULL, NAIVE)

#: The number of the first blocked client, of which each has the next address, see ``Stream``.
FIRST_BLOCKED = 3 << 22
_FIRST_BLOCKED_IPV4 = IPv4Address("10.0.0.0") + FIRST_BLOCKED
_FIRST_BLOCKED_IPV6 = IPv6Address("2001:db8::1") + (FIRST_BLOCKED << 64)
_BLOCK_TTL_NS = 24 * 3600 * 10**9
_ONLY_KEY = bytes(4)

_Loaded = TypeVar("_Loaded", Writer, Probe, LoadedObject)


@dataclass(frozen=True, slots=True)
class Rung:
    """One program, or a pair of them."""

    name: str
    #: The XDP program.
    ingress: int
    #: The tc program for what the server sends; None where the design has none.
    egress: int | None
    #: Returns what it has counted, by synguard's names; None for a program that keeps nothing.
    counts: Callable[[], dict[str, int]] | None = None
    #: Puts the scenario's blocks into force; None for a program that knows none.
    block: Callable[[], None] | None = None
    #: The kernel memory that its maps are charged for.
    map_bytes: int | None = None

    def program(self, *, outgoing: bool) -> int | None:
        """Return what meets a packet of that direction."""
        return self.egress if outgoing else self.ingress


class Ladder(NamedTuple):
    """What stands ready to be measured."""

    writer: Writer
    rungs: tuple[Rung, ...]


def check_names(names: Sequence[str], known: Sequence[str] = NAMES) -> None:
    """Raise UsageError for programs that are not among those known, and for a ladder without its foot."""
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise UsageError(f"there is no program {', '.join(unknown)}; there are {', '.join(known)}")
    if EMPTY not in names:
        raise UsageError(f"programs lack {EMPTY!r}, over which the others are measured")


@contextmanager
def ladder(scenario: CostScenario) -> Iterator[Ladder]:
    """Load the scenario's programs and keep them ready, while the ``with`` block lasts.

    Raises as :func:`synguard.probe.compiler.load_object` does, and UsageError for unknown programs.
    """
    check_names(scenario.programs)
    with ExitStack() as stack:
        writer, probe, naive = _load(scenario, stack)
        rungs = [_lower(EMPTY, writer), _lower(PARSE, writer)]
        if probe is not None:
            rungs.append(probe_rung(probe, scenario.blocks))
        if naive is not None:
            rungs.append(_naive(naive, scenario.blocks))
        wanted = tuple(rung for rung in rungs if rung.name in scenario.programs)
        stack.enter_context(resident([writer.programs["write_xdp"], *(rung.ingress for rung in wanted)]))
        yield Ladder(writer, wanted)


def _load(scenario: CostScenario, stack: ExitStack) -> tuple[Writer, Probe | None, LoadedObject | None]:
    """Compile everything at once: each compiler is a process of its own."""

    def begin(load: Callable[[], _Loaded]) -> Future[_Loaded]:
        return pool.submit(lambda: _closed_by(stack, load()))

    with ThreadPoolExecutor() as pool:
        writer = begin(Writer.load)
        probe = begin(lambda: load_probe(scenario.blocks)) if FULL in scenario.programs else None
        naive = begin(lambda: load_naive(BLOCKING=1)) if NAIVE in scenario.programs else None
    return writer.result(), _result(probe), _result(naive)


def _result(loading: Future[_Loaded] | None) -> _Loaded | None:
    return None if loading is None else loading.result()


def _closed_by(stack: ExitStack, loaded: _Loaded) -> _Loaded:
    stack.callback(loaded.close)
    return loaded


def load_probe(blocks: int, load: Loader = load_object) -> Probe:
    """Load the probe at the daemon's default sizes, but with room for so many blocks."""
    return Probe.load(Sizes(max_blocks=max(blocks, Sizes().max_blocks)), Groups(), load)


def _lower(name: str, writer: Writer) -> Rung:
    return Rung(name, writer.programs[f"{name}_xdp"], writer.programs[f"{name}_tc"])


def probe_rung(probe: Probe, blocks: int) -> Rung:
    """Return the probe as a rung; the caller goes on owning it."""

    def block() -> None:
        until_ns = time.monotonic_ns() + _BLOCK_TTL_NS
        targets = (
            IPv4Network(address) if address.version == 4 else IPv6Network((address, 64), strict=False)
            for address in _blocked_addresses(blocks)
        )
        SourceRules(probe).put(dict.fromkeys(targets, (SourceAction.DROP, until_ns)))

    return Rung(
        FULL,
        probe.programs[XDP_PROGRAM],
        probe.programs[TC_EGRESS_PROGRAM],
        ProbeReader(probe).totals,
        block,
        probe.memlock_bytes(),
    )


def _naive(naive: LoadedObject, blocks: int) -> Rung:
    def block() -> None:
        for address in _blocked_addresses(blocks):
            naive.maps["blocked"].update(address_layout.encode_address(address), bytes(8))

    def counts() -> dict[str, int]:
        totals = memoryview(naive.maps["totals"].lookup(_ONLY_KEY) or b"").cast("Q")
        # What it calls completed is any ACK that follows a SYN; it says nothing of the packet.
        return {
            "packets": sum(totals[0::4]),
            "attempts": sum(totals[1::4]),
            "dropped_by_us": sum(totals[3::4]),
        }

    map_bytes = sum(map_memlock_bytes(bpf_map.fd) for bpf_map in naive.maps.values())
    return Rung(NAIVE, naive.programs[NAIVE_PROGRAM], None, counts, block, map_bytes)


def _blocked_addresses(blocks: int) -> Iterator[Address]:
    """Yield an IPv4 address for the first half, and one of each /64 for the others."""
    yield from (_FIRST_BLOCKED_IPV4 + number for number in range(blocks - blocks // 2))
    yield from (_FIRST_BLOCKED_IPV6 + (number << 64) for number in range(blocks // 2))
