"""Reads the moments and durations that people write: ``1h``, ``2026-11-22T10:00Z``."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from synguard.errors import UsageError

_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION = re.compile(r"(?:\d{1,9}[smhdw])+")
#: A longer duration is a slip of the finger, and no date could be reckoned from it.
MAX_DURATION_S = 100 * 365 * 86400

TIME_FORMS = "1h, 2d or 30m (that long ago), 2026-11-22, or 2026-11-22T10:00Z"
DURATION_FORMS = "90s, 10m, 1h, 2d, 1w or 1h30m"


def parse_duration(text: str) -> float:
    """Return the seconds that ``text`` means (``90s``, ``10m``, ``1h30m``), above 0.

    Raises UsageError listing the forms.
    """
    duration_s = _duration_s(text.strip())
    if duration_s is None or not 0 < duration_s <= MAX_DURATION_S:
        raise UsageError(f"{text!r} is not a duration; write it as {DURATION_FORMS}")
    return duration_s


def parse_time(text: str, now_s: float) -> float:
    """Return the moment that ``text`` means, in seconds since the Unix epoch.

    A duration is that long before ``now_s``; a date is its midnight; without a zone it is UTC.
    Raises UsageError listing the forms.
    """
    duration_s = _duration_s(text.strip())
    if duration_s is not None and duration_s <= MAX_DURATION_S:
        return now_s - duration_s
    try:
        moment = datetime.fromisoformat(text.strip().upper())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except ValueError as error:
        raise UsageError(f"{text!r} is not a time; write it as {TIME_FORMS}") from error


def _duration_s(text: str) -> float | None:
    if not _DURATION.fullmatch(text):
        return None
    return float(sum(int(part[:-1]) * _UNIT_S[part[-1]] for part in re.findall(r"\d+[smhdw]", text)))
