"""Writes a comparison of two results for people to read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.measure.statistics import CHANCE
from bench.report.compare import Change, Comparison, Side, WordChange
from bench.report.words import number, percent, shown, unit_of
from bench.results.cells import name_of

#: So many of those that could not be told are listed.
_UNTOLD = 10


def comparison_text(comparison: Comparison, before: str, after: str) -> str:
    """Return a comparison as text; ``before`` and ``after`` name the results."""
    return "\n".join(_lines(comparison, before, after))


def _lines(comparison: Comparison, before: str, after: str) -> Iterator[str]:
    yield f"A: {before}"
    yield f"B: {after}"
    if comparison.machines_differ:
        yield f"The machines differ ({'; '.join(comparison.machines_differ)}):"
        yield "absolute times, rates and sizes are not comparable; counts and shares alone are judged."
    yield from comparison.notes
    yield from _words("Promises", comparison.verdicts)
    yield from _words("What was said", comparison.facts)
    for title, outcome in (("Worse", "worse"), ("Better", "better"), ("Different", "different")):
        yield from _section(title, comparison.of(outcome))  # type: ignore[arg-type]
    untold = comparison.of("untold")
    yield from _section(f"Too few repetitions to tell ({len(untold)} in all)", untold[:_UNTOLD])
    yield from _only("Only in A", comparison.only_before)
    yield from _only("Only in B", comparison.only_after)
    yield ""
    yield _summary(comparison, len(untold))


def _summary(comparison: Comparison, untold: int) -> str:
    judged = len(comparison.changes) - untold
    same = len(comparison.of("same"))
    if not judged:
        return "No figure could be judged."
    return (
        f"{judged} figures judged: {judged - same} changed beyond the noise, {same} did not. "
        f"By chance alone about {number(max(1, round(judged * CHANCE)))} would seem to have changed. "
        "The noise is that of repetitions within each run: what kept the machine busy through one whole run "
        "shows as a change."
    )


def _section(title: str, changes: Sequence[Change]) -> Iterator[str]:
    if changes:
        yield f"\n{title}:"
        yield from (f"  {_line(change)}" for change in changes)


def _line(change: Change) -> str:
    place = f"{change.scenario}: {name_of(change.labels)}: {change.figure}"
    before, after = (_side(change.figure, side) for side in (change.before, change.after))
    unit = {"ratio": "%", "bytes": "MiB", "1/s": "/s"}.get(unit_of(change.figure), unit_of(change.figure))
    return f"{place}: {before} → {after} {unit}{_relative(change)} ({_noise(change)})"


def _side(figure: str, side: Side) -> str:
    middle, least, most = (shown(figure, value, unit=False) for value in (side.median, side.least, side.most))
    return middle if least == middle == most else f"{middle} [{least} to {most}]"


def _relative(change: Change) -> str:
    if change.relative is None:
        return ""
    return f", {'+' if change.relative > 0 else '−'}{percent(abs(change.relative))}"


def _noise(change: Change) -> str:
    repetitions = f"{change.before.repetitions} and {change.after.repetitions} repetitions"
    if change.chance is not None:
        return f"{repetitions}; by chance {percent(change.chance)}"
    if change.noise is None:
        return repetitions
    return f"{repetitions}; noise up to {shown(change.figure, change.noise)}"


def _words(title: str, changes: Sequence[WordChange]) -> Iterator[str]:
    if changes:
        yield f"\n{title}:"
        yield from (f"  {one.scenario}: {one.what}: {one.before} → {one.after}" for one in changes)


def _only(title: str, names: Sequence[str]) -> Iterator[str]:
    if names:
        yield f"\n{title}:"
        yield from (f"  {name}" for name in names)
