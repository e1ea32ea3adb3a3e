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


@migrations()
def create_alert_listeners(db: Database) -> None:
    """Make all the listeners that an alert is on; one from before was on the one that ``alerts`` names."""
    db.execute(
        """
        CREATE TABLE alert_listeners (
            alert_id INTEGER NOT NULL REFERENCES alerts (id) ON DELETE CASCADE,
            rank INTEGER NOT NULL,
            listener TEXT NOT NULL,
            PRIMARY KEY (alert_id, rank)
        ) STRICT, WITHOUT ROWID
        """
    )
    db.execute("INSERT INTO alert_listeners SELECT id, 0, listener FROM alerts WHERE listener IS NOT NULL")
    db.execute("CREATE INDEX alert_listeners_by_listener ON alert_listeners (listener)")


@migrations()
def create_alert_timeline(db: Database) -> None:
    """Make what has changed in an alert since it opened, and whether it is silenced."""
    db.execute(
        """
        CREATE TABLE alert_timeline (
            alert_id INTEGER NOT NULL REFERENCES alerts (id) ON DELETE CASCADE,
            position INTEGER NOT NULL,
            at_ms INTEGER NOT NULL,
            what TEXT NOT NULL,
            before TEXT,
            after TEXT,
            because TEXT NOT NULL,
            PRIMARY KEY (alert_id, position)
        ) STRICT, WITHOUT ROWID
        """
    )
    db.execute("ALTER TABLE alerts ADD COLUMN silenced INTEGER NOT NULL DEFAULT 0")


@migrations()
def create_baselines(db: Database) -> None:
    """Make what is usual at each listener, as the detector's own JSON."""
    db.execute(
        """
        CREATE TABLE baselines (
            listener TEXT PRIMARY KEY NOT NULL,
            state TEXT NOT NULL,
            updated_at_ms INTEGER NOT NULL
        ) STRICT
        """
    )


@migrations()
def create_silences(db: Database) -> None:
    """Make the silences that people asked for; a target is a listener, an address or a prefix."""
    db.execute(
        """
        CREATE TABLE silences (
            target TEXT PRIMARY KEY NOT NULL,
            until_ms INTEGER NOT NULL,
            reason TEXT NOT NULL,
            asked_by TEXT NOT NULL,
            created_at_ms INTEGER NOT NULL
        ) STRICT
        """
    )
