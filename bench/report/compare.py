"""What changed from one result to another, beyond the noise of both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec

from bench.measure.noise import Noise
from bench.measure.statistics import difference, spread
from bench.report.differences import machine_notes, speed_notes, version_notes
from bench.results.cells import CellTrials, cells_of
from bench.results.figures import FIGURES, Figure
from bench.results.model import Label, Result, ScenarioResult

Outcome = Literal["worse", "better", "different", "untold", "same"]
_Cells = dict[frozenset[tuple[str, Label]], CellTrials]


class Side(msgspec.Struct, frozen=True):
    """A figure in one of the results: median, least and most of so many valid repetitions."""

    median: float
    least: float
    most: float
    repetitions: int


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One figure of one cell in both results."""

    scenario: str
    labels: dict[str, Label]
    figure: str
    outcome: Outcome
    before: Side
    after: Side
    #: Of the medians, over the first; null where that is 0.
    relative: float | None
    #: How often chance alone parts such sets so far; null where the cell's repetitions are too few to say.
    chance: float | None
    #: Where they are: how far noise alone parts the medians in 99 of 100 cases; null where nobody knows.
    noise: float | None


class WordChange(msgspec.Struct, frozen=True, kw_only=True):
    """A fact or a verdict that is not what it was."""

    scenario: str
    what: str
    before: str
    after: str


class Comparison(msgspec.Struct, kw_only=True):
    """All that two results say of one another."""

    #: Why absolute times are not comparable; empty when they are.
    machines_differ: list[str]
    notes: list[str]
    changes: list[Change]
    facts: list[WordChange]
    verdicts: list[WordChange]
    only_before: list[str]
    only_after: list[str]

    def of(self, *outcomes: Outcome) -> list[Change]:
        """Return the changes with one of these outcomes, the greatest first."""
        found = [change for change in self.changes if change.outcome in outcomes]
        return sorted(found, key=_size, reverse=True)

    def as_json(self) -> dict[str, Any]:
        """Return it for a program; what stayed within the noise is counted only."""
        told = [change for change in self.changes if change.outcome != "same"]
        parts: dict[str, Any] = msgspec.to_builtins(self)
        return parts | {"changes": msgspec.to_builtins(told), "within_noise": len(self.of("same"))}


def _size(change: Change) -> float:
    return float("inf") if change.relative is None else abs(change.relative)


def compare_results(before: Result, after: Result) -> Comparison:
    """Return what changed from one result to another.

    Where machine or kernel differ only figures are judged that do not depend on their speed.
    """
    differ = machine_notes(before.machine, after.machine)
    found = Comparison(
        machines_differ=differ,
        notes=list(version_notes(before.machine, after.machine)),
        changes=[],
        facts=[],
        verdicts=[],
        only_before=[],
        only_after=[],
    )
    old = {scenario.scenario: scenario for scenario in before.scenarios}
    new = {scenario.scenario: scenario for scenario in after.scenarios}
    found.only_before += [f"scenario {name}" for name in old if name not in new]
    found.only_after += [f"scenario {name}" for name in new if name not in old]
    for name in (name for name in old if name in new):
        _compare_scenario(found, old[name], new[name])
    if not differ:
        found.notes += speed_notes(found.changes)
    return found


def _compare_scenario(found: Comparison, old: ScenarioResult, new: ScenarioResult) -> None:
    found.verdicts += _verdict_changes(old, new)
    if why := _incomparable(old, new):
        found.notes.append(f"{old.scenario}: {why}: not compared")
        return
    before, after = _by_labels(old), _by_labels(new)
    found.only_before += _only_here(old.scenario, before, after)
    found.only_after += _only_here(old.scenario, after, before)
    pairs = [(before[key], after[key]) for key in before if key in after]
    found.changes += _figure_changes(old.scenario, pairs, portable_only=bool(found.machines_differ))
    for one, other in pairs:
        found.facts += _fact_changes(old.scenario, one, other)
        found.only_before += _known_only_here(old.scenario, one, other)
        found.only_after += _known_only_here(old.scenario, other, one)


