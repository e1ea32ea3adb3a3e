"""The composition root: everything that has a clock, a socket or a descriptor meets here."""

from synguard.daemon.placing import attach
from synguard.daemon.service import run

__all__ = ["attach", "run"]
