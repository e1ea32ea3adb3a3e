"""The live view by textual's own pilot: what is on show after each look, without a terminal."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from synguard.cli.top.data import Asker, Look, Trouble
from synguard.cli.top.view import Rows, Top
from tests.unit.cli.looks import BLOCK, answer, answering, listener


class Answers(Asker):
    """Makes up each look."""

    def __init__(self, **differing: Any) -> None:
        self.sort, self.rows = "-attempts_per_s", 64
        self._told = answering(**differing)

    def look(self) -> Look:
        """Return the next."""
        return Look(self._told({"rows": self.rows}), {"attempts_per_s": 1000.0})


def play(
    steps: Callable[[Top, Pilot[None]], Awaitable[None]],
    size: tuple[int, int] = (120, 30),
    **differing: Any,
) -> Top:
    """Run the view through some steps, and return it."""
    app = Top(Answers(**differing), 3600.0, [])

    async def run() -> None:
        async with app.run_test(size=size) as pilot:
            while not app.query_one(Rows).row_count:
                await pilot.pause(0.01)
            await steps(app, pilot)

    asyncio.run(run())
    return app


def cells(app: Top) -> list[str]:
    """Return the first cell of each row."""
    table = app.query_one(Rows)
    return [str(table.get_row_at(place)[0]) for place in range(table.row_count)]


def said(app: Top, where: str) -> str:
    """Return what stands in a part of the screen."""
    return str(app.query_one(where, Static).content)


def test_the_selection_stays_with_what_was_selected() -> None:
    """A row that moves takes the cursor along, so that Enter explains what was looked at."""

    async def steps(app: Top, pilot: Pilot[None]) -> None:
        await pilot.press("down", "down")
        assert app._selected() == "[2001:db8:1:2:3:4:5:6]:2"
        rows = [listener(2), listener(9), listener(8)]
        app._take(Look(answer(listeners=3) | {"listeners": rows}))
        await pilot.pause()
        assert app._selected() == "[2001:db8:1:2:3:4:5:6]:2"
        assert app.query_one(Rows).cursor_row == 0

    play(steps)


def test_a_table_that_empties_and_fills_again_is_no_trouble() -> None:
    """No row is selected where none is, and whatever is pressed then does no harm."""

    async def steps(app: Top, pilot: Pilot[None]) -> None:
        app._take(Look(answer() | {"listeners": []}))
        await pilot.press("down", "e")
        assert "no alert" in said(app, "#words")
        await pilot.press("escape")
        app._take(Look(answer(listeners=5)))
        await pilot.pause()
        assert len(cells(app)) == 5

    play(steps)


def test_all_512_listeners_are_shown_when_they_are_asked_for() -> None:
    """A filter asks for them, and the daemon need not tell so many any more once it is gone."""

    async def steps(app: Top, pilot: Pilot[None]) -> None:
        await pilot.press("slash", *".113.5x", "backspace")
        app._take(app._asker.look())
        await pilot.pause()
        assert app._asker.rows == 512
        assert len(cells(app)) == 257  # those of IPv4: the flooded one, and every other of 511
        await pilot.press("enter", "escape")
        assert app._asker.rows == 64

    play(steps)


@pytest.mark.parametrize("size", [(40, 10), (80, 24), (200, 60)])
def test_every_table_fits_every_size(size: tuple[int, int]) -> None:
    """Each has its first column and at least a row in view, on the smallest window too."""

    async def steps(app: Top, pilot: Pilot[None]) -> None:
        for _ in range(5):
            await pilot.press("tab")
            table = app.query_one(Rows)
            assert table.row_count
            assert table.size.height >= 2
            assert table.virtual_size.width <= max(size[0], 46)

    play(steps, size)


def test_markup_in_what_others_wrote_is_text() -> None:
    """A reason or an interface's name in square brackets is shown as it is, and breaks nothing."""
    reason = "[red]no[/nothing] \x1b[2J"

    async def steps(app: Top, pilot: Pilot[None]) -> None:
        await pilot.press("shift+tab")
        table = app.query_one(Rows)
        assert str(table.get_row_at(0)[-1]).startswith("[red]no[/nothing] ")
        assert "\x1b" not in str(table.get_row_at(0)[-1])
        assert "[/b] xdp-native" in said(app, "#head")

    interface = {**answer()["interfaces"][0], "name": "[/b]"}
    play(steps, (200, 40), blocks=[{**BLOCK, "reason": reason}], interfaces=[interface])


def test_trouble_is_told_above_what_was_seen_last() -> None:
    """Since when, and why; the rows stay."""

    async def steps(app: Top, pilot: Pilot[None]) -> None:
        shown = cells(app)
        app._take(Trouble(datetime(2026, 11, 22, 10, 11, 12, tzinfo=UTC), "nobody is there"))
        await pilot.pause()
        assert "not answering since 10:11:12Z: nobody is there" in said(app, "#head")
        assert cells(app) == shown

    play(steps)


def test_leaving_and_interrupting_have_their_codes() -> None:
    """0 for q, and what shells expect for Ctrl-C."""

    async def leave(_app: Top, pilot: Pilot[None]) -> None:
        await pilot.press("q")

    async def interrupt(_app: Top, pilot: Pilot[None]) -> None:
        await pilot.press("ctrl+c")

    assert play(leave).return_code == 0
    assert play(interrupt).return_code == 130
