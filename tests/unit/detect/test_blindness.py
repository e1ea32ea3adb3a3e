"""Alerts of kind ``blind``: found in time, told in words, closed once over, and not raised without need."""

from __future__ import annotations

from dataclasses import replace

import pytest

from synguard.detect import Detector, Thresholds, blind_words
from synguard.history.records import alert_from_json, alert_to_json
from synguard.model import AlertClosed, AlertKind, AlertOpened, AlertState, ClosedBecause, Severity
from synguard.probe import layout
from synguard.sight import BlindCause, FlowReading, Sight
from tests.unit.detect.gaze import Gaze, at, evidence, told, trouble, with_trouble
from tests.unit.detect.simulation import BOOT_WALL_S, World, crowd, flood

NOTHING = Sight()


def test_a_lasting_trouble_is_one_alert_until_it_has_been_over_for_five_seconds() -> None:
    """It opens at once, says what, since when and what to do, and closes with the moment of its end."""
    gaze = Gaze().run(1000, with_trouble(None))
    gaze.run(8000, with_trouble(trouble(BlindCause.DETACHED, 1000)))
    gaze.run(20_000, with_trouble(trouble(BlindCause.DETACHED, 1000, 8000)))
    ((opened_ms, opened),) = gaze.opened()
    ((closed_ms, closed),) = gaze.closed()
    assert opened_ms == 1050
    assert (opened.id, opened.kind, opened.alert_class, opened.severity) == (
        41, AlertKind.BLIND, None, Severity.HIGH,
    )  # fmt: skip
    assert (opened.listener, opened.source, opened.answered, opened.half_open_ratio) == (None,) * 4
    assert opened.started_at_s == BOOT_WALL_S + 1.0
    assert closed_ms == 13_000
    assert (closed.closed_because, closed.ended_at_s) == (ClosedBecause.ENDED, BOOT_WALL_S + 8.0)
    assert evidence(opened)["not_seen"].weight == 1.0
    assert told(opened) == {
        "cause": "detached",
        "interface": "net0",
        "not_seen": "net0: what was found",
        "since": "2026-09-21T14:13:21Z",
        "outcome": "what came of it",
        "to_do": told(opened)["to_do"],
    }
    assert told(closed)["until"] == "2026-09-21T14:13:28Z"
    assert str(told(closed)["to_do"]).startswith("nothing now")
    states = [(one.at_s, one.before, one.after) for one in closed.timeline if one.what == "state"]
    assert states == [(BOOT_WALL_S + 1.05, None, "open"), (BOOT_WALL_S + 13.0, "open", "closed")]


def test_a_trouble_that_was_mended_before_it_could_be_told_is_told_all_the_same() -> None:
    """One alert opens, says when it was over, and closes; what snapshots go on telling raises no other."""
    gaze = Gaze().run(60_000, with_trouble(trouble(BlindCause.DETACHED, 20, 30)))
    ((_, opened),) = gaze.opened()
    assert {"since", "until"} <= set(told(opened))
    ((closed_ms, closed),) = gaze.closed()
    assert closed_ms == 5050
    assert closed.ended_at_s == pytest.approx(BOOT_WALL_S + 0.03)


def test_who_takes_the_probe_away_again_and_again_makes_one_alert() -> None:
    """Troubles less than five seconds apart are one incident, which counts them."""
    gaze = Gaze()
    for ms in range(0, 30_000, 3000):
        gaze.run(ms + 3000, with_trouble(trouble(BlindCause.DETACHED, ms, ms + 10)))
    gaze.run(60_000, with_trouble(trouble(BlindCause.DETACHED, 27_000, 27_010)))
    assert len(gaze.opened()) == 1
    ((_, closed),) = gaze.closed()
    assert told(closed)["times"] == 10


