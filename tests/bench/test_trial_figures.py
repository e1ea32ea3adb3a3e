"""What is made of a trial: figures, broken premises, and which alerts are called right or false."""

from __future__ import annotations

from typing import Any

import pytest

from bench.defences.follow import LogEvent
from bench.flood.plan import FloodPlan, FloodReport
from bench.measure.observation import Busy, Counted, Earlier, Flood, Observation
from bench.measure.premises import broken_premises, deserves_another_try
from bench.measure.trial_figures import facts_of, figures_of
from bench.net.counters import WireReading
from bench.peers.messages import Connection
from bench.scenario.model import ClientSpec, Expectation, FloodScenario, FloodSpec, Premise

MS = 1_000_000
BEGAN_NS = 10_000 * MS
ENDED_NS = 12_000 * MS
TARGET = "198.18.0.1:443"


def scenario(**changes: Any) -> FloodScenario:
    """Return a scenario with every premise that one trial can judge."""
    premises = tuple(p for p in Premise if p not in (Premise.RECEIVER_LIMITED, Premise.ENOUGH_CONNECTS))
    expect = Expectation(kind="syn-flood", alert_class="single-source", source="silent")
    fields: dict[str, Any] = {"purpose": "A test.", "premises": premises, "expect": expect}
    return FloodScenario(**fields | changes)


def flood(syns: int = 2000, asked_per_s: float | None = 1000.0, acks: int = 0) -> Flood:
    """Return a flood of two seconds."""
    plan = FloodPlan(
        destination="198.18.0.1",
        destination_port=443,
        sources=("198.18.66.13",),
        syn_per_s=asked_per_s,
        duration_s=2.0,
    )
    report = FloodReport(
        frames=syns + acks,
        syns=syns,
        distinct_syns=syns,
        acks=acks,
        first_ns=BEGAN_NS,
        last_ns=ENDED_NS,
        busy_ns=500 * MS,
    )
    return Flood(FloodSpec(), plan, report)


def seen(**changes: Any) -> Observation:
    """Return a trial in which all went well and nobody said a word, with changes."""
    fields: dict[str, Any] = {
        "scenario": scenario(),
        "targets": frozenset({TARGET, "198.18.0.1"}),
        "expected_source": "198.18.66.13",
        "innocent": frozenset({"198.19.10.0/24"}),
        "began_ns": BEGAN_NS,
        "ended_ns": ENDED_NS,
        "floods": (flood(),),
        "wire": WireReading(2000, 0, 2300, 0),
        "good_syns": 30,
        "other_frames_lost": 0,
        "counted": Counted(detects=True, syns=2030, dropped_syns=0, map_bytes=1, lost_updates=0),
        "busy": Busy(2000 * MS, 200 * MS, 40 * MS, 50 << 20),
        "connections": {"client": [Connection(BEGAN_NS - 900 * MS, True, 1.0)]},
    }
    return Observation(**fields | changes)


def event(name: str, at_ms: float, **fields: Any) -> LogEvent:
    """Return a log event so long after the first packet."""
    return LogEvent(BEGAN_NS + round(at_ms * MS), name, fields)


def alert(at_ms: float = 120.0, number: int = 1, **changes: Any) -> LogEvent:
    """Return the right alert, with changes."""
    fields: dict[str, Any] = {"kind": "syn-flood", "class": "single-source", "listener": TARGET}
    return event("alert.raised", at_ms, alert_id=number, **fields | {"source": "198.18.66.13"} | changes)


def test_a_trial_in_which_all_agrees_is_a_result() -> None:
    """No premise is broken when counters agree, and rates and costs are told per second and frame."""
    observed = seen()
    figures = figures_of(observed)
    assert list(broken_premises(observed)) == []
    # 2,000 SYNs are 1,999 gaps, in two seconds.
    assert figures["offered_syn_per_s"] == figures["received_syn_per_s"] == 999.5
    assert figures["processed_syn_per_s"] == 999.5
    assert (figures["unaccounted_frames"], figures["uncounted_syns"]) == (0, 0)
    assert figures["receiver_ns_per_frame"] == 100_000
    assert (figures["receiver_busy"], figures["daemon_cpu"]) == (0.1, 0.02)
    assert figures["generator_busy"] == 0.25
    assert figures["daemon_rss_mib"] == 50
    assert facts_of(observed)["bottleneck"] == "nothing"


