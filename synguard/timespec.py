"""Reads the moments and durations that people write, ``1h``, ``2026-11-22T10:00Z``, and guesses at slips."""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import UTC, datetime, timedelta

from synguard.errors import UsageError

_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION = re.compile(r"(?:\d{1,9}[smhdw])+")
#: A longer duration is a slip of the finger, and no date could be reckoned from it.
MAX_DURATION_S = 100 * 365 * 86400

TIME_FORMS = "1h, 2d or 30m (that long ago), 2026-11-22, or 2026-11-22T10:00Z"
DURATION_FORMS = "90s, 10m, 1h, 2d, 1w or 1h30m"

#: How people spell units.
_SPELT = {
    "s": "s sec secs second seconds",
    "m": "m min mins minute minutes",
    "h": "h hr hrs hour hours",
    "d": "d day days",
    "w": "w wk wks week weeks",
}
_UNIT_OF = {spelling: unit for unit, spellings in _SPELT.items() for spelling in spellings.split()}
_SLIP = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)([a-z]+)", re.A)

_DATE = re.compile(
    r"(\d{4})[-/.](\d{1,2})(?:[-/.](\d{1,2}))?(.*)|(\d{1,2})[-/.](\d{1,2})[-/.](\d{4})(.*)", re.A
)
_CLOCK = re.compile(
    r"[t_, ]*(\d{1,2}):?(\d{2})?(?::(\d{2}))?(?:\.\d+)? *([ap]m)?"
    r" *(z|utc|gmt|([+-])(\d{1,2}):?(\d{2})?)?",
    re.A,
)
#: A number without its unit.
_BARE = re.compile(r"\d{1,6}", re.A)
_EPOCH = re.compile(r"[12]\d{9}(\d{3})?", re.A)


def parse_duration(text: str) -> float:
    """Return the seconds that ``text`` means (``90s``, ``10m``, ``1h30m``), above 0.

    Raises UsageError with the nearest right form, or with all forms.
    """
    text = text.strip()
    duration_s = _duration_s(text)
    if duration_s is not None and 0 < duration_s <= MAX_DURATION_S:
        return duration_s
    if _BARE.fullmatch(text) and int(text):
        raise UsageError(f"{text!r} has no unit: did you mean {text}s or {text}m? One is {DURATION_FORMS}")
    _refuse_ages(text, duration_s, DURATION_FORMS)
    guess = _nearest_duration(text)
    hint = f": did you mean {guess}? One is" if guess else "; write it as"
    raise UsageError(f"{text!r} is not a duration{hint} {DURATION_FORMS}")


def parse_time(text: str, now_s: float) -> float:
    """Return the moment that ``text`` means, in seconds since the Unix epoch.

    A duration is that long before ``now_s``; a date is its midnight; without a zone it is UTC.
    Raises UsageError with the nearest right form, or with all forms.
    """
    text = text.strip()
    duration_s = _duration_s(text)
    if duration_s is not None and duration_s <= MAX_DURATION_S:
        return now_s - duration_s
    try:
        return _moment(text).timestamp()
    except (ValueError, OverflowError) as error:
        _refuse_ages(text, duration_s, TIME_FORMS)
        guess = _nearest_time(text, now_s)
        hint = f": did you mean {guess}? One is" if guess else f"{_impossible(text)}; write it as"
        raise UsageError(f"{text!r} is not a time{hint} {TIME_FORMS}") from error


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text.upper())
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _duration_s(text: str) -> float | None:
    if not text.isascii() or not _DURATION.fullmatch(text):
        return None
    return float(sum(int(part[:-1]) * _UNIT_S[part[-1]] for part in re.findall(r"\d+[smhdw]", text)))


def _refuse_ages(text: str, duration_s: float | None, forms: str) -> None:
    if duration_s is not None and duration_s > MAX_DURATION_S:
        raise UsageError(f"{text!r} is more than 100 years; write it as {forms}")


def _nearest_duration(text: str) -> str | None:
    """Return the duration that was probably meant, ``1h`` for ``1 hr ago``, or None."""
    compact = re.sub(r"\bago\b|\band\b|[\s,]", "", text.lower()).lstrip("+-")
    parts = _SLIP.findall(compact)
    if not parts or "".join(number + unit for number, unit in parts) != compact:
        return None
    if any(unit not in _UNIT_OF for _, unit in parts):
        return None
    seconds = round(sum(float(number) * _UNIT_S[_UNIT_OF[unit]] for number, unit in parts))
    if not 0 < seconds <= MAX_DURATION_S:
        return None
    if "." in compact:
        return _written(seconds)
    return "".join(f"{number}{_UNIT_OF[unit]}" for number, unit in parts)


def _written(seconds: int) -> str:
    """Return whole seconds above 0 as a duration: ``1h30m``."""
    text = ""
    for unit in "dhms":
        count, seconds = divmod(seconds, _UNIT_S[unit])
        text += f"{count}{unit}" if count else ""
    return text


def _nearest_time(text: str, now_s: float) -> str | None:
    """Return the time that was probably meant, or None."""
    today = datetime.fromtimestamp(now_s, UTC)
    word = text.lower()
    words = {
        "now": "0s",
        "today": f"{today:%Y-%m-%d}",
        "yesterday": f"1d, or {today - timedelta(days=1):%Y-%m-%d}",
    }
    if word in words:
        return words[word]
    if _BARE.fullmatch(word) and int(word):
        return f"{word}m or {word}h"
    if _EPOCH.fullmatch(word):
        return f"{datetime.fromtimestamp(int(word[:10]), UTC):%Y-%m-%dT%H:%M:%SZ}"
    if re.match(r"\d{1,2}:\d\d", word):
        return _checked(f"{today:%Y-%m-%d}", word)
    found = _DATE.fullmatch(word)
    return _nearest_date(found) if found else _nearest_duration(text)


def _impossible(text: str) -> str:
    """Say which part of a date there cannot be, if that is what is wrong."""
    found = re.match(r"\d{4}-(\d\d)(?:-(\d\d)(?:[T ](\d\d))?)?", text, re.A)
    if found:
        for name, value, most in zip(("month", "day", "hour"), found.groups(), (12, 31, 23), strict=True):
            if value is not None and int(value) > most:
                return f", there is no {name} {value}"
    return ""


def _nearest_date(found: re.Match[str]) -> str | None:
    """Return the date and time that was probably meant: other separators, another order, no 31st."""
    if found[1]:
        year, month, day, clock = int(found[1]), int(found[2]), int(found[3] or 1), found[4]
    else:
        year, month, day, clock = int(found[7]), int(found[6]), int(found[5]), found[8]
    if month > 12 >= day:
        month, day = day, month
    if not (1 <= month <= 12 and 1 <= day <= 31 and year >= 1970):
        return None
    return _checked(f"{year}-{month:02}-{min(day, monthrange(year, month)[1]):02}", clock)


def _checked(date: str, clock: str) -> str | None:
    """Return the date with the time of day as it should be written, or None if that is none either."""
    if not clock.strip():
        return date
    found = _CLOCK.fullmatch(clock)
    if not found:
        return None
    hour = int(found[1])
    if found[4]:
        hour = hour % 12 + (12 if found[4] == "pm" else 0)
    seconds = f":{found[3]}" if found[3] else ""
    zone = f"{found[6]}{int(found[7]):02}:{found[8] or '00'}" if found[6] else "Z"
    written = f"{date}T{hour:02}:{found[2] or '00'}{seconds}{zone}"
    try:
        _moment(written)
    except ValueError:
        return None
    return written
