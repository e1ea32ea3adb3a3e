"""An alert's timeline: what the detector saw change and what was done about it, in order of time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from synguard.detect.timeline import MOST_CHANGES
from synguard.model import Change, Response

#: Responses that one entry names; the rest are counted.
_MOST_TOLD = 3


def merged(*told: Iterable[Change]) -> tuple[Change, ...]:
    """Return all changes in order of time; those of the same moment in the order in which they are given.

    Of more than 100 the oldest of severity are left out first: a severity only rises, and the alert has the
    last one. If those do not suffice, the oldest of all go.
    """
    changes = sorted((change for each in told for change in each), key=lambda change: change.at_s)
    excess = len(changes) - MOST_CHANGES
    if excess <= 0:
        return tuple(changes)
    of_severity = [place for place, change in enumerate(changes) if change.what == "severity"]
    left_out = set(of_severity[:excess])
    kept = [change for place, change in enumerate(changes) if place not in left_out]
    return tuple(kept[-MOST_CHANGES:])


def responses_text(responses: Sequence[Response]) -> str | None:
    """Return responses as the timeline tells them: ``drop 198.51.100.7 (enforce)``; None for nothing."""
    told = [f"{one.response} {one.target} ({one.mode})" for one in responses[:_MOST_TOLD]]
    more = len(responses) - len(told)
    return (", ".join(told) + (f" and {more} more" if more else "")) or None
