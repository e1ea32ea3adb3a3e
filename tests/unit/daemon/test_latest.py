"""The open alerts as they were told last."""

from __future__ import annotations

from dataclasses import replace

from synguard.daemon.latest import Latest
from synguard.model import Alert, AlertState
from tests.unit.cli.conftest import SPOOFED


class Kept:
    """A history that only remembers."""

    def __init__(self) -> None:
        self.saved: list[Alert] = []

    def save(self, alert: Alert) -> None:
        """Remember it."""
        self.saved.append(alert)


def test_the_last_word_on_each_open_alert_is_kept() -> None:
    """Updates replace, a close takes it away, and the history hears every word."""
    kept = Kept()
    latest = Latest(kept)
    newer, other = replace(SPOOFED, attempts=9), replace(SPOOFED, id=7)
    for alert in (SPOOFED, newer, other):
        latest.save(alert)
    assert latest.alerts() == [other, newer]
    latest.save(replace(newer, state=AlertState.CLOSED))
    assert latest.alerts() == [other]
    assert len(latest) == 1
    assert len(kept.saved) == 4
