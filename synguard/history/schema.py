"""The database's schema, as the ordered and recorded steps that lead to it.

A step that has been released is never changed; what comes later is a new step below it.
"""

from __future__ import annotations

from sqlite_utils import Database, Migrations

from synguard.history import tables
from synguard.history.views import RESPONSE_LIST, VIEWS

migrations = Migrations("synguard")


@migrations()
def create_alerts(db: Database) -> None:
    """Make the alerts and their top sources.

    Times are milliseconds since the Unix epoch. ``*_first`` and ``*_last`` are the ends of an address
    range as 16 bytes, IPv4 mapped into ``::ffff:0:0/96``, so that SQL can tell whether ranges overlap.
    AUTOINCREMENT remembers the highest id, so that none is used again after the newest were deleted.
    """
    db.execute(tables.ALERTS)
    db.execute("CREATE INDEX alerts_by_start ON alerts (started_at_ms)")
    db.execute("CREATE INDEX alerts_by_end ON alerts (ended_at_ms)")
    # A daemon that starts looks for these, and must not read all the others for it.
    db.execute("CREATE INDEX alerts_still_open ON alerts (id) WHERE state = 'open'")
    db.execute(tables.ALERT_SOURCES)


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


@migrations()
def create_series(db: Database) -> None:
    """Make what came in each second, minute and hour, in all and at each listener.

    ``step_s`` is 1, 60 or 3600, ``at_s`` the step's begin in seconds since the Unix epoch.
    """
    db.execute(tables.TOTALS_SERIES)
    db.execute("CREATE TABLE series_listeners (id INTEGER PRIMARY KEY, listener TEXT NOT NULL UNIQUE) STRICT")
    db.execute(tables.LISTENER_SERIES)


@migrations()
def create_runs_and_responses(db: Database) -> None:
    """Make the daemon's runs, and the responses taken and ended."""
    db.execute(tables.RUNS)
    db.execute(tables.RESPONSES)
    db.execute("CREATE INDEX responses_by_start ON responses (started_at_ms)")
    db.execute("CREATE INDEX responses_by_alert ON responses (alert_id)")
    db.execute("CREATE INDEX responses_still_open ON responses (id) WHERE ended_at_ms IS NULL")


@migrations()
def create_views(db: Database) -> None:
    """Make what people and their tools read: ISO times, text addresses, rates."""
    for name, sql in VIEWS.items():
        db.create_view(name, sql)


@migrations()
def index_alerts(db: Database) -> None:
    """Let the alerts be asked quickly, by what they are and by their sources.

    ``alerts_in_brief`` has all that is asked and sorted by, so that a look at every alert reads a tenth of
    their bytes. A source is looked up among 8,192 alerts at a time: they were written one after the
    other, so whoever writes stays in one place, and whoever wants the newest need not read the old.
    A source is indexed when its alert has ended (``settled``), not each time an open one changes.
    """
    db.execute("ALTER TABLE alert_sources ADD COLUMN settled INTEGER NOT NULL DEFAULT 1")
    db.execute(
        "CREATE INDEX alerts_in_brief ON alerts (started_at_ms, id, ended_at_ms, kind, class, state,"
        " severity, attempts, sources_estimated, half_open_ratio, peak_syn_per_s, listener, source_first)"
    )
    db.execute("DROP INDEX alerts_by_start")
    db.execute(
        "CREATE INDEX alerts_by_source ON alerts (source_first, source_last) WHERE source_first IS NOT NULL"
    )
    db.execute(
        "CREATE INDEX alert_sources_settled ON alert_sources"
        " (alert_id >> 13, source_first, source_last, settled) WHERE settled = 1"
    )
    db.execute("CREATE INDEX alert_sources_unsettled ON alert_sources (alert_id) WHERE settled = 0")


@migrations()
def let_blocks_be_of_listeners(db: Database) -> None:
    """Tell which response a block is, and whether a response is on a source or on a listener.

    A block from before dropped a source's SYNs; there were no others.
    """
    db.execute("ALTER TABLE blocks ADD COLUMN response TEXT NOT NULL DEFAULT 'drop'")
    db.execute("DROP VIEW response_list")
    db.create_view("response_list", RESPONSE_LIST)
