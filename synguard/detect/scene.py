"""All that one snapshot says: the judgements of its listeners, sources and prefixes, and who asked whom."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from itertools import accumulate

from synguard.detect.allowance import HandshakeTimes
from synguard.detect.attribution import MOST_SOURCES, Attribution, Share
from synguard.detect.impact import Impact
from synguard.detect.listener_memory import ListenerMemory
from synguard.detect.listeners import MAIN_SHARE, ListenerJudge, ListenerJudgement, main_source
from synguard.detect.memory import Memory
from synguard.detect.prefixes import is_in, merged, widest
from synguard.detect.responses import Late, OwnResponses
from synguard.detect.scans import ATTEMPTS_PER_TARGET
from synguard.detect.source_memory import SourceMemory
from synguard.detect.sources import (
    Patience,
    SourceJudgement,
    hot_sources,
    is_scan,
    judge_prefix,
    judge_source,
)
from synguard.detect.thresholds import Thresholds
from synguard.detect.windows import Window, unfinished
from synguard.endpoint import Listener, Network
from synguard.model import Snapshot, SourceReading

#: At most so many sources, the greatest first, may raise something in one snapshot.
MOST_RAISED_SOURCES = 128


class Scene:
    """One snapshot's judgements of everybody in it who has unfinished attempts worth a look.

    Sources that merely wait for an answer are left out, as nobody's flooders: but not those in ``named``, for
    whoever floods fills the queues that leave it waiting, too.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        memory: Memory,
        thresholds: Thresholds,
        impact: Impact,
        named: Collection[Network],
    ) -> None:
        #: Every watched source, those that wait for an answer too.
        self.everybody = memory.met_sources
        self._every_reading = snapshot.sources
        # Where answers cannot be seen, nobody can be told to wait for one.
        self._is_waiting = {
            one.reading.source
            for one in (() if snapshot.one_way else memory.met_sources)
            if one.is_waiting(snapshot.time_ns) and one.reading.source not in named
        }
        active = memory.met_sources
        if self._is_waiting:
            active = [one for one in active if one.reading.source not in self._is_waiting]
        self._active = active
        self._hot_sources: list[SourceReading] | None = None
        self.snapshot = replace(snapshot, sources=tuple(one.reading for one in active))
        self.memory = memory
        self.thresholds = thresholds
        self.impact = impact
        self.attribution = Attribution(
            self.snapshot, self.hot_sources, self.allowance_ns, thresholds.min_attempts
        )
        self._patience = Patience(
            self._busiest_allowance_ns() if snapshot.sources or snapshot.prefixes else 0,
            self._latest(memory.listeners[one.listener].own for one in snapshot.listeners),
        )
        self.listeners = self._judge_listeners()
        self.sources = self._judge_sources()
        self._prefixes: tuple[SourceReading, ...] | None = None
        self.prefixes = self._judge_prefixes()

    def raised_listeners(self) -> list[tuple[ListenerJudgement, Window]]:
        """Return the listeners under a flood with the windows that show it, the greatest flood first."""
        raised = [
            (judgement.raised.half_open, str(listener), judgement, judgement.raised)
            for listener, judgement in self.listeners.items()
            if judgement.raised
        ]
        raised.sort(key=lambda item: (-item[0], item[1]))
        return [(judgement, window) for _, _, judgement, window in raised]

    def raised_sources(self) -> list[tuple[SourceJudgement, Window]]:
        """Return the sources that flood with the windows that show it, the greatest first."""
        return _greatest(self.sources.values())

    def raised_prefixes(self) -> list[tuple[SourceJudgement, Window]]:
        """Return the prefixes that flood with the windows that show it, the greatest first."""
        return _greatest(self.prefixes.values())

    def calm_listeners(self, alarmed: Collection[Listener]) -> Iterator[ListenerMemory]:
        """Yield the listeners of which nothing is suspected, whose figures are usual ones."""
        for reading in self.snapshot.listeners:
            judgement = self.listeners.get(reading.listener)
            nothing = judgement is None or (judgement.raised is None and judgement.holding is None)
            memory = self.memory.listeners[reading.listener]
            if nothing and reading.listener not in alarmed and not memory.own.show:
                yield memory

    def main_source_of(self, listener: Listener) -> Share | None:
        """Return the source that makes half of a listener's half-open attempts, if one does and no scan's."""
        main = main_source(self.attribution.sources_of(listener))
        if main is None or (listener.port == 0 and is_scan(main.source)):
            return None
        return main

    def merged_prefixes(self) -> tuple[SourceReading, ...]:
        """Return the snapshot's prefixes, neighbours merged, less what single sources account for."""
        if self._prefixes is None:
            whole = replace(self.snapshot, sources=self._every_reading)
            self._prefixes = merged(whole, self._has_own_reason)
        return self._prefixes

    def hot_sources(self) -> list[SourceReading]:
        """Return the sources with most unfinished attempts in the ring, the greatest first, but not all."""
        if self._hot_sources is None:
            self._hot_sources = hot_sources(self._active, MOST_SOURCES)
        return self._hot_sources

    def allowance_ns(self, listener: Listener) -> int:
        """Return how long a handshake is given at a listener of the snapshot, in nanoseconds."""
        thresholds = self.thresholds.for_listener(listener)
        return self.memory.listeners[listener].allowance_ns(thresholds)

    def patience_ns(self, basis: Listener | Network) -> int:
        """Return how long a handshake of a source or widest prefix, or at a listener, is given, if known."""
        if isinstance(basis, Listener):
            return self.allowance_ns(basis) if basis in self.memory.listeners else 0
        memory = self.memory.sources.get(basis)
        is_dropped = self._is_dropped(basis) if memory is None else memory.is_dropped
        return self._patience.for_one(is_dropped=is_dropped)

    def _is_dropped(self, prefix: Network) -> bool:
        """Tell whether we dropped SYNs from a prefix lately."""
        return any(is_in(one, prefix) for one in self.memory.dropped_prefixes)

    def source_memory(self, source: Network) -> SourceMemory:
        """Return what is remembered of a source of the snapshot."""
        return self.memory.sources[source]

    def _has_own_reason(self, reading: SourceReading) -> bool:
        """Tell whether a source's unfinished attempts are no part of its prefix's flood."""
        own = self.sources.get(reading.source)
        is_flooder = own is not None and (own.raised is not None or own.holding is not None)
        return is_flooder or reading.source in self._is_waiting or is_scan(reading)

    def _busiest_allowance_ns(self) -> int:
        """Return the allowance of the listener with most attempts in the ring; the cold one without any."""
        weighed = [
            (sum([attempts for _, attempts, _ in reading.cohorts]), self._learned_ns(reading.listener))
            for reading in self.snapshot.listeners
        ]
        return max(weighed)[1] if weighed else HandshakeTimes().allowance_ns(self.thresholds)

    @staticmethod
    def _latest(all_own: Iterable[OwnResponses]) -> Late | None:
        """Return how late, and since when at the latest, listeners that we answer for book completions."""
        late = [own.late for own in all_own if own.cookies_show]
        if not late:
            return None
        return Late(max(one.back_ns for one in late), max(one.since_ns for one in late))

    def _learned_ns(self, listener: Listener) -> int:
        """Return how long a handshake is given at a listener, whatever our responses do."""
        return self.memory.listeners[listener].times.allowance_ns(self.thresholds.for_listener(listener))

    def _judge_listeners(self) -> dict[Listener, ListenerJudgement]:
        judge = ListenerJudge(self.snapshot, self.thresholds, self.attribution, self.memory, self.impact)
        judged = {
            reading.listener: judge.judge(self.memory.listeners[reading.listener])
            for reading in self.snapshot.listeners
        }
        return {listener: judgement for listener, judgement in judged.items() if judgement}

    def _judge_sources(self) -> dict[Network, SourceJudgement]:
        judged = (
            judge_source(memory, self.snapshot, self.thresholds, self._patience, self._asks_one_listener)
            for memory in self._active
        )
        return {judgement.reading.source: judgement for judgement in judged if judgement}

    def _asks_one_listener(self, reading: SourceReading) -> bool:
        """Tell whether a source that has scanned floods a listener now, most of whose half-open it explains.

        Of the hottest sources alone: many that scan at a time cost too much to look at.
        """
        if reading.counts.attempts <= ATTEMPTS_PER_TARGET * reading.targets_estimated:
            return False
        if not any(one is reading for one in self.hot_sources()):
            return False
        homes = self.attribution.homes(reading)
        return any(share.share >= MAIN_SHARE and share.listener.port != 0 for share in homes)

    def _judge_prefixes(self) -> dict[Network, SourceJudgement]:
        """Judge the merged prefixes, each by the widest it may be merged into, where all make a flood."""
        needed = self.thresholds.prefix_half_open_per_s
        so_far = accumulate(unfinished(reading.cohorts) for reading in self.snapshot.prefixes)
        if not any(total >= needed for total in so_far):
            return {}
        judged = {
            reading.source: judge_prefix(
                reading,
                self.snapshot,
                self.thresholds,
                self._patience,
                is_dropped=self._is_dropped(widest(reading.source)),
            )
            for reading in self.merged_prefixes()
        }
        return {widest(prefix): judgement for prefix, judgement in judged.items() if judgement}


def _greatest(judgements: Iterable[SourceJudgement]) -> list[tuple[SourceJudgement, Window]]:
    raised = [
        (judgement.raised.half_open, str(judgement.reading.source), judgement, judgement.raised)
        for judgement in judgements
        if judgement.raised
    ]
    raised.sort(key=lambda item: (-item[0], item[1]))
    return [(judgement, window) for _, _, judgement, window in raised[:MOST_RAISED_SOURCES]]


def without_trusted(snapshot: Snapshot, thresholds: Thresholds) -> Snapshot:
    """Return a snapshot less the sources and prefixes that speak for many others."""
    if not thresholds.trusted:
        return snapshot
    return replace(
        snapshot,
        sources=tuple(one for one in snapshot.sources if not thresholds.trusts(one.source)),
        prefixes=tuple(one for one in snapshot.prefixes if not thresholds.trusts(one.source)),
    )
