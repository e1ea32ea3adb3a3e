"""Two results compared: what changed beyond the noise, and what cannot be compared."""

from __future__ import annotations

import json

import pytest

from bench.report.compare import Change, Comparison, compare_results
from bench.report.compare_text import comparison_text
from bench.results.model import ScenarioResult, Trial, Verdict
from tests.bench.made_results import machine, realistic, result, scenario, trial, trials

STEADY = [100.0, 101.0, 99.0, 100.5, 99.5]


def compared(before: list[Trial], after: list[Trial], **machine_fields: object) -> Comparison:
    """Compare two results of one scenario."""
    return compare_results(result(scenario(before)), result(scenario(after), **machine_fields))


def only(comparison: Comparison, outcome: str) -> Change:
    """Return the one change that there is, which has this outcome."""
    [change] = comparison.changes
    assert change.outcome == outcome
    return change


@pytest.mark.parametrize(
    ("figure", "outcome"),
    [("connect_p50_ms", "worse"), ("received_syn_per_s", "better"), ("offered_syn_per_s", "different")],
)
def test_a_rise_is_judged_by_what_the_figure_means(figure: str, outcome: str) -> None:
    """More is worse for a time, better for what is received, and neither for what was sent."""
    doubled = [2 * value for value in STEADY]
    found = compared(trials({}, **{figure: STEADY}), trials({}, **{figure: doubled}))
    change = only(found, outcome)
    assert change.relative == pytest.approx(1.0)
    assert change.chance == pytest.approx(2 / 252)
    assert (change.before.median, change.after.most, change.before.repetitions) == (100, 202, 5)


def test_a_fall_is_judged_the_other_way_round() -> None:
    """Less of what costs is better."""
    halved = [value / 2 for value in STEADY]
    only(compared(trials({}, daemon_cpu=STEADY), trials({}, daemon_cpu=halved)), "better")


def test_two_runs_of_the_same_are_the_same() -> None:
    """Hundreds of figures with nothing but noise between them change hardly anywhere."""
    found = compare_results(realistic(1), realistic(2))
    told = found.of("worse", "better", "different", "untold")
    assert len(found.changes) > 500
    assert len(told) <= 0.02 * len(found.changes)


def test_a_slower_run_is_found_slower() -> None:
    """Half as slow again shows in most times, and the empty program gives the machine away."""
    found = compare_results(realistic(1), realistic(2, slower=1.5))
    worse = [change for change in found.of("worse") if change.figure == "ns_per_packet"]
    assert len(worse) == 16
    assert any("the machine itself was slower" in note for note in found.notes)
    # All other scenarios have repetitions, or cells of the same size, enough.
    assert {change.scenario for change in found.of("untold")} == {"interrupted"}


def test_three_repetitions_are_told_by_the_noise_of_all_cells() -> None:
    """A change in one of many cells is told with three repetitions; alone in the world it is not."""
    cells = [(f"case {number}", [100.0, 101.0, 102.0]) for number in range(6)]
    before = [one for case, values in cells for one in trials({"case": case}, connect_p50_ms=values)]
    after = [*before[3:], *trials({"case": "case 0"}, connect_p50_ms=[150, 151, 152])]
    found = compared(before, after)
    [change] = found.of("worse")
    assert change.labels == {"case": "case 0"}
    assert change.chance is None
    assert change.noise == pytest.approx(2, abs=2)
    assert len(found.of("same")) == 5
    assert compared(before[:3], after[-3:]).of("untold")


def test_single_repetitions_cannot_tell() -> None:
    """Figures of quick runs that differ are shown as what nobody can tell."""
    only(compared([trial(missed=0)], [trial(missed=1)]), "untold")
    only(compared([trial(missed=1)], [trial(missed=1)]), "same")


def test_invalid_trials_are_not_compared() -> None:
    """A cell whose trials were all invalid in one result is in the other only."""
    bad = [trial({"defence": "none"}, invalid=["rate-held: no"], missed=1)] * 5
    found = compared(bad, trials({"defence": "none"}, missed=[0] * 5))
    assert not found.changes
    assert found.only_after == ["flooded: defence none"]


def test_what_is_in_one_only_is_named() -> None:
    """Scenarios, cells and figures that the other result lacks are told for both sides."""
    before = result(
        scenario([trial({"case": "a"}, missed=0), trial({"case": "b"}, missed=0)], "both"),
        scenario([], "old"),
    )
    after = result(scenario([trial({"case": "a"}, missed=0, alerts=1)], "both"), scenario([], "new"))
    found = compare_results(before, after)
    assert found.only_before == ["scenario old", "both: case b"]
    assert found.only_after == ["scenario new", "both: case a: alerts"]