def _incomparable(old: ScenarioResult, new: ScenarioResult) -> str | None:
    """Return why the figures mean other things; None where they do not, as far as anybody knows."""
    if old.quick != new.quick:
        return "played quick in one and in full in the other"
    if old.settings and new.settings and old.settings != new.settings:
        return f"the scenario itself changed ({old.settings} → {new.settings})"
    return None


def _by_labels(scenario: ScenarioResult) -> _Cells:
    """Return the cells that have a valid trial; an invalid one is no result to compare."""
    return {frozenset(cell.labels.items()): cell for cell in cells_of(scenario.trials) if cell.valid}


def _only_here(scenario: str, here: _Cells, there: _Cells) -> Iterator[str]:
    yield from (f"{scenario}: {cell.name}" for key, cell in here.items() if key not in there)


def _known_only_here(scenario: str, here: CellTrials, there: CellTrials) -> Iterator[str]:
    for figure in _figures((here,)):
        if here.values(figure) and not there.values(figure):
            yield f"{scenario}: {here.name}: {figure}"


def _figures(cells: Sequence[CellTrials]) -> list[str]:
    return list(dict.fromkeys(name for cell in cells for trial in cell.valid for name in trial.figures))


def _figure_changes(
    scenario: str, pairs: Sequence[tuple[CellTrials, CellTrials]], *, portable_only: bool
) -> Iterator[Change]:
    cells = [cell for pair in pairs for cell in pair]
    for name in _figures(cells):
        known = FIGURES.get(name, Figure("", None, name))
        if portable_only and not known.portable:
            continue
        noise = Noise(cell.values(name) for cell in cells)
        for one, other in pairs:
            before, after = one.values(name), other.values(name)
            if before and after:
                yield _change(scenario, one.labels, (name, known), (before, after), noise)


def _change(
    scenario: str,
    labels: Mapping[str, Label],
    figure: tuple[str, Figure],
    values: tuple[list[float], list[float]],
    noise: Noise,
) -> Change:
    before, after = values
    apart = difference(before, after)
    return Change(
        scenario=scenario,
        labels=dict(labels),
        figure=figure[0],
        outcome=_outcome(figure[1], before, after, noise),
        before=_side(before),
        after=_side(after),
        relative=apart.relative,
        chance=apart.chance if apart.tellable else None,
        noise=None if apart.tellable else noise.limit(before, after),
    )


def _side(values: list[float]) -> Side:
    found = spread(values)
    return Side(found.median, found.least, found.most, found.count)


def _outcome(figure: Figure, before: list[float], after: list[float], noise: Noise) -> Outcome:
    apart = difference(before, after)
    if apart.change == 0:
        return "same"
    if apart.tellable:
        beyond = apart.beyond_noise
    elif noise.limit(before, after) is not None:
        beyond = noise.exceeded(before, after)
    else:
        return "untold" if min(after) > max(before) or max(after) < min(before) else "same"
    if not beyond:
        return "same"
    if figure.better is None:
        return "different"
    return "better" if (apart.change > 0) == (figure.better == "higher") else "worse"


def _fact_changes(scenario: str, before: CellTrials, after: CellTrials) -> Iterator[WordChange]:
    names = dict.fromkeys(name for cell in (before, after) for trial in cell.valid for name in trial.facts)
    for name in names:
        old, new = before.facts(name), after.facts(name)
        if old.keys() != new.keys():
            what = f"{before.name}: {name}"
            yield WordChange(scenario=scenario, what=what, before=_counted(old), after=_counted(new))


def _counted(words: Mapping[str, int]) -> str:
    return ", ".join(f"{word} ×{times}" for word, times in sorted(words.items())) or "unknown"


_HELD = {True: "held", False: "broken", None: "could not be told"}


def _verdict_changes(old: ScenarioResult, new: ScenarioResult) -> Iterator[WordChange]:
    before = {verdict.promise: verdict for verdict in old.verdicts}
    for verdict in new.verdicts:
        was = before.get(verdict.promise)
        if was is not None and was.held != verdict.held:
            yield WordChange(
                scenario=old.scenario,
                what=verdict.promise,
                before=f"{_HELD[was.held]} ({was.observed})",
                after=f"{_HELD[verdict.held]} ({verdict.observed})",
            )
