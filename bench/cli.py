"""The bench's command line: lists and runs scenarios, and reports what came out."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path

import click

from bench.defences.registry import chosen
from bench.detection.cases import case_of
from bench.detection.judging import matrix_table
from bench.net.namespaces import exit_on_signals
from bench.report.commands import compare, report, schema
from bench.results.machine import this_machine
from bench.results.model import Result, now
from bench.results.store import ResultFile
from bench.run.runner import Runner
from bench.run.telling import failures
from bench.scenario.load import Plan, find, load, names
from bench.scenario.model import DetectionScenario, FloodScenario
from synguard.cli.lazy import WordyGroup
from synguard.cli.output import table, write
from synguard.errors import SynguardError, UnsupportedError, UsageError

RESULTS = Path("bench-results")


@click.group(cls=WordyGroup, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Measure SYN floods and what stands against them, in network namespaces of its own making."""


@cli.command("list")
def list_scenarios() -> None:
    """List the scenarios: what each is for, its premises, and whether --quick plays it too."""
    headings = ("scenario", "quick", ">cells", "purpose", "premises")
    write(table(headings, (_row(name) for name in names())))


def _row(name: str) -> tuple[str, ...]:
    plan = load(find(name), quick=False)
    assert plan is not None  # noqa: S101 - only a quick plan may be missing
    quick = "quick" if load(find(name), quick=True) else ""
    premises = ", ".join(plan.scenario.premises)
    return name, quick, str(len(plan.cells)), plan.scenario.purpose, premises


@cli.command()
@click.argument("scenarios", nargs=-1, required=True, metavar="SCENARIO...")
@click.option("--quick", is_flag=True, help="The small form: all scenarios in about 75 s.")
@click.option("--json", "file", type=click.Path(path_type=Path, dir_okay=False), help="Where results go.")
@click.option("--repetitions", type=click.IntRange(1, 100), help="Instead of the scenario's own number.")
@click.option("--case", "case", metavar="PATTERN", help="Only cases whose name matches, such as 'spoofed*'.")
def run(
    scenarios: Sequence[str], quick: bool, file: Path | None, repetitions: int | None, case: str | None
) -> None:
    """Play scenarios by name, by path, or ``all``; fail when a promise did not hold.

    Every trial is kept as it ends, in a file of bench-results/ where --json names no other.
    """
    plans = _plans(scenarios, quick=quick, repetitions=repetitions)
    if case is not None:
        plans = _of_case(plans, case)
    if os.geteuid() != 0:
        raise UnsupportedError("network namespaces need root: run it with sudo")
    file = file or RESULTS / f"{datetime.now(UTC):%Y%m%d-%H%M%S}.json"
    kept = ResultFile(file)
    result = Result(started_at=now(), machine=this_machine())
    kept.write(result)
    began_s = time.monotonic()

    def tell(line: str) -> None:
        click.echo(f"{time.monotonic() - began_s:6.1f} s  {line}", err=True)

    with exit_on_signals(), Runner(result, kept.write, tell) as runner:
        for plan in plans:
            runner.play(plan)
    for scenario in result.scenarios:
        if scenario.confusion:
            write(table(*matrix_table(scenario.confusion)))
    tell(f"results are in {file}; `python -m bench report {file}` makes tables and plots of them")
    if broken := list(failures(result.scenarios)):
        raise SynguardError("\n".join(broken))
    write(
        f"every promise held: {len(plans)} scenarios, {sum(len(s.trials) for s in result.scenarios)} trials"
    )


def _plans(scenarios: Sequence[str], *, quick: bool, repetitions: int | None) -> list[Plan]:
    """Return what to play; raises UsageError for what cannot be."""
    wanted = names() if "all" in scenarios else scenarios
    found = [load(find(name), quick=quick, repetitions=repetitions) for name in wanted]
    plans = [plan for plan in found if plan is not None]
    for cell in (cell for plan in plans for cell in plan.cells):
        if isinstance(cell.scenario, FloodScenario):
            chosen(cell.scenario.defence)
        elif isinstance(cell.scenario, DetectionScenario):
            case_of(str(cell.labels["case"]))
    if not plans:
        raise UsageError(f"none of {', '.join(wanted)} has a quick form: leave --quick out")
    return plans


def _of_case(plans: Sequence[Plan], pattern: str) -> list[Plan]:
    """Return what is left of plans when only matching cases are played; raises UsageError for nothing."""
    cells = [
        tuple(cell for cell in plan.cells if fnmatchcase(str(cell.labels.get("case", "")), pattern))
        for plan in plans
    ]
    left = [replace(plan, cells=kept) for plan, kept in zip(plans, cells, strict=True) if kept]
    if not left:
        raise UsageError(f"no case of these scenarios matches {pattern!r}")
    return left


def main() -> None:
    """Run the command line and exit with its code: 0 done, 1 failed, 2 wrong usage, 3 not permitted."""
    sys.exit(cli(prog_name="python -m bench"))


for command in (report, compare, schema):
    cli.add_command(command)
