"""Reads scenario files and unfolds each into its cells: every combination of what is swept.

Beside the scenario's own fields a file may have

    [[sweep]]                      every value in turn; several sweeps are combined
    label = "syn_per_s"            what the cell is called by in results
    paths = ["floods.*.syn_per_s"] what is set, ``label`` itself where it is missing; ``*`` is every element
    values = [1000, 10000]

    [[cases]]                      a named set of changes; one more dimension
    case = "from hping3"
    set = { "floods.0.tool" = "hping3" }

    [quick]                        what is smaller with --quick; without this table it is left out there
    repetitions = 1                any path of the scenario
    sweep = { syn_per_s = [1000] } fewer values of a sweep
    cases = ["from hping3"]        fewer cases
"""

from __future__ import annotations

import copy
import hashlib
import itertools
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from bench.results.cells import has_labels
from bench.results.model import Label
from bench.scenario.model import DetectionScenario, FloodScenario, Scenario
from synguard.errors import UsageError

FOLDER = Path(__file__).parents[1] / "scenarios"

_Raw = dict[str, Any]
#: One value of one dimension: the label's name and value, and what it sets.
_Step = tuple[str, Label, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Cell:
    """One combination of what a scenario sweeps over, ready to be played."""

    labels: dict[str, Label]
    scenario: Scenario


@dataclass(frozen=True, slots=True)
class Plan:
    """A scenario unfolded, in full or quick."""

    name: str
    quick: bool
    #: What all cells have in common, and what is not per cell: purpose, promises, repetitions.
    scenario: Scenario
    cells: tuple[Cell, ...]
    #: Of everything that the file says, so that results of two different scenarios are not compared.
    digest: str

    @property
    def kind(self) -> str:
        """Which of the scenarios' kinds it is: ``flood``, ``cost``, ``history`` and so on."""
        return str(self.scenario.__struct_config__.tag)


class _Sweep(msgspec.Struct, forbid_unknown_fields=True):
    label: str
    values: list[Any]
    paths: list[str] = []

    def steps(self) -> list[_Step]:
        return [
            (self.label, value, dict.fromkeys(self.paths or [self.label], value)) for value in self.values
        ]


class _Case(msgspec.Struct, forbid_unknown_fields=True):
    case: str
    set: dict[str, Any] = {}


def names() -> list[str]:
    """Return the names of the scenarios that come with the bench."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def find(name: str) -> Path:
    """Return a scenario's file: one of ours by name, anybody's by its path. Raises UsageError."""
    if name in names():
        return FOLDER / f"{name}.toml"
    if name.endswith(".toml") and Path(name).is_file():
        return Path(name)
    raise UsageError(
        f"there is no scenario {name!r}; there are {', '.join(names())}, or a path to a .toml file"
    )


def load(path: Path, *, quick: bool, repetitions: int | None = None) -> Plan | None:
    """Return a scenario's plan; None when it has no quick form and that is asked for.

    ``repetitions`` stand in for the file's own.

    Raises UsageError, naming the file and the field, for what is not a scenario.
    """
    try:
        with path.open("rb") as file:
            raw = tomllib.load(file)
        sweeps = msgspec.convert(raw.pop("sweep", []), list[_Sweep])
        cases = msgspec.convert(raw.pop("cases", []), list[_Case])
        smaller = raw.pop("quick", None)
        if quick and smaller is None:
            return None
        if quick:
            sweeps, cases = _fewer(dict(smaller), raw, sweeps, cases)
        if repetitions is not None:
            raw["repetitions"] = repetitions
        dimensions = [sweep.steps() for sweep in sweeps]
        if cases:
            dimensions.append([("case", case.case, case.set) for case in cases])
        scenario: Scenario = msgspec.convert(raw, Scenario)
        if dimensions and not isinstance(scenario, FloodScenario):
            raise KeyError("only a scenario of kind flood can be swept over")
        cells = _cells(scenario, raw, dimensions)
        if not quick:
            _check_promises(scenario, cells)
        return Plan(path.stem, quick, scenario, cells, _digest(cells))
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, OSError, KeyError) as error:
        raise UsageError(f"{path}: {error}") from error


def _cells(scenario: Scenario, raw: _Raw, dimensions: Iterable[Sequence[_Step]]) -> tuple[Cell, ...]:
    if isinstance(scenario, DetectionScenario):
        return tuple(Cell({"case": name}, scenario) for name in scenario.plays)
    return tuple(_unfold(raw, dimensions))


def _digest(cells: Iterable[Cell]) -> str:
    said = msgspec.json.encode([[cell.labels, cell.scenario] for cell in cells], order="sorted")
    return hashlib.sha256(said).hexdigest()[:16]


def _check_promises(scenario: Scenario, cells: Sequence[Cell]) -> None:
    """Raise KeyError for a promise about cells that do not exist; a ladder's are told by its trials."""
    if not isinstance(scenario, FloodScenario):
        return
    for promise in scenario.promises:
        for wanted in (promise.where, promise.over):
            if not any(has_labels(cell.labels, wanted) for cell in cells):
                raise KeyError(f"the promise about {promise.figure} is about no cell: {wanted}")


def _fewer(
    smaller: _Raw, raw: _Raw, sweeps: Sequence[_Sweep], cases: Sequence[_Case]
) -> tuple[list[_Sweep], list[_Case]]:
    """Make the raw scenario quick; return which values and cases remain."""
    values = smaller.pop("sweep", {})
    wanted = smaller.pop("cases", None)
    unknown = set(values) - {sweep.label for sweep in sweeps} | set(wanted or ()) - {c.case for c in cases}
    if unknown:
        raise KeyError(f"[quick] names {', '.join(sorted(unknown))}, which is not swept")
    for path, value in smaller.items():
        put(raw, path, value)
    return (
        [_Sweep(sweep.label, values.get(sweep.label, sweep.values), sweep.paths) for sweep in sweeps],
        [case for case in cases if wanted is None or case.case in wanted],
    )


def _unfold(raw: _Raw, dimensions: Iterable[Sequence[_Step]]) -> Iterator[Cell]:
    for combination in itertools.product(*dimensions):
        changed = copy.deepcopy(raw)
        for _, _, changes in combination:
            for path, value in changes.items():
                put(changed, path, value)
        scenario: Scenario = msgspec.convert(changed, Scenario)
        labels = {label: value for label, value, _ in combination}
        if isinstance(scenario, FloodScenario):
            # Whoever reads a result wants to know it, swept over or not.
            labels.setdefault("defence", scenario.defence)
        yield Cell(labels, scenario)


def put(tree: Any, path: str, value: Any) -> None:
    """Set what a dotted path leads to; a number is an index of a list, ``*`` every index.

    Raises KeyError when the path leads nowhere. A missing table is made.
    """
    head, _, rest = path.partition(".")
    if isinstance(tree, list):
        indices = range(len(tree)) if head == "*" else [int(head) if head.isdigit() else len(tree)]
        for index in indices:
            if index >= len(tree):
                raise KeyError(f"no element {head!r} to set {path!r} in")
            if rest:
                put(tree[index], rest, value)
            else:
                tree[index] = copy.deepcopy(value)
    elif isinstance(tree, dict):
        if rest:
            put(tree.setdefault(head, {}), rest, value)
        else:
            tree[head] = copy.deepcopy(value)
    else:
        raise KeyError(f"{path!r} leads into a value")
