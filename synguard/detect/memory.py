"""Everybody whom the snapshots named lately, with what is remembered of them: bounded by what those name."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Generic, TypeVar

from synguard.detect.baseline import Baseline
from synguard.detect.listener_memory import ListenerMemory
from synguard.detect.prefixes import is_in
from synguard.detect.source_memory import PrefixMemory, SourceMemory
from synguard.detect.thresholds import NS_PER_S
from synguard.endpoint import Listener, Network
from synguard.model import Snapshot, SourceReading

#: Who is in no snapshot for so long is forgotten, sooner where memory is needed for others. What is usual
#: at a listener is worth keeping through quiet weeks.
FORGET_LISTENER_AFTER_NS = 30 * 86_400 * NS_PER_S
FORGET_CLOSED_AFTER_NS = 30 * NS_PER_S
FORGET_SOURCE_AFTER_NS = 300 * NS_PER_S
#: Remembered besides those that the last snapshot names.
SPARE = 512
#: Baselines kept of listeners that were not met since the detector began, or the clock did, the newest.
MOST_LEARNED_BEFORE = 1024
#: After this long in no snapshot what is remembered by moments is of no use any more.
REST_AFTER_NS = 5 * NS_PER_S

Key = TypeVar("Key", Listener, Network)
Kept = TypeVar("Kept", ListenerMemory, SourceMemory, PrefixMemory)


class _Kept(dict[Key, Kept], Generic[Key, Kept]):
    """Memories by whom they are of."""

    def forget(self, now_ns: int, named: int, needed: Collection[Key]) -> None:
        """Drop who is long gone, and the longest gone beyond the room that ``named`` ones leave."""
        gone = [key for key, kept in self.items() if kept.met_ns != now_ns and key not in needed]
        if not gone:
            return
        gone.sort(key=lambda key: self[key].met_ns)
        crowded = len(self) - named - SPARE
        for rank, key in enumerate(gone):
            silent_ns = now_ns - self[key].met_ns
            if rank < crowded or silent_ns > _patience_ns(key):
                del self[key]
            elif silent_ns > REST_AFTER_NS:
                self[key].rest()


def _patience_ns(key: Listener | Network) -> int:
    if isinstance(key, Listener):
        return FORGET_LISTENER_AFTER_NS if key.port else FORGET_CLOSED_AFTER_NS
    return FORGET_SOURCE_AFTER_NS


class Memory:
    """Everybody whom the snapshots named lately."""

    def __init__(self, baselines: Mapping[str, Mapping[str, Any]]) -> None:
        self.listeners: _Kept[Listener, ListenerMemory] = _Kept()
        self.sources: _Kept[Network, SourceMemory] = _Kept()
        self.prefixes: _Kept[Network, PrefixMemory] = _Kept()
        #: Those whom the last snapshot named, in its order.
        self.met_sources: list[SourceMemory] = []
        #: The prefixes of the last snapshot some of whose SYNs we dropped lately.
        self.dropped_prefixes: list[Network] = []
        #: What earlier daemons learned of listeners that this one has not met yet.
        self._learned_before = _newest(baselines)
        #: Baselines of earlier daemons that could not be understood; those listeners are learned anew.
        self.unreadable = 0

    def meet(self, snapshot: Snapshot, alarmed: Collection[Listener]) -> None:
        """Take in a snapshot. Listeners that are ``alarmed`` learn nothing, and are not forgotten."""
        for listener_reading in snapshot.listeners:
            listener = listener_reading.listener
            known = self.listeners.get(listener)
            if known is None:
                baseline = self._learned(listener)
                known = self.listeners[listener] = ListenerMemory(listener_reading, baseline)
            known.meet(listener_reading, snapshot, frozen=listener in alarmed)
        self.met_sources = [self._meet_source(reading, snapshot) for reading in snapshot.sources]
        for reading in snapshot.prefixes:
            prefix = self.prefixes.get(reading.source)
            if prefix is None:
                prefix = self.prefixes[reading.source] = PrefixMemory(reading)
            prefix.meet(reading, snapshot)
        named = (reading.source for reading in snapshot.prefixes)
        self.dropped_prefixes = [prefix for prefix in named if self.prefixes[prefix].is_dropped]
        self.listeners.forget(snapshot.time_ns, len(snapshot.listeners), alarmed)
        self.sources.forget(snapshot.time_ns, len(snapshot.sources), ())
        self.prefixes.forget(snapshot.time_ns, len(snapshot.prefixes), ())

    def _meet_source(self, reading: SourceReading, snapshot: Snapshot) -> SourceMemory:
        source = self.sources.get(reading.source)
        if source is None:
            source = self.sources[reading.source] = SourceMemory(reading)
        source.meet(reading, snapshot)
        return source

    def _learned(self, listener: Listener) -> Baseline | None:
        """Return what an earlier daemon learned of a listener; nothing of it if that cannot be read."""
        state = self._learned_before.pop(str(listener), None)
        try:
            return None if state is None else Baseline.from_state(dict(state))
        except ValueError:
            self.unreadable += 1
            return None

    def newly_dropped(self, prefix: Network) -> int:
        """Return how many SYNs from a prefix we dropped between the last two snapshots."""
        inside = (one for one in self.dropped_prefixes if is_in(one, prefix))
        return sum(self.prefixes[one].newly_dropped for one in inside)

    def baselines(self) -> dict[str, dict[str, Any]]:
        """Return what is usual at each listener, by its text, ready for JSON; closed ports have none."""
        learned = {
            str(listener): memory.usual.to_state()
            for listener, memory in self.listeners.items()
            if listener.port != 0
        }
        return {**{text: dict(state) for text, state in self._learned_before.items()}, **learned}

    def clear(self) -> None:
        """Forget everybody, but for what is usual: the kernel's clock is another one now."""
        self._learned_before = _newest(self.baselines())
        self.listeners.clear()
        self.sources.clear()
        self.met_sources.clear()
        self.prefixes.clear()


def _newest(baselines: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Return the baselines that came last, no more than are kept."""
    return dict(list(baselines.items())[-MOST_LEARNED_BEFORE:])
