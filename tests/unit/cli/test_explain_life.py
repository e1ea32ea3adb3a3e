"""``synguard explain``: what came during an alert's life, and what was done about it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from typing import cast

import pytest

from synguard.cli.lifetime import Row, lifetime
from synguard.history.chronicle import Page
from synguard.history.database import HistoryDatabase
from synguard.history.pending import Batch, Saved
from synguard.history.questions import HistoryReading
from synguard.history.records import alert_to_json
from synguard.history.responses import TakenResponse
from synguard.history.runs import Run
from synguard.history.series import LISTENER, TOTALS, Second
from synguard.model import Alert, AlertClass, AlertState, Change, ClosedBecause, TopSource
from tests.unit.cli.conftest import BLIND, FLOOD, SCAN, SPOOFED, STARTED_AT_S, Cli, on_terminal
from tests.unit.cli.test_explain import GROUPED

WEB = "203.0.113.5:443"
RUN = Run(STARTED_AT_S - 1000, "1", "6.18", ("eth0",), "enforce", "x", STARTED_AT_S + 5000)
TAKEN = TakenResponse(
    "drop", "enforce", "198.51.100.7", "floods", "alert", 23, STARTED_AT_S + 1, STARTED_AT_S + 601,
    STARTED_AT_S + 61, "the alert is over", 123_456,
)  # fmt: skip


def _second(at_s: int, attempts: int, completed: int | None) -> Second:
    counts = {"attempts": attempts, "completed": completed, "peak_attempts_per_s": float(attempts)}
    totals = {one.name: 0 for one in TOTALS} | counts | {"attempts": attempts + 1, "fin_probes": 5}
    figures = dict.fromkeys(one.name for one in LISTENER) | {"aborted": 0, "refused": 0, "dropped_by_us": 0}
    return Second(at_s, totals, {WEB: figures | counts})


@contextmanager
def _history(path: Path) -> Iterator[HistoryDatabase]:
    database = HistoryDatabase(path)
    database.prepare()
    yield database
    database.close()


def _write(path: Path, *alerts: Alert, page: Page) -> None:
    with _history(path) as database:
        database.write(Batch(tuple(Saved(alert, alert.started_at_s) for alert in alerts), page=page))


def _flood_seconds(begin_s: float, *, completed: int | None = 20) -> tuple[Second, ...]:
    """Return the seconds around a flood of 72 s: 100 attempts, then 10,000, then 100."""
    first = int(begin_s)
    return tuple(
        _second(at_s, 10_000 if first <= at_s < first + 72 else 100, completed)
        for at_s in range(first - 20, first + 92)
    )


@pytest.fixture
def told(database: Path) -> Path:
    """Return a history that tells of the flood's seconds and of the response to it."""
    page = Page(_flood_seconds(STARTED_AT_S), (TAKEN,), RUN)
    _write(database, replace(FLOOD, listeners=(FLOOD.listener,) if FLOOD.listener else ()), page=page)
    return database


@pytest.mark.usefixtures("told")
def test_a_life_is_drawn(run_cli: Cli) -> None:
    """Attempts and completions are drawn from a little before to a little after, with their highest."""
    lines = run_cli("explain", "23").stdout.splitlines()
    begin = lines.index("Since it opened, and all that came to its listeners, each column the mean of 2 s")
    assert lines[begin + 1].startswith("  attempts 210,000, answered 2,000")
    assert lines[begin + 2 : begin + 5] == [
        f"  {'▂' * 3}{'█' * 36}{'▂' * 3}  attempts, at most 10,000/s",
        f"  {'█' * 42}  completed, at most 20/s",
        "  2026-11-22T09:59:54Z  2026-11-22T10:01:18Z",
    ]


@pytest.mark.usefixtures("told")
def test_responses_are_told_to_their_end(run_cli: Cli) -> None:
    """What was done is told with its end and what it caught; JSON has both, and the figures."""
    output = run_cli("explain", "23").stdout
    assert re.search(
        r"\+1\.0s  drop +198\.51\.100\.7  2026-11-22T10:10:01Z  after 1m 0s: the alert is over +123,456",
        output,
    )
    data = json.loads(run_cli("explain", "23", "--format", "json").stdout)
    assert [one["hits"] for one in data["responses"]] == [123_456]
    assert (data["series"][0]["step_s"], data["series"][0]["attempts"]) == (2, 200)


@pytest.mark.usefixtures("told")
def test_what_was_ended_is_not_told_as_if_nothing_had_been_done(run_cli: Cli, database: Path) -> None:
    """Once responses are off the alert has no action any more, and what it had stands with its end."""
    off = replace(FLOOD, response=None, decision="responses are off (respond.mode)")
    _write(database, off, page=Page((), ()))
    output = run_cli("explain", "23").stdout
    assert "  nothing is done any more: responses are off (respond.mode)\n" in output
    assert "after 1m 0s: the alert is over" in output


@pytest.mark.usefixtures("told")
def test_of_many_responses_the_last_are_told(run_cli: Cli, database: Path) -> None:
    """One screen is enough: of very many responses the last are shown, the rest counted."""
    more = tuple(replace(TAKEN, started_at_s=TAKEN.started_at_s + n, hits=n) for n in range(1, 7))
    _write(database, page=Page((), more))
    output = run_cli("explain", "23").stdout
    assert "and 3 earlier ones: --format json" in output
    assert [n for n in range(7) if re.search(rf"the alert is over +{n}\n", output)] == [3, 4, 5, 6]


