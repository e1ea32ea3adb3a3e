"""What the history finds by its indexes is what reading every alert would find, in the same order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synguard.endpoint import Listener, Network, unmapped
from synguard.history import search
from synguard.history.database import HistoryDatabase
from synguard.history.filter import SORT_FIELDS, AlertFilter
from synguard.history.pending import Batch, Saved
from synguard.history.query import find_alerts
from synguard.model import Alert, AlertClass, AlertKind, AlertState, ClosedBecause, Severity, TopSource
from tests.unit.history.helpers import STARTED_AT_S, MakeAlert
from tests.unit.history.test_schema import make_earlier

_NETWORKS = (
    "10.1.2.3", "10.1.2.0/24", "10.1.0.0/16", "10.0.0.0/8", "0.0.0.0/0", "10.1.2.4", "11.0.0.0/8",
    "192.0.2.9", "2001:db8:1:2::/64", "2001:db8:1:2::9", "2001:db8:1::/48", "2001:db8::/32", "::/0", "::1",
    "2001:db9::/32", "::ffff:0:0/96", "::ffff:10.1.2.0/120", "::fffe:0:0/95", "::/80", "ffff::/16",
)  # fmt: skip
_LISTENERS = ("203.0.113.5:443", "203.0.113.5", "203.0.113.55:443", "[2001:db8::5]:443", "2001:db8::5")
_SEVERITIES = list(Severity)
_networks = st.sampled_from(_NETWORKS).map(ip_network)
_listeners = st.sampled_from(_LISTENERS).map(Listener.parse)
_seconds = st.sampled_from([STARTED_AT_S + second for second in range(4)])
#: Far enough apart that they are in several of the stretches that the index is read by.
_ids = st.integers(1, 12).map(lambda number: number * 4000)

_changes = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(list(AlertKind)),
        "alert_class": st.none() | st.sampled_from([AlertClass.SPOOFED, AlertClass.PREFIX]),
        "severity": st.sampled_from(_SEVERITIES),
        "started_at_s": _seconds,
        "ended_at_s": st.none() | _seconds,
        "listener": st.none() | _listeners,
        "listeners": st.lists(_listeners, max_size=3, unique=True).map(tuple),
        "source": st.none() | _networks,
        "top_sources": st.lists(_networks, max_size=4).map(
            lambda found: tuple(TopSource(one, 3, 0) for one in found)
        ),
        "attempts": st.integers(0, 3),
        "sources_estimated": st.none() | st.integers(0, 3),
        "half_open_ratio": st.none() | st.sampled_from([0.0, 0.5]),
        "peak_syn_per_s": st.sampled_from([1.5, 20.0]),
    }
)
_sorts = st.sampled_from([f"{sign}{field}" for field in SORT_FIELDS for sign in ("", "-")])
_source_filters = st.fixed_dictionaries(
    {"sort": _sorts, "source": st.sampled_from(_NETWORKS)}, optional={"limit": st.integers(1, 5)}
)
_filters = _source_filters | st.fixed_dictionaries(
    {"sort": _sorts},
    optional={
        "since_s": _seconds,
        "until_s": _seconds,
        "kind": st.sampled_from([kind.value for kind in AlertKind]),
        "alert_class": st.sampled_from(["spoofed", "prefix"]),
        "state": st.sampled_from(["open", "closed"]),
        "listener": st.sampled_from(_LISTENERS),
        "source": st.sampled_from(_NETWORKS),
        "after_id": _ids,
        "limit": st.integers(1, 5),
    },
)
_some_alerts = st.lists(st.tuples(_ids, _changes), max_size=12, unique_by=lambda one: one[0])
_many_alerts = st.lists(st.tuples(_ids, _changes), min_size=8, max_size=12, unique_by=lambda one: one[0])


def _made(make_alert: MakeAlert, some: Sequence[tuple[int, dict[str, Any]]]) -> list[Alert]:
    alerts = [make_alert(alert_id, **changes) for alert_id, changes in some]
    # The first of several is the alert's own; one alone need not be listed.
    alerts = [replace(alert, listener=alert.listeners[0]) if alert.listeners else alert for alert in alerts]
    return [
        alert
        if alert.ended_at_s is None
        else replace(alert, state=AlertState.CLOSED, closed_because=ClosedBecause.ENDED)
        for alert in alerts
    ]


def _ends(network: Network) -> tuple[int, int]:
    mapped = 0xFFFF << 32 if network.version == 4 else 0
    return mapped + int(network.network_address), mapped + int(network.broadcast_address)


def _is_of(alert: Alert, text: str) -> bool:
    asked = unmapped(ip_network(text))
    first, last = _ends(asked)
    for network in [*([alert.source] if alert.source else []), *(top.source for top in alert.top_sources)]:
        its_first, its_last = _ends(network)
        is_mapped = its_first >> 32 == its_last >> 32 == 0xFFFF
        if its_first <= last and its_last >= first and not (asked.version == 6 and is_mapped):
            return True
    return False


def _is_on(alert: Alert, text: str) -> bool:
    wanted = Listener.parse(text)
    return any(
        one is not None and (one == wanted or (not wanted.port and one.address == wanted.address))
        for one in (alert.listener, *alert.listeners)
    )


def _passes(alert: Alert, **wanted: Any) -> bool:
    return all(
        (
            "since_s" not in wanted or alert.ended_at_s is None or alert.ended_at_s >= wanted["since_s"],
            "until_s" not in wanted or alert.started_at_s <= wanted["until_s"],
            wanted.get("kind") in (None, alert.kind),
            wanted.get("alert_class") in (None, alert.alert_class),
            wanted.get("state") in (None, alert.state),
            alert.id > wanted.get("after_id", 0),
            "listener" not in wanted or _is_on(alert, wanted["listener"]),
            "source" not in wanted or _is_of(alert, wanted["source"]),
        )
    )


def _place(alert: Alert, field: str) -> Any:
    if field == "severity":
        return _SEVERITIES.index(alert.severity)
    if field == "source":
        return None if alert.source is None else _ends(alert.source)[0]
    value = getattr(alert, {"class": "alert_class"}.get(field, f"{field}_s" if "_at" in field else field))
    return str(value) if field in ("kind", "class", "state", "listener") and value is not None else value


def _expected(alerts: Sequence[Alert], sort: str, limit: int | None = None, **wanted: Any) -> list[int]:
    """Return the ids of what one would find by reading every alert."""
    field, backwards = sort.removeprefix("-"), sort.startswith("-")
    passing = [(_place(alert, field), alert.id) for alert in alerts if _passes(alert, **wanted)]
    known = sorted((one for one in passing if one[0] is not None), reverse=backwards)
    unknown = sorted((one for one in passing if one[0] is None), key=lambda one: one[1], reverse=backwards)
    return [alert_id for _, alert_id in [*known, *unknown]][:limit]


def _write(path: Path, alerts: Sequence[Alert]) -> None:
    database = HistoryDatabase(path)
    database.prepare()
    # Most alerts were open before they ended, and had other sources then.
    opened = [
        replace(alert, state=AlertState.OPEN, ended_at_s=None, top_sources=alert.top_sources[::-1])
        for alert in alerts[::2]
    ]
    for some in (opened, alerts):
        database.write(Batch(tuple(Saved(alert, 1.0) for alert in some), {}))
    database.close()


_QUICKLY = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.mark.parametrize(
    ("most_gathered", "most_tested", "few"), [(10**6, 10**6, 10**6), (0, 10**6, 0), (0, 1, 0), (1, 2, 0)]
)
@_QUICKLY
@given(saved=_many_alerts, unsaved=_some_alerts, wanted=_filters)
def test_every_way_to_search_finds_what_reading_all_would(
    most_gathered: int,
    most_tested: int,
    few: int,
    make_alert: MakeAlert,
    saved: Sequence[Any],
    unsaved: Sequence[Any],
    wanted: dict[str, Any],
) -> None:
    """Whatever is asked of whichever alerts, saved, changed since or not saved yet, one answer is right."""
    on_disk, news = _made(make_alert, saved), _made(make_alert, unsaved)
    alerts = {alert.id: alert for alert in [*on_disk, *news]}
    with TemporaryDirectory() as place, pytest.MonkeyPatch.context() as patch:
        for name, value in (
            ("MOST_GATHERED", most_gathered), ("MOST_TESTED", most_tested), ("_FEW", few)
        ):  # fmt: skip
            patch.setattr(search, name, value)
        _write(Path(place) / "history.db", on_disk)
        found = find_alerts(Path(place) / "history.db", AlertFilter(**wanted), news)
    assert [alert.id for alert in found] == _expected([*alerts.values()], **wanted)
    assert all(alert == alerts[alert.id] for alert in found)


@_QUICKLY
@given(saved=_many_alerts, unsaved=_some_alerts, wanted=_filters)
def test_an_earlier_database_gives_the_same_answers(
    make_alert: MakeAlert, saved: Sequence[Any], unsaved: Sequence[Any], wanted: dict[str, Any]
) -> None:
    """Before a daemon of this release has made the indexes the same is found, only slower."""
    on_disk, news = _made(make_alert, saved), _made(make_alert, unsaved)
    alerts = {alert.id: alert for alert in [*on_disk, *news]}
    with TemporaryDirectory() as place:
        make_earlier(Path(place) / "history.db", "index_alerts", *on_disk)
        found = find_alerts(Path(place) / "history.db", AlertFilter(**wanted), news)
    assert [alert.id for alert in found] == _expected([*alerts.values()], **wanted)


@pytest.mark.parametrize("sort", ["-started_at", "started_at", "-id", "id"])
def test_clocks_that_went_backwards_do_not_mislead_the_order(
    make_alert: MakeAlert, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sort: str
) -> None:
    """Alerts whose ids and starts have different orders come in the order asked for, however far apart."""
    monkeypatch.setattr(search, "MOST_GATHERED", 0)
    monkeypatch.setattr(search, "MOST_TESTED", 1)
    alerts = [
        make_alert(number * 3000, started_at_s=STARTED_AT_S + number * 7 % 20, source=ip_network("10.1.2.3"))
        for number in range(1, 20)
    ]
    _write(tmp_path / "history.db", alerts)
    wanted = {"source": "10.0.0.0/8", "sort": sort, "limit": 3}
    found = find_alerts(tmp_path / "history.db", AlertFilter(**wanted))  # type: ignore[arg-type]
    assert [alert.id for alert in found] == _expected(alerts, **wanted)  # type: ignore[arg-type]


def test_what_a_kill_left_open_is_found_by_its_sources(make_alert: MakeAlert, tmp_path: Path) -> None:
    """Its alerts' sources are indexed when they are closed, and found before and after."""
    path, wanted = tmp_path / "history.db", AlertFilter(source="10.1.2.3")
    _write(path, [make_alert(5, source=None, top_sources=(TopSource(ip_network("10.1.2.0/24"), 3, 0),))])
    assert [alert.state for alert in find_alerts(path, wanted)] == [AlertState.OPEN]
    database = HistoryDatabase(path)
    assert database.close_interrupted(9, 2.0, 0.0) == (5,)
    database.close()
    assert [alert.state for alert in find_alerts(path, wanted)] == [AlertState.CLOSED]
