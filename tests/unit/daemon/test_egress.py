"""Whether answers can be seen at all: when flows are looked at, what is believed, and what it costs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.daemon.lines import BOTH_WAYS, FILES, HIDDEN, POLL_MS, STORM, Line, Stage


def test_traffic_both_ways_is_never_looked_into() -> None:
    """As long as what leaves is about as much as what comes in, the probe collects no flows."""
    stage = Stage().run(120, BOTH_WAYS)
    assert stage.asked == [(0, "both ways")]
    assert stage.egress.flows is None


@pytest.mark.parametrize("before", [Line(), BOTH_WAYS, FILES, STORM], ids=["quiet", "both", "files", "storm"])
def test_hidden_egress_is_found_within_five_seconds(before: Line) -> None:
    """Whatever passed before, flows of which nothing leaves are found, and one direction is made do with."""
    stage = Stage().run(30, before).run(10, HIDDEN)
    (found_ms,) = stage.times("one way")
    assert 30_000 < found_ms <= 35_000
    assert stage.egress.flows is not None
    assert (stage.egress.flows.live, stage.egress.flows.shown_on_egress) == (200, 0)


def test_slow_connections_are_found_too() -> None:
    """Twenty connections with a single acknowledgement a second are enough."""
    stage = Stage().run(6, Line(acks=21, attempts=5, live=21))
    assert stage.times("one way")[0] <= 5000


def test_too_little_traffic_calls_for_nothing() -> None:
    """A handful of acknowledgements a second may be of fewer connections than it takes."""
    assert Stage().run(60, Line(acks=10)).times("look") == []


def test_a_storm_that_nobody_answers_is_not_hidden_egress() -> None:
    """ACKs that belong to no connection are looked into, and believed to be just that."""
    stage = Stage().run(60, STORM)
    assert stage.times("look")
    assert stage.times("one way") == []
    assert stage.egress.flows is None


def test_a_server_of_large_files_is_looked_into_once() -> None:
    """Merged segments leave few of them; what was found usual here calls for no look again."""
    stage = Stage().run(120, FILES)
    assert len(stage.times("look")) == 1
    assert stage.egress.flows is not None


def test_less_than_what_is_usual_here_calls_for_a_look_again() -> None:
    """Where large files leave, a tenth of that is odd, though there is more of it than nothing."""
    stage = Stage().run(30, FILES).run(5, Line(acks=10_000, segments=40, attempts=5, live=50, shown=4))
    assert len(stage.times("one way")) == 1


def test_what_is_usual_is_learned_anew_once_traffic_goes_both_ways() -> None:
    """A host that once sent large files is looked into like any other after that."""
    stage = (
        Stage()
        .run(30, FILES)
        .run(10, BOTH_WAYS)
        .run(5, Line(acks=1000, segments=50, attempts=5, live=200, shown=10))
    )
    assert len(stage.times("one way")) == 1


def test_a_look_that_ends_as_everything_stops_leaving_is_not_the_last_one() -> None:
    """Flows that showed until a moment ago do not make it usual that nothing leaves."""
    stage = Stage().run(1, FILES).run(1.7, Line(acks=10_000, live=50, shown=50)).run(5, HIDDEN)
    assert 2500 <= stage.times("stop")[0] <= 2700
    assert len(stage.times("one way")) == 1


def test_flows_are_collected_only_for_as_long_as_it_takes() -> None:
    """Each look is stopped two and a half seconds after it began."""
    stage = Stage().run(3, BOTH_WAYS).run(10, FILES).run(10, STORM).run(20, HIDDEN)
    looks, stops = stage.times("look"), stage.times("stop")
    assert len(looks) == len(stops)
    assert {stop - look for look, stop in zip(looks, stops, strict=True)} == {2500}


def test_egress_that_shows_again_is_believed_again() -> None:
    """Two ways again within eight seconds of the first segments that leave, if no handshake tells sooner."""
    stage = Stage().run(10, HIDDEN).run(10, replace(BOTH_WAYS, answered=0, attempts=0))
    assert len(stage.times("both ways")) == 2
    assert stage.times("both ways")[-1] <= 18_000
    assert stage.egress.flows is not None
    assert stage.egress.flows.shown_on_egress == 200


def test_hidden_egress_stays_so_while_it_is_quiet() -> None:
    """At night, without any flow, nothing is learned; and a few segments leaving prove nothing."""
    stage = Stage().run(10, HIDDEN).run(600, Line()).run(60, Line(acks=100, segments=10, live=30, shown=5))
    assert len(stage.times("both ways")) == 1
    assert stage.times("one way")
    assert [ms for ms in stage.times("look") if 12_000 < ms < 610_000] == []
    looks = [ms for ms in stage.times("look") if ms > 610_000]
    assert 5 <= len(looks) <= 9


def test_both_never_falls_back_and_still_tells() -> None:
    """With ``both`` the flows are known, and the probe goes on as before."""
    stage = Stage("both").run(10, HIDDEN)
    assert stage.times("one way") == []
    assert stage.egress.flows is not None


def test_one_way_by_design_is_never_looked_into() -> None:
    """With ``ingress`` the probe makes do with one direction from the start."""
    stage = Stage("ingress").run(60, HIDDEN).run(60, BOTH_WAYS)
    assert stage.asked == [(0, "one way")]
    assert stage.egress.flows is None
    assert not stage.doubted_ms


def test_doubt_lasts_for_the_first_look_only() -> None:
    """Floods wait for at most one look in a storm, and for a second one only after a minute without."""
    stage = Stage().run(70, STORM)
    assert stage.doubted_ms
    assert stage.doubted_ms[-1] <= 3000
    stage.run(62, Line()).run(70, STORM)
    assert [ms for ms in stage.doubted_ms if 3000 < ms < 132_000] == []
    assert 134_000 <= max(stage.doubted_ms) <= 135_000


def test_doubt_comes_before_unanswered_syns_look_like_a_flood_and_outlasts_those_of_before() -> None:
    """From half a second after the change until the rings have forgotten it, and again when it heals."""
    stage = Stage().run(10, BOTH_WAYS).run(20, HIDDEN).run(20, BOTH_WAYS)
    (hidden_ms,) = stage.times("one way")
    shown_ms = stage.times("both ways")[-1]
    times = set(stage.doubted_ms)
    assert min(times) <= 10_600
    assert set(range(10_600, hidden_ms + 4450, POLL_MS)) <= times
    assert {ms for ms in times if hidden_ms + 4500 < ms < shown_ms} == set()
    assert set(range(shown_ms, shown_ms + 4450, POLL_MS)) <= times
    assert max(times) <= shown_ms + 4500


def test_whoever_answers_syns_is_not_doubted() -> None:
    """A listener under a flood that is answered, however seldom, has its flood told at once."""
    stage = Stage().run(3, BOTH_WAYS).run(10, Line(acks=100_000, segments=500, answered=500))
    assert stage.times("look")
    assert not [ms for ms in stage.doubted_ms if ms > stage.times("look")[0] + 2 * POLL_MS]
