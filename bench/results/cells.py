"""A scenario's trials by cell: the valid ones, which are results, apart from the invalid ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from bench.measure.statistics import Interval, Spread, spread, wilson
from bench.results.model import Label, Trial


class Served(NamedTuple):
    """Which share of the good connections succeeded, 0..1."""

    #: Over all repetitions.
    share: float
    #: Its 95 % interval if each connection failed by itself. Those of one trial fail together.
    interval: Interval
    #: Each repetition's own share.
    each: Spread

    @property
    def reach(self) -> Interval:
        """The interval, widened to where the repetitions are."""
        return Interval(min(self.interval.low, self.each.least), max(self.interval.high, self.each.most))


@dataclass(frozen=True, slots=True)
class CellTrials:
    """All trials of one cell."""

    labels: Mapping[str, Label]
    valid: tuple[Trial, ...]
    invalid: tuple[Trial, ...]

    @property
    def name(self) -> str:
        """The labels in one line."""
        return name_of(self.labels)

    def values(self, figure: str) -> list[float]:
        """Return a figure's known values, in the order of the repetitions."""
        found = (trial.figures.get(figure) for trial in self.valid)
        return [value for value in found if value is not None]

    def spread(self, figure: str) -> Spread | None:
        """Return how a figure's known values lie; None where there is none."""
        values = self.values(figure)
        return spread(values) if values else None

    def facts(self, name: str) -> Counter[str]:
        """Return how often each word was found; where it is unknown it counts as nothing."""
        found = (trial.facts.get(name) for trial in self.valid)
        return Counter(word for word in found if word is not None)

    def good_connections(self) -> tuple[int, int] | None:
        """Return how many good connections succeeded and were attempted, over all repetitions."""
        pairs = self._served_and_attempted()
        if not pairs:
            return None
        served, attempted = (round(sum(column)) for column in zip(*pairs, strict=True))
        return served, attempted

    def good_success(self) -> Served | None:
        """Return the good clients' success over all repetitions, and in each."""
        counted = self.good_connections()
        if counted is None:
            return None
        each = spread([served / attempted for served, attempted in self._served_and_attempted()])
        return Served(counted[0] / counted[1], wilson(*counted), each)

    def _served_and_attempted(self) -> list[tuple[float, float]]:
        return [
            (succeeded, attempted)
            for trial in self.valid
            if (succeeded := trial.figures.get("good_succeeded")) is not None
            and (attempted := trial.figures.get("good_attempted"))
        ]


def cells_of(trials: Iterable[Trial]) -> list[CellTrials]:
    """Sort trials by their labels, in the order in which cells first appear."""
    sorted_trials: dict[tuple[tuple[str, Label], ...], list[Trial]] = {}
    for trial in trials:
        sorted_trials.setdefault(tuple(sorted(trial.labels.items())), []).append(trial)
    return [
        CellTrials(
            labels=found[0].labels,
            valid=tuple(trial for trial in found if trial.valid),
            invalid=tuple(trial for trial in found if not trial.valid),
        )
        for found in sorted_trials.values()
    ]


def name_of(labels: Mapping[str, object]) -> str:
    """Return labels in one line; a scenario without any has one cell."""
    return ", ".join(f"{label} {_word(value)}" for label, value in labels.items()) or "the only cell"


def _word(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def labels_in(cells: Sequence[CellTrials]) -> list[str]:
    """Return every label that some cell has, in the order of first appearance."""
    return list(dict.fromkeys(label for cell in cells for label in cell.labels))


def telling_labels(cells: Sequence[CellTrials]) -> list[str]:
    """Return the labels that tell these cells apart; those that all have in common say nothing."""
    return [label for label in labels_in(cells) if len({cell.labels.get(label) for cell in cells}) > 1]


def has_labels(labels: Mapping[str, object], wanted: Mapping[str, object]) -> bool:
    """Tell whether a cell has all wanted labels; a list of values is satisfied by any of them."""
    return all(_matches(labels.get(label), value) for label, value in wanted.items())


def _matches(value: object, wanted: object) -> bool:
    if isinstance(wanted, list | tuple):
        return any(_matches(value, one) for one in wanted)
    # True is 1 to Python, and not to a person.
    return value == wanted and isinstance(value, bool) == isinstance(wanted, bool)
