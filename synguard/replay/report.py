"""What a replay found, as JSON: the capture, the totals, and the alerts in the one shape that alerts have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from synguard.endpoint import source_text
from synguard.history.records import alert_to_json, time_to_json
from synguard.probe.totals import losses_to_json, totals_to_json, unparsed_to_json
from synguard.replay.frames import link_name
from synguard.replay.replaying import Replayed

#: Ports that a note tells of, at most.
TARGETS_TOLD = 3


def describe(replayed: Replayed) -> dict[str, Any]:
    """Return ``{capture, totals, alerts}``."""
    return {
        "capture": _capture(replayed),
        "totals": totals_to_json(replayed.totals, one_way=replayed.visible.one_way_because is not None),
        "alerts": [alert_to_json(alert) for alert in replayed.alerts],
    }


def _capture(replayed: Replayed) -> dict[str, Any]:
    capture, survey, visible = replayed.capture, replayed.survey, replayed.visible
    first_ns, last_ns = survey.first_ns, survey.last_ns
    return {
        "file": capture.name,
        "format": capture.format,
        "gzipped": capture.gzipped,
        "error": capture.problem,
        "link_types": [link_name(number) for number in sorted(survey.link_types)],
        "packets": survey.packets,
        "first_at": None if first_ns is None else time_to_json(first_ns / 1e9),
        "last_at": None if last_ns is None else time_to_json(last_ns / 1e9),
        "duration_s": None if first_ns is None or last_ns is None else (last_ns - first_ns) / 1e9,
        "ours": [source_text(network) for network in replayed.ours.networks],
        "inferred_because": replayed.ours.inferred_because,
        "direction": visible.direction,
        "one_way_because": visible.one_way_because,
        "skipped": {"not_ours": replayed.not_ours, "not_readable": replayed.not_readable},
        "out_of_order": replayed.out_of_order,
        "clock_set_back": replayed.set_back,
        "snapshots": replayed.snapshots,
        "unparsed": unparsed_to_json(replayed.totals),
        "losses": losses_to_json(replayed.totals),
        "notes": list(_notes(replayed)),
    }


def _notes(replayed: Replayed) -> Iterator[str]:
    """Yield what a reader should know before believing the figures."""
    survey, visible = replayed.survey, replayed.visible
    if visible.one_way_because is not None:
        yield (
            f"{visible.one_way_because}: answered and completed are unknown, and what completed is inferred "
            "from what peers sent later"
        )
        yield from _targets(replayed)
    if visible.direction == "outgoing":
        yield "nothing that comes in was captured: no attempt can be counted, and no flood be seen"
    if visible.direction == "both" and survey.asked and not survey.segments:
        yield (
            "it holds SYNs and answers, but no other segment: if a filter left those out, what looks "
            "half-open here may have completed"
        )
    if replayed.not_readable:
        yield f"{replayed.not_readable:,} packets are of link types that cannot be replayed"
    if replayed.set_back:
        yield f"the clock of the capture was set back {replayed.set_back} times; time went on from there"
    if survey.packets and survey.first_ns is None:
        yield "no packet has a time: all are taken as one moment, so that no rate means anything"


def _targets(replayed: Replayed) -> Iterator[str]:
    """Yield which of our ports were asked most: without an answer to be seen those stand in for listeners."""
    if replayed.stand_ins:
        told = ", ".join(
            f"{listener} ({count:,} SYNs)" for listener, count in replayed.stand_ins[:TARGETS_TOLD]
        )
        yield f"taken for listeners, since they were asked most: {told}"
