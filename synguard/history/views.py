"""The views for people and tools (sqlite3, datasette, sqlite-utils): ISO times in UTC, text addresses, rates.

They belong to the schema: one that was released is changed by a further step there.
"""

# ruff: noqa: S608 - only names of this module's own are pasted together
from __future__ import annotations


def _iso(column: str) -> str:
    """Return the expression for milliseconds since the Unix epoch as ``2026-11-22T10:00:00.000Z``."""
    return f"strftime('%Y-%m-%dT%H:%M:%fZ', {column} / 1000.0, 'unixepoch')"


def _step(column: str) -> str:
    return f"strftime('%Y-%m-%dT%H:%M:%SZ', {column}, 'unixepoch')"


_SERIES = """
    round(attempts * 1.0 / step_s, 3) AS attempts_per_s, peak_attempts_per_s, attempts, answered, completed,
    aborted, refused, dropped_by_us,
"""

VIEWS = {
    "alert_list": f"""
SELECT id, kind, class, severity, state, closed_because, {_iso("started_at_ms")} AS started_at,
    {_iso("ended_at_ms")} AS ended_at, (ended_at_ms - started_at_ms) / 1000.0 AS lasted_s, listener,
    (SELECT group_concat(listener, ' ') FROM (SELECT listener FROM alert_listeners
        WHERE alert_id = alerts.id ORDER BY rank)) AS listeners,
    source, sources_estimated, attempts, answered, completed, aborted, refused, dropped_by_us,
    half_open_ratio, peak_syn_per_s, impact, json_extract(response, '$.response') AS response,
    json_extract(response, '$.mode') AS response_mode, decision, silenced
FROM alerts""",
    "alert_source_list": f"""
SELECT alert_id, rank, alert_sources.source, alert_sources.attempts, alert_sources.completed, kind, class,
    alerts.listener, {_iso("started_at_ms")} AS started_at
FROM alert_sources JOIN alerts ON alerts.id = alert_id""",
    "alert_change_list": f"""
SELECT alert_id, position, {_iso("at_ms")} AS at, what, before, after, because FROM alert_timeline""",
    "response_list": f"""
SELECT id, alert_id, response, mode, target, reason, asked_by, {_iso("started_at_ms")} AS started_at,
    {_iso("until_ms")} AS until, {_iso("ended_at_ms")} AS ended_at, ended_because, hits
FROM responses""",
    "run_list": f"""
SELECT id, version, kernel, interfaces, mode, settings_hash, {_iso("started_at_ms")} AS started_at,
    {_iso("last_seen_ms")} AS last_seen_at, {_iso("ended_at_ms")} AS ended_at, ended_because
FROM runs""",
    "traffic": f"""
SELECT {_step("at_s")} AS at, step_s, {_SERIES}
    syn_retransmits, syn_duplicates, fin_probes, null_probes, xmas_probes, unparsed,
    kernel_cookies, kernel_drops, accept_overflows
FROM totals_series""",
    "listener_traffic": f"""
SELECT {_step("at_s")} AS at, step_s, listener, {_SERIES}
    handshake_p50_ms, handshake_p99_ms, sources_estimated, syn_queue, syn_queue_limit,
    accept_queue, accept_queue_limit
FROM listener_series JOIN series_listeners ON series_listeners.id = listener_id""",
}

#: What ``response_list`` is since responses can be on listeners.
RESPONSE_LIST = f"""
SELECT id, alert_id, response, mode, target,
    CASE WHEN target LIKE '[%' OR target LIKE '%.%:%' THEN 'listener' ELSE 'source' END AS target_is,
    reason, asked_by, {_iso("started_at_ms")} AS started_at, {_iso("until_ms")} AS until,
    {_iso("ended_at_ms")} AS ended_at, ended_because, hits
FROM responses"""
