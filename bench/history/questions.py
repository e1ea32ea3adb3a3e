"""What a large history is asked: every filter and order, and what is hardest for its indexes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bench.history.fill import BUSY_LISTENER, NEWEST_MS, RARE_CLASS
from bench.history.sources import EVERYWHERE, LONG_AGO, SAMPLES
from synguard.history.filter import SORT_FIELDS, AlertFilter

#: As many as a table shows, and one to tell whether there are more.
LIMIT = 51
_NOW_S = NEWEST_MS / 1000
_DAY_S = 86_400
_HOST = str(BUSY_LISTENER.address)

_FILTERS: dict[str, dict[str, Any]] = {
    "all": {},
    "since an hour": {"since_s": _NOW_S - 3600},
    "since an hour, oldest first": {"since_s": _NOW_S - 3600, "sort": "started_at"},
    "since an hour, by attempts": {"since_s": _NOW_S - 3600, "sort": "-attempts"},
    "until 89 days ago": {"until_s": _NOW_S - 89 * _DAY_S},
    "a day in the middle": {"since_s": _NOW_S - 45 * _DAY_S, "until_s": _NOW_S - 44 * _DAY_S},
    "kind": {"kind": "reflection"},
    "kind that never came with that class": {"kind": "scan", "alert_class": "half-open"},
    "class": {"alert_class": "spoofed"},
    "rare class": {"alert_class": RARE_CLASS},
    "rare class, by attempts": {"alert_class": RARE_CLASS, "sort": "-attempts"},
    "state": {"state": "open"},
    "state, oldest first": {"state": "open", "sort": "started_at"},
    "listener": {"listener": "203.0.113.8:25"},
    "busy listener": {"listener": str(BUSY_LISTENER)},
    "busy listener, by attempts": {"listener": str(BUSY_LISTENER), "sort": "-attempts"},
    "IPv6 listener": {"listener": "[2001:db8:5::1]:22"},
    "host": {"listener": "203.0.113.8"},
    "busy host, by attempts": {"listener": _HOST, "sort": "-attempts"},
    "IPv6 host": {"listener": "2001:db8:5::1"},
    "listener that is none": {"listener": "192.0.2.1:1"},
}
_SOURCES = {
    "IPv4 address": str(SAMPLES[4].network_address),
    "IPv4 /24": "203.0.113.0/24",
    "IPv4 /16": "20.7.0.0/16",
    "IPv4 /8": "20.0.0.0/8",
    "all of IPv4": "0.0.0.0/0",
    "IPv6 /64": str(SAMPLES[6]),
    "IPv6 address in it": f"{SAMPLES[6].network_address}9",
    "IPv6 /32": "2a00:1::/32",
    "IPv6 /16": "2a07::/16",
    "all of IPv6": "::/0",
    "IPv4 address that is nowhere": "192.0.2.99",
    "IPv6 address that is nowhere": "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
    "the one in every alert": str(EVERYWHERE.network_address),
    "only in the oldest": str(LONG_AGO),
    "some of those": "100.64.7.0/24",
}
_ORDERS = ("-started_at", "started_at", "-attempts")


def questions(middle_id: int) -> Iterator[tuple[str, AlertFilter]]:
    """Yield each question's name and its filter; an alert of the middle has ``middle_id``."""
    yield "ids from the middle on", AlertFilter(after_id=middle_id, sort="id", limit=LIMIT)
    for name, restrictions in _FILTERS.items():
        yield name, AlertFilter(**{"limit": LIMIT, **restrictions})
    for field in SORT_FIELDS:
        for sort in (field, f"-{field}"):
            yield f"sort {sort}", AlertFilter(sort=sort, limit=LIMIT)
    for name, source in _SOURCES.items():
        for sort in _ORDERS:
            yield f"source: {name}, sort {sort}", AlertFilter(source=source, sort=sort, limit=LIMIT)
    yield from _combined()


def _combined() -> Iterator[tuple[str, AlertFilter]]:
    everything: dict[str, Any] = {
        "since_s": _NOW_S - 60 * _DAY_S,
        "until_s": _NOW_S - _DAY_S,
        "kind": "syn-flood",
        "alert_class": "spoofed",
        "state": "closed",
        "listener": _HOST,
    }
    for source in ("20.0.0.0/8", str(LONG_AGO), str(EVERYWHERE.network_address)):
        for sort in _ORDERS:
            wanted = AlertFilter(**everything, source=source, sort=sort, limit=LIMIT)
            yield f"all together, source {source}, sort {sort}", wanted
    yield (
        "rare class and wide source, by attempts",
        AlertFilter(alert_class=RARE_CLASS, source="0.0.0.0/0", sort="-attempts", limit=LIMIT),
    )
