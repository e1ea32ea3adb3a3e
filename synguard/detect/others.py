"""What one snapshot shows of scans, overloads and reflections: no floods, and still worth a word."""

from __future__ import annotations

from collections.abc import Iterator

from synguard.detect.occurrences import Occurrence, Part
from synguard.detect.overload import Overload, judge_overload
from synguard.detect.reflection import Reflection, find_reflections
from synguard.detect.scans import Scan, judge_scan
from synguard.detect.scene import Scene
from synguard.detect.severity import severity
from synguard.detect.source_memory import MINUTE_NS
from synguard.detect.thresholds import NS_PER_S
from synguard.endpoint import Listener
from synguard.model import AlertKind, Severity, SourceReading

#: A source with fewer targets and no probes is not looked at as one that scans.
LEAST_TARGETS = 8
#: An overload lasts for so long before anybody is told: a burst of clients fills a short queue for a moment,
#: and what was full is known to be so for a second more.
OVERLOAD_LASTS_NS = 3 * NS_PER_S
#: Reflections are looked for this far apart: they are judged over a minute.
REFLECTIONS_EVERY_NS = NS_PER_S


class Others:
    """Finds in each snapshot what is no flood."""

    def __init__(self) -> None:
        self._looked_ns = 0
        self._reflections: tuple[Occurrence, ...] = ()

    def find(self, scene: Scene) -> Iterator[Occurrence]:
        """Yield what a scene shows."""
        for memory in scene.everybody:
            if _may_scan(memory.reading):
                now_ns, one_way = scene.snapshot.time_ns, scene.snapshot.one_way
                for scan in judge_scan(memory, scene.thresholds, now_ns, one_way=one_way):
                    yield _scan(scan, scene.snapshot.source_cohort_ns)
        for listener_reading in scene.snapshot.listeners:
            if listener_reading.listener.port != 0:
                memory_of = scene.memory.listeners[listener_reading.listener]
                overload = judge_overload(memory_of, scene.impact, scene.snapshot)
                if overload is not None:
                    yield _overload(overload, scene.snapshot.listener_cohort_ns)
        yield from self._find_reflections(scene)

    def _find_reflections(self, scene: Scene) -> tuple[Occurrence, ...]:
        now_ns = scene.snapshot.time_ns
        if now_ns - self._looked_ns >= REFLECTIONS_EVERY_NS or now_ns < self._looked_ns:
            self._looked_ns = now_ns
            found = find_reflections(scene.memory.prefixes, scene.thresholds, now_ns)
            self._reflections = tuple(told for one in found if (told := _reflection(one, scene)) is not None)
        return self._reflections


def _may_scan(reading: SourceReading) -> bool:
    probes = reading.fin_probes + reading.null_probes + reading.xmas_probes
    return probes > 0 or reading.targets_estimated >= LEAST_TARGETS


def _scan(scan: Scan, slice_ns: int) -> Occurrence:
    reading = scan.memory.reading
    return Occurrence(
        key=(AlertKind.SCAN, reading.source, scan.what),
        kind=AlertKind.SCAN,
        alert_class=scan.alert_class,
        severity=Severity.LOW,
        listener=None,
        source=reading.source,
        parts=(Part(reading.source, reading, scan.memory.untold_counts(scan.what), slice_ns),),
        evidence=scan.evidence,
        measurements=scan.measurements,
        progress=scan.seen,
        sources_estimated=1,
    )


def _overload(overload: Overload, slice_ns: int) -> Occurrence:
    reading = overload.memory.reading
    return Occurrence(
        key=(AlertKind.OVERLOAD, reading.listener),
        kind=AlertKind.OVERLOAD,
        alert_class=None,
        severity=severity(overload.overflows_per_s, overload.impact.impact),
        listener=reading.listener,
        source=None,
        parts=(Part(reading.listener, reading, reading.counts, slice_ns),),
        evidence=overload.evidence,
        measurements=overload.measurements,
        persists_ns=OVERLOAD_LASTS_NS,
        impact=overload.impact.impact,
        sources_estimated=reading.sources_estimated,
    )


def _reflection(reflection: Reflection, scene: Scene) -> Occurrence | None:
    """Return what is told of a reflection; None where no listener answers those SYNs, or it hurts us."""
    home = _answering_home(reflection, scene)
    if home is None:
        return None
    impact = scene.impact.of(home, scene.snapshot.time_ns - MINUTE_NS).impact
    if impact not in ("none", "unknown"):
        return None
    slice_ns = scene.snapshot.source_cohort_ns
    parts = tuple(
        Part(one.reading.source, one.reading, one.minute_ago.counts, slice_ns) for one in reflection.prefixes
    )
    return Occurrence(
        key=(AlertKind.REFLECTION, reflection.key),
        kind=AlertKind.REFLECTION,
        alert_class=None,
        severity=Severity.LOW,
        listener=home,
        source=reflection.network,
        parts=parts,
        evidence=reflection.evidence,
        measurements=reflection.measurements,
        impact=impact,
        sources_estimated=reflection.sources_estimated,
    )


def _answering_home(reflection: Reflection, scene: Scene) -> Listener | None:
    """Return the listener that answers a prefix's SYNs, if one is known to."""
    readings = [one.reading for one in reflection.prefixes if one.met_ns == scene.snapshot.time_ns]
    for reading in readings:
        home = scene.attribution.home_of(reading)
        if home is not None and home.port != 0:
            return home
    return None