@pytest.mark.parametrize(("dropped", "expected_ms"), [(1800, 200.1), (2000, 0.0), (0, None), (None, None)])
def test_the_first_drop_is_told_by_what_passed(dropped: int | None, expected_ms: float | None) -> None:
    """Of 2,000 SYNs in two seconds 200 came before the first that was dropped: a tenth of the time."""
    figures = figures_of(seen(counted=Counted(detects=True, syns=2030, dropped_syns=dropped)))
    assert figures["time_to_drop_ms"] == (expected_ms and pytest.approx(expected_ms, abs=0.01))


def test_what_was_sent_before_is_accounted_for_and_no_part_of_a_rate() -> None:
    """Floods that brought up a response count among the frames found, and in no figure of the flood."""
    observed = seen(
        earlier=Earlier(frames=500, syns=500, refused_frames=100, first_ns=BEGAN_NS - 3000 * MS),
        wire=WireReading(2400, 100, 2700, 0),
        counted=Counted(detects=True, syns=2430, dropped_syns=0),
        events=[alert(-2900.0)],
        capacity_per_s=1234.0,
        capacity_limited_by="receiver",
        connections={"client": [Connection(BEGAN_NS - 3900 * MS, True, 1.0)]},
    )
    figures = figures_of(observed)
    assert list(broken_premises(observed)) == []
    assert figures["received_syn_per_s"] == figures["processed_syn_per_s"] == 999.5
    assert (figures["unaccounted_frames"], figures["uncounted_syns"], figures["lost_at_ring"]) == (0, 0, 0)
    assert (figures["time_to_alert_ms"], figures["missed"]) == (100, 0)
    assert figures["capacity_syn_per_s"] == 1234
    assert facts_of(observed)["capacity_limited_by"] == "receiver"


#: A client of whose connections before the flood every other one was served.
SELDOM = [Connection(BEGAN_NS - (900 - ms) * MS, ms % 2 == 0, 1.0) for ms in range(10)]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"wire": WireReading(1999, 0, 2300, 0)}, "accounted: 1 of 2000 frames"),
        ({"wire": WireReading(2001, 0, 2300, 0)}, "accounted: -1 of 2000 frames"),
        ({"counted": Counted(detects=True, syns=2029)}, "accounted: 1 SYNs received were not counted"),
        ({"floods": (flood(asked_per_s=1100.0),)}, "rate-held: 2000 frames went out in 2.00 s where 2200"),
        ({"wire": WireReading(1990, 10, 2300, 0)}, "all-received: the receiver's full ring refused 10"),
        ({"hindered": ("3 attempts skipped",)}, "hindered: 3 attempts skipped"),
        (
            {"wire": WireReading(2000, 0, 1990, 0)},
            "accounted: 10 of 2000 frames on the wire were never taken",
        ),
        ({"connections": {}}, "clients-up: the good client 'client' was never served"),
        ({"connections": {"client": SELDOM}}, "clients-up: the good client 'client' got 5 of 10 served"),
        ({"cpus": 1}, "two-cpus"),
        ({"receiver_pinned": False}, "two-cpus"),
        (
            {"scenario": scenario(premises=(Premise.RECEIVER_LIMITED,))},
            "receiver-limited: the receiver took all",
        ),
    ],
)
def test_a_broken_premise_is_said(changes: dict[str, Any], words: str) -> None:
    """A trial that is no result says why, with the numbers."""
    broken = list(broken_premises(seen(**changes)))
    assert any(said.startswith(words) for said in broken), broken


def test_only_the_premises_of_the_scenario_are_asked() -> None:
    """A scenario without premises takes every trial."""
    assert list(broken_premises(seen(scenario=scenario(premises=()), wire=WireReading(0, 0, 0, 0)))) == []


def test_refused_frames_are_named_and_the_receiver_blamed() -> None:
    """What the ring refused was sent, not received, and counts neither as lost nor as uncounted."""
    limited = {"wire": WireReading(1500, 500, 1530, 0), "counted": Counted(detects=True, syns=1530)}
    observed = seen(**limited, busy=Busy(2000 * MS, 1900 * MS, 40 * MS, 50 << 20))
    figures = figures_of(observed)
    assert (figures["unaccounted_frames"], figures["uncounted_syns"], figures["lost_at_ring"]) == (0, 0, 500)
    assert (figures["offered_syn_per_s"], figures["received_syn_per_s"]) == (999.5, 0.75 * 999.5)
    assert facts_of(observed)["bottleneck"] == "receiver"
    assert facts_of(seen(**limited))["bottleneck"] == "ring"


