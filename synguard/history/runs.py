"""The daemon's runs: which version guarded what, from when to when, and why it ended."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from typing import Any

from synguard.history.records import time_to_json
from synguard.history.rows import Row, to_ms


@dataclass(frozen=True, slots=True)
class Run:
    """One life of the daemon; its start tells it from others."""

    started_at_s: float
    version: str
    #: The kernel's release.
    kernel: str
    interfaces: tuple[str, ...]
    #: The mode of responding at its start.
    mode: str
    #: Of the settings as they were read, so that runs with other settings show.
    settings_hash: str
    #: The last moment of which it is known that it ran.
    last_seen_s: float
    ended_at_s: float | None = None
    #: ``stopped``, ``failed``, or ``interrupted`` where the next run found it without an end.
    ended_because: str | None = None


def write_run(connection: sqlite3.Connection, run: Run) -> None:
    """Write a run as it is now, within the caller's transaction."""
    ended_at_ms = None if run.ended_at_s is None else to_ms(run.ended_at_s)
    # An upsert would use up an id each time.
    known = connection.execute(
        "UPDATE runs SET last_seen_ms = ?, ended_at_ms = ?, ended_because = ? WHERE started_at_ms = ?",
        (to_ms(run.last_seen_s), ended_at_ms, run.ended_because, to_ms(run.started_at_s)),
    )
    if known.rowcount:
        return
    connection.execute(
        "INSERT INTO runs (version, kernel, interfaces, mode, settings_hash, started_at_ms, last_seen_ms,"
        " ended_at_ms, ended_because) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            run.version,
            run.kernel,
            json.dumps(run.interfaces),
            run.mode,
            run.settings_hash,
            to_ms(run.started_at_s),
            to_ms(run.last_seen_s),
            ended_at_ms,
            run.ended_because,
        ),
    )


def end_interrupted(connection: sqlite3.Connection, before_ms: int) -> None:
    """Let runs without an end that began before a moment have ended when they were seen last."""
    connection.execute(
        "UPDATE runs SET ended_at_ms = last_seen_ms, ended_because = 'interrupted'"
        " WHERE ended_at_ms IS NULL AND started_at_ms < ?",
        [before_ms],
    )


def runs(connection: sqlite3.Connection, since_s: float, until_s: float) -> list[dict[str, Any]]:
    """Return the runs that any part of a time falls into, oldest first, as plain data."""
    found = connection.execute(
        "SELECT * FROM runs WHERE started_at_ms <= ? AND coalesce(ended_at_ms, ?) >= ?"
        " ORDER BY started_at_ms",
        [to_ms(until_s), to_ms(until_s), to_ms(since_s)],
    )
    return [_to_json(row) for row in found]


def _to_json(row: Row) -> dict[str, Any]:
    return {
        "id": row["id"],
        **{name: row[name] for name in ("version", "kernel")},
        "interfaces": json.loads(row["interfaces"]),
        **{name: row[name] for name in ("mode", "settings_hash")},
        "started_at": time_to_json(row["started_at_ms"] / 1000),
        "last_seen_at": time_to_json(row["last_seen_ms"] / 1000),
        "ended_at": None if row["ended_at_ms"] is None else time_to_json(row["ended_at_ms"] / 1000),
        "ended_because": row["ended_because"],
    }
