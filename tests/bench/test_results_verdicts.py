"""Promises judged: over every cell they mean, by valid trials alone, and in words."""

from __future__ import annotations

from typing import Any

import pytest

from bench.results.model import Trial, Verdict
from bench.results.verdicts import judge, words_for
from bench.scenario.model import Promise
from synguard.errors import UsageError
from tests.bench.made_results import trial, trials


def judged(made: list[Trial], figure: str, **promise: Any) -> Verdict:
    """Return the verdict on one promise."""
    [verdict] = judge([Promise(figure=figure, **promise)], made, quick=False)
    return verdict


def test_a_limit_is_judged_by_the_median() -> None:
    """One bad repetition of three does not break a limit, two do."""
    good = trials({}, good_success=[1.0, 0.5, 0.999])
    assert judged(good, "good_success", at_least=0.99).held is True
    bad = trials({}, good_success=[1.0, 0.5, 0.98])
    assert judged(bad, "good_success", at_least=0.99).held is False
    assert judged(bad, "good_success", at_most=0.98).held is True
    assert judged(bad, "good_success", at_least=0.9, at_most=0.97).held is False


def test_a_limit_may_be_on_nearly_all() -> None:
    """A promise of p95 is broken by what one in ten exceeds, one of the greatest by a single value."""
    slow = [100.0] * 27 + [160.0] * 3
    held = {"time_to_alert_ms": slow}
    assert judged(trials({}, **held), "time_to_alert_ms", at_most=150).held is True
    verdict = judged(trials({}, **held), "time_to_alert_ms", at_most=150, share=0.95)
    assert (verdict.held, verdict.observed) == (False, "p95 160; median 100 of 30 repetitions [100 to 160]")
    assert verdict.promise == "p95 of time_to_alert_ms is at most 150"
    rare = trials({}, time_to_alert_ms=[100.0] * 29 + [160.0])
    assert judged(rare, "time_to_alert_ms", at_most=150, share=0.95).held is True
    assert judged(rare, "time_to_alert_ms", at_most=150, share=1).held is False
    never = trials({}, time_to_alert_ms=[100.0] * 29 + [None])
    assert judged(never, "time_to_alert_ms", at_most=150, share=0.95).held is True
    verdict = judged(never, "time_to_alert_ms", at_most=150, share=1)
    assert (verdict.held, verdict.promise) == (False, "the greatest of time_to_alert_ms is at most 150")


def test_equals_must_hold_every_time() -> None:
    """A count that must be 0 is broken by a single repetition."""
    assert judged(trials({}, false_alarms=[0, 0, 0]), "false_alarms", equals=0).held is True
    verdict = judged(trials({}, false_alarms=[0, 0, 1]), "false_alarms", equals=0)
    assert verdict.held is False
    assert verdict.observed == "median 0 of 3 repetitions [0 to 1]"


def test_cells_that_all_say_the_same_are_told_in_one_breath() -> None:
    """A promise kept alike by many cells names their number, one that is broken the cells that broke it."""
    made = [one for rate in (1, 2, 3) for one in trials({"rate": rate}, false_alarms=[0, 0])]
    assert judged(made, "false_alarms", equals=0).observed == "0 in 2 of 2 repetitions, in each of 3 cells"
    broken = [*made, *trials({"rate": 4}, false_alarms=[1])]
    assert judged(broken, "false_alarms", equals=0).observed == "rate 4: 1 in 1 of 1 repetitions"


def test_a_word_must_be_said_every_time() -> None:
    """A fact is compared as a word, and silence is not that word."""
    made = [trial({}, n, {"class": word}) for n, word in enumerate(["spoofed", "spoofed", None])]
    assert judged(made[:2], "class", equals="spoofed").held is True
    verdict = judged(made, "class", equals="spoofed")
    assert verdict.held is False
    assert verdict.observed == "spoofed 2 of 3 times, nothing 1 of 3 times"


def test_invalid_trials_tell_nothing() -> None:
    """An invalid trial neither breaks nor keeps a promise; without a valid one nobody can tell."""
    bad = trial({}, 1, invalid=["rate-held: no"], good_success=0.0)
    assert judged([bad, trial({}, 1, good_success=1.0)], "good_success", at_least=0.9).held is True
    verdict = judged([bad], "good_success", at_least=0.9)
    assert (verdict.held, verdict.observed) == (None, "no valid trial")


def test_a_cell_never_played_tells_nothing() -> None:
    """A promise about a cell that an interrupted run never reached is not held, and not broken."""
    verdict = judged([], "good_success", where={"defence": "none"}, at_least=0.9)
    assert (verdict.held, verdict.observed) == (None, "no such cell was played")


def test_a_missing_figure_counts_as_the_worst() -> None:
    """An alert that never came is not quick: it breaks the limit as soon as it is missing half the time."""
    some = trials({}, time_to_alert_ms=[100, None, 110])
    assert judged(some, "time_to_alert_ms", at_most=1000).held is True
    half = trials({}, time_to_alert_ms=[100, None, 110, None])
    verdict = judged(half, "time_to_alert_ms", at_most=1000)
    assert verdict.held is False
    assert verdict.observed == "median missing of 4 repetitions [100 to missing]"
    never = judged(trials({}, time_to_alert_ms=[None, None]), "time_to_alert_ms", at_most=1000)
    assert (never.held, never.observed) == (False, "unknown in all of 2 repetitions")
    assert judged(trials({}, good_success=[None, 1.0]), "good_success", at_least=0.5).held is False
    assert judged(trials({}, false_alarms=[0, None]), "false_alarms", equals=0).held is False


