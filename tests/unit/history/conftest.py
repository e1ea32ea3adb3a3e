"""Alerts to keep, stores to keep them in, and a way to wait for a store without sleeping blindly."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from synguard.endpoint import Listener
from synguard.history.store import HistoryStore
from synguard.model import (
    Alert,
    AlertClass,
    AlertKind,
    AlertState,
    Change,
    ClosedBecause,
    Evidence,
    Measurement,
    RespondMode,
    Response,
    Severity,
    TopSource,
)
from tests.unit.history.helpers import STARTED_AT_S, Events, MakeAlert, OpenStore, Until


@pytest.fixture
def make_alert() -> MakeAlert:
    """Return a maker of alerts."""

    def make(alert_id: int, **changes: Any) -> Alert:
        values: dict[str, Any] = {
            "kind": AlertKind.SYN_FLOOD,
            "alert_class": AlertClass.SINGLE_SOURCE,
            "severity": Severity.HIGH,
            "state": AlertState.OPEN,
            "started_at_s": STARTED_AT_S,
            "listener": Listener.parse("203.0.113.5:443"),
            "source": ip_network("198.51.100.7"),
            "attempts": 2300,
        }
        return Alert(id=alert_id, **(values | changes))

    return make


@pytest.fixture
def full_alert(make_alert: MakeAlert) -> Alert:
    """Return a closed alert with every field filled."""
    return make_alert(
        23,
        state=AlertState.CLOSED,
        closed_because=ClosedBecause.ENDED,
        ended_at_s=STARTED_AT_S + 61.5,
        sources_estimated=97,
        answered=2000,
        completed=3,
        aborted=5,
        refused=7,
        dropped_by_us=11,
        half_open_ratio=0.875,
        peak_syn_per_s=1234.5,
        impact="cookies",
        evidence=(
            Evidence("bare-syn", 0.5, 0.25),
            Evidence("ttl", "all 64", 0.5),
            Evidence("bogons", 3, 0.25),
        ),
        measurements=(Measurement("half_open_per_s", 120.5, 50.0, "1/s", 2.0),),
        top_sources=(
            TopSource(ip_network("198.51.100.7"), 2000, 0),
            TopSource(ip_network("2001:db8:1::/64"), 300, 3),
        ),
        response=Response(
            "drop", RespondMode.ENFORCE, "198.51.100.7", "proven by its timestamps", STARTED_AT_S + 600
        ),
        decision="Dropped, because its timestamps continue a completed handshake's.",
        listeners=(Listener.parse("203.0.113.5:443"), Listener.parse("[2001:db8::5]:25")),
        timeline=(
            Change(STARTED_AT_S + 1.5, "class", "distributed", "single-source", "one source makes most"),
            Change(STARTED_AT_S + 2, "response", None, "drop 198.51.100.7"),
        ),
        silenced=True,
    )


@pytest.fixture
def events() -> Events:
    """Return a log that remembers."""
    return Events()


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Return where the history is to be; its directory is not there yet."""
    return tmp_path / "state" / "synguard.db"


@pytest.fixture
def open_store(database: Path, events: Events) -> Iterator[OpenStore]:
    """Return an opener of stores, and close each of them in the end."""
    stores: list[HistoryStore] = []

    def open_one(at: Path | None = None, **options: Any) -> HistoryStore:
        store = HistoryStore(at or database, log=events, **options)
        store.start()
        stores.append(store)
        return store

    yield open_one
    for store in stores:
        store.close(0.2)


@pytest.fixture
def until() -> Until:
    """Return a function that waits until a condition holds, and tells the seconds that took."""

    def wait(condition: Callable[[], object], within_s: float = 5.0) -> float:
        started_s = time.monotonic()
        while not condition():
            assert time.monotonic() < started_s + within_s, "it never came true"
            time.sleep(0.002)
        return time.monotonic() - started_s

    return wait
