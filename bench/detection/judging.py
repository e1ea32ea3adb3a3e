"""Makes of all cases' trials what a run says in the end: the confusion matrix, and a verdict on each case."""

from __future__ import annotations

from collections.abc import Sequence

from bench.measure.alerts import SILENCE
from bench.results.cells import CellTrials, cells_of
from bench.results.model import Trial, Verdict

#: By what was played, how often it was called what.
Confusion = dict[str, dict[str, int]]


def confusion(trials: Sequence[Trial]) -> Confusion:
    """Return the confusion matrix of the valid trials that say what was played."""
    matrix: Confusion = {}
    for trial in trials:
        played, said = trial.facts.get("expected_class"), trial.facts.get("class")
        if trial.valid and played is not None and said is not None:
            row = matrix.setdefault(played, {})
            row[said] = row.get(said, 0) + 1
    return matrix


def judge_cases(trials: Sequence[Trial]) -> list[Verdict]:
    """Return a verdict on each case: it holds when every valid repetition was called and named rightly."""
    return [_verdict(cell) for cell in cells_of(trials)]


def _verdict(cell: CellTrials) -> Verdict:
    expected = next(iter(cell.facts("expected_class")), "what it is")
    says = "raises no alert" if expected == SILENCE else f"is called {expected}, and nothing else"
    promise = f"{cell.name} {says}"
    if not cell.valid:
        return Verdict(promise=promise, held=None, observed="no valid trial")
    wrong = [trial for trial in cell.valid if trial.facts.get("wrong")]
    right = len(cell.valid) - len(wrong)
    observed = [f"in {right} of {len(cell.valid)} repetitions"]
    observed += [f"#{trial.repetition} {trial.facts['wrong']}" for trial in wrong]
    return Verdict(promise=promise, held=not wrong, observed="; ".join(observed))


def matrix_table(matrix: Confusion) -> tuple[list[str], list[list[str]]]:
    """Return head and rows of a matrix; both begin in the order in which classes were played first."""
    columns = list(dict.fromkeys([*matrix, *(said for row in matrix.values() for said in row)]))
    rows = [
        [played, *(str(row[said]) if said in row else "." for said in columns)]
        for played, row in matrix.items()
    ]
    return ["played ↓ · called →", *columns], rows
