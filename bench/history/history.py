"""Plays a history scenario: how fast a large history answers, how soon news are followed, what writing takes.

What is measured
    A database of the real schema is made, with so many alerts of 50 sources each. ``answer_ms`` is the median
    time of one question, ``answer_worst_ms`` its worst: put by ``find_alerts``, as the daemon does, with
    alerts that are not on disk yet, and by a whole ``synguard alerts``, Python's start included.
    ``update_ms`` is the time of writing an open alert anew, with all its sources in another order, and
    ``follow_lag_ms`` that from saving an alert until ``synguard alerts --follow`` has printed it.

What makes a trial invalid
    A command that failed, and a follower that does not print an alert.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

from bench.folders import folder
from bench.history.alerts import open_alert
from bench.history.fill import fill
from bench.history.following import follow_lags_ms
from bench.history.questions import LIMIT, questions
from bench.results.model import Trial, now
from bench.scenario.model import HistoryScenario
from synguard.errors import SynguardError
from synguard.history.database import HistoryDatabase
from synguard.history.filter import AlertFilter
from synguard.history.pending import Batch, Saved
from synguard.history.query import find_alerts, get_alert

#: What a command is asked as well, by the names of the questions.
_BY_COMMAND = (
    "all",
    "rare class, by attempts",
    "busy listener",
    "source: IPv4 address, sort -started_at",
    "source: IPv6 /32, sort -started_at",
    "source: all of IPv4, sort -attempts",
    "source: only in the oldest, sort -started_at",
)
_UNSAVED = 20
_OPTIONS = {
    "since_s": "--since", "until_s": "--until", "kind": "--kind", "alert_class": "--class",
    "source": "--source", "listener": "--listener", "state": "--state", "sort": "--sort", "limit": "--limit",
}  # fmt: skip


def play(scenario: HistoryScenario, tell: Callable[[str], None]) -> Generator[Trial, None, None]:
    """Make the history and measure; yield a trial for each question and for what is written and followed.

    Raises SynguardError when there is no room for it.
    """
    with folder("bench") as files:
        path = files / "history.db"
        began_s = time.monotonic()
        fill(path, scenario.alerts)
        size = path.stat().st_size
        tell(f"{scenario.alerts:,} alerts in {size / 1e9:.2f} GB, {time.monotonic() - began_s:.0f} s")
        yield from _Measuring(scenario, path, tell).trials()


class _Measuring:
    """What is measured of one database."""

    def __init__(self, scenario: HistoryScenario, path: Path, tell: Callable[[str], None]) -> None:
        self._scenario = scenario
        self._path = path
        self._tell = tell
        self._middle = scenario.alerts // 2

    def trials(self) -> Iterator[Trial]:
        """Yield them all."""
        size = self._path.stat().st_size / self._scenario.alerts
        yield self._trial("size", "on disk", lambda: {"history_bytes_per_alert": size})
        for how, ask in (("in process", self._ask), ("with unsaved", self._ask_with_unsaved)):
            self._tell(f"questions {how}")
            for name, wanted in questions(self._middle):
                yield self._asked(name, how, lambda ask=ask, wanted=wanted: ask(wanted))  # type: ignore[misc]
        yield self._asked("one by its id", "in process", lambda: get_alert(self._path, self._middle))
        self._tell("questions by command")
        yield self._asked("nothing", "command", lambda: _command(["--version"]))
        asked = dict(questions(self._middle))
        for name in _BY_COMMAND:
            arguments = ["alerts", "--offline", "--database", str(self._path), *_options(asked[name])]
            yield self._asked(name, "command", lambda arguments=arguments: _command(arguments))  # type: ignore[misc]
        self._tell("updates, and news that are followed")
        yield self._trial("update", "written", self._update)
        yield self._trial("news", "followed", self._follow)

    def _ask(self, wanted: AlertFilter) -> object:
        return find_alerts(self._path, wanted)

    def _ask_with_unsaved(self, wanted: AlertFilter) -> object:
        first = self._scenario.alerts - _UNSAVED + 1
        return find_alerts(self._path, wanted, [open_alert(first + number) for number in range(_UNSAVED)])

    def _asked(self, name: str, how: str, ask: Callable[[], object]) -> Trial:
        def measure() -> dict[str, float | None]:
            times_ms = [_time_ms(ask) for _ in range(self._scenario.repeats)]
            return {"answer_ms": median(times_ms), "answer_worst_ms": max(times_ms)}

        return self._trial(name, how, measure)

    def _update(self) -> dict[str, float | None]:
        database = HistoryDatabase(self._path, check=False)
        try:
            database.prepare()
            alert = open_alert(self._scenario.alerts + 1)
            times_ms = []
            for number in range(self._scenario.updates):
                sources = alert.top_sources[number % 50 :] + alert.top_sources[: number % 50]
                batch = Batch((Saved(replace(alert, attempts=number, top_sources=sources), time.time()),))
                times_ms.append(_time_ms(lambda batch=batch: database.write(batch)))  # type: ignore[misc]
        finally:
            database.close()
        return {"update_ms": median(times_ms)}

    def _follow(self) -> dict[str, float | None]:
        lags_ms = follow_lags_ms(self._path, self._scenario.news)
        return {"follow_lag_ms": median(lags_ms), "follow_lag_worst_ms": max(lags_ms)}

    def _trial(self, name: str, how: str, measure: Callable[[], dict[str, float | None]]) -> Trial:
        started_at, began_s = now(), time.monotonic()
        figures: dict[str, float | None] = {}
        faults = []
        try:
            figures = measure()
        except SynguardError as error:
            faults.append(str(error))
        return Trial(
            labels={"asked": name, "how": how},
            repetition=1,
            started_at=started_at,
            lasted_s=round(time.monotonic() - began_s, 3),
            invalid_because=faults,
            figures=figures,
        )


def _time_ms(act: Callable[[], object]) -> float:
    before_ns = time.perf_counter_ns()
    act()
    return (time.perf_counter_ns() - before_ns) / 1e6


def _options(wanted: AlertFilter) -> list[str]:
    given = {**wanted.to_json(), "limit": LIMIT - 1}
    return [f"{_OPTIONS[name]}={value}" for name, value in given.items()]


def _command(arguments: Sequence[str]) -> None:
    command = [sys.executable, "-m", "synguard", *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env={**os.environ})
    if done.returncode:
        raise SynguardError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.strip()}")
