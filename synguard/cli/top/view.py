"""The live view of ``synguard top``: tables that are asked for anew, an alert's reasons, keys."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Sequence
from typing import Any, ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.events import Resize
from textual.widgets import DataTable, Footer, Input, Static

from synguard.cli.top.data import MOST_ROWS, SORTS, TABLES, Asker, Feed, Look, Trouble
from synguard.cli.top.faces import HELP, alert_lines, tab_line
from synguard.cli.top.tables import KINDS, Row, clock, fitted, head, matching
from synguard.telling.figures import moment

INTERRUPTED = 130
#: Alerts that stand above every table, where there is room.
ALERT_LINES = 3
#: On a screen with fewer lines the head is short and the table has the rest.
LOW_SCREEN_LINES = 18


class Rows(DataTable[Text]):
    """A table in which Home and End lead to the first row and the last."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("home", "scroll_top", show=False),
        Binding("end", "scroll_bottom", show=False),
    ]


class Top(App[None]):
    """The view. It shows what its feed brings, and keeps it in view while nothing comes."""

    ENABLE_COMMAND_PALETTE = False
    CSS = """
    Screen { layout: vertical; }
    #head, #alerts, #tabs { height: auto; width: 100%; text-wrap: nowrap; text-overflow: ellipsis; }
    #head { max-height: 6; }
    #tabs { max-height: 1; }
    DataTable { height: 1fr; scrollbar-size: 1 1; }
    #panel { height: 1fr; display: none; }
    #filter { display: none; height: 1; border: none; padding: 0; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "leave", "Quit"),
        Binding("h,question_mark", "help", "Help", key_display="h"),
        Binding("tab", "table(1)", "Table", priority=True),
        Binding("shift+tab", "table(-1)", "Table before", show=False, priority=True),
        Binding("s", "sort(1)", "Sort"),
        Binding("S", "sort(-1)", "Sort by the column before", show=False),
        Binding("r", "reverse", "Reverse"),
        Binding("p,space", "pause", "Pause", key_display="p"),
        Binding("slash", "filter", "Filter", key_display="/"),
        Binding("e,enter", "explain", "Explain", key_display="e"),
        Binding("escape", "return", "Back", show=False, priority=True),
        Binding("ctrl+c", "interrupt", "Interrupt", show=False, priority=True),
    ]

    def __init__(self, asker: Asker, interval_s: float, where: Sequence[str]) -> None:
        """Show what ``asker`` brings; ``where`` are the options by which another command finds the daemon."""
        super().__init__(ansi_color=True)
        self._asker = asker
        self._where = where
        self._rows_asked = asker.rows
        self._feed = Feed(asker, interval_s, self._hear)
        self._look: Look | None = None
        self._trouble: Trouble | None = None
        self._held: Look | None = None
        self._table = TABLES[0]
        self._shown: list[Row] = []
        self._headings: tuple[str, ...] = ()
        self._wanted = ""

    def compose(self) -> ComposeResult:
        """Return what is on the screen."""
        yield Static(id="head", markup=False)
        yield Static(id="alerts", markup=False)
        yield Static(id="tabs", markup=False)
        yield Rows(cursor_type="row", cell_padding=1)
        with VerticalScroll(id="panel"):
            yield Static(id="words", markup=False)
        yield Input(id="filter", placeholder="only rows that contain …")
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Begin to ask, and to end as whoever ends us wishes."""
        self.query_one(Rows).focus()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if not self.is_headless:
                loop.add_signal_handler(number, self._end, 128 + number)
        self._feed.start()

    def _hear(self, told: Look | Trouble) -> None:
        """Take in what the feed brings, in its thread."""
        if self.is_running:
            self.call_later(self._take, told)

    def _take(self, told: Look | Trouble) -> None:
        if isinstance(told, Trouble):
            self._trouble = told
        else:
            self._trouble, self._look = None, told
        self._draw()

    def _on_show(self) -> Look | None:
        """Return what is on show: the newest look, or the one at which it was paused."""
        return self._held or self._look

    def on_resize(self, _event: Resize) -> None:
        """Fit the columns anew."""
        self.call_after_refresh(self._draw)

    def _draw(self) -> None:
        look = self._on_show()
        if look is None:
            return
        with self.batch_update():
            self._draw_head(look)
            self._draw_table(look)

    def _draw_head(self, look: Look) -> None:
        lines = head(look.answer, look.rates)
        is_low = self.size.height < LOW_SCREEN_LINES
        told = Text("\n".join(lines[1:3] if is_low else lines), no_wrap=True, overflow="ellipsis")
        if self._trouble is not None:
            since = f"the daemon is not answering since {clock(self._trouble.since)}: {self._trouble.why}\n"
            told = Text(since, style="bold red") + told
        elif self._held is not None:
            told = Text(f"PAUSED at {moment(look.answer['at'])}\n", style="bold") + told
        self.query_one("#head", Static).update(told)
        self._draw_alerts(look, 0 if is_low or self._table == "alerts" else ALERT_LINES)
        tabs = tab_line(look.answer["rows_known"], self._table, self._asker.sort, self._wanted)
        self.query_one("#tabs", Static).update(tabs)

    def _draw_alerts(self, look: Look, most: int) -> None:
        """Show the worst open alerts above every other table."""
        alerts = look.answer["alerts"][:most]
        self.query_one("#alerts", Static).update(alert_lines(alerts))
        self.query_one("#alerts").display = bool(alerts)

    def _draw_table(self, look: Look) -> None:
        kind, at, table = KINDS[self._table], look.answer["at"], self.query_one(Rows)
        selected, scrolled = self._selected(), table.scroll_offset
        rows = matching(kind, look.answer[self._table], at, self._wanted)
        # Beside them stand the scroll bar, and the mark of what it is sorted by.
        shown = fitted(kind, rows, at, self.size.width - 2)
        table.clear(columns=True)
        for column in shown.columns:
            mark = {f"-{column.sort}": "▼", column.sort: "▲"}.get(self._asker.sort, "") if column.sort else ""
            heading = Text(column.heading + mark, justify="right" if column.right else "left", style="bold")
            table.add_column(heading)
        for cells in shown.cells:
            pairs = zip(cells, shown.columns, strict=True)
            table.add_row(*(Text(cell, justify="right" if one.right else "left") for cell, one in pairs))
        self._shown = rows
        keys = [row[kind.key] for row in rows]
        if selected in keys:
            table.move_cursor(row=keys.index(selected), animate=False, scroll=False)
        table.scroll_to(scrolled.x, scrolled.y, animate=False, force=True)

    def _selected(self) -> Any:
        """Return what tells the selected row from the others, or None."""
        row = self._row()
        return None if row is None else row.get(KINDS[self._table].key)

    def _row(self) -> Row | None:
        place = self.query_one(Rows).cursor_row
        return self._shown[place] if 0 <= place < len(self._shown) else None

    def action_table(self, step: int) -> None:
        """Show another table."""
        self.action_return()
        self._table = TABLES[(TABLES.index(self._table) + step) % len(TABLES)]
        self._shown = []
        self._draw()
        self.query_one(Rows).move_cursor(row=0, animate=False)

    def action_sort(self, step: int) -> None:
        """Sort by the next column, or the one before, of those that the table can be sorted by."""
        columns = [one.sort for one in KINDS[self._table].columns if one.sort] or list(SORTS)
        now = self._asker.sort.removeprefix("-")
        place = columns.index(now) + step if now in columns else 0
        self._sort_by(f"-{columns[place % len(columns)]}")

    def action_reverse(self) -> None:
        """Sort the other way round."""
        sort = self._asker.sort
        self._sort_by(sort.removeprefix("-") if sort.startswith("-") else f"-{sort}")

    def _sort_by(self, sort: str) -> None:
        self._asker.sort = sort
        self._held = None
        self._feed.hurry()
        self._draw()

    def action_pause(self) -> None:
        """Hold what is on show, or go on."""
        self._held = self._look if self._held is None else None
        self._draw()

    def action_filter(self) -> None:
        """Ask for the word that rows must contain."""
        asked = self.query_one("#filter", Input)
        asked.display = True
        asked.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Show only the rows that contain what is typed; the daemon is asked for all it knows."""
        self._wanted = event.value.strip()
        rows = MOST_ROWS if self._wanted else self._rows_asked
        if rows != self._asker.rows:
            self._asker.rows = rows
            self._feed.hurry()
        self._draw()

    def on_input_submitted(self) -> None:
        """Go on with what is left of the rows."""
        self.query_one("#filter", Input).display = False
        self.query_one(Rows).focus()

    def on_data_table_row_selected(self) -> None:
        """Explain the row's alert: Enter belongs to the table."""
        self.action_explain()

    def action_explain(self) -> None:
        """Show why the selected row's alert was raised."""
        row = self._row()
        number = None if row is None else row.get("alert_id", row.get("id"))
        if number is None:
            self._tell("This row has no alert.\n\nEsc goes back.")
            return
        self._tell(f"alert {number}: asking …")
        self.run_worker(self._explain(int(number)), exclusive=True)

    async def _explain(self, number: int) -> None:
        """Show what ``synguard explain`` says."""
        argv = [sys.executable, "-m", "synguard", "explain", str(number), *self._where]
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await process.communicate()
        self._tell(f"{said.decode(errors='replace').rstrip()}\n\nEsc goes back.")

    def action_help(self) -> None:
        """Show what the keys do, and what the columns mean."""
        self._tell(HELP)

    def _tell(self, words: str) -> None:
        """Show words in the tables' place."""
        self.query_one("#words", Static).update(words)
        panel = self.query_one("#panel")
        panel.display, self.query_one(Rows).display = True, False
        panel.scroll_home(animate=False)
        panel.focus()

    def action_return(self) -> None:
        """Go back to the tables; if they are there already, show all rows again."""
        panel, asked = self.query_one("#panel"), self.query_one("#filter", Input)
        if panel.display:
            panel.display, self.query_one(Rows).display = False, True
        else:
            asked.value, asked.display = "", False
        self.query_one(Rows).focus()

    def action_leave(self) -> None:
        """End."""
        self._end(0)

    def action_interrupt(self) -> None:
        """End as Ctrl+C does."""
        self._end(INTERRUPTED)

    def _end(self, code: int) -> None:
        self._feed.end()
        self.exit(return_code=code)


def show(asker: Asker, interval_s: float, where: Sequence[str]) -> int:
    """Show the view until it is ended; return the exit code."""
    app = Top(asker, interval_s, where)
    # Without the mouse, what is on the terminal can be marked and copied as everywhere.
    app.run(mouse=False)
    return app.return_code or 0
