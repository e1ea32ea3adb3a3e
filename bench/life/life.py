"""Plays a life scenario: a day of the daemon's life in minutes, and what it holds at the end of it.

What is measured
    The daemon, whole, runs by a clock that stands while anything works and else leaps to what is due next:
    ``hours`` of it are ``snapshots``. Its probe counts, by the same clock, frames that are sent on the wire:
    in each ten minutes four of good clients, fifteen seconds of a flood, of one source or of any, then none.
    It enforces, keeps a history, is asked for state and alerts each minute, and reloads other settings
    each hour. ``rss_growth_mib``, ``descriptors_growth`` and ``threads_growth`` compare the last quarter with
    the second one, medians with medians: the first is warming up. ``database_mib`` is the history's greatest
    size.

What makes a trial invalid
    More than a thousandth of the SYNs sent and not counted, questions without an answer, or a daemon that
    ended early.
"""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from statistics import median

import msgspec

from bench.folders import folder
from bench.life.day import DayPlan, Sample
from bench.net.namespaces import Topology, start_in
from bench.results.model import Trial, now
from bench.scenario.model import LifeScenario
from synguard.errors import SynguardError

_MIB = 1 << 20
#: Ten snapshots a second at the least, with what a busy machine takes besides.
_REAL_S_PER_SNAPSHOT, _REAL_S_BESIDES = 0.1, 120.0
_COUNTED_SHARE_MIN = 0.999
#: It is asked twice a minute.
_ANSWERS_PER_HOUR_MIN = 100
#: Three times the default: a day is some 200,000 snapshots, and not 700,000.
POLL_INTERVAL_MS = 300


def play(
    scenario: LifeScenario, tell: Callable[[str], None], program: Sequence[str] = ("-m", "bench.life.child")
) -> Generator[Trial, None, None]:
    """Live the day; yield its one trial. Nothing stays behind.

    Raises UnsupportedError without what a daemon needs, SynguardError for one that failed.
    """
    for repetition in range(1, scenario.repetitions + 1):
        started_at, began_s = now(), time.monotonic()
        with Topology() as topology, folder("bench") as files:
            samples = _live(scenario, topology, files, program)
            raised, closed = _alerts(files / "synguard.db")
        tell(f"{samples[-1].hours:.1f} hours: {raised} alerts, {samples[-1].floods} floods")
        yield Trial(
            labels={},
            repetition=repetition,
            started_at=started_at,
            lasted_s=round(time.monotonic() - began_s, 1),
            invalid_because=list(_faults(scenario, samples)),
            figures={
                **_growth(samples),
                "hours": samples[-1].hours,
                "snapshots": samples[-1].snapshots,
                "alerts": raised,
                "floods": samples[-1].floods,
                "missed": samples[-1].floods - raised,
                "alerts_open": raised - closed,
            },
        )


def _live(scenario: LifeScenario, topology: Topology, files: Path, program: Sequence[str]) -> list[Sample]:
    plan = _plan(scenario, topology, files)
    limit_s = scenario.snapshots * _REAL_S_PER_SNAPSHOT + _REAL_S_BESIDES
    with start_in(
        topology.guarded,
        [sys.executable, *program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # Else a terminal's end, not a reload, would be what SIGHUP means.
        start_new_session=True,
    ) as process:
        try:
            said, log = process.communicate(msgspec.json.encode(plan), limit_s)
        except subprocess.TimeoutExpired as error:
            raise SynguardError(f"the daemon did not come to its end within {limit_s:.0f} s") from error
        finally:
            process.kill()
    if process.returncode:
        raise SynguardError(f"the daemon failed, exit code {process.returncode}:\n{log.decode()[-2000:]}")
    samples = [msgspec.json.decode(line, type=Sample) for line in said.splitlines()]
    if not samples:
        raise SynguardError("the daemon ended before its first sample; give it more snapshots")
    return samples


def _plan(scenario: LifeScenario, topology: Topology, files: Path) -> DayPlan:
    guarded = topology.guarded
    database, socket = str(files / "synguard.db"), str(files / "control.sock")
    settings = {
        "probe.interfaces": [guarded.interface],
        "probe.keep_attached": False,
        "probe.poll_interval_ms": POLL_INTERVAL_MS,
        "respond.mode": "enforce",
        "respond.drop": "always",
        "history.database": database,
        "history.retention_mib": scenario.retention_mib,
        "control.socket": socket,
        "log.level": "error",
    }
    return DayPlan(
        snapshots=scenario.snapshots,
        settings=settings,
        interface=guarded.interface,
        switch=topology.switch,
        port=guarded.port,
        database=database,
        socket=socket,
    )


def _alerts(database: Path) -> tuple[int, int]:
    """Return how many alerts the history has, and how many of them are closed."""
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as history:
        raised, closed = history.execute("SELECT count(*), sum(state = 'closed') FROM alerts").fetchone()
    return raised, closed or 0


def _growth(samples: Sequence[Sample]) -> dict[str, float | None]:
    """Return what was held at last beyond what was held once all was warm."""
    quarter = max(len(samples) // 4, 1)
    second, last = samples[quarter : 2 * quarter] or samples[:1], samples[-quarter:]

    def grown(of: Callable[[Sample], int]) -> float:
        return median(of(one) for one in last) - median(of(one) for one in second)

    return {
        "daemon_rss_mib": median(one.resident_bytes for one in last) / _MIB,
        "rss_growth_mib": grown(lambda one: one.resident_bytes) / _MIB,
        "descriptors_growth": grown(lambda one: one.descriptors),
        "threads_growth": grown(lambda one: one.threads),
        "database_mib": max(one.database_bytes for one in samples) / _MIB,
    }


def _faults(scenario: LifeScenario, samples: Sequence[Sample]) -> Iterator[str]:
    last = samples[-1]
    if not last.last:
        yield f"the daemon ended after {last.snapshots} of {scenario.snapshots} snapshots"
    if not _COUNTED_SHARE_MIN * last.syns <= last.attempts <= last.syns:
        yield f"{last.syns} SYNs were sent, and {last.attempts} counted"
    if last.answers < int(_ANSWERS_PER_HOUR_MIN * last.hours):
        yield f"the daemon answered {last.answers} times in {last.hours:.1f} hours"
