"""The scorecard: one Markdown document that says what a result holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from bench.report.overall import (
    confusion_text,
    false_alarms_text,
    generator_text,
    invalid_text,
    machine_text,
    promises_text,
)
from bench.report.tables import scenario_tables
from bench.results.model import Result, ScenarioResult

_HOW_TO_READ = """\
Numbers are medians of valid repetitions, with the least and the most in brackets; n is how many valid
repetitions there are, and *(2 of 3)* that the figure is known in so many of them. The good clients' share is
that of all their connections begun during the floods of all repetitions, with Wilson's 95 % interval; *each*
is the least to the most of the repetitions' own shares. Connections of one trial are not independent, they
fail together: the interval is narrower than what is known, and where the repetitions lie outside of it, they
count.
Alerts, blocks and lost updates are totals. Absolute times are this machine's own: compare defences
within this run, not runs of two machines. A dash is unknown, which is not zero.
"""


def scorecard(result: Result, plots: Mapping[str, Sequence[str]]) -> str:
    """Return the document.

    Args:
        result: what to tell of.
        plots: for each scenario the image files of its plots, as the document is to name them.

    """
    return "\n".join(_parts(result, plots))


def _parts(result: Result, plots: Mapping[str, Sequence[str]]) -> Iterator[str]:
    quick = any(scenario.quick for scenario in result.scenarios)
    yield f"# Scorecard of {result.started_at}\n"
    if quick:
        yield "A quick run: short floods, few repetitions. It shows that all works, not how well.\n"
    yield machine_text(result.machine)
    yield "## What is no result\n"
    yield from invalid_text(result)
    yield "## Promises\n"
    yield from promises_text(result)
    yield from _section("What floods were called", confusion_text(result))
    yield from _section("False alarms", false_alarms_text(result))
    yield from _section("The generator's proof", generator_text(result))
    yield "## Scenarios\n"
    yield _HOW_TO_READ
    for scenario in result.scenarios:
        yield from _scenario(scenario, plots.get(scenario.scenario, ()))


def _section(title: str, parts: Iterator[str]) -> Iterator[str]:
    told = list(parts)
    if told:
        yield f"## {title}\n"
        yield from told


def _scenario(scenario: ScenarioResult, plots: Sequence[str]) -> Iterator[str]:
    yield f"### {scenario.scenario}\n"
    yield scenario.purpose + ("" if scenario.complete else " **Interrupted: this is what was done.**") + "\n"
    if scenario.premises:
        yield f"Premises: {', '.join(scenario.premises)}.\n"
    tables = list(scenario_tables(scenario))
    yield from tables or ["No trial was valid: there is nothing to tell.\n"]
    yield from (f"![{scenario.scenario}]({name})\n" for name in plots)
