"""Reads the probe's maps into snapshots."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from heapq import nlargest

from synguard.endpoint import Listener, Network
from synguard.handshake import ClockProof
from synguard.model import ListenerReading, Snapshot, SourceReading
from synguard.probe import layout, response_layout, sight_layout
from synguard.probe.address_layout import encode_address
from synguard.probe.dropped import Unbooked
from synguard.probe.probe import Probe
from synguard.probe.syscall import BpfMap

_ONLY_KEY = bytes(4)
_LISTENER_COHORT_NS = 1 << layout.LISTENER_COHORT_SHIFT
_SOURCE_COHORT_NS = 1 << layout.SOURCE_COHORT_SHIFT
#: A listener or source whose last attempt (or probe) is older has nothing left in its ring.
_RING_NS = layout.LISTENER_COHORTS << layout.LISTENER_COHORT_SHIFT
#: After how long without any attempt a listener may make room for a new one.
_LISTENER_IDLE_NS = 900 * 10**9
_CANDIDATES_A_READ = 256
#: One of so many places among the watched is for those who send probes, whatever others do.
_PROBERS_SHARE = 4
#: So many completions that are only inferred make a listener more than a random port.
_PROVEN_COMPLETIONS = 4
#: So often must a flow go on to be taken for one: a visit with a single request does so once.
_FLOW_ADVANCES = 1


@dataclass(slots=True)
class ReaderLosses:
    """What the reader could not keep, since the start."""

    sources_unwatched: int = 0
    #: Reads that came so late that cohorts had left the ring unread.
    late_reads: int = 0


class ProbeReader:
    """Turns maps into :class:`Snapshot` records; holds the bounded set of watched sources.

    The cost of a read follows the listeners with recent attempts and the watched sources, not the number of
    addresses that the probe has seen; while nothing at all happens only the totals are read.
    """

    def __init__(self, probe: Probe, watched_max: int = 512) -> None:
        self._probe = probe
        self._unbooked = Unbooked(probe.maps["dropped"])
        self._sources = _Watched(probe, self._unbooked, "sources", "candidates", watched_max)
        self._prefixes = _Watched(probe, self._unbooked, "prefixes", "prefix_candidates", watched_max)
        self._activity: tuple[int, ...] = ()
        self._active_until_ns = 0
        #: Whether any handshake moved within the last ring, or any probe came.
        self.active = False
        self._last_read_ns: int | None = None
        self.losses = ReaderLosses()

    def totals(self) -> dict[str, int]:
        """Return every total counter since the probe was loaded."""
        totals = layout.decode_totals(self._probe.maps["totals"].lookup(_ONLY_KEY) or b"")
        packets = self.interface_packets().values()
        totals["packets"] = sum(ingress for ingress, _ in packets)
        totals["egress_packets"] = sum(egress for _, egress in packets)
        return totals

    def interface_packets(self) -> dict[int, tuple[int, int]]:
        """Return (ingress, egress) packets by interface index modulo ``sight_layout.INTERFACE_SLOTS``.

        Interfaces through which nothing has passed are left out.
        """
        return sight_layout.decode_interfaces(self._probe.maps["interfaces"].lookup(_ONLY_KEY) or b"")

    def flows(self) -> tuple[int, int]:
        """Return how many established flows ingress carries, and how many of them egress shows.

        Since :meth:`synguard.probe.probe.Probe.watch_flows`; at most 1,024 are noted on each CPU.
        """
        raw = self._probe.maps["flows"].lookup(_ONLY_KEY) or b""
        return sight_layout.decode_flows(raw, _FLOW_ADVANCES)

    def read(self, now_ns: int, wall_s: float) -> Snapshot:
        """Return what there is to know at ``now_ns`` (the kernel's monotonic clock)."""
        totals = self.totals()
        if self._last_read_ns is not None and now_ns - self._last_read_ns > _RING_NS:
            self.losses.late_reads += 1
        self._last_read_ns = now_ns
        self.active = self._is_active(totals, now_ns)
        self._unbooked.look()
        return Snapshot(
            now_ns,
            wall_s,
            _LISTENER_COHORT_NS,
            _SOURCE_COHORT_NS,
            tuple(self._recent_listeners(now_ns)) if self.active else (),
            self._sources.read(now_ns, self.losses) if self.active else (),
            totals,
            prefixes=self._prefixes.read(now_ns, self.losses) if self.active else (),
            one_way=self._probe.one_way,
        )

    def _is_active(self, totals: dict[str, int], now_ns: int) -> bool:
        """Tell whether any handshake moved or probe came within the last ring; reading pays only then."""
        activity = tuple(totals[name] for name in (*layout.HANDSHAKE_COUNTERS, *layout.PROBE_COUNTERS))
        if activity != self._activity:
            self._activity = activity
            self._active_until_ns = now_ns + _RING_NS + 10**9
        return now_ns < self._active_until_ns

    def clock_proof(self, source: Network, now_ns: int) -> ClockProof | None:
        """Return whether a source's SYNs continue the clock of a handshake it completed; None: no such."""
        raw = self._probe.maps["sources"].lookup(encode_address(source.network_address))
        return None if raw is None else response_layout.decode_clock(raw, now_ns)

    def source(self, source: Network, now_ns: int) -> SourceReading | None:
        """Return one source that the probe knows, however idle, or None."""
        key = encode_address(source.network_address)
        raw = self._probe.maps["sources"].lookup(key)
        self._unbooked.look()
        if raw is None:
            return None
        return self._unbooked.at_source(key, layout.decode_source(raw, source, now_ns), _SOURCE_COHORT_NS)

    def listener(self, listener: Listener, now_ns: int) -> ListenerReading | None:
        """Return one listener that the probe knows, however idle, or None."""
        key = layout.encode_listener_key(listener)
        raw = self._probe.maps["listeners"].lookup(key)
        self._unbooked.look()
        return None if raw is None else self._decode_listener(key, memoryview(raw), now_ns)

    def _decode_listener(self, key: bytes, raw: memoryview, now_ns: int) -> ListenerReading:
        reading = layout.decode_listener(raw, layout.decode_listener_key(key), now_ns)
        return self._unbooked.at_listener(key, reading, _LISTENER_COHORT_NS)

    def _decode_closed(self, key: bytes, raw: memoryview, now_ns: int) -> ListenerReading:
        reading = layout.decode_listener(raw, layout.decode_listener_key(key), now_ns)
        return self._unbooked.at_closed(key, reading, _LISTENER_COHORT_NS, self._probe.maps["listeners"])

    def listeners(self, now_ns: int) -> Iterator[ListenerReading]:
        """Yield every listener that the probe knows, idle ones too, and the closed buckets."""
        self._unbooked.look()
        for key, value in self._probe.maps["listeners"].items():
            yield self._decode_listener(key, value, now_ns)
        for key, value in self._probe.maps["closed_buckets"].items():
            yield self._decode_closed(key, value, now_ns)

    def stand_in(self, listeners: Iterable[Listener]) -> None:
        """Count for these ports as for listeners, though nobody was seen to answer there.

        For where answers cannot be seen, and the ports that are asked most are known.
        """
        known = self._probe.maps["listeners"]
        for listener in listeners:
            known.update(layout.encode_listener_key(listener), bytes(known.value_bytes))

    def _recent_listeners(self, now_ns: int) -> Iterator[ListenerReading]:
        idle: list[bytes] = []
        known = 0
        for key, value in self._probe.maps["listeners"].items():
            known += 1
            age_ns = now_ns - layout.listener_last_ns(value)
            if age_ns < _RING_NS:
                yield self._decode_listener(key, value, now_ns)
            elif age_ns > _LISTENER_IDLE_NS or self._is_doubtful(value):
                idle.append(key)
        self._make_room(self._probe.maps["listeners"], known, idle)
        for key, value in self._probe.maps["closed_buckets"].items():
            if now_ns - layout.listener_last_ns(value) < _RING_NS:
                yield self._decode_closed(key, value, now_ns)

    def _is_doubtful(self, value: memoryview) -> bool:
        """Tell whether it may be a random port: where answers are not seen, anybody can invent a listener."""
        return self._probe.one_way and layout.listener_completed(value) < _PROVEN_COMPLETIONS

    @staticmethod
    def _make_room(listeners: BpfMap, known: int, idle: list[bytes]) -> None:
        """Forget idle and doubtful listeners once three quarters of the table are taken."""
        if known * 4 > listeners.info.max_entries * 3:
            for key in idle:
                listeners.delete(key)


class _Watched:
    """The sources, or prefixes, that the probe has named: a bounded set, read one by one."""

    def __init__(
        self, probe: Probe, unbooked: Unbooked, entries: str, candidates: str, watched_max: int
    ) -> None:
        self._probe = probe
        self._unbooked = unbooked
        self._entries = entries
        self._candidates = candidates
        self._watched_max = watched_max
        self._watched: set[bytes] = set()

    def _decode(self, raw: bytes, key: bytes, now_ns: int) -> SourceReading:
        groups = self._probe.groups
        if self._entries == "sources":
            source = layout.decode_source_key(key, 32, groups.source_ipv6)
            reading = layout.decode_source(raw, source, now_ns)
            return self._unbooked.at_source(key, reading, _SOURCE_COHORT_NS)
        prefix = layout.decode_source_key(key, groups.prefix_ipv4, groups.prefix_ipv6)
        return layout.decode_prefix(raw, prefix, now_ns)

    def read(self, now_ns: int, losses: ReaderLosses) -> tuple[SourceReading, ...]:
        """Read the watched ones and those newly named; of too many, go on watching the busiest."""
        entries = self._probe.maps[self._entries]
        readings = {}
        for key in sorted(self._watched.union(self._named())):
            raw = entries.lookup(key)
            if raw is not None and now_ns - layout.source_last_ns(raw) <= _RING_NS:
                readings[key] = self._decode(raw, key, now_ns)
        if len(readings) > self._watched_max:
            losses.sources_unwatched += len(readings) - self._watched_max
            readings = _busiest(readings, self._watched_max)
        self._watched = set(readings)
        return tuple(readings.values())

    def _named(self) -> Iterator[bytes]:
        """Take what the probe has named out of its queue, so many at a time; the rest waits."""
        candidates = self._probe.maps[self._candidates]
        for _ in range(_CANDIDATES_A_READ):
            key = candidates.pop()
            if key is None:
                return
            yield key


def _busiest(readings: Mapping[bytes, SourceReading], places: int) -> dict[bytes, SourceReading]:
    """Return as many as there are places: those with most unfinished attempts, and for a quarter probers.

    So neither can drive the other out. Places that probers do not need go to the others.
    """
    probers = [key for key, reading in readings.items() if _probes(reading)]
    kept = nlargest(places // _PROBERS_SHARE, probers, key=lambda key: _probes(readings[key]))
    others = readings.keys() - set(kept)
    kept += nlargest(places - len(kept), sorted(others), key=lambda key: _unfinished(readings[key]))
    return {key: readings[key] for key in sorted(kept)}


def _probes(reading: SourceReading) -> int:
    return reading.fin_probes + reading.null_probes + reading.xmas_probes


def _unfinished(reading: SourceReading) -> int:
    return sum(cohort.attempts - cohort.completed for cohort in reading.cohorts)
