"""The database's schema, as the ordered and recorded steps that lead to it.

A step that has been released is never changed; what comes later is a new step below it.
"""

from __future__ import annotations

from sqlite_utils import Database, Migrations

migrations = Migrations("synguard")

_ALERTS = """
CREATE TABLE alerts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    class TEXT,
    severity TEXT NOT NULL,
    state TEXT NOT NULL,
    closed_because TEXT,
    started_at_ms INTEGER NOT NULL,
    ended_at_ms INTEGER,
    updated_at_ms INTEGER NOT NULL,
    listener TEXT,
    source TEXT,
    source_first BLOB,
    source_last BLOB,
    sources_estimated INTEGER,
    attempts INTEGER NOT NULL,
    answered INTEGER,
    completed INTEGER,
    aborted INTEGER NOT NULL,
    refused INTEGER NOT NULL,
    dropped_by_us INTEGER NOT NULL,
    half_open_ratio REAL,
    peak_syn_per_s REAL NOT NULL,
    impact TEXT NOT NULL,
    evidence TEXT NOT NULL,
    measurements TEXT NOT NULL,
    response TEXT,
    decision TEXT NOT NULL
) STRICT
"""

_ALERT_SOURCES = """
CREATE TABLE alert_sources (
    alert_id INTEGER NOT NULL REFERENCES alerts (id) ON DELETE CASCADE,
    rank INTEGER NOT NULL,
    source TEXT NOT NULL,
    source_first BLOB NOT NULL,
    source_last BLOB NOT NULL,
    attempts INTEGER NOT NULL,
    completed INTEGER NOT NULL,
    PRIMARY KEY (alert_id, rank)
) STRICT, WITHOUT ROWID
"""


@migrations()
def create_alerts(db: Database) -> None:
    """Make the alerts and their top sources.

    Times are milliseconds since the Unix epoch. ``*_first`` and ``*_last`` are the ends of an address
    range as 16 bytes, IPv4 mapped into ``::ffff:0:0/96``, so that SQL can tell whether ranges overlap.
    AUTOINCREMENT remembers the highest id, so that none is used again after the newest were deleted.
    """
    db.execute(_ALERTS)
    db.execute("CREATE INDEX alerts_by_start ON alerts (started_at_ms)")
    db.execute("CREATE INDEX alerts_by_end ON alerts (ended_at_ms)")
    # A daemon that starts looks for these, and must not read all the others for it.
    db.execute("CREATE INDEX alerts_still_open ON alerts (id) WHERE state = 'open'")
    db.execute(_ALERT_SOURCES)


@migrations()
def create_blocks(db: Database) -> None:
    """Make the blocks that a restart must put in force again."""
    db.execute(
        """
        CREATE TABLE blocks (
            target TEXT PRIMARY KEY NOT NULL,
            until_ms INTEGER NOT NULL,
            reason TEXT NOT NULL,
            asked_by TEXT NOT NULL,
            alert_id INTEGER,
            created_at_ms INTEGER NOT NULL
        ) STRICT
        """
    )
