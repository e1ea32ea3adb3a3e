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
, silenced INTEGER NOT NULL DEFAULT 0) STRICT;

CREATE INDEX alerts_by_end ON alerts (ended_at_ms);

CREATE INDEX alerts_still_open ON alerts (id) WHERE state = 'open';

CREATE TABLE alert_sources (
    alert_id INTEGER NOT NULL REFERENCES alerts (id) ON DELETE CASCADE,
    rank INTEGER NOT NULL,
    source TEXT NOT NULL,
    source_first BLOB NOT NULL,
    source_last BLOB NOT NULL,
    attempts INTEGER NOT NULL,
    completed INTEGER NOT NULL, settled INTEGER NOT NULL DEFAULT 1,
    PRIMARY KEY (alert_id, rank)
) STRICT, WITHOUT ROWID;

CREATE TABLE blocks (
            target TEXT PRIMARY KEY NOT NULL,
            until_ms INTEGER NOT NULL,
            reason TEXT NOT NULL,
            asked_by TEXT NOT NULL,
            alert_id INTEGER,
            created_at_ms INTEGER NOT NULL
        , response TEXT NOT NULL DEFAULT 'drop') STRICT;

CREATE TABLE alert_listeners (
            alert_id INTEGER NOT NULL REFERENCES alerts (id) ON DELETE CASCADE,
            rank INTEGER NOT NULL,
            listener TEXT NOT NULL,
            PRIMARY KEY (alert_id, rank)
        ) STRICT, WITHOUT ROWID;

CREATE INDEX alert_listeners_by_listener ON alert_listeners (listener);

CREATE TABLE alert_timeline (
            alert_id INTEGER NOT NULL REFERENCES alerts (id) ON DELETE CASCADE,
            position INTEGER NOT NULL,
            at_ms INTEGER NOT NULL,
            what TEXT NOT NULL,
            before TEXT,
            after TEXT,
            because TEXT NOT NULL,
            PRIMARY KEY (alert_id, position)
        ) STRICT, WITHOUT ROWID;

CREATE TABLE baselines (
            listener TEXT PRIMARY KEY NOT NULL,
            state TEXT NOT NULL,
            updated_at_ms INTEGER NOT NULL
        ) STRICT;

CREATE TABLE silences (
            target TEXT PRIMARY KEY NOT NULL,
            until_ms INTEGER NOT NULL,
            reason TEXT NOT NULL,
            asked_by TEXT NOT NULL,
            created_at_ms INTEGER NOT NULL
        ) STRICT;

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
) STRICT, WITHOUT ROWID;

CREATE TABLE series_listeners (id INTEGER PRIMARY KEY, listener TEXT NOT NULL UNIQUE) STRICT;

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
) STRICT, WITHOUT ROWID;

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
) STRICT;

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
) STRICT;

CREATE INDEX responses_by_start ON responses (started_at_ms);

CREATE INDEX responses_by_alert ON responses (alert_id);

CREATE INDEX responses_still_open ON responses (id) WHERE ended_at_ms IS NULL;

CREATE INDEX alerts_in_brief ON alerts (started_at_ms, id, ended_at_ms, kind, class, state, severity, attempts, sources_estimated, half_open_ratio, peak_syn_per_s, listener, source_first);

CREATE INDEX alerts_by_source ON alerts (source_first, source_last) WHERE source_first IS NOT NULL;

CREATE INDEX alert_sources_settled ON alert_sources (alert_id >> 13, source_first, source_last, settled) WHERE settled = 1;

CREATE INDEX alert_sources_unsettled ON alert_sources (alert_id) WHERE settled = 0;

CREATE VIEW "alert_list" AS 
SELECT id, kind, class, severity, state, closed_because, strftime('%Y-%m-%dT%H:%M:%fZ', started_at_ms / 1000.0, 'unixepoch') AS started_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', ended_at_ms / 1000.0, 'unixepoch') AS ended_at, (ended_at_ms - started_at_ms) / 1000.0 AS lasted_s, listener,
    (SELECT group_concat(listener, ' ') FROM (SELECT listener FROM alert_listeners
        WHERE alert_id = alerts.id ORDER BY rank)) AS listeners,
    source, sources_estimated, attempts, answered, completed, aborted, refused, dropped_by_us,
    half_open_ratio, peak_syn_per_s, impact, json_extract(response, '$.response') AS response,
    json_extract(response, '$.mode') AS response_mode, decision, silenced
FROM alerts;

CREATE VIEW "alert_source_list" AS 
SELECT alert_id, rank, alert_sources.source, alert_sources.attempts, alert_sources.completed, kind, class,
    alerts.listener, strftime('%Y-%m-%dT%H:%M:%fZ', started_at_ms / 1000.0, 'unixepoch') AS started_at
FROM alert_sources JOIN alerts ON alerts.id = alert_id;

CREATE VIEW "alert_change_list" AS 
SELECT alert_id, position, strftime('%Y-%m-%dT%H:%M:%fZ', at_ms / 1000.0, 'unixepoch') AS at, what, before, after, because FROM alert_timeline;

CREATE VIEW "response_list" AS 
SELECT id, alert_id, response, mode, target,
    CASE WHEN target LIKE '[%' OR target LIKE '%.%:%' THEN 'listener' ELSE 'source' END AS target_is,
    reason, asked_by, strftime('%Y-%m-%dT%H:%M:%fZ', started_at_ms / 1000.0, 'unixepoch') AS started_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', until_ms / 1000.0, 'unixepoch') AS until, strftime('%Y-%m-%dT%H:%M:%fZ', ended_at_ms / 1000.0, 'unixepoch') AS ended_at, ended_because, hits
FROM responses;

CREATE VIEW "run_list" AS 
SELECT id, version, kernel, interfaces, mode, settings_hash, strftime('%Y-%m-%dT%H:%M:%fZ', started_at_ms / 1000.0, 'unixepoch') AS started_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', last_seen_ms / 1000.0, 'unixepoch') AS last_seen_at, strftime('%Y-%m-%dT%H:%M:%fZ', ended_at_ms / 1000.0, 'unixepoch') AS ended_at, ended_because
FROM runs;

CREATE VIEW "traffic" AS 
SELECT strftime('%Y-%m-%dT%H:%M:%SZ', at_s, 'unixepoch') AS at, step_s, 
    round(attempts * 1.0 / step_s, 3) AS attempts_per_s, peak_attempts_per_s, attempts, answered, completed,
    aborted, refused, dropped_by_us,

    syn_retransmits, syn_duplicates, fin_probes, null_probes, xmas_probes, unparsed,
    kernel_cookies, kernel_drops, accept_overflows
FROM totals_series;

CREATE VIEW "listener_traffic" AS 
SELECT strftime('%Y-%m-%dT%H:%M:%SZ', at_s, 'unixepoch') AS at, step_s, listener, 
    round(attempts * 1.0 / step_s, 3) AS attempts_per_s, peak_attempts_per_s, attempts, answered, completed,
    aborted, refused, dropped_by_us,

    handshake_p50_ms, handshake_p99_ms, sources_estimated, syn_queue, syn_queue_limit,
    accept_queue, accept_queue_limit
FROM listener_series JOIN series_listeners ON series_listeners.id = listener_id;