def test_every_cell_meant_must_keep_it() -> None:
    """One cell breaks the promise for all, and is the one that is named."""
    made = [
        *trials({"defence": "a", "syn_per_s": 10}, good_success=[1.0]),
        *trials({"defence": "b", "syn_per_s": 10}, good_success=[0.25]),
        trial({"defence": "c", "syn_per_s": 10}, invalid=["clients-up: no"]),
    ]
    verdict = judged(made, "good_success", at_least=0.9)
    assert verdict.held is False
    assert verdict.observed == "defence b, syn_per_s 10: 0.25 in 1 of 1 repetitions"
    assert judged(made, "good_success", where={"defence": "a"}, at_least=0.9).held is True
    unsure = judged(made, "good_success", where={"defence": ["a", "c"]}, at_least=0.9)
    assert (unsure.held, unsure.observed) == (None, "defence c, syn_per_s 10: no valid trial")


def test_a_ratio_is_over_the_cell_beside() -> None:
    """With ``over`` each cell is compared with the one that differs in nothing else."""
    made = [
        *trials({"defence": "none", "syn_per_s": 10}, receiver_ns_per_frame=[100, 101]),
        *trials({"defence": "none", "syn_per_s": 20}, receiver_ns_per_frame=[1000]),
        *trials({"defence": "x", "syn_per_s": 10}, receiver_ns_per_frame=[201]),
        *trials({"defence": "x", "syn_per_s": 20}, receiver_ns_per_frame=[1500]),
    ]
    ratio = {"where": {"defence": "x"}, "over": {"defence": "none"}}
    assert judged(made, "receiver_ns_per_frame", **ratio, at_most=2).held is True
    verdict = judged(made, "receiver_ns_per_frame", **ratio, at_most=1.9)
    assert verdict.held is False
    assert verdict.observed == (
        "defence x, syn_per_s 10: 2 in 1 of 1 repetitions, of 100.5 where defence none, syn_per_s 10"
    )
    assert judged(made[3:], "receiver_ns_per_frame", **ratio, at_most=2).held is None


def test_the_only_such_cell_is_base_enough() -> None:
    """A base that lacks the cell's other labels serves when it is the only one, not when there are two."""
    made = [
        *trials({"program": "full", "packet": "ack"}, ns_per_packet=[100]),
        *trials({"program": "empty", "packet": "udp"}, ns_per_packet=[25]),
    ]
    ratio = {"where": {"program": "full"}, "over": {"program": "empty"}}
    assert judged(made, "ns_per_packet", **ratio, at_most=4).held is True
    two = [*made, *trials({"program": "empty", "packet": "syn"}, ns_per_packet=[25])]
    verdict = judged(two, "ns_per_packet", **ratio, at_most=4)
    assert verdict.held is None
    assert verdict.observed == "no one cell where program empty to compare with"


def test_a_ratio_over_nothing_tells_nothing() -> None:
    """A base of 0, without a value or without a valid trial leaves the promise open."""
    here = trials({"defence": "x"}, lost_updates=[5])
    for base in (
        trial({"defence": "none"}, lost_updates=0),
        trial({"defence": "none"}),
        trial({"defence": "none"}, invalid=["accounted: no"], lost_updates=5),
    ):
        verdict = judged(
            [*here, base], "lost_updates", where={"defence": "x"}, over={"defence": "none"}, at_most=1
        )
        assert verdict.held is None
        assert "nothing to compare with" in verdict.observed


def test_some_promises_are_for_full_runs_and_some_for_quick_ones() -> None:
    """A promise is left out of the runs in which it is not to be judged."""
    promises = [
        Promise(figure="missed", equals=0, judged="full"),
        Promise(figure="alerts", equals=0, judged="quick"),
        Promise(figure="false_alarms", equals=0),
    ]
    full = [verdict.promise.split()[0] for verdict in judge(promises, [], quick=False)]
    quick = [verdict.promise.split()[0] for verdict in judge(promises, [], quick=True)]
    assert full == ["missed", "false_alarms"]
    assert quick == ["alerts", "false_alarms"]


def test_a_promise_reads_as_a_sentence() -> None:
    """A verdict's promise says figure, cells, base and limits."""
    promise = Promise(
        figure="receiver_ns_per_frame",
        where={"defence": ["a", "b"]},
        over={"defence": "none"},
        at_most=2.5,
    )
    assert words_for(promise) == (
        "receiver_ns_per_frame where defence a or b, over that where defence none, is at most 2.5"
    )
    assert words_for(Promise(figure="class", equals="spoofed")) == "class is spoofed in every repetition"


@pytest.mark.parametrize(
    ("promise", "words"),
    [
        ({"figure": "speed", "at_least": 1}, "neither a figure nor a fact"),
        ({"figure": "missed"}, "says no value"),
        ({"figure": "class", "at_least": 1}, "compares words"),
        ({"figure": "class", "equals": 1}, "equals a number"),
        ({"figure": "missed", "equals": "no"}, "equals a word"),
    ],
)
def test_a_promise_that_makes_no_sense_is_refused(promise: dict[str, Any], words: str) -> None:
    """What nobody could judge is wrong usage, also in a run in which it would not be judged."""
    with pytest.raises(UsageError, match=words):
        judge([Promise(**promise, judged="full")], [], quick=True)