def test_a_trouble_after_the_close_is_a_new_alert() -> None:
    """The next time is another incident with the next number."""
    gaze = Gaze().run(20_000, with_trouble(trouble(BlindCause.REPLACED, 10, 1000)))
    gaze.run(40_000, with_trouble(trouble(BlindCause.REPLACED, 20_000, 21_000)))
    assert [alert.id for _, alert in gaze.opened()] == [41, 42]
    assert len(gaze.closed()) == 2


def test_each_cause_and_each_interface_is_an_incident_of_its_own() -> None:
    """Two interfaces in the same trouble, and one in two, never share an alert."""
    (reading,) = with_trouble(trouble(BlindCause.MISSING, 10)).interfaces
    flows = FlowReading(at(10), 50, 0)
    gaze = Gaze().run(1000, Sight(interfaces=(reading, replace(reading, name="net1")), flows=flows))
    assert [(told(alert)["cause"], told(alert).get("interface")) for _, alert in gaze.opened()] == [
        ("missing", "net0"),
        ("missing", "net1"),
        ("egress-hidden", None),
    ]


@pytest.mark.parametrize("cause", [BlindCause.DETACHED, BlindCause.REPLACED, BlindCause.MISSING])
@pytest.mark.parametrize("until_ms", [None, 900])
def test_every_trouble_has_words_for_what_to_do(cause: BlindCause, until_ms: int | None) -> None:
    """While it lasts and when it is over, no alert leaves a person without a next step."""
    ((_, alert),) = Gaze().run(1000, with_trouble(trouble(cause, 10, until_ms))).opened()
    assert told(alert)["to_do"]
    assert "{" not in str(told(alert)["to_do"])


def test_the_closing_time_is_the_settings_where_that_is_shorter() -> None:
    """``close_after_s`` holds for blindness too, but nobody waits longer than five seconds."""
    for close_after_s, closed_ms in ((0.5, 1500), (60.0, 6000)):
        gaze = Gaze(close_after_s).run(1000, with_trouble(trouble(BlindCause.DETACHED, 10)))
        gaze.run(30_000, with_trouble(trouble(BlindCause.DETACHED, 10, 1000)))
        assert gaze.closed()[0][0] == closed_ms


def test_an_alert_is_told_of_again_only_when_it_says_something_new() -> None:
    """A trouble that lasts is one opening; that it is over is one update."""
    gaze = Gaze().run(20_000, with_trouble(trouble(BlindCause.DETACHED, 10)))
    assert gaze.updated() == []
    gaze.run(24_000, with_trouble(trouble(BlindCause.DETACHED, 10, 20_000)))
    assert [ms for ms, _ in gaze.updated()] == [20_050]


def test_nothing_known_is_not_blindness() -> None:
    """A replay, whose snapshots say nothing of sight, raises nothing."""
    assert Gaze().run(30_000, NOTHING).actions == []


@pytest.mark.parametrize(
    ("live", "shown", "hidden"),
    [
        (20, 0, True),
        (19, 0, False),
        (500, 0, True),
        (22, 2, True),
        (24, 3, True),
        (23, 3, False),
        (500, 63, False),
    ],
)
def test_egress_is_hidden_from_twenty_live_flows_on(live: int, shown: int, hidden: bool) -> None:
    """Twenty flows of which egress shows nothing, and at most one in eight of them all that it does show."""
    gaze = Gaze().run(1000, Sight(flows=FlowReading(at(0), live, shown)))
    assert bool(gaze.opened()) is hidden


def test_hidden_egress_lasts_until_flows_show_again() -> None:
    """What was found stays true while it is quiet; flows that show on egress end it."""
    gaze = Gaze().run(60_000, Sight(flows=FlowReading(at(10), 50, 0)))
    assert len(gaze.opened()) == 1
    assert gaze.closed() == []
    gaze.run(70_000, Sight(flows=FlowReading(at(60_000), 50, 50)))
    assert [ms for ms, _ in gaze.closed()] == [65_000]


