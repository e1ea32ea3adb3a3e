"""All that one snapshot says: the judgements of its listeners and sources, and who asked whom."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from synguard.detect.allowance import HandshakeTimes
from synguard.detect.attribution import Attribution
from synguard.detect.listeners import ListenerJudge, ListenerJudgement
from synguard.detect.memory import ListenerMemory, Memory
from synguard.detect.sources import SourceJudgement, judge_source
from synguard.detect.thresholds import Thresholds
from synguard.detect.windows import Window
from synguard.endpoint import Listener, Network
from synguard.model import Snapshot

#: At most so many sources, the greatest first, may raise something in one snapshot.
MOST_RAISED_SOURCES = 128


class Scene:
    """One snapshot's judgements of everybody in it who has unfinished attempts worth a look."""

    def __init__(self, snapshot: Snapshot, memory: Memory, thresholds: Thresholds) -> None:
        self.snapshot = snapshot
        self._memory = memory
        self._thresholds = thresholds
        self.attribution = Attribution(snapshot, self._allowance_ns, thresholds.min_attempts)
        self.source_allowance_ns = self._busiest_allowance_ns() if snapshot.sources else 0
        self.listeners = self._judge_listeners()
        self.sources = self._judge_sources()

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
        raised = [
            (judgement.raised.half_open, str(source), judgement, judgement.raised)
            for source, judgement in self.sources.items()
            if judgement.raised
        ]
        raised.sort(key=lambda item: (-item[0], item[1]))
        return [(judgement, window) for _, _, judgement, window in raised[:MOST_RAISED_SOURCES]]

    def calm_listeners(self, alarmed: Collection[Listener]) -> Iterator[ListenerMemory]:
        """Yield the listeners of which nothing is suspected, whose figures are usual ones."""
        for reading in self.snapshot.listeners:
            judgement = self.listeners.get(reading.listener)
            memory = self._memory.listeners[reading.listener]
            if judgement is None or judgement.raised is None:
                memory.suspected_ns = None
                if reading.listener not in alarmed and (judgement is None or judgement.holding is None):
                    yield memory

    def _allowance_ns(self, listener: Listener) -> int:
        return self._memory.listeners[listener].times.allowance_ns(self._thresholds)

    def _busiest_allowance_ns(self) -> int:
        """Return the allowance of the listener with most attempts in the ring; the cold one without any."""
        weighed = [
            (sum(cohort.attempts for cohort in reading.cohorts), self._allowance_ns(reading.listener))
            for reading in self.snapshot.listeners
        ]
        return max(weighed)[1] if weighed else HandshakeTimes().allowance_ns(self._thresholds)

    def _judge_listeners(self) -> dict[Listener, ListenerJudgement]:
        judge = ListenerJudge(self.snapshot, self._thresholds, self.attribution)
        judged = {
            reading.listener: judge.judge(self._memory.listeners[reading.listener])
            for reading in self.snapshot.listeners
        }
        return {listener: judgement for listener, judgement in judged.items() if judgement}

    def _judge_sources(self) -> dict[Network, SourceJudgement]:
        judged = {
            reading.source: judge_source(
                self._memory.sources[reading.source],
                self.snapshot,
                self._thresholds,
                self.source_allowance_ns,
            )
            for reading in self.snapshot.sources
        }
        return {source: judgement for source, judgement in judged.items() if judgement}
