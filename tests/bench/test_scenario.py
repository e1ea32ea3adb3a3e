"""Scenario files: what they unfold to, and the words for what is wrong with one."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.results.cells import has_labels
from bench.results.figures import FACTS, FIGURES
from bench.results.model import Label
from bench.scenario.load import find, load, names
from bench.scenario.model import FloodScenario
from synguard.errors import UsageError

SMALL = """
kind = "flood"
purpose = "A small one."
premises = ["accounted"]
repetitions = 4

[[floods]]
syn_per_s = 10

[[floods]]
syn_per_s = 20
"""


def write(folder: Path, text: str) -> Path:
    """Return a scenario file with that text."""
    path = folder / "small.toml"
    path.write_text(text, encoding="utf-8")
    return path


def plan_of(folder: Path, text: str, *, quick: bool = False) -> list[tuple[dict[str, Label], FloodScenario]]:
    """Return the labels and scenarios of a text's cells."""
    plan = load(write(folder, text), quick=quick)
    assert plan is not None
    cells = []
    for cell in plan.cells:
        assert isinstance(cell.scenario, FloodScenario)
        cells.append((dict(cell.labels), cell.scenario))
    return cells


def test_a_file_without_sweep_is_one_cell(tmp_path: Path) -> None:
    """A scenario that varies nothing is played as it stands, and its defence is told all the same."""
    ((labels, scenario),) = plan_of(tmp_path, SMALL)
    assert labels == {"defence": "none"}
    assert [flood.syn_per_s for flood in scenario.floods] == [10, 20]


def test_sweeps_and_cases_are_combined(tmp_path: Path) -> None:
    """Every value of a sweep is played with every case, and a star sets all elements of a list."""
    more = """
[[sweep]]
label = "family"
paths = ["floods.*.family", "floods.1.copies"]
values = [4, 6]

[[cases]]
case = "plain"

[[cases]]
case = "behind cookies"
set = { defence = "cookies", "server.syncookies" = 1 }
"""
    cells = plan_of(tmp_path, SMALL + more)
    assert [labels for labels, _ in cells] == [
        {"family": 4, "case": "plain", "defence": "none"},
        {"family": 4, "case": "behind cookies", "defence": "cookies"},
        {"family": 6, "case": "plain", "defence": "none"},
        {"family": 6, "case": "behind cookies", "defence": "cookies"},
    ]
    _, last = cells[-1]
    assert [(flood.family, flood.copies) for flood in last.floods] == [(6, 1), (6, 6)]
    assert (last.defence, last.server.syncookies) == ("cookies", 1)


def test_quick_is_smaller_and_only_where_the_file_says_so(tmp_path: Path) -> None:
    """``[quick]`` changes fields and leaves values and cases out; without it there is no quick form."""
    more = """
[[sweep]]
label = "defence"
values = ["none", "cookies", "sink"]

[[cases]]
case = "a"
[[cases]]
case = "b"

[quick]
repetitions = 1
"floods.0.syn_per_s" = 5
sweep = { defence = ["sink"] }
cases = ["b"]
"""
    assert load(write(tmp_path, SMALL), quick=True) is None
    ((labels, scenario),) = plan_of(tmp_path, SMALL + more, quick=True)
    assert labels == {"defence": "sink", "case": "b"}
    assert (scenario.repetitions, scenario.floods[0].syn_per_s) == (1, 5)
    assert len(plan_of(tmp_path, SMALL + more)) == 6


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (SMALL + "flod_s = 3", "small.toml"),
        (SMALL.replace("repetitions = 4", "flod_s = 3"), "flod_s"),
        (SMALL.replace("repetitions = 4", "repetitions = 0"), r"\$\.repetitions"),
        (SMALL.replace('"accounted"', '"luck"'), "luck"),
        (
            SMALL + '[[sweep]]\nlabel = "x"\npaths = ["floods.7.family"]\nvalues = [4]',
            "floods.7.family|family",
        ),
        (SMALL + '[[sweep]]\nlabel = "x"\npaths = ["purpose.deep"]\nvalues = [4]', "leads into a value"),
        (SMALL + '[quick]\ncases = ["nowhere"]', "nowhere"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path: Path, text: str, words: str) -> None:
    """The error names the file and the field, and is one of usage."""
    with pytest.raises(UsageError, match=words) as caught:
        load(write(tmp_path, text), quick="quick" in text)
    assert "small.toml" in str(caught.value)


def test_an_unknown_scenario_is_answered_with_the_known_ones() -> None:
    """Whoever mistypes a name learns which there are."""
    with pytest.raises(UsageError, match="single-source"):
        find("singel-source")


@pytest.mark.parametrize("name", names())
def test_every_scenario_of_ours_can_be_played(name: str) -> None:
    """Each file that comes with the bench loads, says its purpose in a sentence, and promises what exists."""
    plan = load(find(name), quick=False)
    assert plan is not None
    assert plan.scenario.purpose.endswith(".")
    for cell in plan.cells:
        for promise in cell.scenario.promises:
            assert promise.figure in FIGURES.keys() | FACTS.keys()
            # The cells of what is not swept over are not known before it is played.
            found = any(has_labels(cell.labels, promise.where) for cell in plan.cells)
            assert found or plan.kind != "flood", promise
