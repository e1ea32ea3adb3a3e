"""Alerts as JSON and as rows."""

from __future__ import annotations

import dataclasses
import json

import pytest

from synguard.history.parts import PARTS
from synguard.history.records import alert_from_json, alert_to_json, time_to_json
from synguard.history.rows import alert_from_rows, alert_to_row
from synguard.model import Alert, AlertState, ClosedBecause
from tests.unit.history.helpers import MakeAlert

KEYS = (
    "id kind class severity state closed_because started_at ended_at listener listeners source "
    "sources_estimated attempts answered completed aborted refused dropped_by_us half_open_ratio "
    "peak_syn_per_s impact evidence action decision silenced measurements top_sources timeline"
)


def test_json_has_the_promised_shape(full_alert: Alert) -> None:
    """Every key that users rely on is there, in order, with its promised form."""
    data = json.loads(json.dumps(alert_to_json(full_alert)))
    assert " ".join(data) == KEYS
    assert data["class"] == "single-source"
    assert data["started_at"] == "2026-11-22T10:00:00.250Z"
    assert data["ended_at"] == "2026-11-22T10:01:01.750Z"
    assert data["listener"] == "203.0.113.5:443"
    assert data["listeners"] == ["203.0.113.5:443", "[2001:db8::5]:25"]
    assert data["source"] == "198.51.100.7"
    assert data["evidence"][0] == {"name": "bare-syn", "value": 0.5, "weight": 0.25}
    assert data["action"] == {
        "response": "drop",
        "mode": "enforce",
        "target": "198.51.100.7",
        "reason": "proven by its timestamps",
        "until": "2026-11-22T10:10:00.250Z",
    }
    assert data["top_sources"][1] == {"source": "2001:db8:1::/64", "attempts": 300, "completed": 3}
    assert data["measurements"][0]["threshold"] == 50.0
    assert data["timeline"][0] == {
        "at": "2026-11-22T10:00:01.750Z",
        "what": "class",
        "before": "distributed",
        "after": "single-source",
        "because": "one source makes most",
    }
    assert data["silenced"] is True


def test_unknown_is_null(make_alert: MakeAlert) -> None:
    """What is not known is null, and never 0 or an empty text."""
    data = alert_to_json(make_alert(1, alert_class=None, listener=None, source=None))
    unknown = (
        "class closed_because ended_at listener source sources_estimated answered completed half_open_ratio"
    )
    assert {key for key, value in data.items() if value is None} == {*unknown.split(), "action"}


def test_json_comes_back_as_the_same_alert(full_alert: Alert, make_alert: MakeAlert) -> None:
    """What goes over the control socket arrives unchanged."""
    for alert in (full_alert, make_alert(1, listener=None, source=None)):
        assert alert_from_json(json.loads(json.dumps(alert_to_json(alert)))) == alert


def test_rows_come_back_as_the_same_alert(full_alert: Alert, make_alert: MakeAlert) -> None:
    """What goes to the disk comes back unchanged."""
    for alert in (full_alert, make_alert(1, listener=None, source=None)):
        parts = {table: [*part.rows(alert)] for table, part in PARTS.items()}
        back = alert_from_rows(alert_to_row(alert, 0), parts)
        assert back == alert
        assert back.closed_because is None or isinstance(back.closed_because, ClosedBecause)


def test_times_are_rounded_to_the_millisecond() -> None:
    """A time is rounded, not cut, and carries into the second."""
    assert time_to_json(1_795_341_599.9996) == "2026-11-22T10:00:00.000Z"
    assert time_to_json(None) is None


def test_only_fifty_top_sources_are_kept(full_alert: Alert) -> None:
    """A long list of sources is cut to its head."""
    many = dataclasses.replace(full_alert, top_sources=full_alert.top_sources * 40)
    assert len([*PARTS["alert_sources"].rows(many)]) == 50


def test_rows_that_did_not_change_are_not_made_again(full_alert: Alert) -> None:
    """Of the lists beside an alert, only what differs from the last time is to be written."""
    first, second = full_alert.timeline
    later = dataclasses.replace(full_alert, timeline=(first, dataclasses.replace(second, because="x"), first))
    changed = [*PARTS["alert_timeline"].rows(later, full_alert)]
    assert [(row["position"], row["because"]) for row in changed] == [(1, "x"), (2, first.because)]
    assert not [*PARTS["alert_sources"].rows(later, full_alert)]
    assert not [*PARTS["alert_timeline"].rows(full_alert, later)][1:]


@pytest.mark.parametrize(
    "change",
    [{"id": None}, {"kind": "x"}, {"source": "x"}, {"action": {}}, {"evidence": [1]}, {"timeline": [{}]}],
)
def test_other_json_is_refused(full_alert: Alert, change: dict[str, object]) -> None:
    """Data that is no alert raises ValueError, whatever is wrong with it."""
    data = {**alert_to_json(full_alert), **change}
    with pytest.raises(ValueError):  # noqa: PT011 - each is wrong in words of its own
        alert_from_json(data)
    with pytest.raises(ValueError, match="not an alert: KeyError"):
        alert_from_json({"state": AlertState.OPEN})
