"""The plots: one for everything that can be drawn, none for what cannot, the same bytes each time."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from bench.measure.statistics import Interval
from bench.report.drawing import looks
from bench.report.plot_bars import defences_plot, ladder_plot
from bench.report.plot_rates import alert_plot, success_plot
from bench.report.plot_timeline import timeline_plots
from bench.report.plots import draw_plots
from bench.results.cells import cells_of
from bench.results.model import ScenarioResult, Trial
from tests.bench.made_results import STARTED_AT, realistic, result, scenario, trial, trials


def texts(figure: Figure | None) -> list[str]:
    """Return what a figure says."""
    assert figure is not None
    return [
        text
        for axes in figure.axes
        for text in (
            axes.get_title(),
            *(one.get_text() for one in axes.texts),
            *(label.get_text() for label in axes.get_yticklabels()),
            *axes.get_legend_handles_labels()[1],
        )
    ]


def by_name(name: str) -> ScenarioResult:
    """Return a scenario of the made-up result."""
    return next(one for one in realistic().scenarios if one.scenario == name)


def test_everything_is_drawn_twice_and_always_the_same(tmp_path: Path) -> None:
    """Each plot is there as PNG and SVG, and drawing the same result again gives the same bytes."""
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
        drawn = draw_plots(realistic(), folder)
    assert {name: [path.name for path in paths] for name, paths in drawn.items()} == {
        "defences": ["defences-success.png", "defences-time-to-alert.png"],
        "one-flood": ["one-flood-timeline-1.png"],
        "ladder": ["ladder-cost.png"],
        "interrupted": ["interrupted-success.png"],
    }
    names = sorted(path.name for path in folders[0].iterdir())
    assert len(names) == 10
    assert all((folders[0] / name).read_bytes() == (folders[1] / name).read_bytes() for name in names)


def test_success_has_a_line_for_each_defence() -> None:
    """Every defence is in the legend, at the rates that were offered."""
    made = by_name("defences")
    names = list(dict.fromkeys(str(one.labels["defence"]) for one in made.trials))
    figure = success_plot(made, looks(names))
    assert set(names) <= set(texts(figure))


def test_missed_alerts_are_drawn_as_missed() -> None:
    """A flood that was never told of has no point, and is not forgotten either."""
    rates = [
        *trials({"syn_per_s": 10}, offered_syn_per_s=[10], time_to_alert_ms=[None], missed=[1]),
        *trials({"syn_per_s": 100}, offered_syn_per_s=[100], time_to_alert_ms=[50], missed=[0]),
        *trials({"syn_per_s": 1000}, offered_syn_per_s=[1000], time_to_alert_ms=[20], missed=[0]),
    ]
    assert "all: 1 of 1 missed" in texts(alert_plot(scenario(rates), looks(["all"])))


def test_invalid_trials_are_not_drawn() -> None:
    """A cell without a valid trial has no point, no bar and no panel."""
    bad = [
        trial(
            {"syn_per_s": rate, "defence": "x"},
            invalid=["no"],
            offered_syn_per_s=rate,
            good_attempted=10,
            good_succeeded=10,
            ns_per_packet=5,
            time_to_alert_ms=5,
        )
        for rate in (10, 100)
    ]
    made = scenario(bad)
    assert success_plot(made, looks(["x"])) is None
    assert alert_plot(made, looks(["x"])) is None
    assert defences_plot(made, looks(["x"])) is None
    assert ladder_plot(made) is None


@pytest.mark.parametrize(
    "made",
    [
        [],
        [trial()],
        [trial({"syn_per_s": "max"}), trial({"syn_per_s": 0})],
        [trial({"syn_per_s": 10}, good_attempted=0, good_succeeded=0)] * 2,
        [trial({"defence": "x"}, timeline_of_nothing=1.0)],
    ],
)
def test_what_has_nothing_to_draw_draws_nothing(made: list[Trial], tmp_path: Path) -> None:
    """Empty scenarios, cells without figures and rates of nothing are no plots, and no errors."""
    assert draw_plots(result(scenario(made), scenario(made, "cost", kind="cost")), tmp_path) == {}
    assert not list(tmp_path.iterdir())


def test_without_rates_defences_stand_below_one_another() -> None:
    """Cells that differ in no rate are drawn as one row each, by what tells them apart, with the share."""
    made = [
        *trials({"defence": "none", "case": "c"}, good_succeeded=[1], good_attempted=[10]),
        *trials({"defence": "cookies", "case": "c"}, good_succeeded=[10], good_attempted=[10]),
    ]
    said = texts(defences_plot(scenario(made), looks(["none", "cookies"])))
    assert {"none", "cookies", "10 %", "100 %"} <= set(said)


def test_the_ladder_has_a_panel_for_each_packet() -> None:
    """Packets are panels, programs rows, and every median is written beside its mark."""
    said = texts(ladder_plot(by_name("ladder")))
    assert {"SYN, new source", "established ACK", "empty", "naive"} <= set(said)
    assert sum(bool(re.fullmatch(r"[\d.,]+", one)) for one in said) == 16


def _timed(
    defence: str,
    timeline: dict[str, list[float | None]],
    invalid: tuple[str, ...] = (),
    **figures: float | None,
) -> Trial:
    return Trial(
        labels={"defence": defence},
        repetition=1,
        started_at=STARTED_AT,
        lasted_s=1.0,
        invalid_because=list(invalid),
        figures=dict(figures),
        timeline=timeline,
    )


def test_a_time_line_stands_with_and_without_response_side_by_side() -> None:
    """Each cell has a column of panels under its name and its events."""
    [figure] = timeline_plots(by_name("one-flood"))
    said = texts(figure)
    assert "defence synguard-off\nalert at 130 ms" in said
    assert "defence synguard-enforce\nalert at 130 ms, block at 150 ms" in said
    assert len(figure.axes) == 6


def test_whatever_columns_are_there_are_drawn() -> None:
    """A column that nobody foresaw has a panel of its own; one that is never known has none."""
    line: dict[str, list[float | None]] = {
        "at_s": [0, 0.1, 0.2],
        "retries_per_s": [1, None, 3],
        "half_open": [None, None, None],
    }
    [figure] = timeline_plots(scenario([_timed("a", line, time_to_alert_ms=None), trial({"defence": "b"})]))
    assert [axes.get_ylabel() for axes in figure.axes] == ["retries/s"]
    assert "no alert" in texts(figure)[0]


def test_what_came_is_told_from_what_was_sent() -> None:
    """Off the ring come the flood's frames and the good clients': the label says so."""
    line: dict[str, list[float | None]] = {
        "at_s": [0, 0.1],
        "received_per_s": [1, 2],
        "counted_per_s": [1, 1],
    }
    [figure] = timeline_plots(scenario([_timed("a", line)]))
    assert {"all off the ring, good clients' too", "SYNs counted"} <= set(texts(figure))


def test_the_bars_reach_to_every_repetition() -> None:
    """Where clients fail together, a bar spans the repetitions' own shares, not the interval alone."""
    made = [
        *trials({"defence": "none"}, good_succeeded=[100, 0], good_attempted=[100, 100]),
        *trials({"defence": "cookies"}, good_succeeded=[10], good_attempted=[10]),
    ]
    apart = cells_of(made)[0].good_success()
    assert apart is not None
    assert apart.reach == Interval(0.0, 1.0)
    assert apart.interval.low > 0.4


