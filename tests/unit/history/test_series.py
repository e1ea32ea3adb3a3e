"""Figures of seconds: written, rolled up, kept within bounds, and asked for."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from synguard.errors import UsageError
from synguard.history.chronicle import Page
from synguard.history.database import HistoryDatabase
from synguard.history.pending import Batch
from synguard.history.questions import find_listener_series, find_totals
from synguard.history.records import time_from_json, time_to_json
from synguard.history.retention import DAY_S, Keep
from synguard.history.series import LISTENER, TOTALS, Second

#: A whole day, and so a whole hour and minute.
DAY = 20_000 * DAY_S
WEB, MAIL = "203.0.113.5:443", "[2001:db8::5]:25"


def second(at_s: int, attempts: int, *listeners: str, completed: int | None = 0) -> Second:
    """Return a second in which each listener got so many attempts, one in ten of them dropped."""
    counts = {"attempts": attempts, "completed": completed, "peak_attempts_per_s": float(attempts)}
    totals = {one.name: 0 for one in TOTALS} | counts | {"kernel_cookies": None, "answered": None}
    figures = dict.fromkeys(one.name for one in LISTENER) | {"aborted": 0, "refused": 0} | counts
    figures |= {"dropped_by_us": attempts // 10, "handshake_p99_ms": float(attempts)}
    return Second(at_s, totals, dict.fromkeys(listeners, figures))


@pytest.fixture
def opened(database: Path) -> Iterator[HistoryDatabase]:
    """Return a database to write to."""
    opened = HistoryDatabase(database)
    opened.prepare()
    yield opened
    opened.close()


def write(database: HistoryDatabase, *seconds: Second) -> None:
    """Write seconds."""
    database.write(Batch(page=Page(seconds)))


def expire(database: HistoryDatabase, wall_s: float, keep: Keep | None = None) -> int:
    """Keep the retention until nothing is left to do; return how many steps it took."""
    steps = 0
    while database.expire_step(wall_s, keep or Keep()):
        steps += 1
        assert steps < 10_000
    return steps


def steps_of(database: Path, table: str = "totals_series") -> dict[int, int]:
    """Return how many rows there are of each step."""
    connection = sqlite3.connect(database)
    rows = connection.execute(f"SELECT step_s, count(*) FROM {table} GROUP BY step_s").fetchall()  # noqa: S608
    connection.close()
    return dict(rows)


def test_a_second_is_told_as_it_was_written(opened: HistoryDatabase, database: Path) -> None:
    """Counts, the unknown and the moment come back, of all and of one listener."""
    write(opened, second(DAY + 7, 30, WEB, completed=None), second(DAY + 9, 5, MAIL))
    first, last = find_totals(database, DAY, DAY + 60, 60)
    assert (first["at"], first["step_s"], first["attempts"]) == (time_text(DAY + 7), 1, 30)
    assert (first["completed"], first["kernel_cookies"], last["completed"]) == (None, None, 0)
    (web,) = find_listener_series(database, [WEB], DAY, DAY + 60, 60)
    assert (web["attempts"], web["dropped_by_us"], web["syn_queue"]) == (30, 3, None)
    both = find_listener_series(database, [WEB, MAIL], DAY, DAY + 60, 60)
    assert [step["attempts"] for step in both] == [30, 5]
    assert find_listener_series(database, ["192.0.2.1:1"], DAY, DAY + 60, 60) == []


def time_text(at_s: float) -> str:
    """Return a moment as JSON has it."""
    return time_to_json(at_s) or ""


def test_a_clock_that_goes_back_adds_to_the_second(opened: HistoryDatabase, database: Path) -> None:
    """The same second once more is added to what is there."""
    write(opened, second(DAY, 30, WEB, completed=4), second(DAY, 5, WEB, completed=1))
    (step,) = find_totals(database, DAY - 1, DAY + 1, 10)
    assert (step["attempts"], step["completed"], step["peak_attempts_per_s"]) == (35, 5, 30.0)


def test_completed_is_unknown_where_it_is_in_part(opened: HistoryDatabase, database: Path) -> None:
    """A minute that was seen one-way for a second does not pass for one with few completions."""
    half = [second(DAY + place, 10, WEB, completed=10 if place else None) for place in range(30)]
    write(opened, *half, second(DAY, 1, WEB, completed=1), second(DAY + 70, 10, WEB, completed=9))
    for _ in range(2):
        known = {step["at"]: step["completed"] for step in find_totals(database, DAY, DAY + 120, 2)}
        assert known == {time_text(DAY): None, time_text(DAY + 60): 9}
        listener = find_listener_series(database, [WEB], DAY, DAY + 120, 2)
        assert [step["completed"] for step in listener] == [None, 9]
        expire(opened, DAY + 3 * DAY_S)


def test_steps_are_coarsened_to_what_was_asked_for(opened: HistoryDatabase, database: Path) -> None:
    """An hour in twelve steps comes in fives of minutes, and loses no attempt."""
    write(opened, *(second(DAY + place, place % 7, WEB) for place in range(3600)))
    steps = find_totals(database, DAY, DAY + 3600, 12)
    assert {step["step_s"] for step in steps} == {300}
    assert [time_from_json(step["at"]) for step in steps] == [DAY + 300 * place for place in range(12)]
    assert sum(step["attempts"] for step in steps) == sum(place % 7 for place in range(3600))
    assert {step["peak_attempts_per_s"] for step in steps} == {6.0}
    listener = find_listener_series(database, [WEB], DAY, DAY + 3600, 12)
    assert [step["attempts"] for step in listener] == [step["attempts"] for step in steps]


def test_seconds_become_minutes_and_minutes_hours(opened: HistoryDatabase, database: Path) -> None:
    """What is older than a day is kept by the minute, older than a month by the hour; no attempt is lost."""
    now_s = DAY + 40 * DAY_S
    moments = sorted({DAY + place * 1153 for place in range(2990)} | {now_s - 5, now_s - 86_340})
    write(opened, *(second(at_s, 3, WEB, MAIL, completed=1) for at_s in moments))
    expire(opened, now_s)
    for table in ("totals_series", "listener_series"):
        assert set(steps_of(database, table)) == {1, 60, 3600}
    asked = find_totals(database, DAY, now_s, 40)
    assert sum(step["attempts"] for step in asked) == 3 * len(moments)
    assert sum(step["completed"] for step in asked) == len(moments)
    mail = find_listener_series(database, [MAIL], DAY, now_s, 40)
    assert sum(step["attempts"] for step in mail) == 3 * len(moments)
    old = find_totals(database, DAY, now_s - 32 * DAY_S, 10_000)
    young = find_totals(database, now_s - DAY_S + 3600, now_s, 10_000)
    assert {step["step_s"] for step in old} == {3600}
    assert max(step["step_s"] for step in young) < 60


def test_what_has_grown_too_old_goes(opened: HistoryDatabase, database: Path) -> None:
    """After the time that is kept no step is left, of whatever width."""
    write(opened, *(second(DAY + place * 7919, 3, WEB) for place in range(500)))
    expire(opened, DAY + 20 * DAY_S)
    assert steps_of(database)
    expire(opened, DAY + 500 * 7919 + 91 * DAY_S)
    assert steps_of(database) == steps_of(database, "listener_series") == {}
    connection = sqlite3.connect(database)
    assert connection.execute("SELECT count(*) FROM series_listeners").fetchone() == (0,)
    connection.close()


def test_names_of_many_listeners_are_gone_through_in_steps(opened: HistoryDatabase, database: Path) -> None:
    """A thousand listeners are looked at a few at a time, and each of them is rolled up."""
    names = [f"203.0.113.5:{port}" for port in range(1, 1001)]
    write(opened, second(DAY, 3, *names))
    assert expire(opened, DAY + 3 * DAY_S) > 1000
    assert steps_of(database, "listener_series") == {60: 1000}
    # A round in which nothing is to be done is not one long transaction either.
    assert expire(opened, DAY + 3 * DAY_S) == 10


def test_a_database_that_cannot_shrink_further_is_left_so(opened: HistoryDatabase, database: Path) -> None:
    """Young figures of many listeners that exceed the size stay, and the attempt to shrink them ends."""
    write(opened, second(DAY, 3, *(f"203.0.113.5:{port}" for port in range(1, 1001))))
    expire(opened, DAY + 60.0, Keep(max_bytes=4096))
    assert steps_of(database, "listener_series") == {1: 1000}


def test_a_late_second_joins_the_minute_that_is_there(opened: HistoryDatabase, database: Path) -> None:
    """A roll-up adds to a minute that exists, instead of replacing it."""
    write(opened, second(DAY, 3, WEB))
    expire(opened, DAY + 3 * DAY_S)
    write(opened, second(DAY + 1, 4, WEB))
    expire(opened, DAY + 3 * DAY_S)
    assert steps_of(database) == {60: 1}
    (step,) = find_totals(database, DAY, DAY + 60, 1)
    assert step["attempts"] == 7


def test_over_the_size_figures_become_coarser_before_alerts_go(
    opened: HistoryDatabase, database: Path
) -> None:
    """A database that is too big keeps the attempts of a day, by the minute."""
    names = [f"203.0.113.{place}:443" for place in range(40)]
    write(opened, *(second(DAY + place, 3, *names) for place in range(3600)))
    big = database.stat().st_size
    expire(opened, DAY + 3 * 3600, Keep(max_bytes=2 << 20))
    assert steps_of(database, "listener_series")[60] > 60 * 20
    assert sum(step["attempts"] for step in find_totals(database, DAY, DAY + 3600, 60)) == 3 * 3600
    opened.finish_expiry(DAY + 3 * 3600.0, 0.0)
    assert database.stat().st_size <= 2 << 20 < big


@pytest.mark.parametrize(("since_s", "until_s", "steps"), [(2, 1, 10), (1, 1, 10), (1, 2, 0), (1, 2, 10_001)])
def test_nonsense_is_refused(database: Path, since_s: float, until_s: float, steps: int) -> None:
    """A time that ends before it begins, or no steps at all, is wrong usage."""
    with pytest.raises(UsageError):
        find_totals(database, since_s, until_s, steps)
