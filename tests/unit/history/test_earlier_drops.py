"""Which sources earlier daemons dropped, so that a repeater is known after a restart."""

from __future__ import annotations

import sqlite3
import time
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest

from synguard.history import responses
from synguard.history.responses import TakenResponse
from tests.unit.history.helpers import OpenStore

NOW_S = float(int(time.time()))
#: A drop of ten minutes that ended, in its time, an hour ago.
DROP = TakenResponse(
    "drop", "enforce", "192.0.2.7", "floods", "alert", 1, NOW_S - 4200, NOW_S - 3600, NOW_S - 3599.5,
    "its time is over", 23,
)  # fmt: skip
SOURCE = ip_network("192.0.2.7")


def drops_after_a_restart(open_store: OpenStore, *taken: TakenResponse, since_s: float = 0.0) -> list[object]:
    """Return what the next daemon is told of responses that this one has taken."""
    store = open_store()
    for one in taken:
        store.save_response(one)
    assert store.close(5.0)
    return [*open_store().earlier_drops(since_s)]


def test_each_drop_is_told_with_its_end(open_store: OpenStore) -> None:
    """A source that was dropped twice is told twice, the newest first."""
    later = replace(DROP, started_at_s=NOW_S - 1300, until_s=NOW_S - 100, ended_at_s=NOW_S - 100)
    v6 = replace(DROP, target="2001:db8::/64", started_at_s=NOW_S - 4100)
    told = drops_after_a_restart(open_store, DROP, v6, later)
    assert told == [
        (SOURCE, NOW_S - 100), (ip_network("2001:db8::/64"), NOW_S - 3600), (SOURCE, NOW_S - 3600)
    ]  # fmt: skip


def test_only_drops_of_the_time_in_question_are_told(open_store: OpenStore) -> None:
    """What ended before the moment asked for has been forgiven."""
    assert drops_after_a_restart(open_store, DROP, since_s=NOW_S - 3599) == []


@pytest.mark.parametrize(
    "other",
    [
        {"mode": "dry-run"},
        {"response": "greylist"},
        {"asked_by": "manual"},
        {"ended_at_s": NOW_S - 4000, "ended_because": "by hand (uid 0)"},
        {"target": "203.0.113.5:443"},
    ],
)
def test_what_was_no_whole_drop_makes_no_repeater(open_store: OpenStore, other: dict[str, object]) -> None:
    """Dry-run, other responses, people's own blocks and drops taken back tell nothing against a source."""
    assert drops_after_a_restart(open_store, replace(DROP, **other)) == []  # type: ignore[arg-type]


def test_a_drop_over_a_restart_is_one(open_store: OpenStore) -> None:
    """One that ended with its daemon and was put in force again by the next counts once."""
    first = replace(DROP, ended_at_s=NOW_S - 4000, ended_because="the daemon ended")
    again = replace(DROP, started_at_s=NOW_S - 3990)
    assert drops_after_a_restart(open_store, first, again) == [(SOURCE, NOW_S - 3600)]


def test_a_drop_that_goes_on_is_not_over(open_store: OpenStore) -> None:
    """What the daemon left in force is no earlier drop until its time is over, killed or stopped."""
    on = replace(DROP, until_s=time.time() + 600, ended_at_s=None, ended_because=None)
    stopped = replace(on, target="192.0.2.8", ended_at_s=NOW_S - 10, ended_because="the daemon ended")
    assert drops_after_a_restart(open_store, on, stopped) == []


def test_a_drop_whose_daemon_was_killed_ended_in_its_time(open_store: OpenStore) -> None:
    """The kernel ended it, though nobody was there to write that down."""
    killed = replace(DROP, ended_at_s=None, ended_because=None)
    assert drops_after_a_restart(open_store, killed) == [(SOURCE, NOW_S - 3600)]


def test_of_very_many_the_newest_are_told(open_store: OpenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the history is, a start reads a bounded part of it."""
    monkeypatch.setattr(responses, "MAX_DROPS", 2)
    monkeypatch.setattr(responses, "MOST_READ", 3)
    many = (replace(DROP, target=f"192.0.2.{n}", started_at_s=DROP.started_at_s + n) for n in range(5))
    told = drops_after_a_restart(open_store, *many, replace(DROP, mode="dry-run", started_at_s=NOW_S - 9))
    assert [str(source) for source, _ in told] == ["192.0.2.4/32", "192.0.2.3/32"]  # type: ignore[misc,has-type]


def test_a_row_that_no_one_understands_costs_itself(open_store: OpenStore, database: Path) -> None:
    """A damaged target is passed over, and the others are told."""
    store = open_store()
    for one in (DROP, replace(DROP, target="192.0.2.8")):
        store.save_response(one)
    assert store.close(5.0)
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE responses SET target = 'x' WHERE target = '192.0.2.8'")
    connection.close()
    assert open_store().earlier_drops(0.0) == [(SOURCE, NOW_S - 3600)]