def test_hidden_egress_says_what_becomes_of_the_counts() -> None:
    """The alert tells whether counting falls back to one direction, and how to say that it is meant so."""
    for one_way, said in ((True, "unknown (null)"), (False, '"both"')):
        gaze = Gaze()
        gaze.show(Sight(flows=FlowReading(at(0), 50, 0)), one_way=one_way)
        ((_, alert),) = gaze.opened()
        assert said in str(told(alert)["outcome"])
        assert 'probe.visibility = "ingress"' in str(told(alert)["to_do"])


def test_failing_updates_are_an_alert_that_names_the_remedy() -> None:
    """Ten failures in three seconds: within them the alert, with the setting that gives more room."""
    gaze = Gaze().run(30_000, lambda ms: Sight(failed_updates={"listeners_full": min(ms, 12_000) // 100}))
    ((opened_ms, alert),) = gaze.opened()
    assert opened_ms <= 1050
    assert alert.severity is Severity.MEDIUM
    assert "probe.max_listeners" in str(told(alert)["to_do"])
    assert alert.measurements[0].name == "listeners_full_per_s"
    ((closed_ms, _),) = gaze.closed()
    assert 17_000 <= closed_ms <= 21_000


def test_single_failures_are_no_blindness() -> None:
    """One update a second that fails, or a hundred beside a million attempts, is left to status."""
    seldom = Gaze().run(30_000, lambda ms: Sight(failed_updates={"entries_insert_failed": ms // 1000}))
    assert seldom.actions == []
    beside_a_flood = Gaze()
    while beside_a_flood.now_ms < 30_000:
        beside_a_flood.now_ms += 50
        sight = Sight(failed_updates={"entries_insert_failed": beside_a_flood.now_ms // 10})
        beside_a_flood.show(sight, {"attempts": 1000 * beside_a_flood.now_ms})
    assert beside_a_flood.actions == []


def test_failures_of_an_earlier_daemon_are_not_ours() -> None:
    """Counters that stand high when the first snapshot comes tell of nothing new."""
    assert Gaze().run(30_000, Sight(failed_updates={"listeners_full": 5_000_000})).actions == []


def test_every_failing_update_has_words() -> None:
    """The probe's counters of failed updates are the ones that the alert can explain."""
    assert set(blind_words.FAILED_UPDATES) == set(layout.FAILED_UPDATES)


def test_a_read_that_came_too_late_is_told_of_once_it_comes() -> None:
    """The alert says for how long nobody read, and closes by itself."""
    gaze = Gaze().run(1000, NOTHING)
    gaze.now_ms = 8000
    gaze.show(Sight(read_late_s=6.9, late_reads=1))
    gaze.run(20_000, Sight(late_reads=1))
    ((opened_ms, alert),) = gaze.opened()
    assert opened_ms == 8000
    assert alert.started_at_s == pytest.approx(BOOT_WALL_S + 1.1)
    assert [ms for ms, _ in gaze.closed()] == [13_000]


def test_a_daemon_that_reads_late_again_and_again_is_behind() -> None:
    """Three reads within ten seconds that are a second late are one alert; two are none."""
    for late_reads, alerts in ((2, 0), (3, 1), (6, 1)):
        gaze = Gaze()
        for _ in range(late_reads):
            gaze.now_ms += 2000
            gaze.show(Sight(read_late_s=1.9))
        last_ms = gaze.now_ms
        gaze.run(last_ms + 20_000, NOTHING)
        assert len(gaze.opened()) == alerts
        assert [ms for ms, _ in gaze.closed()] == [last_ms + 5000] * alerts


def test_blindness_and_floods_share_their_numbers() -> None:
    """Each alert has a number of its own, and what is open is listed and stopped together."""
    world = World(Detector(Thresholds(), next_alert_id=7), flood(5000, 1000)).run(3000)
    sight = with_trouble(trouble(BlindCause.DETACHED, 3000))
    world.run(3049)
    (opened,) = (
        action
        for action in world.detector.observe(replace(world.snapshot(), sight=sight))
        if isinstance(action, AlertOpened)
    )
    assert (opened.alert.id, opened.alert.kind) == (8, AlertKind.BLIND)
    alerts = world.detector.open_alerts()
    assert [(alert.id, alert.kind) for alert in alerts] == [(7, AlertKind.SYN_FLOOD), (8, AlertKind.BLIND)]
    closed = world.detector.stop(BOOT_WALL_S)
    assert {action.alert.closed_because for action in closed} == {ClosedBecause.STOPPED}
    assert {(action.alert.id, action.alert.ended_at_s) for action in closed} == {
        (alert.id, alert.started_at_s) for alert in alerts
    }
    assert world.detector.open_alerts() == ()


def test_openings_come_before_closings_of_either_kind() -> None:
    """A blindness that closes as a flood is opened is told after it."""
    starts = World(Detector(Thresholds(), next_alert_id=1), flood(5000, 8000)).run(12_000)
    ((opened_ms, _),) = starts.opened()
    world = World(Detector(Thresholds(), next_alert_id=1), flood(5000, 8000))
    mended_ms = opened_ms - 5000
    told_at: list[list[type]] = []
    while world.now_ms < opened_ms:
        world.poll_ms = 1_000_000
        world.run(world.now_ms + 50)
        until_ms = mended_ms if world.now_ms >= mended_ms else None
        sight = with_trouble(trouble(BlindCause.DETACHED, 10, until_ms))
        done = world.detector.observe(replace(world.snapshot(), sight=sight))
        told_at.append([type(action) for action in done])
    assert told_at[-1] == [AlertOpened, AlertClosed]


def test_while_egress_is_in_doubt_no_flood_is_opened() -> None:
    """Clients whose answers go another way look like a flood; a real one is opened once the doubt is over."""
    world = World(Detector(Thresholds(), next_alert_id=1), flood(5000, 1000)).run(900)
    for in_doubt in (True, False):
        for _ in range(60):
            world.run(world.now_ms + 49)
            world.now_ms += 1
            snapshot = replace(world.snapshot(), sight=Sight(egress_in_doubt=in_doubt))
            world.actions += [(world.now_ms, action) for action in world.detector.observe(snapshot)]
        assert bool(world.opened()) is not in_doubt


def test_a_flood_seen_in_one_direction_has_no_ratio() -> None:
    """Once a part of an incident was seen one way, answered, completed and ratio are unknown for good."""
    world = World(Detector(Thresholds(), next_alert_id=1), crowd(200), flood(5000, 1000)).run(4000)
    (alert,) = world.detector.open_alerts()
    assert alert.answered
    assert alert.half_open_ratio
    world.run(4049)
    world.detector.observe(replace(world.snapshot(), one_way=True))
    world.run(6000)
    (alert,) = world.detector.open_alerts()
    assert (alert.answered, alert.completed, alert.half_open_ratio) == (None, None, None)
    assert alert.attempts > 10_000


def test_a_clock_that_jumps_back_closes_and_repeats_nothing() -> None:
    """What is open stays, what was told is not told again, and what is new is found under any clock."""
    gaze = Gaze().run(9000, with_trouble(trouble(BlindCause.DETACHED, 3000)))
    gaze.now_ms = 1000
    gaze.run(10_000, with_trouble(trouble(BlindCause.DETACHED, 3000, 900)))
    assert (len(gaze.opened()), len(gaze.closed())) == (1, 1)
    gaze.run(12_000, with_trouble(trouble(BlindCause.DETACHED, 10_000)))
    assert len(gaze.opened()) == 2


def test_an_alert_survives_its_journey_through_json() -> None:
    """History and control socket carry it like any other."""
    ((_, alert),) = Gaze().run(1000, with_trouble(trouble(BlindCause.REPLACED, 10))).opened()
    data = alert_to_json(alert)
    assert (data["kind"], data["class"], data["listener"], data["source"]) == ("blind", None, None, None)
    assert alert_from_json(data) == alert
    assert alert.state is AlertState.OPEN
