"""The frozen record of a block, which daemon, responder and history speak."""

from __future__ import annotations

from dataclasses import dataclass

from synguard.endpoint import Listener, Network, Target


@dataclass(frozen=True, slots=True)
class Block:
    """A target whose SYNs the probe answers in a way of its own until a moment that the kernel enforces."""

    #: A source or prefix; for ``greylist`` and ``cookie`` also a listener.
    target: Target
    until_s: float
    reason: str
    #: ``manual`` for a person's, ``alert`` for the daemon's own.
    asked_by: str
    alert_id: int | None = None
    created_at_s: float = 0.0
    hits: int = 0
    #: ``drop``, ``greylist`` or ``cookie``.
    response: str = "drop"

    @property
    def network(self) -> Network:
        """The source or prefix that is the target. Raises ValueError where it is a listener."""
        if isinstance(self.target, Listener):
            raise ValueError(f"{self.target} is a listener, and no source")
        return self.target
