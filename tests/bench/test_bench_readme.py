"""The bench's README against what it describes."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent

from bench.defences.registry import DEFENCES
from bench.results.schema import figures_markdown
from bench.scenario.load import load
from bench.scenario.model import Premise

README = (Path(__file__).parents[2] / "bench" / "README.md").read_text(encoding="utf-8")


def test_the_figures_are_those_of_the_registry() -> None:
    """The table of figures is the generated one."""
    (table,) = re.findall(r"<!-- figures: [^>]*-->\n(.*)<!-- end of figures -->", README, re.DOTALL)
    assert table == figures_markdown()


def test_the_example_can_be_played(tmp_path: Path) -> None:
    """The scenario that the README shows loads, in full and in its small form."""
    (example,) = re.findall(r'(    kind = "flood"\n.*?repetitions = 1\n)', README, re.DOTALL)
    path = tmp_path / "example.toml"
    path.write_text(dedent(example), encoding="utf-8")
    full, quick = load(path, quick=False), load(path, quick=True)
    assert full is not None
    assert quick is not None
    assert len(full.cells) == 3
    assert quick.scenario.repetitions == 1


def test_every_premise_and_defence_is_explained() -> None:
    """Nothing that a scenario may name is left out."""
    for premise in Premise:
        assert f"| `{premise}` |" in README
    for name in DEFENCES:
        assert f"`{name}`" in README