def test_what_was_lost_by_name_explains_what_was_not_counted() -> None:
    """A good client's frame that a queue lost may have been its SYN; no more than that is excused."""
    lost = {"other_frames_lost": 3, "counted": Counted(detects=True, syns=2027)}
    assert figures_of(seen(**lost))["uncounted_syns"] == 0
    assert list(broken_premises(seen(**lost))) == []
    assert figures_of(seen(**lost | {"counted": Counted(detects=True, syns=2026)}))["uncounted_syns"] == 1
    # No more SYNs of theirs can be lost than they sent.
    many = {"other_frames_lost": 900, "counted": Counted(detects=True, syns=1999)}
    assert figures_of(seen(**many))["uncounted_syns"] == 1


def test_a_detector_that_counts_too_many_is_found_out() -> None:
    """No loss explains a SYN that was counted and never sent."""
    observed = seen(other_frames_lost=5, counted=Counted(detects=True, syns=2031))
    assert figures_of(observed)["uncounted_syns"] == -1


def test_which_frames_were_refused_is_unknown_when_acks_are_among_them() -> None:
    """Each frame that the ring refused may have been an ACK, so it excuses one SYN, and no more."""
    mixed = {"floods": (flood(acks=10),), "wire": WireReading(2000, 10, 2300, 0)}
    assert figures_of(seen(**mixed))["uncounted_syns"] == 0
    assert figures_of(seen(**mixed, counted=Counted(detects=True, syns=2020)))["uncounted_syns"] == 0
    assert figures_of(seen(**mixed, counted=Counted(detects=True, syns=2019)))["uncounted_syns"] == 1


def test_only_what_the_machine_did_is_tried_again() -> None:
    """A miscount or a crash stays a failure, however often it would go well."""
    assert deserves_another_try(["rate-held: too slow", "hindered: no CPU"])
    assert not deserves_another_try(["rate-held: too slow", "accounted: 3 SYNs were not counted"])
    assert not deserves_another_try(["the daemon ended before being ready"])


def test_a_flood_without_rate_is_limited_by_the_generator_unless_the_ring_was_full() -> None:
    """As fast as possible has a limit somewhere, and it is named."""
    assert facts_of(seen(floods=(flood(asked_per_s=None),)))["bottleneck"] == "generator"
    assert facts_of(seen(floods=()))["bottleneck"] is None


def test_good_clients_count_while_it_is_flooded() -> None:
    """Whoever begins before the flood, or so late that waiting for its end would do, tells nothing of it."""
    times_ms = (-1, 0, 100, 300, 500, 501, 2000)
    connections = [Connection(BEGAN_NS + ms * MS, ms != 300, 5.0 if ms != 300 else None) for ms in times_ms]
    figures = figures_of(seen(connections={"client": connections}))
    assert (figures["good_attempted"], figures["good_succeeded"], figures["good_success"]) == (4, 3, 0.75)
    assert figures["connect_p50_ms"] == figures["connect_p99_ms"] == 5.0


def test_distance_is_no_delay_and_an_exchange_no_connection() -> None:
    """Connect times are those above the line's round trip, and kept-alive clients are told apart."""
    clients = (ClientSpec(name="far", rtt_ms=100), ClientSpec(name="kept", kind="keep-alive"))
    connections = {
        "far": [Connection(BEGAN_NS, True, 103.0)],
        "kept": [Connection(BEGAN_NS, True, None), Connection(BEGAN_NS + 1, False, None)],
    }
    figures = figures_of(seen(scenario=scenario(clients=clients), connections=connections, broken_ns=[1]))
    assert (figures["good_attempted"], figures["connect_p50_ms"]) == (1, 3.0)
    assert (figures["exchanges_attempted"], figures["exchange_success"], figures["good_broken"]) == (
        2,
        0.5,
        1,
    )


def test_the_right_alert_is_timed_and_no_other() -> None:
    """Time to alert counts to the first alert about this flood; others are false alarms."""
    events = (
        alert(-500.0, 1),
        alert(50.0, 2, listener="198.18.0.1:80"),
        alert(60.0, 3, source="198.19.10.2"),
        alert(70.0, 4, source="203.0.113.99"),
        alert(120.0, 5),
        alert(9_000.0, 6),
    )
    figures = figures_of(seen(events=events))
    assert figures["time_to_alert_ms"] == 120
    assert (figures["alerts"], figures["false_alarms"], figures["missed"]) == (6, 5, 0)


