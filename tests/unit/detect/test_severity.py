"""How bad a flood is: by its margin and its impact together, and by its worst moment."""

from __future__ import annotations

from dataclasses import replace

import pytest

from synguard.model import Alert, AlertUpdated, Severity
from synguard.server import ListenerQueues, ServerReading
from tests.unit.detect.simulation import flood
from tests.unit.detect.test_overload import FLOODED, IDLE, only_alert, play, stack

ROOMY = replace(IDLE, syn_queue=90, syn_queue_worst=0.7)


def changes(alert: Alert, what: str) -> list[tuple[str | None, str | None, str]]:
    """Return what an alert's timeline tells of one of its properties."""
    return [(one.before, one.after, one.because) for one in alert.timeline if one.what == what]


@pytest.mark.parametrize(
    ("queues", "counter", "impact", "severity"),
    [
        (ROOMY, "ListenOverflows", "none", Severity.LOW),
        (FLOODED, "SyncookiesSent", "cookies", Severity.MEDIUM),
        (FLOODED, "TCPReqQFullDrop", "dropping", Severity.HIGH),
    ],
)
def test_a_flood_is_as_bad_as_its_margin_and_its_impact(
    queues: ListenerQueues, counter: str, impact: str, severity: Severity
) -> None:
    """Fourteen times the threshold matter little where nobody is hurt, more with cookies, most with drops."""
    told = stack(0, per_s=0.0 if impact == "none" else 600.0, queues=queues, counter=counter)
    syncookies = 0 if impact == "dropping" else 1

    def server(ms: int) -> ServerReading:
        return replace(told(ms), syncookies=syncookies)

    played = play(flood(700, 1000), until_ms=6000, server=server)
    _, opened = only_alert(played)
    assert [change.what for change in opened.timeline] == ["state"]
    (alert,) = played.detector.open_alerts()
    assert (alert.impact, alert.severity) == (impact, severity)
    for before, after, because in changes(alert, "severity"):
        assert (before, after) == ("low", severity)
        assert because == f"14 times the threshold, impact {impact}"


def test_a_flood_that_grows_says_why_it_is_worse() -> None:
    """Each rise of the severity is told with the margin and the impact that made it; it never falls."""
    played = play(flood(60, 1000), flood(7000, 8000, 10_000), until_ms=16_000)
    _, opened = only_alert(played)
    assert opened.severity is Severity.LOW
    told = [act.alert for _, act in played.actions if isinstance(act, AlertUpdated)]
    assert told[-1].severity is Severity.HIGH
    rises = changes(told[-1], "severity")
    assert [after for _, after, _ in rises][-1] == "high"
    for _, _, because in rises:
        margin, rest = because.split(" ", 1)
        assert rest == "times the threshold, impact unknown"
        assert float(margin.replace(",", "")) >= 10.0
