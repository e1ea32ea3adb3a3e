"""In which order cells are played."""

from __future__ import annotations

from pathlib import Path

from bench.run.runner import in_turn
from bench.scenario.load import Cell, load

TEXT = """
kind = "flood"
purpose = "Two places, three defences."
premises = []

[[sweep]]
label = "role"
values = ["host", "gateway"]

[[sweep]]
label = "defence"
values = ["none", "sink", "nft-limit"]
"""


def order(cells: list[Cell]) -> list[str]:
    """Return the cells in words."""
    return [f"{cell.labels['role']} {cell.labels['defence']}" for cell in cells]


def test_repetitions_take_other_orders_and_hosts_stay_together(tmp_path: Path) -> None:
    """No cell is always the first, none is left out, and hosts are not rebuilt for every cell."""
    path = tmp_path / "turns.toml"
    path.write_text(TEXT, encoding="utf-8")
    plan = load(path, quick=False)
    assert plan is not None
    orders = [order(in_turn(plan.cells, repetition)) for repetition in (1, 2, 3)]
    assert len({tuple(one) for one in orders}) == 3
    for one in orders:
        assert sorted(one) == sorted(orders[0])
        roles = [words.split()[0] for words in one]
        assert roles in (["host"] * 3 + ["gateway"] * 3, ["gateway"] * 3 + ["host"] * 3)
