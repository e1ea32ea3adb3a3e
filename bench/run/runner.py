"""Plays whole scenarios: every cell in turn, again and again, and keeps each trial as it ends."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bench.blocks import blocks
from bench.cost import ladder
from bench.detection.case import Case
from bench.detection.cases import case_of
from bench.detection.judging import confusion, judge_cases
from bench.detection.trial import play_case
from bench.drop import drop
from bench.folders import folder
from bench.history import history
from bench.life import life
from bench.live import live
from bench.measure.premises import broken_premises, deserves_another_try
from bench.measure.trial_figures import facts_of, figures_of
from bench.reading import reading
from bench.results.cells import cells_of, has_labels
from bench.results.model import Result, ScenarioResult, Trial, Verdict, now
from bench.results.verdicts import judge
from bench.run.arena import Arena, Stage, Wanted
from bench.run.telling import line_of
from bench.run.trial import FloodTrial
from bench.scaling import scaling
from bench.scenario.load import Cell, Plan
from bench.scenario.model import (
    BlocksScenario,
    CostScenario,
    DetectionScenario,
    DropScenario,
    FloodScenario,
    HistoryScenario,
    LifeScenario,
    LiveScenario,
    Premise,
    Promise,
    ReadingScenario,
    ScalingScenario,
    ShareScenario,
)
from bench.share import share
from synguard.errors import SynguardError

#: A trial whose premises did not hold is played again, at most so many times more.
RETRIES = 2
ENOUGH_CONNECTS = 1000
_KEEP_EVERY_S = 1.0

Tell = Callable[[str], None]


class Runner:
    """Plays scenarios into one result, while the ``with`` block lasts.

    Args:
        result: what it adds to.
        keep: called after each trial, to put the result on disk.
        tell: called with each line of progress.

    """

    def __init__(self, result: Result, keep: Callable[[Result], None], tell: Tell) -> None:
        self._result = result
        self._keep = keep
        self._tell = tell
        self._kept_s = -_KEEP_EVERY_S
        self._stage = Stage()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stage.clear()

    def play(self, plan: Plan) -> ScenarioResult:
        """Play one scenario to its end and judge its promises."""
        began_s = time.monotonic()
        done = _begun(plan)
        self._result.scenarios.append(done)
        self._tell(f"== {plan.name}: {plan.scenario.purpose}")
        try:
            for trial in self._trials(plan):
                done.trials.append(trial)
                done.lasted_s = round(time.monotonic() - began_s, 1)
                self._keep_now_and_then()
        finally:
            _demand_connects(plan, done)
            self._keep(self._result)
        done.complete = True
        done.verdicts = _verdicts(plan, done)
        if isinstance(plan.scenario, DetectionScenario):
            done.confusion = confusion(done.trials)
        for verdict in done.verdicts:
            if verdict.held is not True:
                self._tell(f"   BROKEN: {verdict.promise}: {verdict.observed}")
        self._keep(self._result)
        return done

    def _keep_now_and_then(self) -> None:
        """Keep the result, but not hundreds of times a second: what measures packets has such trials."""
        now_s = time.monotonic()
        if now_s - self._kept_s >= _KEEP_EVERY_S:
            self._keep(self._result)
            self._kept_s = now_s

    def _trials(self, plan: Plan) -> Iterator[Trial]:
        scenario = plan.scenario
        if isinstance(scenario, CostScenario):
            yield from ladder.play(scenario, self._tell)
        elif isinstance(scenario, LiveScenario):
            yield from live.play(scenario, self._tell)
        elif isinstance(scenario, ScalingScenario):
            yield from scaling.play(scenario, self._tell)
        elif isinstance(scenario, DropScenario):
            yield from drop.play(scenario, self._tell)
        elif isinstance(scenario, BlocksScenario):
            yield from blocks.play(scenario, self._tell)
        elif isinstance(scenario, ReadingScenario):
            yield from reading.play(scenario, self._tell)
        elif isinstance(scenario, ShareScenario):
            yield from share.play(scenario, self._tell)
        elif isinstance(scenario, HistoryScenario):
            yield from history.play(scenario, self._tell)
        elif isinstance(scenario, LifeScenario):
            yield from life.play(scenario, self._tell)
        else:
            yield from self._cell_trials(plan)

    def _cell_trials(self, plan: Plan) -> Iterator[Trial]:
        for repetition in range(1, plan.scenario.repetitions + 1):
            for cell in in_turn(plan.cells, repetition):
                for trial in _until_valid(self._stage, cell, repetition):
                    self._tell(line_of(trial))
                    yield trial


def in_turn(cells: Sequence[Cell], repetition: int) -> list[Cell]:
    """Return the cells in another order for each repetition; those that need the same hosts stay together."""
    first = (repetition - 1) * max(len(cells) // 3, 1) % len(cells)
    turned = [*cells[first:], *cells[:first]]
    order = list(dict.fromkeys(_wanted(cell) for cell in turned))
    return sorted(turned, key=lambda cell: order.index(_wanted(cell)))


def _wanted(cell: Cell) -> Wanted:
    if isinstance(cell.scenario, DetectionScenario):
        return _case(cell).hosts
    assert isinstance(cell.scenario, FloodScenario)  # noqa: S101 - all others play no cells
    return Wanted.by(cell.scenario)


def _case(cell: Cell) -> Case:
    return case_of(str(cell.labels["case"]))


def _until_valid(stage: Stage, cell: Cell, repetition: int) -> Iterator[Trial]:
    """Play a cell until its premises held, as long as another try may help; yield every trial."""
    for _ in range(1 + RETRIES):
        trial = _play(stage, cell, repetition)
        yield trial
        if trial.valid or not deserves_another_try(trial.invalid_because):
            return


def _play(stage: Stage, cell: Cell, repetition: int) -> Trial:
    began_s = time.monotonic()
    started_at = now()
    try:
        with folder("bench") as files:
            seen = _seen(cell, stage.arena(_wanted(cell)), files, repetition)
    except Exception as error:  # noqa: BLE001 - an hour of other trials is not lost for one of them
        # Nobody knows what state this left the hosts and the generator in.
        stage.clear()
        seen = {"invalid_because": [_words_for(error)]}
    return _trial(cell, repetition, started_at, round(time.monotonic() - began_s, 2), seen)


def _seen(cell: Cell, arena: Arena, files: Path, repetition: int) -> dict[str, Any]:
    if isinstance(cell.scenario, DetectionScenario):
        return play_case(_case(cell), arena, files, repetition)
    assert isinstance(cell.scenario, FloodScenario)  # noqa: S101 - see _wanted
    observed = FloodTrial(cell.scenario, arena, files, repetition).play()
    return {
        "invalid_because": list(broken_premises(observed)),
        "figures": figures_of(observed),
        "facts": facts_of(observed),
        "timeline": observed.timeline,
    }


def _words_for(error: Exception) -> str:
    if isinstance(error, SynguardError):
        return str(error)
    return "".join(traceback.format_exception_only(error)).strip() + _place_of(error)


def _place_of(error: Exception) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f" ({Path(last.filename).name}:{last.lineno})"


def _trial(cell: Cell, repetition: int, started_at: str, lasted_s: float, seen: dict[str, Any]) -> Trial:
    return Trial(labels=cell.labels, repetition=repetition, started_at=started_at, lasted_s=lasted_s, **seen)


def _promises_of(plan: Plan) -> list[Promise]:
    """Return the promises about cells that are played: the quick form, or whoever asks, leaves some out."""
    if not isinstance(plan.scenario, FloodScenario):
        return list(plan.scenario.promises)
    return [
        promise
        for promise in plan.scenario.promises
        if any(has_labels(cell.labels, promise.where) for cell in plan.cells)
        and any(has_labels(cell.labels, promise.over) for cell in plan.cells)
    ]


def _verdicts(plan: Plan, done: ScenarioResult) -> list[Verdict]:
    if isinstance(plan.scenario, DetectionScenario):
        return judge_cases(done.trials)
    return judge(_promises_of(plan), done.trials, quick=plan.quick)


def _begun(plan: Plan) -> ScenarioResult:
    return ScenarioResult(
        scenario=plan.name,
        kind=plan.kind,
        purpose=plan.scenario.purpose,
        premises=[str(premise) for premise in plan.scenario.premises],
        quick=plan.quick,
        started_at=now(),
        lasted_s=0.0,
        complete=False,
        settings=plan.digest,
        trials=[],
    )


def _demand_connects(plan: Plan, done: ScenarioResult) -> None:
    """Void the cells in which the good clients attempted too little to tell their success."""
    demanding = [cell.labels for cell in plan.cells if Premise.ENOUGH_CONNECTS in cell.scenario.premises]
    for cell in cells_of(done.trials):
        if cell.labels not in demanding:
            continue
        connects = (cell.good_connections() or (0, 0))[1]
        if connects < ENOUGH_CONNECTS:
            why = f"{Premise.ENOUGH_CONNECTS}: {connects} connects over all repetitions are too few to tell"
            for trial in cell.valid:
                trial.invalid_because.append(why)
