"""What ``top`` is answered: of each table the rows that are wanted, in the order that is wanted."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from synguard.daemon.live import _fill, _Picture, _sorted


def listener(name: str, attempts: int, **figures: float | None) -> dict[str, Any]:
    """Return a listener's row."""
    return {"listener": name, "attempts": attempts, "attempts_per_s": 0.0, "half_open_ratio": None, **figures}


ROWS = [
    listener("a", 10, attempts_per_s=5.0, half_open_ratio=0.5),
    listener("b", 30, attempts_per_s=5.0),
    listener("c", 20, attempts_per_s=9.0, half_open_ratio=0.9),
]


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("-attempts_per_s", "cba"),
        ("attempts_per_s", "bac"),
        ("-half_open_ratio", "cab"),
        ("half_open_ratio", "acb"),
        ("-attempts", "bca"),
    ],
)
def test_rows_come_in_the_order_that_is_asked_for(sort: str, order: str) -> None:
    """What is unknown comes last either way, and of equals the busier first."""
    assert "".join(row["listener"] for row in _sorted("listeners", ROWS, sort)) == order


def test_a_table_without_the_figure_has_its_own_order() -> None:
    """Alerts have no handshake times: the worst come first, whatever the listeners are sorted by."""
    alerts = [{"id": 1, "severity_rank": 2, "attempts": 9}, {"id": 2, "severity_rank": 4, "attempts": 1}]
    assert [row["id"] for row in _sorted("alerts", alerts, "handshake_p99_ms")] == [2, 1]


def test_an_answer_has_so_many_rows_and_tells_how_many_there_are() -> None:
    """The head comes with each; an answer that was made once is there for the next who asks the same."""
    picture = _Picture({"version": "1"}, {"listeners": ROWS, "blocks": []})
    answer = picture.answer("-attempts", 2)
    told = msgspec.json.decode(answer)
    assert told["version"] == "1"
    assert told["rows_known"] == {"listeners": 3, "blocks": 0}
    assert [row["listener"] for row in told["listeners"]] == ["b", "c"]
    assert picture.answer("-attempts", 2) is answer
    for rows in range(1, 100):
        picture.answer("-attempts", rows)
    assert len(picture.answers) <= 16


@pytest.mark.parametrize(
    ("waiting", "room", "fill"),
    [(None, None, None), (0, 128, 0.0), (64, 128, 0.5), (129, 128, 1.0), (1, 0, None)],
)
def test_a_queue_is_full_at_most(waiting: int | None, room: int | None, fill: float | None) -> None:
    """The kernel takes one more than there is room for, which is no more than full."""
    assert _fill(waiting, room) == fill