def test_after_a_daemons_last_word_nothing_is_known(run_cli: Cli, database: Path) -> None:
    """Of an alert that was open when its daemon was killed, the time since then is blank, and not quiet."""
    begin_s = time.time() - 7200.0
    killed = replace(RUN, started_at_s=begin_s - 9999, last_seen_s=begin_s + 90)
    page = Page(_flood_seconds(begin_s), (), killed)
    _write(database, replace(SPOOFED, started_at_s=begin_s, listener=FLOOD.listener), page=page)
    (line,) = re.findall(r".*attempts, at most .*", run_cli("explain", "24").stdout)
    assert re.fullmatch(r"  [▁-█]{2,6} {15,}attempts, at most [\d,.]+/s", line)


def test_the_last_seconds_are_not_told_yet() -> None:
    """What may not be written yet is not taken for silence."""
    asked: list[float] = []

    class Reading:
        def listener_series(
            self, _listeners: object, _since_s: float, until_s: float, _most: int
        ) -> list[Row]:
            asked.append(until_s)
            return []

        def responses(self, *_: object) -> list[Row]:
            return []

    told = lifetime(
        cast("HistoryReading", Reading()), alert_to_json(SPOOFED), SPOOFED.started_at_s + 20.5, 60
    )
    assert asked == [told.window.until_s] == [SPOOFED.started_at_s + 18]


def test_unknown_completions_are_no_line(run_cli: Cli, database: Path) -> None:
    """Where only one direction is seen nothing is said of completions."""
    page = Page(_flood_seconds(STARTED_AT_S, completed=None), (), RUN)
    _write(database, replace(FLOOD, id=24), page=page)
    output = run_cli("explain", "24").stdout
    assert "attempts, at most 10,000/s" in output
    assert "completed, at most" not in output


@pytest.mark.usefixtures("told")
def test_an_alert_without_listener_shows_all_that_came(run_cli: Cli, database: Path) -> None:
    """A scan's line is of all that came, and of its own kind of probes."""
    _write(database, SCAN, page=Page(_flood_seconds(SCAN.started_at_s)))
    output = run_cli("explain", "25").stdout
    assert "all that came from anywhere, each column 1 s" in output
    assert "FIN probes, at most 5/s" in output
    assert "attempts, at most" not in output


@pytest.mark.parametrize("alert_id", ["23", "24", "25"])
def test_without_figures_nothing_is_said_of_them(run_cli: Cli, alert_id: str) -> None:
    """A history without figures of the time leaves them out, and the counts are told as ever."""
    output = run_cli("explain", alert_id).stdout
    assert "at most" not in output
    assert "SYNS CAUGHT" not in output
    assert "\nSince it opened\n  attempts 210,000" in output


@pytest.mark.usefixtures("daemon")
def test_an_earlier_daemon_has_no_figures(run_cli: Cli) -> None:
    """A daemon that does not know such questions costs the figures, not the story."""
    result = run_cli("explain", "23")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "\nSince it opened\n  attempts 210,000" in result.stdout


@pytest.mark.usefixtures("told")
def test_blocks_that_cannot_be_written_are_not(config_file: Path) -> None:
    """In an encoding without blocks the line is of plain signs, and nothing is spelled out."""
    result = subprocess.run(
        [sys.executable, "-m", "synguard", "explain", "23", "--config", str(config_file)],
        env={**os.environ, "PYTHONIOENCODING": "ascii"}, capture_output=True, text=True, check=True,
        timeout=30,
    )  # fmt: skip
    assert f"  {'.' * 3}{'#' * 36}{'.' * 3}  attempts" in result.stdout
    assert "\\u258" not in result.stdout


def _worst(alert: Alert) -> Alert:
    """Return an alert about which there is much to tell."""
    return replace(
        alert,
        top_sources=tuple(TopSource(ip_network(f"198.51.100.{n}"), 99 - n, 0) for n in range(50)),
        timeline=tuple(
            Change(alert.started_at_s + n, "severity", "low", "high", f"the {n}th reason") for n in range(20)
        ),
    )


@pytest.mark.parametrize(
    "alert",
    [
        FLOOD,
        replace(FLOOD, alert_class=AlertClass.PREFIX, source=ip_network("198.51.100.0/22")),
        GROUPED,
        replace(GROUPED, alert_class=AlertClass.DISTRIBUTED),
        replace(
            GROUPED,
            state=AlertState.CLOSED,
            closed_because=ClosedBecause.ENDED,
            ended_at_s=STARTED_AT_S + 672,
        ),
        SCAN,
        BLIND,
    ],
    ids=lambda alert: f"{alert.kind}-{alert.alert_class}-{alert.state}",
)
def test_the_story_fits_a_screen(config_file: Path, database: Path, alert: Alert) -> None:
    """On a terminal of 100 columns the whole story has 50 lines at most, however much there is to tell."""
    taken = replace(
        TAKEN, alert_id=29, started_at_s=alert.started_at_s + 1, ended_at_s=alert.started_at_s + 9
    )
    again = replace(taken, started_at_s=alert.started_at_s + 20, ended_at_s=alert.started_at_s + 29)
    heard = replace(RUN, last_seen_s=time.time())  # a daemon that is there
    page = Page(_flood_seconds(alert.started_at_s), (taken, again), heard)
    _write(database, replace(_worst(alert), id=29), page=page)
    lines, errors = on_terminal(config_file, 100, "explain", "29")
    assert errors == ""
    assert len(lines) <= 50
    assert any("reason" in line for line in lines)
