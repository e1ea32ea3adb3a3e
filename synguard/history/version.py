"""Tells a history that a newer release has made, which must be neither misread nor changed."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from synguard import __version__
from synguard.errors import SynguardError

#: The steps of :mod:`synguard.history.schema`, by name: a reader need not load what applies them.
KNOWN_STEPS = frozenset(
    {
        "create_alerts",
        "create_blocks",
        "create_alert_listeners",
        "create_alert_timeline",
        "create_baselines",
        "create_silences",
        "create_series",
        "create_runs_and_responses",
        "create_views",
        "index_alerts",
        "let_blocks_be_of_listeners",
    }
)
_MOST_CHARACTERS = 80


class NewerHistoryError(SynguardError):
    """The database has a schema that only a newer release knows."""


def refuse_newer(connection: sqlite3.Connection, path: Path) -> None:
    """Raise NewerHistoryError when the database has taken a step that this release does not know.

    Only reads. Errors of the database are sqlite3.Error.
    """
    if not _has_table(connection, "_sqlite_migrations"):
        return
    taken = connection.execute("SELECT name FROM _sqlite_migrations WHERE migration_set = 'synguard'")
    unknown = sorted({str(row[0]) for row in taken} - KNOWN_STEPS)
    if not unknown:
        return
    maker = _last_version(connection)
    made_by = f"was last written by synguard {_plain(maker)}" if maker else "was made by a newer synguard"
    raise NewerHistoryError(
        f"the history at {path} {made_by} and has the schema step {_plain(unknown[0])}, which this synguard "
        f"{__version__} does not know: upgrade synguard, or name another file (history.database in the "
        "settings, or --database); nothing in it was changed"
    )


def _has_table(connection: sqlite3.Connection, name: str) -> bool:
    found = connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", [name])
    return found.fetchone() is not None


def _last_version(connection: sqlite3.Connection) -> str | None:
    """Return the release of the last run; None where none is told, or no longer in a way known here."""
    if not _has_table(connection, "runs"):
        return None
    try:
        row = connection.execute("SELECT version FROM runs ORDER BY id DESC LIMIT 1").fetchone()
    except sqlite3.OperationalError:
        return None
    return None if row is None else str(row[0])


def _plain(text: str) -> str:
    """Return text from the file as a terminal can take it."""
    return "".join(one if one.isprintable() else "?" for one in text[:_MOST_CHARACTERS])