def test_an_invalid_time_line_is_not_drawn() -> None:
    """A cell shows its first valid trial, and one without any is left out."""
    line: dict[str, list[float | None]] = {"at_s": [0, 0.1], "received_per_s": [1, 2]}
    made = [_timed("a", line, ("no",)), _timed("a", line), _timed("b", line, ("no",))]
    [figure] = timeline_plots(scenario(made))
    assert [axes.get_title().strip() for axes in figure.axes] == ["defence a"]


def test_the_tallest_line_fits() -> None:
    """Panels of one row share an axis from 0 that holds the values of all of them."""
    tops = {"a": 10.0, "b": 90.0, "c": 40.0}
    made = [_timed(name, {"at_s": [0, 0.1], "received_per_s": [5, top]}) for name, top in tops.items()]
    [figure] = timeline_plots(scenario(made))
    assert all(axes.get_ylim()[0] == 0 and axes.get_ylim()[1] > 90 for axes in figure.axes)


def test_many_cells_are_several_sheets() -> None:
    """Five time lines do not fit beside one another: the fifth is on a second sheet."""
    line: dict[str, list[float | None]] = {"at_s": [0, 0.1], "received_per_s": [1, 2]}
    made = [_timed(name, line) for name in "abcde"]
    assert [len(figure.axes) for figure in timeline_plots(scenario(made))] == [4, 1]


def test_no_two_names_look_alike() -> None:
    """Thirty lines differ in colour, mark or dashes."""
    names = [str(number) for number in range(30)]
    assert len(set(looks(names).values())) == 30
