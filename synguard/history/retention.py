"""What goes when it has grown old or too much: seconds become minutes, minutes hours, and the oldest end."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, replace

from synguard.history.rows import to_ms
from synguard.history.series import (
    HOUR_S,
    LISTENER_SERIES,
    MINUTE_S,
    SECOND_S,
    TOTALS_SERIES,
    Series,
)

DAY_S = 86400
_STEPS_S = (HOUR_S, MINUTE_S, SECOND_S)
EXPIRE_STEP_ROWS = 200
SHRINK_STEP_ALERTS = 20
SHRINK_STEP_PAGES = 256
#: Listeners looked at in one step for something to do.
LISTENERS_A_STEP = 100
#: Pages that lie free are given back once they are this share of the file, and so many.
FREE_SHARE = 0.25
LEAST_FREE_PAGES = 4096
#: Over the size, seconds are rolled up once they are an hour old, and minutes once they are a day old.
HARD_SECONDS_S = HOUR_S
HARD_MINUTES_S = DAY_S


@dataclass(frozen=True, slots=True)
class Keep:
    """How long things are kept, in seconds, and how much, in bytes."""

    ended_s: float = 90 * DAY_S
    max_bytes: int = 1 << 30
    seconds_s: float = DAY_S
    minutes_s: float = 31 * DAY_S


#: What is kept unless the settings say otherwise.
KEEP = Keep()


class Retention:
    """Does it in steps of some ten milliseconds, each a transaction: an alert that opens waits no longer.

    Args:
        connection: the database's, inside a transaction of the caller's at each call.
        keep: what is kept.

    """

    def __init__(self, connection: sqlite3.Connection, keep: Keep) -> None:
        self._connection = connection
        self.keep = keep
        #: Listeners to be looked at yet, in the rounds by age and by size; 0 stands for the totals.
        self._rounds: dict[bool, list[int]] = {}

    def step(self, wall_s: float) -> int:
        """Do a little of what is due by age at ``wall_s``; return how much, 0 when nothing is left to do."""
        keep = self.keep
        before_ms = to_ms(wall_s - keep.ended_s)
        for sql in (
            "DELETE FROM alerts WHERE id IN (SELECT id FROM alerts WHERE state = 'closed'"
            " AND ended_at_ms < ? ORDER BY ended_at_ms LIMIT ?)",
            "DELETE FROM responses WHERE id IN (SELECT id FROM responses WHERE ended_at_ms < ? LIMIT ?)",
            "DELETE FROM runs WHERE id IN (SELECT id FROM runs WHERE ended_at_ms < ? LIMIT ?)",
        ):
            if done := self._connection.execute(sql, [before_ms, EXPIRE_STEP_ROWS]).rowcount:
                return done
        return self._roll(wall_s, keep)

    def shrink(self, wall_s: float) -> int:
        """Make the database smaller a little, whatever its age; return how much, 0 if nothing can go."""
        hard = replace(self.keep, seconds_s=HARD_SECONDS_S, minutes_s=HARD_MINUTES_S)
        if done := self._roll(wall_s, hard, by_size=True):
            return done
        return self._connection.execute(
            "DELETE FROM alerts WHERE id IN (SELECT id FROM alerts WHERE state = 'closed'"
            " ORDER BY ended_at_ms LIMIT ?)",
            [SHRINK_STEP_ALERTS],
        ).rowcount

    def _roll(self, wall_s: float, keep: Keep, *, by_size: bool = False) -> int:
        """Roll up or delete a stretch of the totals or of a listener; return 0 at the end of a round."""
        if by_size not in self._rounds:
            ids = self._connection.execute("SELECT id FROM series_listeners").fetchall()
            self._rounds[by_size] = [*(row[0] for row in ids), 0]
        left = self._rounds[by_size]
        for _ in range(LISTENERS_A_STEP):
            if not left:
                del self._rounds[by_size]
                return 0
            listener_id = left[-1]
            series = LISTENER_SERIES if listener_id else TOTALS_SERIES
            whose = f"listener_id = {listener_id} AND " if listener_id else ""
            done = (
                self._roll_up(series, whose, (SECOND_S, MINUTE_S), wall_s - keep.seconds_s, HOUR_S)
                or self._roll_up(series, whose, (MINUTE_S, HOUR_S), wall_s - keep.minutes_s, DAY_S)
                or self._delete(series, whose, wall_s - keep.ended_s)
                or self._forget(listener_id)
            )
            if done:
                return done
            left.pop()
        # Looking is work as well, and the rest of it comes with the next step.
        return LISTENERS_A_STEP

    def _roll_up(
        self, series: Series, whose: str, steps_s: tuple[int, int], before_s: float, stretch_s: int
    ) -> int:
        step_s, to_step_s = steps_s
        first_s = self._first_s(series, whose, step_s)
        # Whole wide steps only: the rest comes when its time has come.
        end_s = int(before_s) // to_step_s * to_step_s
        if first_s is None or first_s >= end_s:
            return 0
        until_s = min(end_s, first_s // stretch_s * stretch_s + stretch_s)
        where = f"{whose}at_s < :until_s"
        parameters = {"step_s": step_s, "until_s": until_s}
        self._connection.execute(series.roll_up(to_step_s, where), parameters)
        return self._delete_rows(series, where, parameters)

    def _delete(self, series: Series, whose: str, before_s: float) -> int:
        for step_s in _STEPS_S:
            first_s = self._first_s(series, whose, step_s)
            if first_s is not None and first_s < before_s - step_s:
                until_s = min(before_s - step_s, first_s + 1000 * step_s)
                parameters = {"step_s": step_s, "until_s": until_s}
                return self._delete_rows(series, f"{whose}at_s < :until_s", parameters)
        return 0

    def _forget(self, listener_id: int) -> int:
        """Forget the name of a listener of which nothing is left: on a gateway they come and go."""
        whose = f"listener_id = {listener_id} AND "
        if any(self._first_s(LISTENER_SERIES, whose, step_s) is not None for step_s in _STEPS_S):
            return 0
        sql = "DELETE FROM series_listeners WHERE id = ?"
        return self._connection.execute(sql, [listener_id]).rowcount

    def _first_s(self, series: Series, whose: str, step_s: int) -> int | None:
        found = self._connection.execute(
            f"SELECT min(at_s) FROM {series.table} WHERE {whose}step_s = ?",  # noqa: S608 - names of our own
            [step_s],
        ).fetchone()
        first_s: int | None = found[0]
        return first_s

    def _delete_rows(self, series: Series, where: str, parameters: Mapping[str, float]) -> int:
        return self._connection.execute(
            f"DELETE FROM {series.table} WHERE step_s = :step_s AND {where}",  # noqa: S608
            parameters,
        ).rowcount


def pages_to_give_back(pages: int, free_pages: int, max_pages: int) -> int:
    """Return how many free pages to give back to the disk now: over the size any, else if there are many."""
    excess = pages - max_pages
    if excess > 0:
        return min(excess, free_pages, SHRINK_STEP_PAGES)
    if free_pages >= max(LEAST_FREE_PAGES, pages * FREE_SHARE):
        return SHRINK_STEP_PAGES
    return 0
