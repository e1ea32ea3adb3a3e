"""The responses taken and ended: what was done or would have been, to whom, why, and how it ended."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any

from synguard.endpoint import Listener, Network
from synguard.history.records import time_to_json
from synguard.history.rows import Row, address_range, to_ms

#: Drops that are remembered from one daemon to the next, and responses that are looked through for them.
MAX_DROPS = 10_000
MOST_READ = 50_000
#: A drop whose end was noticed within so many milliseconds of its time has lasted it.
_SLACK_MS = 1000

_DROPS = f"""
SELECT target, max(id) AS last, until_ms, CASE WHEN ended_because = 'the daemon ended' THEN until_ms
    ELSE min(until_ms, coalesce(ended_at_ms, until_ms)) END AS over_ms
FROM (SELECT * FROM responses ORDER BY id DESC LIMIT :read)
WHERE response = 'drop' AND mode = 'enforce' AND asked_by = 'alert' AND until_ms IS NOT NULL
GROUP BY target, until_ms HAVING over_ms >= until_ms - {_SLACK_MS}
ORDER BY last DESC LIMIT :most
"""  # noqa: S608 - only a number of this module's own is put in


@dataclass(frozen=True, slots=True)
class TakenResponse:
    """A response from its begin to its end; response, mode, target and begin tell it from others."""

    response: str
    #: ``enforce``, or ``dry-run`` for what would have been done.
    mode: str
    #: An address, a prefix, or a listener.
    target: str
    reason: str
    #: ``manual`` for a person's, ``alert`` for the daemon's own.
    asked_by: str
    alert_id: int | None
    started_at_s: float
    until_s: float | None
    ended_at_s: float | None = None
    ended_because: str | None = None
    #: SYNs that it caught; None where that is not known.
    hits: int | None = None

    @property
    def key(self) -> tuple[str, str, str, int]:
        """Return what tells it from others, the begin in milliseconds."""
        return self.response, self.mode, self.target, to_ms(self.started_at_s)


def write_response(connection: sqlite3.Connection, taken: TakenResponse) -> None:
    """Write a response as it is now, within the caller's transaction."""
    first, last = _range(taken.target)
    changing = {
        "until_ms": _ms(taken.until_s),
        "reason": taken.reason,
        "ended_at_ms": _ms(taken.ended_at_s),
        "ended_because": taken.ended_because,
        "hits": taken.hits,
    }
    key = {
        "response": taken.response,
        "mode": taken.mode,
        "target": taken.target,
        "started_at_ms": to_ms(taken.started_at_s),
    }
    # An upsert would use up an id each time. Only names of this function's own are pasted together.
    known = connection.execute(
        f"UPDATE responses SET {', '.join(f'{name} = :{name}' for name in changing)}"  # noqa: S608
        f" WHERE {' AND '.join(f'{name} = :{name}' for name in key)}",
        changing | key,
    )
    if known.rowcount:
        return
    lasting = {
        "target_first": first,
        "target_last": last,
        "asked_by": taken.asked_by,
        "alert_id": taken.alert_id,
    }
    row = changing | key | lasting
    connection.execute(
        f"INSERT INTO responses ({', '.join(row)}) VALUES ({', '.join(f':{name}' for name in row)})",  # noqa: S608
        row,
    )


def _ms(wall_s: float | None) -> int | None:
    return None if wall_s is None else to_ms(wall_s)


def _range(target: str) -> tuple[bytes, bytes]:
    try:
        return address_range(ip_network(target))
    except ValueError:
        return address_range(ip_network(Listener.parse(target).address))


def end_interrupted(connection: sqlite3.Connection, before_ms: int, now_ms: int) -> None:
    """Let responses without an end that began before a moment have ended with their daemon, or in their time.

    It ended when it was seen last. Those that a later daemon puts in force again begin anew.
    """
    connection.execute(
        "UPDATE responses SET ended_at_ms = max(started_at_ms, min(coalesce(until_ms, :seen), :seen)),"
        " ended_because = CASE WHEN until_ms <= :seen THEN 'its time is over' ELSE 'the daemon ended' END"
        " WHERE ended_at_ms IS NULL AND started_at_ms < :before",
        {"seen": _last_seen_ms(connection, before_ms, now_ms), "before": before_ms},
    )


def _last_seen_ms(connection: sqlite3.Connection, before_ms: int, now_ms: int) -> int:
    """Return when the last run before a moment was seen last; now where none is told of."""
    seen = connection.execute("SELECT max(last_seen_ms) FROM runs WHERE started_at_ms < ?", [before_ms])
    found: int | None = seen.fetchone()[0]
    return now_ms if found is None else found


def earlier_drops(connection: sqlite3.Connection) -> list[tuple[Network, float]]:
    """Return the sources that the daemon dropped until the drop's time was over, and when, in wall seconds.

    The newest first, at most :data:`MAX_DROPS` of the last :data:`MOST_READ` responses. A drop that ended
    early was a mistake, or somebody wanted it so. One whose daemon ended goes on in the kernel to its time,
    which may be still to come; one that a later daemon put in force again is the same drop.
    """
    found = connection.execute(_DROPS, {"read": MOST_READ, "most": MAX_DROPS})
    drops = []
    for row in found:
        try:
            drops.append((ip_network(row["target"]), row["over_ms"] / 1000))
        except ValueError:
            continue
    return drops


def responses(
    connection: sqlite3.Connection, since_s: float, until_s: float, alert_id: int | None, now_s: float
) -> list[dict[str, Any]]:
    """Return the responses that any part of a time falls into, oldest first, as plain data.

    With ``alert_id`` those that this alert brought about, or that were in force on its account. One whose
    time was over before ``now_s`` has ended then, though the daemon that took it could not write that down.
    """
    mine = " AND alert_id = :alert_id" if alert_id is not None else ""
    found = connection.execute(
        "SELECT * FROM responses WHERE started_at_ms <= :until AND coalesce(ended_at_ms, :until) >= :since"  # noqa: S608
        f"{mine} ORDER BY started_at_ms, id",
        {"since": to_ms(since_s), "until": to_ms(until_s), "alert_id": alert_id},
    )
    return [_to_json(row, to_ms(now_s)) for row in found]


def _to_json(row: Row, now_ms: int) -> dict[str, Any]:
    def moment(name: str) -> str | None:
        return None if row[name] is None else time_to_json(row[name] / 1000)

    is_over = row["ended_at_ms"] is None and row["until_ms"] is not None and row["until_ms"] <= now_ms
    same = ("id", "alert_id", "response", "mode", "target", "reason", "asked_by")
    return {
        **{name: row[name] for name in same},
        "started_at": moment("started_at_ms"),
        "until": moment("until_ms"),
        "ended_at": moment("until_ms" if is_over else "ended_at_ms"),
        "ended_because": "its time is over" if is_over else row["ended_because"],
        "hits": row["hits"],
    }
