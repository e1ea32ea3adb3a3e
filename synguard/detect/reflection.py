"""Our answers sent to those who never asked: SYNs in the name of a prefix's addresses, few of each, for long.

Somebody has us send SYN-ACKs, several for each SYN, to a victim. No listener here notices: each address asks
seldom, all of them together stay below what a flood is. What shows is a prefix of which, over a minute, many
addresses ask and none completes. (97 addresses of one /22 with 100 half-open handshakes were seen in the
wild.) Neighbouring prefixes are merged as those of floods are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from synguard.detect.prefixes import grouped, is_in, narrowed
from synguard.detect.source_memory import MINUTE_NS, PrefixMemory
from synguard.detect.thresholds import Thresholds
from synguard.endpoint import Network
from synguard.model import Evidence, HandshakeCounts, Measurement

#: It lasts when either half of the minute has this share (0..1) of its attempts.
HALF_SHARE = 0.25
#: The share (0..1) of a prefix's attempts that may complete; more are clients.
COMPLETED_SHARE = 0.05
#: Fewer addresses than this are a few sources, and not a prefix.
LEAST_SOURCES = 16
#: An address that asks more often than every second is not one of many.
MOST_PER_SOURCE = 60.0


@dataclass(frozen=True, slots=True)
class Reflection:
    """A prefix in whose name SYNs come."""

    network: Network
    #: The widest prefix that it may be merged into: what makes two findings one incident.
    key: Network
    prefixes: tuple[PrefixMemory, ...]
    sources_estimated: int
    evidence: tuple[Evidence, ...]
    measurements: tuple[Measurement, ...]


def find_reflections(
    prefixes: Mapping[Network, PrefixMemory], thresholds: Thresholds, now_ns: int
) -> Iterator[Reflection]:
    """Yield the prefixes, merged with their neighbours, in whose name SYNs have come for a minute."""
    minutes = {
        network: minute
        for network, memory in prefixes.items()
        if (minute := _minute(memory, now_ns)) is not None
    }
    for key, networks in grouped(minutes).items():
        best = narrowed({network: float(minutes[network].attempts) for network in networks})
        inside = [network for network in networks if is_in(network, best)]
        found = _judge(
            best, key, tuple(prefixes[n] for n in inside), [minutes[n] for n in inside], thresholds
        )
        if found is not None:
            yield found


def _minute(memory: PrefixMemory, now_ns: int) -> HandshakeCounts | None:
    """Return a prefix's counts of the last minute, if it may be one of a reflection's."""
    counts = memory.reading.counts
    minute = memory.minute.before(now_ns - MINUTE_NS).counts
    half = memory.minute.before(now_ns - MINUTE_NS // 2).counts
    attempts, recent = counts.attempts - minute.attempts, counts.attempts - half.attempts
    completed = counts.completed - minute.completed
    lasts = HALF_SHARE * attempts <= recent <= (1 - HALF_SHARE) * attempts
    if attempts <= 0 or completed > COMPLETED_SHARE * attempts or not lasts:
        return None
    # What we drop is answered to nobody.
    dropped = max(0, counts.dropped_by_us - minute.dropped_by_us)
    return HandshakeCounts(attempts=max(completed, attempts - dropped), completed=completed)


def _judge(
    network: Network,
    key: Network,
    prefixes: tuple[PrefixMemory, ...],
    minutes: list[HandshakeCounts],
    thresholds: Thresholds,
) -> Reflection | None:
    half_open = sum(minute.attempts - minute.completed for minute in minutes)
    sources = sum(memory.reading.sources_estimated or 0 for memory in prefixes)
    is_flood = half_open / 60.0 >= thresholds.prefix_half_open_per_s
    if half_open < thresholds.reflection_per_min or sources < LEAST_SOURCES or is_flood:
        return None
    if half_open / sources > MOST_PER_SOURCE:
        return None
    evidence = (
        Evidence("addresses_that_never_complete", sources, 0.5),
        Evidence("syns_per_address_per_min", round(half_open / sources, 2), 0.3),
        Evidence("lasts_s", 60, 0.2),
    )
    told = Measurement("half_open_per_min", half_open, thresholds.reflection_per_min, "1/min")
    return Reflection(network, key, prefixes, sources, evidence, (told,))
