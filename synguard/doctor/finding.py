"""What a check of ``synguard doctor`` says."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """How a finding bears on guarding this machine, the worst first."""

    #: The daemon cannot start, or cannot see what it should.
    ERROR = "error"
    #: Guarding works, but less well.
    WARNING = "warning"
    #: It could not be found out.
    UNKNOWN = "unknown"
    OK = "ok"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at."""

    #: Of the check, and stable: programs may rely on it.
    name: str
    status: Status
    #: What was found.
    what: str
    #: Why it matters.
    why: str
    #: How to mend it, or to find it out; None where nothing needs mending.
    remedy: str | None = None


def ok(name: str, what: str, why: str) -> Finding:
    """Return a finding that needs nothing done."""
    return Finding(name, Status.OK, what, why)


def unknown(name: str, what: str, why: str, remedy: str) -> Finding:
    """Return a finding that could not be settled; ``what`` is what stood in the way."""
    return Finding(name, Status.UNKNOWN, f"unknown: {what}", why, remedy)


def warning(name: str, what: str, why: str, remedy: str) -> Finding:
    """Return a finding that makes guarding worse."""
    return Finding(name, Status.WARNING, what, why, remedy)


def error(name: str, what: str, why: str, remedy: str) -> Finding:
    """Return a finding that keeps the daemon from guarding."""
    return Finding(name, Status.ERROR, what, why, remedy)