def test_the_class_that_counts_is_the_last_one() -> None:
    """An alert that is refined is judged by what it came to be called."""
    refined = event("alert.refined", 400, **alert().fields | {"class": "spoofed"})
    figures = figures_of(seen(events=(alert(), refined)))
    assert figures["wrong_class"] == 1
    assert facts_of(seen(events=(alert(), refined))) == {
        "bottleneck": "nothing",
        "expected_class": "single-source",
        "class": "spoofed",
    }


def test_a_flood_that_nobody_saw_was_missed() -> None:
    """Silence during a flood is a missed alert without a time."""
    figures = figures_of(seen())
    assert figures["missed"] == 1
    assert figures.get("time_to_alert_ms") is None
    assert facts_of(seen())["class"] == "(none)"


def test_every_alert_in_quiet_is_false() -> None:
    """A scenario that expects nothing calls each alert a false alarm."""
    observed = seen(scenario=scenario(expect=None), floods=(), events=(alert(),))
    figures = figures_of(observed)
    assert figures["false_alarms"] == 1
    assert "missed" not in figures


def test_a_block_on_a_good_client_is_counted() -> None:
    """Blocks are told apart: those of the flood's source, and those that hit somebody good."""
    events = (
        alert(),
        event("source.blocked", 130, target="198.18.66.13"),
        event("source.blocked", 140, target="198.19.10.7"),
        event("source.blocked", 150, target="198.19.0.0/16"),
    )
    figures = figures_of(seen(events=events))
    assert figures["time_to_act_ms"] == 130
    assert figures["innocents_blocked"] == 2


@pytest.mark.parametrize(
    ("name", "target", "innocents"),
    [
        ("source.greylisted", "198.19.10.0/24", 1),
        ("source.greylisted", "198.18.66.13", 0),
        ("listener.greylisted", TARGET, 0),
        ("listener.cookies_begun", TARGET, 0),
    ],
)
def test_every_response_is_an_act(name: str, target: str, innocents: int) -> None:
    """What begins first is the act; a listener's response hits nobody alone, a source's may."""
    by_hand = event("source.blocked", -500, target="203.0.113.7", alert_id=None)
    events = (by_hand, alert(), event(name, 140, target=target, alert_id=1))
    figures = figures_of(seen(events=events))
    assert (figures["time_to_act_ms"], figures["innocents_blocked"]) == (140, innocents)


def test_many_blocks_added_at_once_name_nobody() -> None:
    """A log line about ten thousand blocks has no target, and is no fault of a trial."""
    figures = figures_of(seen(events=(event("source.blocked", -500, blocks=10_000, alert_id=None), alert())))
    assert (figures["time_to_act_ms"], figures["innocents_blocked"]) == (None, 0)


def test_time_to_close_needs_every_alert_closed() -> None:
    """It counts from the last packet to the last alert's end, where that was waited for."""
    waiting = scenario(close_timeout_s=10.0)
    closed = event("alert.closed", 7000, **alert().fields)
    assert figures_of(seen(scenario=waiting, events=(alert(), closed)))["time_to_close_ms"] == 5000
    assert (
        figures_of(seen(scenario=waiting, events=(alert(), alert(number=2), closed)))["time_to_close_ms"]
        is None
    )
    assert figures_of(seen(events=(alert(), closed)))["time_to_close_ms"] is None


def test_a_flood_in_a_good_clients_name_may_be_told_by_that_name() -> None:
    """What claims to come from a good client is rightly told as such, if that is what was sent."""
    told = alert(source="198.19.10.2")
    assert figures_of(seen(events=(told,), expected_source="198.19.10.2"))["false_alarms"] == 0
    anybody = scenario(expect=Expectation(kind="syn-flood"))
    observed = seen(events=(told,), expected_source=None, scenario=anybody)
    assert figures_of(observed)["false_alarms"] == 1


def test_a_class_that_nobody_expects_is_not_judged() -> None:
    """A scenario that is about something else takes any class for the right alert."""
    observed = seen(
        events=(alert(),), expected_source=None, scenario=scenario(expect=Expectation(kind="syn-flood"))
    )
    assert "wrong_class" not in figures_of(observed)
    assert facts_of(observed)["expected_class"] is None
    assert facts_of(observed)["class"] == "single-source"
