"""The frozen record of a silence, which command line, daemon and history speak."""

from __future__ import annotations

from dataclasses import dataclass

from synguard.endpoint import Target


@dataclass(frozen=True, slots=True)
class Silence:
    """A listener or source whose alerts are recorded, but neither announced nor answered, until a moment."""

    target: Target
    until_s: float
    reason: str
    #: Whose word it is: ``uid 1000``.
    asked_by: str
    created_at_s: float = 0.0
