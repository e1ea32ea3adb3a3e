"""The larger tables, as the steps of the schema make them.

They belong to those steps: one that was released is changed by a further step there.
"""

from __future__ import annotations

ALERTS = """
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

ALERT_SOURCES = """
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

TOTALS_SERIES = """
CREATE TABLE totals_series (
    step_s INTEGER NOT NULL,
    at_s INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    answered INTEGER,
    completed INTEGER,
    aborted INTEGER NOT NULL,
    refused INTEGER NOT NULL,
    dropped_by_us INTEGER NOT NULL,
    syn_retransmits INTEGER NOT NULL,
    syn_duplicates INTEGER NOT NULL,
    fin_probes INTEGER NOT NULL,
    null_probes INTEGER NOT NULL,
    xmas_probes INTEGER NOT NULL,
    unparsed INTEGER NOT NULL,
    peak_attempts_per_s REAL NOT NULL,
    kernel_cookies INTEGER,
    kernel_drops INTEGER,
    accept_overflows INTEGER,
    PRIMARY KEY (step_s, at_s)
) STRICT, WITHOUT ROWID
"""

LISTENER_SERIES = """
CREATE TABLE listener_series (
    step_s INTEGER NOT NULL,
    listener_id INTEGER NOT NULL,
    at_s INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    answered INTEGER,
    completed INTEGER,
    aborted INTEGER NOT NULL,
    refused INTEGER NOT NULL,
    dropped_by_us INTEGER NOT NULL,
    peak_attempts_per_s REAL NOT NULL,
    handshake_p50_ms REAL,
    handshake_p99_ms REAL,
    sources_estimated INTEGER,
    syn_queue INTEGER,
    syn_queue_limit INTEGER,
    accept_queue INTEGER,
    accept_queue_limit INTEGER,
    PRIMARY KEY (step_s, listener_id, at_s)
) STRICT, WITHOUT ROWID
"""

RUNS = """
CREATE TABLE runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    version TEXT NOT NULL,
    kernel TEXT NOT NULL,
    interfaces TEXT NOT NULL,
    mode TEXT NOT NULL,
    settings_hash TEXT NOT NULL,
    started_at_ms INTEGER NOT NULL UNIQUE,
    last_seen_ms INTEGER NOT NULL,
    ended_at_ms INTEGER,
    ended_because TEXT
) STRICT
"""

RESPONSES = """
CREATE TABLE responses (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    alert_id INTEGER,
    response TEXT NOT NULL,
    mode TEXT NOT NULL,
    target TEXT NOT NULL,
    target_first BLOB NOT NULL,
    target_last BLOB NOT NULL,
    reason TEXT NOT NULL,
    asked_by TEXT NOT NULL,
    started_at_ms INTEGER NOT NULL,
    until_ms INTEGER,
    ended_at_ms INTEGER,
    ended_because TEXT,
    hits INTEGER,
    UNIQUE (response, mode, target, started_at_ms)
) STRICT
"""
