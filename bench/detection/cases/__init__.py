"""Every case by name, attacks first; a group of cases is a module here."""

from __future__ import annotations

from bench.detection.case import Case
from bench.detection.cases import (
    floods,
    forwarded,
    nothing_crowds,
    nothing_hosts,
    nothing_peers,
    overload,
    quiet,
    reflection,
    scans,
    spoofed,
)
from synguard.errors import UsageError

#: Each has ``CASES``, a tuple.
_GROUPS = (
    floods,
    spoofed,
    forwarded,
    scans,
    overload,
    reflection,
    quiet,
    nothing_crowds,
    nothing_hosts,
    nothing_peers,
)

CASES: dict[str, Case] = {case.name: case for group in _GROUPS for case in group.CASES}


def case_of(name: str) -> Case:
    """Return the case of that name; raises UsageError, naming those that there are."""
    if name not in CASES:
        raise UsageError(f"there is no case {name!r}; there are {', '.join(CASES)}")
    return CASES[name]
