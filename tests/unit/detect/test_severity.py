"""How much an alert matters: the table, what impact adds to it, and what of it its timeline tells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest

from synguard.detect import Detector, Thresholds
from synguard.detect import severity as module
from synguard.detect.severity import IMPACTS, TABLE, severity, worse_impact
from synguard.detect.timeline import MOST_CHANGES, Timeline
from synguard.model import Alert, Severity
from synguard.server import ListenerQueues, ServerReading
from tests.unit.detect.simulation import (
    BOOT_NS,
    BOOT_WALL_S,
    FLOODER,
    MS,
    WEB,
    Stream,
    World,
    crowd,
    flood,
    single,
)

ORDER = list(Severity)
#: Some handshakes of the flood wait in it, so its socket is the one that answers.
ROOM = ListenerQueues(38, 128, 0, 128, 0.0, syn_queue_worst=0.3, drops=0)


def stack(full_ms: int, *, syncookies: int, counter: str) -> Callable[[int], ServerReading]:
    """Return a stack whose web server's SYN queue is full from a moment on, with a counter that rises."""

    def server(ms: int) -> ServerReading:
        count = max(0, ms - full_ms)
        queues = ROOM if not count else replace(ROOM, syn_queue=129, syn_queue_worst=1.0, drops=count)
        now_ns = BOOT_NS + ms * MS
        return ServerReading(now_ns, {counter: count}, syncookies, {WEB: queues}, now_ns)

    return server


def play(
    *streams: Stream, until_ms: int = 8000, server: Callable[[int], ServerReading] | None = None
) -> World:
    """Return what a detector of default thresholds makes of these streams and that stack."""
    return World(Detector(Thresholds(), 1), *streams, server=server).run(until_ms)


def told(alert: Alert, what: str) -> list[tuple[str | None, str | None]]:
    """Return the changes of one kind in an alert's timeline."""
    return [(change.before, change.after) for change in alert.timeline if change.what == what]


@pytest.mark.parametrize(
    ("impact", "expected"),
    [
        ("none", "low low medium high"),
        ("unknown", "low medium high critical"),
        ("cookies", "medium medium high critical"),
        ("accept-queue-full", "medium medium high critical"),
        ("dropping", "high high critical critical"),
    ],
)
def test_the_table_is_as_documented(impact: str, expected: str) -> None:
    """At each margin exactly, just below it, and below the first."""
    rows = expected.split()
    assert [severity(margin, impact) for margin in (1.0, 10.0, 100.0, 1000.0)] == rows
    assert [severity(margin, impact) for margin in (0.1, 9.99, 99.9, 999.0)] == [rows[0], *rows[:3]]
    assert severity(1e9, impact) == rows[3]


def test_the_modules_text_has_the_same_table() -> None:
    """What people read is what is looked up."""
    rows = [line.split() for line in (module.__doc__ or "").splitlines() if line[:1].isdigit()]
    columns = ("none", "unknown", "cookies", "dropping")
    assert [row[0] for row in rows] == ["1", "10", "100", "1000"]
    for rank, row in enumerate(rows):
        assert row[1:] == [str(TABLE[impact][rank]) for impact in columns]


def test_a_worse_margin_or_impact_is_never_less_severe() -> None:
    """Each column rises, and so does each row; ``unknown`` lies beside them, as it may be either."""
    for column in TABLE.values():
        assert all(ORDER.index(low) <= ORDER.index(high) for low, high in pairwise(column))
    for better, worse in pairwise(impact for impact in IMPACTS if impact != "unknown"):
        ranks = [(ORDER.index(a), ORDER.index(b)) for a, b in zip(TABLE[better], TABLE[worse], strict=True)]
        assert all(low <= high for low, high in ranks)
    assert set(TABLE) == set(IMPACTS)
    assert worse_impact("cookies", "unknown") == worse_impact("none", "cookies") == "cookies"


@pytest.mark.parametrize(
    ("syncookies", "counter", "impact", "expected"),
    [
        (1, "SyncookiesSent", "cookies", Severity.MEDIUM),
        (0, "ListenDrops", "dropping", Severity.HIGH),
        (2, "SyncookiesSent", "none", Severity.LOW),
    ],
)
def test_impact_is_told_and_makes_a_flood_worse(
    syncookies: int, counter: str, impact: str, expected: Severity
) -> None:
    """200 SYN/s that fill the SYN queue two seconds after the alert opened."""
    played = play(flood(200, 1000), server=stack(4500, syncookies=syncookies, counter=counter))
    opened = played.opened()[0][1]
    assert (opened.impact, opened.severity) == ("none", Severity.LOW)
    (now,) = played.detector.open_alerts()
    assert (now.impact, now.severity) == (impact, expected)
    assert told(now, "impact") == ([("none", impact)] if impact != "none" else [])
    assert told(now, "severity") == ([("low", str(expected))] if impact != "none" else [])
    assert {item.name for item in now.measurements} >= {"syn_queue_fill", "accept_queue_fill"}


