"""Says in a line or two what was played, and why a run is no success."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bench.measure.premises import deserves_another_try
from bench.results.cells import cells_of, name_of
from bench.results.model import ScenarioResult, Trial

_SHOWN = {
    "offered_syn_per_s": "{:,.0f} SYN/s",
    "good_success": "good {:.1%}",
    "connect_p99_ms": "p99 {:.1f} ms",
    "time_to_alert_ms": "alert {:,.0f} ms",
    "time_to_act_ms": "act {:,.0f} ms",
    "time_to_close_ms": "closed {:,.0f} ms after",
    "receiver_ns_per_frame": "{:,.0f} ns/frame",
}


def line_of(trial: Trial) -> str:
    """Return a trial in one line."""
    name = f"   {name_of(trial.labels)} #{trial.repetition}"
    if not trial.valid:
        return f"{name}: INVALID: {'; '.join(trial.invalid_because)}"
    values = ((form, trial.figures.get(figure)) for figure, form in _SHOWN.items())
    parts = [form.format(value) for form, value in values if value is not None]
    said = trial.facts.get("class")
    wrong = trial.facts.get("wrong")
    told = " · ".join([name, *parts, *([said] if said else [])])
    return f"{told}\n      WRONG: {wrong}" if wrong else told


def failures(results: Iterable[ScenarioResult]) -> Iterator[str]:
    """Yield why a run is no success.

    That is a promise that did not hold, a trial that failed by what no other try may mend, and a cell without
    a valid trial.
    """
    for done in results:
        for trial in done.trials:
            if not deserves_another_try(trial.invalid_because):
                why = "; ".join(trial.invalid_because)
                yield f"{done.scenario}: {name_of(trial.labels)} #{trial.repetition}: {why}"
        for verdict in done.verdicts:
            if verdict.held is not True:
                yield f"{done.scenario}: {verdict.promise}: {verdict.observed}"
        for cell in cells_of(done.trials):
            if not cell.valid and deserves_another_try(cell.invalid[-1].invalid_because):
                why = "; ".join(cell.invalid[-1].invalid_because)
                yield f"{done.scenario}: no valid trial of {cell.name}: {why}"