def test_on_another_machine_times_are_not_judged() -> None:
    """Where CPU or kernel differ, counts and shares are judged, and times and rates are not."""
    figures = {"connect_p50_ms": STEADY, "received_syn_per_s": STEADY, "missed": [0.0] * 5}
    after = figures | {"connect_p50_ms": [9.0] * 5, "missed": [1.0] * 5}
    found = compared(trials({}, **figures), trials({}, **after), kernel="6.12.1")
    assert found.machines_differ == ["kernel: 6.1.0-1-amd64 → 6.12.1"]
    assert only(found, "worse").figure == "missed"
    assert "not comparable" in comparison_text(found, "a", "b")


def test_other_versions_are_noted_and_times_judged() -> None:
    """Another commit is what comparisons are made for: it is noted, and everything is judged."""
    found = compared(
        trials({}, connect_p50_ms=STEADY),
        trials({}, connect_p50_ms=STEADY),
        versions=machine().versions | {"commit": "fedcba987654"},
    )
    assert found.notes == ["commit: 0123456789ab → fedcba987654"]
    assert not found.machines_differ
    only(found, "same")


def test_a_quick_run_is_not_compared_with_a_full_one() -> None:
    """Floods of other lengths have other figures: the scenario is left out, and that is said."""
    before = result(scenario(trials({}, missed=[0] * 5)))
    after = result(scenario(trials({}, missed=[1] * 5), quick=True))
    found = compare_results(before, after)
    assert not found.changes
    assert "not compared" in found.notes[0]


@pytest.mark.parametrize(("old", "new", "judged"), [("ab", "cd", 0), ("ab", "ab", 1), ("", "cd", 1)])
def test_a_scenario_that_changed_is_not_judged(old: str, new: str, judged: int) -> None:
    """Figures of another scenario under the same name are left out, and that is said; unknown is judged."""
    figures = [trials({}, missed=[value] * 5) for value in (0, 1)]
    before, after = (scenario(made, settings=known) for made, known in zip(figures, (old, new), strict=True))
    found = compare_results(result(before), result(after))
    assert len(found.changes) == judged
    assert any("the scenario itself changed" in note for note in found.notes) == (not judged)


def test_zeros_do_not_hide_what_changed_elsewhere() -> None:
    """Beside cells of 0 and of 300,000 a cell of 10 that rose by half is told with three repetitions."""
    steady = [(0.0, 0.0, 0.0), (10.0, 10.1, 10.2), (3e5, 2.9e5, 3.1e5)]
    cells = [(f"{level[0]} {number}", level) for level in steady for number in range(6)]
    before = [one for case, values in cells for one in trials({"case": case}, lost_at_ring=values)]
    risen = trials({"case": "10.0 3"}, lost_at_ring=[15.0, 15.1, 15.2])
    after = [one for one in before if one.labels != risen[0].labels] + risen
    [change] = compared(before, after).of("worse")
    assert change.labels == {"case": "10.0 3"}


def _promising(held: bool | None, word: str) -> ScenarioResult:
    verdict = Verdict(promise="class is spoofed in every repetition", held=held, observed=f"{word} 1 of 1")
    return scenario([trial(facts={"class": word})], verdicts=[verdict])


def test_broken_promises_and_other_words_are_told() -> None:
    """A verdict that turned and a class that changed are told with both observations."""
    found = compare_results(result(_promising(True, "spoofed")), result(_promising(False, "distributed")))
    [verdict] = found.verdicts
    assert (verdict.before, verdict.after) == ("held (spoofed 1 of 1)", "broken (distributed 1 of 1)")
    [fact] = found.facts
    assert (fact.what, fact.before, fact.after) == (
        "the only cell: class",
        "spoofed ×1",
        "distributed ×1",
    )
    same = result(_promising(None, "spoofed"))
    assert not compare_results(same, same).verdicts
    assert not compare_results(same, same).facts


def test_the_text_says_what_and_how_sure() -> None:
    """A line has scenario, cell, figure, both spreads, the change and the noise; the end counts the rest."""
    slow = [2 * value for value in STEADY]
    found = compared(
        trials({"defence": "none"}, connect_p50_ms=STEADY, missed=[0] * 5),
        trials({"defence": "none"}, connect_p50_ms=slow, missed=[0] * 5),
    )
    text = comparison_text(found, "old.json", "new.json")
    assert "A: old.json\nB: new.json" in text
    assert (
        "Worse:\n  flooded: defence none: connect_p50_ms: 100 [99 to 101] → 200 [198 to 202] ms, "
        "+100 % (5 and 5 repetitions; by chance 0.8 %)"
    ) in text
    assert "2 figures judged: 1 changed beyond the noise, 1 did not" in text


def test_for_programs_what_stayed_is_counted() -> None:
    """The JSON form has every change and only the number of what stayed within the noise."""
    found = compare_results(realistic(1), realistic(2, slower=2.0))
    parts = json.loads(json.dumps(found.as_json()))
    assert parts["within_noise"] == len(found.of("same"))
    assert {change["outcome"] for change in parts["changes"]} <= {"worse", "better", "different", "untold"}
    assert len(parts["changes"]) + parts["within_noise"] == len(found.changes)
