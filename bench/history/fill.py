"""Writes a history of many alerts into a database of the real schema, within minutes."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from bench.history.sources import BYGONE, FAMOUS, SAMPLES, pool
from synguard.endpoint import Listener
from synguard.errors import SynguardError
from synguard.history.database import HistoryDatabase

#: The newest alert's start, milliseconds since the Unix epoch.
NEWEST_MS = 1_795_341_600_000
DAYS = 90
#: Alerts that have not ended.
OPEN = 20
#: The class of every so manieth alert, and of no other.
RARE_CLASS, RARE_EVERY = "xmas", 20_000
#: The listener of three alerts in ten.
BUSY_LISTENER = Listener.parse("203.0.113.5:443")

SOURCES_EACH = 50
#: The oldest tenth has ten sources each that nobody else has.
_BYGONE_EACH = 10
_FAMOUS_EACH = 5
#: What an alert takes in the database, and as much again while the index is sorted.
_BYTES_EACH = 12_000
_POOL_EACH = 4
_EVIDENCE = ("bare-syn", "ttl", "bogons", "window", "options", "completions")
_MEASUREMENTS = ("half_open_per_s", "attempts_per_s", "half_open_ratio", "sources_estimated")


def fill(path: Path, alerts: int) -> None:
    """Make a history of so many alerts, of 50 sources each, at ``path``.

    Raises SynguardError when there is no room for it.
    """
    _demand_room(path.parent, alerts * _BYTES_EACH)
    database = HistoryDatabase(path)
    database.prepare()
    database.close()
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -1000000", "threads = 2"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("BEGIN")
        _write(connection, alerts)
        connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode = WAL")
    finally:
        connection.close()


def _demand_room(directory: Path, needed_bytes: int) -> None:
    free_bytes = shutil.disk_usage(directory).free
    if free_bytes < needed_bytes:
        raise SynguardError(
            f"the history needs {needed_bytes / 1e9:.1f} GB in {directory}, where {free_bytes / 1e9:.1f} GB "
            "are free: make room, name another place with TMPDIR, or use --quick"
        )


def _write(connection: sqlite3.Connection, alerts: int) -> None:
    """Write the rows, and the indexes when all is there."""
    indexes = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql NOT NULL")
    indexes_later = indexes.fetchall()
    for name, _ in indexes_later:
        connection.execute(f"DROP INDEX {name}")
    listeners = [str(listener) for listener in listener_pool()]
    connection.executemany(
        f"INSERT INTO alerts VALUES ({', '.join('?' * 28)})",  # noqa: S608
        _alert_rows(alerts, listeners),
    )
    connection.execute(
        "INSERT INTO alert_listeners SELECT id, 0, listener FROM alerts WHERE listener NOT NULL"
    )
    connection.execute(
        "INSERT INTO alert_listeners SELECT id, 1, replace(listener, ':443', ':8443') FROM alerts"
        " WHERE id % 5 = 0 AND listener LIKE '%:443'"
    )
    connection.executemany("INSERT INTO alert_timeline VALUES (?, ?, ?, ?, ?, ?, ?)", _changes(alerts))
    _write_sources(connection, alerts)
    for _, sql in indexes_later:
        connection.execute(sql)


def listener_pool() -> Iterator[Listener]:
    """Yield three hundred listeners, IPv4 and IPv6; the busy one is first."""
    yield BUSY_LISTENER
    for host in range(75):
        for port in (443, 80, 22, 25):
            text = f"[2001:db8:5::{host + 1:x}]" if host % 3 == 0 else f"203.0.113.{host + 6}"
            yield Listener.parse(f"{text}:{port}")


def _alert_rows(alerts: int, listeners: list[str]) -> Iterator[tuple[object, ...]]:
    draw = random.Random(7)
    sources = [row for _, row in zip(range(1 + FAMOUS), pool(len(SAMPLES)), strict=False)]
    step_ms = DAYS * 86_400_000 // alerts
    for number in range(1, alerts + 1):
        started_ms = NEWEST_MS - (alerts - number) * step_ms - draw.randrange(2000)
        kind = draw.choices(("syn-flood", "scan", "reflection", "overload", "blind"), (70, 20, 5, 4, 1))[0]
        alert_class = draw.choice(("spoofed", "distributed", "single-source", "prefix", None))
        if number % RARE_EVERY == RARE_EVERY // 2:
            kind, alert_class = "scan", RARE_CLASS
        is_open = number > alerts - OPEN
        lasted_ms = int(draw.expovariate(1 / 120_000)) + 5000
        source = draw.choice(sources) if alert_class in ("single-source", "prefix") else (None, None, None)
        attempts = int(1000 * draw.paretovariate(0.8)) % 1_000_000_000
        yield (
            number, kind, alert_class, draw.choice(("info", "low", "medium", "high", "critical")),
            "open" if is_open else "closed", None if is_open else "ended",
            started_ms, None if is_open else started_ms + lasted_ms, started_ms + lasted_ms,
            listeners[0] if draw.random() < 0.3 else draw.choice(listeners), *source,
            draw.randrange(50, 100_000), attempts, attempts * 9 // 10, attempts // 50, attempts // 100, 0, 0,
            round(draw.random(), 4), round(attempts / 30, 1), "pressure", *_words(draw), 0,
        )  # fmt: skip


def _words(draw: random.Random) -> tuple[str, str, str | None, str]:
    """Return evidence, measurements, response and decision, as long as those of real alerts."""
    evidence = [{"name": name, "value": round(draw.random(), 4), "weight": 0.25} for name in _EVIDENCE]
    measurements = [
        {"name": name, "observed": draw.randrange(10_000), "threshold": 50.0, "unit": "1/s", "baseline": 12.5}
        for name in _MEASUREMENTS
    ]
    response = {
        "response": "drop", "mode": "dry-run", "target": "198.51.100.7",
        "reason": "its timestamps continue those of a completed handshake",
        "until": "2026-11-22T10:00:00.000Z",
    }  # fmt: skip
    done = json.dumps(response) if draw.random() < 0.2 else None
    return (
        json.dumps(evidence),
        json.dumps(measurements),
        done,
        "Nothing, for nothing is proven: " + "why " * 20,
    )


def _changes(alerts: int) -> Iterator[tuple[object, ...]]:
    what = (
        ("severity", "low", "high", "its rate is ten times the threshold"),
        ("class", "distributed", "single-source", "one source makes most of it"),
        ("impact", None, "pressure", "the syn_queue fills up"),
        ("response", None, "drop 198.51.100.7", "it is proven"),
        ("state", "open", "closed", "no attempts for 30 s"),
        ("severity", "high", "low", "its rate has fallen"),
    )
    for number in range(1, alerts + 1):
        for position in range(3 + number % 4):
            yield number, position, NEWEST_MS + position * 1000, *what[position]


def _write_sources(connection: sqlite3.Connection, alerts: int) -> None:
    """Write each alert's sources: SQLite itself picks them from a table of all there are."""
    connection.execute("ATTACH ':memory:' AS pool")
    connection.execute(
        "CREATE TABLE pool.pool (id INTEGER PRIMARY KEY, source TEXT, source_first BLOB, source_last BLOB)"
    )
    size = alerts * _POOL_EACH
    connection.executemany(
        "INSERT INTO pool (source, source_first, source_last) VALUES (?, ?, ?)", pool(size)
    )
    connection.execute("CREATE TABLE pool.ranks (rank INTEGER PRIMARY KEY)")
    connection.executemany("INSERT INTO ranks VALUES (?)", [(rank,) for rank in range(SOURCES_EACH)])
    connection.execute(
        f"""
        INSERT INTO alert_sources
        SELECT alerts.id, rank, pool.source, pool.source_first, pool.source_last, 5000 - rank * 90,
            rank % 3, state = 'closed'
        FROM alerts CROSS JOIN ranks CROSS JOIN pool
        WHERE pool.id = CASE
            WHEN rank = {_FAMOUS_EACH} THEN 1
            WHEN rank < {_FAMOUS_EACH} THEN 2 + (alerts.id * 7 + rank * 101) % {FAMOUS}
            WHEN rank >= {SOURCES_EACH - _BYGONE_EACH} AND alerts.id <= {alerts // 10}
                THEN {2 + FAMOUS} + (alerts.id * 13 + rank * 997) % {BYGONE}
            ELSE {2 + FAMOUS + BYGONE} + (alerts.id * 2654435761 + rank * 104729) % {size} END
        """  # noqa: S608
    )