def test_an_impact_once_seen_stays() -> None:
    """The queue has room again before the flood ends: the alert still says that it had none."""
    full = stack(4500, syncookies=1, counter="SyncookiesSent")

    def server(ms: int) -> ServerReading:
        if ms < 8000:
            return full(ms)
        now_ns = BOOT_NS + ms * MS
        return replace(full(8000), read_ns=now_ns, queues={WEB: ROOM}, queues_read_ns=now_ns)

    played = play(flood(200, 1000, 20_000), until_ms=40_000, server=server)
    ((_, closed),) = played.closed()
    assert (closed.impact, closed.severity) == ("cookies", Severity.MEDIUM)


def test_without_anybody_who_tells_the_impact_is_unknown() -> None:
    """A gateway's listener: 700 SYN/s are medium, and would be low on a host that bears them."""
    (unknown,) = play(flood(700, 1000)).detector.open_alerts()
    calm = stack(10**9, syncookies=1, counter="SyncookiesSent")
    (bearing,) = play(flood(700, 1000), server=calm).detector.open_alerts()
    assert (unknown.impact, unknown.severity) == ("unknown", Severity.MEDIUM)
    assert (bearing.impact, bearing.severity) == ("none", Severity.LOW)


def test_a_flood_that_grows_becomes_worse_and_never_better() -> None:
    """100, then 10,000, then 100 SYN/s again: from low to high, and it stays."""
    played = play(
        flood(100, 1000, 5000), flood(10_000, 5000, 8000), flood(100, 8000, 12_000), until_ms=28_000
    )
    ((_, closed),) = played.closed()
    assert closed.severity is Severity.HIGH
    steps = told(closed, "severity")
    assert steps[0][0] == "low"
    assert steps[-1][1] == "high"
    assert all(earlier[1] == later[0] for earlier, later in pairwise(steps))
    worsened = [change for change in closed.timeline if change.what == "severity"]
    assert all(BOOT_WALL_S + 5 <= change.at_s <= BOOT_WALL_S + 10 for change in worsened)
    assert all("times the threshold" in change.because for change in worsened)


def test_a_timeline_tells_an_alerts_whole_life_in_order() -> None:
    """Opened, called otherwise, and closed, each with its moment."""
    played = play(
        crowd(100, sources=20),
        single(3000, 1000, 6000),
        flood(3000, 6000, 12_000),
        until_ms=30_000,
    )
    ((_, closed),) = played.closed()
    assert told(closed, "state") == [(None, "open"), ("open", "closed")]
    assert told(closed, "class") == [("single-source", "spoofed")]
    assert told(closed, "source") == [(str(FLOODER), None)]
    times = [change.at_s for change in closed.timeline]
    assert times == sorted(times)
    assert closed.timeline[-1].because == "it ended"
    assert (times[0], times[-1]) == (BOOT_WALL_S + played.opened()[0][0] / 1000, closed.ended_at_s)


def test_a_stopped_alert_says_so() -> None:
    """Its last entry is the daemon's stop."""
    played = play(flood(3000, 1000), until_ms=4000)
    (act,) = played.detector.stop(BOOT_WALL_S + 4.0)
    last = act.alert.timeline[-1]
    assert (last.what, last.after, last.at_s) == ("state", "closed", BOOT_WALL_S + 4.0)
    assert "stopped" in last.because


def test_a_timeline_is_bounded_and_keeps_what_matters() -> None:
    """Of 1,000 changes a hundred stay: the opening, and rather classes than severities."""
    timeline = Timeline()
    timeline.note(0.0, "state", None, "open")
    for number in range(60):
        timeline.note(1.0 + number, "class", f"c{number}", f"c{number + 1}")
    for number in range(900):
        timeline.note(100.0 + number, "severity", f"s{number}", f"s{number + 1}")
    kept = timeline.changes()
    assert len(kept) == MOST_CHANGES == 100
    assert kept[0].after == "open"
    assert [change.what for change in kept].count("class") == 60
    assert kept[-1].after == "s900"
    for number in range(200):
        timeline.note(2000.0 + number, "class", f"d{number}", f"d{number + 1}")
    kept = timeline.changes()
    assert (len(kept), kept[0].after, kept[-1].after) == (100, "open", "d200")
    assert {change.what for change in kept[1:]} == {"class"}


def test_no_change_is_no_entry() -> None:
    """The same before and after is left out; what was unknown before is one."""
    timeline = Timeline()
    timeline.note(0.0, "impact", "none", "none")
    timeline.note(0.0, "source", None, None)
    assert timeline.changes() == ()
    timeline.note(0.0, "listener", None, WEB, "attacked in the same way")
    (change,) = timeline.changes()
    assert (change.before, change.after, change.because) == (None, str(WEB), "attacked in the same way")


def test_an_alert_that_flips_over_and_over_keeps_its_timeline_short() -> None:
    """A flood that is one source's and everybody's in turn, every four seconds: one alert, 100 changes."""
    turns = range(1000, 250_000, 8000)
    streams = [
        stream
        for at_ms in turns
        for stream in (single(500, at_ms, at_ms + 4000), flood(500, at_ms + 4000, at_ms + 8000))
    ]
    world = World(Detector(Thresholds(), 1), tick_ms=5, poll_ms=100)
    for first in range(0, len(streams), 2):
        world.streams = streams[max(0, first - 2) : first + 2]
        world.run(turns[first // 2] + 8000)
    (now,) = world.detector.open_alerts()
    assert len(world.opened()) == 1
    assert len(now.timeline) == 100
    assert now.timeline[0].after == "open"
