"""Judges a scenario's promises over its trials, and says in words why."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from bench.measure.statistics import median, quantile
from bench.results.cells import CellTrials, cells_of, has_labels, name_of
from bench.results.figures import FACTS, FIGURES
from bench.results.model import Label, Trial, Verdict
from bench.scenario.model import Promise
from synguard.errors import UsageError

_MEDIAN = 0.5
#: Whether a promise held in one cell, and what was seen there.
_Judged = tuple[bool | None, str]


def judge(promises: Sequence[Promise], trials: Sequence[Trial], *, quick: bool) -> list[Verdict]:
    """Return a verdict on each promise that is judged in such a run.

    A promise holds when it does in every cell that it means. It is broken when it is in one of them, and
    nobody can tell when none is broken and one has no valid trial. A valid trial in which the figure is
    missing does not keep the promise: it counts as the worst that there is.

    Raises UsageError for a promise that makes no sense.
    """
    for promise in promises:
        refuse_nonsense(promise)
    cells = cells_of(trials)
    wanted = {"always", "quick" if quick else "full"}
    return [_verdict(promise, cells) for promise in promises if promise.judged in wanted]


def refuse_nonsense(promise: Promise) -> None:
    """Raise UsageError for a promise that nobody could judge, naming it."""
    fact = promise.figure in FACTS
    limits = [promise.at_least, promise.at_most]
    if not fact and promise.figure not in FIGURES:
        raise UsageError(f"a promise is about {promise.figure!r}, which is neither a figure nor a fact")
    if promise.equals is None and limits == [None, None]:
        raise UsageError(f"the promise on {promise.figure} says no value: equals, at_least or at_most")
    if fact and (limits != [None, None] or promise.over):
        raise UsageError(f"the promise on {promise.figure} compares words: only equals makes sense")
    if isinstance(promise.equals, str) and not fact:
        raise UsageError(f"the promise on {promise.figure} is about a number, and equals a word")
    if fact and not isinstance(promise.equals, str):
        raise UsageError(f"the promise on {promise.figure} is about a word, and equals a number")


def words_for(promise: Promise) -> str:
    """Return a promise as a sentence."""
    limits = []
    if promise.equals is not None:
        limits.append(f"is {_number(promise.equals)} in every repetition")
    if promise.at_least is not None:
        limits.append(f"is at least {_number(promise.at_least)}")
    if promise.at_most is not None:
        limits.append(f"is at most {_number(promise.at_most)}")
    where = f" where {_words_of(promise.where)}" if promise.where else ""
    over = f", over that where {_words_of(promise.over)}," if promise.over else ""
    figure = promise.figure if promise.share == _MEDIAN else f"{_rank(promise.share)} of {promise.figure}"
    return f"{figure}{where}{over} {' and '.join(limits)}"


def _rank(share: float) -> str:
    return "the greatest" if share == 1 else f"p{100 * share:g}"


def _words_of(labels: Mapping[str, object]) -> str:
    words = {
        label: " or ".join(str(one) for one in value) if isinstance(value, list | tuple) else value
        for label, value in labels.items()
    }
    return name_of(words)


def _verdict(promise: Promise, cells: Sequence[CellTrials]) -> Verdict:
    meant = [cell for cell in cells if has_labels(cell.labels, promise.where)]
    judged = [(cell, *_judge_cell(promise, cell, cells)) for cell in meant]
    outcomes = {held for _, held, _ in judged}
    held = False if False in outcomes else None if None in outcomes or not judged else True
    told = [(cell, observed) for cell, outcome, observed in judged if outcome is held]
    if not told:
        observed = "no such cell was played"
    elif len(meant) == 1:
        observed = told[0][1]
    elif held and len({observed for _, observed in told}) == 1:
        # Dozens of cells that all say the same are told in one breath.
        observed = f"{told[0][1]}, in each of {len(told)} cells"
    else:
        observed = "; ".join(f"{cell.name}: {observed}" for cell, observed in told)
    return Verdict(promise=words_for(promise), held=held, observed=observed)


def _judge_cell(promise: Promise, cell: CellTrials, cells: Sequence[CellTrials]) -> _Judged:
    if not cell.valid:
        return None, "no valid trial"
    if promise.figure in FACTS:
        return _judge_words(promise, cell)
    if not cell.values(promise.figure):
        return False, f"unknown in all of {len(cell.valid)} repetitions"
    if promise.over:
        return _judge_ratio(promise, cell, cells)
    return _judge_numbers(promise, _known(promise, cell), "")


def _judge_words(promise: Promise, cell: CellTrials) -> _Judged:
    seen = cell.facts(promise.figure)
    if unknown := len(cell.valid) - seen.total():
        seen["nothing"] = unknown
    held = seen.keys() == {promise.equals}
    return held, ", ".join(f"{word} {count} of {len(cell.valid)} times" for word, count in seen.items())


def _judge_ratio(promise: Promise, cell: CellTrials, cells: Sequence[CellTrials]) -> _Judged:
    base = _base(cell.labels, promise.over, cells)
    if base is None:
        return None, f"no one cell where {name_of(promise.over)} to compare with"
    values = base.values(promise.figure)
    middle = median(values) if values else 0.0
    if not middle:
        return None, f"{'0' if values else 'no value'} where {base.name}: nothing to compare with"
    ratios = [value / middle for value in _known(promise, cell)]
    return _judge_numbers(promise, ratios, f", of {_number(middle)} where {base.name}")


def _base(
    labels: Mapping[str, Label], over: Mapping[str, object], cells: Sequence[CellTrials]
) -> CellTrials | None:
    """Return the cell that differs in nothing but the labels of ``over``, or else the only one with them."""
    candidates = [cell for cell in cells if has_labels(cell.labels, over)]
    rest = {label: value for label, value in labels.items() if label not in over}
    nearest = [cell for cell in candidates if has_labels(cell.labels, rest)] or candidates
    return nearest[0] if len(nearest) == 1 else None


def _known(promise: Promise, cell: CellTrials) -> list[float]:
    """Return the figure in every valid trial, as bad as can be where it is missing."""
    worst = -math.inf if promise.at_least is not None else math.inf
    found = (trial.figures.get(promise.figure) for trial in cell.valid)
    return [worst if value is None else value for value in found]


def _judge_numbers(promise: Promise, values: Sequence[float], base: str) -> _Judged:
    ordered = sorted(values)
    middle = _at(ordered, _MEDIAN)
    told = middle if promise.share == _MEDIAN else _at(ordered, promise.share)
    held = all(_limits_hold(promise, told, ordered))
    seen = _seen(ordered, middle)
    if promise.share != _MEDIAN:
        seen = f"{_rank(promise.share)} {_number(told)}; {seen}"
    return held, seen + base


def _at(ordered: Sequence[float], share: float) -> float:
    """Return a quantile. Between a number and "never" there is no number: then "never" counts."""
    place = share * (len(ordered) - 1)
    around = max(ordered[math.ceil(place)], ordered[math.floor(place)], key=abs)
    return around if math.isinf(around) else quantile(ordered, share)


def _limits_hold(promise: Promise, told: float, values: Sequence[float]) -> Iterator[bool]:
    if promise.equals is not None:
        yield all(value == promise.equals for value in values)
    if promise.at_least is not None:
        yield told >= promise.at_least
    if promise.at_most is not None:
        yield told <= promise.at_most


def _seen(ordered: Sequence[float], middle: float) -> str:
    if len(set(ordered)) == 1:
        return f"{_number(middle)} in {len(ordered)} of {len(ordered)} repetitions"
    least, most = _number(ordered[0]), _number(ordered[-1])
    return f"median {_number(middle)} of {len(ordered)} repetitions [{least} to {most}]"


def _number(value: float | str) -> str:
    if isinstance(value, str):
        return value
    if math.isinf(value):
        return "missing"
    return f"{value:,.0f}" if value == int(value) or abs(value) >= 1000 else f"{value:.4g}"
