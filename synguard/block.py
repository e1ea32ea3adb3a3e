"""The frozen record of a block, which daemon, responder and history speak."""

from __future__ import annotations

from dataclasses import dataclass

from synguard.endpoint import Network


@dataclass(frozen=True, slots=True)
class Block:
    """A target whose SYNs the probe drops until a moment that the kernel itself enforces."""

    target: Network
    until_s: float
    reason: str
    #: ``manual`` for a person's, ``alert`` for the daemon's own.
    asked_by: str
    alert_id: int | None = None
    created_at_s: float = 0.0
    hits: int = 0
