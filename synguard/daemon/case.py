"""One open alert, as far as the detector does not know it: what was announced, silenced and decided."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from synguard.detect.timeline import MOST_CHANGES
from synguard.model import Alert, Change
from synguard.respond.policy import Decision
from synguard.silence import Silence


@dataclass(slots=True)
class Case:
    """One open alert, as far as the detector does not know."""

    #: Announced, and not silenced since.
    announced: bool = False
    #: The picture that was announced last.
    told: dict[str, object] = field(default_factory=dict)
    silence: Silence | None = None
    #: What was decided, and about what.
    decided: tuple[Alert, Decision] | None = None
    #: Whether it is to be decided anew, whatever was decided.
    overdue: bool = False
    retry_at_s: float = 0.0
    considering: asyncio.Task[None] | None = None
    #: What the timeline tells of responses and silences.
    changes: list[Change] = field(default_factory=list)
    #: The response that the timeline told of last.
    told_response: str | None = None

    def note(self, what: str, before: str | None, after: str | None, because: str) -> None:
        """Add to the timeline."""
        self.changes = [*self.changes[1 - MOST_CHANGES :], Change(time.time(), what, before, after, because)]


def grounds(alert: Alert) -> tuple[object, ...]:
    """Return what of an alert a decision goes by."""
    completes = any(top.completed for top in alert.top_sources if top.source == alert.source)
    return (
        alert.alert_class,
        alert.source,
        completes,
        any(item.name == "live_client" for item in alert.evidence),
        frozenset((*alert.listeners, alert.listener)),
    )


def gist(decision: Decision) -> tuple[object, ...]:
    """Return what makes a decision another one; figures in its reason do not, once something is done."""
    done = tuple((one.response, one.target, one.mode) for one in decision.responses)
    return done or (decision.reason,)
