"""What waits beside the alerts: bounded, counted where it is lost, asked for again by a fresh database."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from synguard.history.chronicle import MAX_RESPONSES, MAX_SECONDS, SECONDS_AT_ONCE, Chronicle
from synguard.history.questions import find_responses, find_runs, find_totals
from synguard.history.responses import TakenResponse
from synguard.history.runs import Run
from synguard.history.series import TOTALS, Second
from tests.unit.history.helpers import OpenStore, Until

T = 1_790_000_000.0
RUN = Run(T, "0.1.0", "6.1.0", ("eth0", "eth1"), "dry-run", "0123456789ab", T)
TAKEN = TakenResponse("drop", "enforce", "192.0.2.7", "floods", "alert", 1, T, T + 600)


def second(at_s: int) -> Second:
    """Return a second with one of everything."""
    return Second(at_s, dict.fromkeys((one.name for one in TOTALS), 1))


def test_of_seconds_that_wait_the_newest_are_kept() -> None:
    """A disk that hangs for long costs the oldest seconds, and says how many."""
    chronicle = Chronicle()
    for at_s in range(MAX_SECONDS + 23):
        chronicle.put_second(second(at_s), at_s)
    assert (len(chronicle), chronicle.seconds_lost) == (MAX_SECONDS, 23)
    page = chronicle.due()
    assert [one.at_s for one in page.seconds] == [23 + place for place in range(SECONDS_AT_ONCE)]
    chronicle.put_second(second(9999), 9999)
    chronicle.written(page)
    assert next(one.at_s for one in chronicle.due().seconds) == 23 + SECONDS_AT_ONCE


def test_of_responses_that_wait_the_first_are_kept() -> None:
    """Another word on a response that waits takes no more room; one for which there is none is counted."""
    chronicle = Chronicle()
    for place in range(MAX_RESPONSES):
        chronicle.put_response(replace(TAKEN, started_at_s=T + place))
    chronicle.put_response(replace(TAKEN, ended_at_s=T + 1, ended_because="by hand"))
    assert chronicle.responses_lost == 0
    chronicle.put_response(replace(TAKEN, target="192.0.2.8"))
    assert (len(chronicle), chronicle.responses_lost) == (MAX_RESPONSES, 1)
    assert chronicle.due().responses[0].ended_because == "by hand"


def test_a_newer_word_is_not_taken_for_written() -> None:
    """What changed while it was being written is written once more."""
    chronicle = Chronicle()
    chronicle.put_run(RUN)
    chronicle.put_response(TAKEN)
    page = chronicle.due()
    chronicle.run_goes_on(T + 5)
    chronicle.put_response(replace(TAKEN, hits=5))
    chronicle.written(page)
    left = chronicle.due()
    assert left.run is not None
    assert (left.run.last_seen_s, [one.hits for one in left.responses]) == (T + 5, [5])
    chronicle.written(left)
    assert chronicle.due().is_empty


def test_a_run_is_told_with_its_end(open_store: OpenStore, database: Path) -> None:
    """Version, kernel, interfaces, mode and settings are kept, and why it ended; before, it is open."""
    store = open_store()
    store.begin_run(RUN)
    store.end_run(T + 100, "stopped")
    assert store.close()
    (run,) = find_runs(database, T + 50, T + 60)
    assert (run["interfaces"], run["settings_hash"], run["mode"]) == (
        ["eth0", "eth1"],
        "0123456789ab",
        "dry-run",
    )
    assert (run["ended_because"], run["last_seen_at"]) == ("stopped", run["ended_at"])
    assert find_runs(database, T + 101, T + 200) == find_runs(database, T - 10, T - 1) == []


def test_a_run_without_an_end_is_interrupted_by_the_next(open_store: OpenStore, database: Path) -> None:
    """It ended when it was seen last, whatever wrote then; the present run goes on."""
    store = open_store()
    store.begin_run(RUN)
    store.save_second(second(int(T) + 40))
    assert store.close()
    after = open_store()
    after.begin_run(replace(RUN, started_at_s=time.time(), last_seen_s=time.time()))
    after.close_interrupted(time.time())
    assert after.close()
    first, second_run = find_runs(database, T, time.time())
    assert (first["ended_because"], second_run["ended_because"]) == ("interrupted", None)
    assert first["ended_at"] > first["started_at"]


def test_a_fresh_database_hears_of_the_run_and_what_is_in_force(
    open_store: OpenStore, database: Path, until: Until
) -> None:
    """Who removes the file under a daemon loses what was, and not what is."""
    store = open_store()
    store.begin_run(RUN)
    store.save_response(TAKEN)
    store.save_response(replace(TAKEN, target="192.0.2.8", ended_at_s=T + 1, ended_because="by hand"))
    until(lambda: store.health().queued == 0)
    for file in database.parent.iterdir():
        file.unlink()
    store.save_second(second(int(T) + 1))
    until(lambda: store.health().queued == 0)
    assert store.close()
    assert [one["target"] for one in find_responses(database, T, T + 1000)] == ["192.0.2.7"]
    assert len(find_runs(database, T, T + 1)) == 1
    assert len(find_totals(database, T, T + 10)) == 1
