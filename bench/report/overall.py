"""What a scorecard says over all scenarios: machine, invalid trials, promises, classes, the generator."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

from bench.measure.statistics import median, spread
from bench.report.markdown import escaped, table
from bench.report.words import UNKNOWN, number, percent, rate, shown_total
from bench.results.cells import CellTrials, cells_of, labels_in
from bench.results.model import Label, Machine, Result, ScenarioResult

_GIB = 1 << 30
_HELD = {True: "held", False: "BROKEN", None: "cannot be told"}


def machine_text(machine: Machine) -> str:
    """Return where a run took place, and with which versions."""
    virtual = f"virtual ({machine.virtual})" if machine.virtual else "not known to be virtual"
    rows = [
        ["CPU", f"{machine.cpus} × {machine.cpu_model}, {virtual}"],
        ["memory", f"{number(machine.memory_bytes / _GIB)} GiB"],
        ["kernel", machine.kernel],
        ["distribution", machine.distribution],
        *([name, version or "missing"] for name, version in machine.versions.items()),
    ]
    return table(["machine", ""], rows, words=2)


def invalid_text(result: Result) -> Iterator[str]:
    """Yield what is no result and why: a row for each cell, and scenarios that were interrupted."""
    rows = [
        [scenario.scenario, cell.name, f"{len(cell.invalid)} of {len(cell.invalid) + len(cell.valid)}", why]
        for scenario in result.scenarios
        for cell in cells_of(scenario.trials)
        if cell.invalid
        for why in [_reasons(cell)]
    ]
    if rows:
        yield table(["scenario", "cell", "invalid", "because"], rows, words=4)
    else:
        yield "Every trial's premises held.\n"
    for scenario in result.scenarios:
        if not scenario.complete:
            done = f"was interrupted after {len(scenario.trials)} trials"
            yield f"- `{scenario.scenario}` {done}; its promises were not judged.\n"


def _reasons(cell: CellTrials) -> str:
    reasons = Counter(reason for trial in cell.invalid for reason in trial.invalid_because)
    return "; ".join(f"{reason} (×{times})" if times > 1 else reason for reason, times in reasons.items())


def promises_text(result: Result) -> Iterator[str]:
    """Yield each promise with its verdict; those that did not hold come first."""
    judged = [(scenario.scenario, verdict) for scenario in result.scenarios for verdict in scenario.verdicts]
    if not judged:
        yield "No promise was judged.\n"
        return
    count = Counter(_HELD[verdict.held] for _, verdict in judged)
    yield ", ".join(f"{number} {word}" for word, number in count.items()) + ".\n"
    judged.sort(key=lambda one: one[1].held is True)
    rows = [
        [scenario, _HELD[verdict.held], verdict.promise, verdict.observed] for scenario, verdict in judged
    ]
    yield table(["scenario", "", "promise", "observed"], rows, words=4)


def confusion_text(result: Result) -> Iterator[str]:
    """Yield for each detector how often an alert that should have one class had which."""
    for detector, seen in _classes(result).items():
        said = sorted({word for _, word in seen})
        expected = sorted({word for word, _ in seen})
        rows = [[wanted, *(str(seen[wanted, word]) for word in said)] for wanted in expected]
        right = sum(times for (wanted, word), times in seen.items() if wanted == word)
        yield f"**{escaped(detector)}**: {right} of {seen.total()} trials were called what they were.\n"
        yield table(["expected ↓ · called →", *said], rows)


def _classes(result: Result) -> dict[str, Counter[tuple[str, str]]]:
    found: dict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
    for scenario in result.scenarios:
        for cell in cells_of(scenario.trials):
            for trial in cell.valid:
                expected = trial.facts.get("expected_class")
                if expected is not None:
                    said = trial.facts.get("class") or UNKNOWN
                    found[_detector(cell.labels)][expected, said] += 1
    return dict(found)


def _detector(labels: Mapping[str, Label]) -> str:
    return str(labels.get("defence", "synguard, by case"))


def false_alarms_text(result: Result) -> Iterator[str]:
    """Yield how many alerts nothing justified, and how many blocks hit a good client, by detector."""
    columns = ("false_alarms", "missed", "wrong_class", "innocents_blocked")
    rows = []
    for scenario in result.scenarios:
        for detector, cells in _by_detector(scenario).items():
            values = {name: [value for cell in cells for value in cell.values(name)] for name in columns}
            if judged := len(values["false_alarms"]):
                totals = [shown_total(values[name], judged) for name in columns]
                rows.append([detector, scenario.scenario, str(judged), *totals])
    if rows:
        head = [
            "detector",
            "scenario",
            "trials",
            "false alarms",
            "missed",
            "wrong class",
            "innocents blocked",
        ]
        yield table(head, sorted(rows, key=lambda row: row[0]), words=2)


def _by_detector(scenario: ScenarioResult) -> dict[str, list[CellTrials]]:
    found: dict[str, list[CellTrials]] = defaultdict(list)
    for cell in cells_of(scenario.trials):
        found[_detector(cell.labels)].append(cell)
    return found


def generator_text(result: Result) -> Iterator[str]:
    """Yield the generator's proof: for each shape and family, the rates asked for and reached."""
    for scenario in result.scenarios:
        cells = [cell for cell in cells_of(scenario.trials) if "shape" in cell.labels and cell.valid]
        asked = sorted({_asked(cell) for cell in cells}, key=lambda one: one or math.inf)
        rows: dict[tuple[str, ...], dict[float | None, str]] = defaultdict(dict)
        labels = [label for label in labels_in(cells) if label not in ("syn_per_s", "defence")]
        for cell in cells:
            key = tuple(str(cell.labels.get(label, UNKNOWN)) for label in labels)
            rows[key][_asked(cell)] = _reached(cell)
        if rows:
            head = [*labels, *("as fast as can be" if one is None else f"{rate(one)}/s" for one in asked)]
            body = [[*key, *(found.get(one, UNKNOWN) for one in asked)] for key, found in rows.items()]
            yield (
                f"`{scenario.scenario}`, by the rate asked for: the share of it that was sent. Where it was "
                "all that there can be: what the receiver took off the wire, and the share of all frames "
                "sent that its full ring refused.\n"
            )
            yield table(head, body, words=len(labels))


def _asked(cell: CellTrials) -> float | None:
    values = cell.values("asked_syn_per_s")
    return values[0] if values else None


def _received(cell: CellTrials) -> str:
    """Return what came of all that could be sent; what the full ring refused was never on the wire."""
    found = cell.spread("received_syn_per_s")
    if found is None:
        return UNKNOWN
    received = f"{rate(found.median)}/s [{rate(found.least)} to {rate(found.most)}]"
    refused = [
        1 - taken / sent
        for trial in cell.valid
        if (taken := trial.figures.get("received_syn_per_s")) is not None
        and (sent := trial.figures.get("offered_syn_per_s"))
    ]
    return f"{received}, {percent(median(refused))} refused" if refused else received


def _reached(cell: CellTrials) -> str:
    offered, asked = cell.values("offered_syn_per_s"), _asked(cell)
    if asked is None:
        return _received(cell)
    if not offered:
        return UNKNOWN
    found = spread(offered)
    low, high = (percent(value / asked).removesuffix(" %") for value in (found.least, found.most))
    middle = percent(found.median / asked)
    return middle if low == high else f"{middle} [{low} to {high}]"
