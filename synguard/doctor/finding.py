"""What a check of ``synguard doctor`` says."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """How a finding bears on guarding this machine."""

    OK = "ok"
    #: Guarding works, but less well; or it could not be found out.
    WARNING = "warning"
    #: The daemon cannot start, or cannot see what it should.
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at."""

    name: str
    status: Status
    #: What was found.
    what: str
    #: Why it matters.
    why: str
    #: How to mend it; None where nothing needs mending.
    remedy: str | None = None


def ok(name: str, what: str, why: str) -> Finding:
    """Return a finding that needs nothing done."""
    return Finding(name, Status.OK, what, why)


def warning(name: str, what: str, why: str, remedy: str) -> Finding:
    """Return a finding that makes guarding worse, or that could not be settled."""
    return Finding(name, Status.WARNING, what, why, remedy)


def error(name: str, what: str, why: str, remedy: str) -> Finding:
    """Return a finding that keeps the daemon from guarding."""
    return Finding(name, Status.ERROR, what, why, remedy)
