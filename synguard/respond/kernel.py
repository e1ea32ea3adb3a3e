"""What enforces the blocks: one face for the probe's rules, for nftables' sets, and for a rehearsal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol

from synguard.endpoint import Network, Target
from synguard.handshake import Answer


class Rule(NamedTuple):
    """One rule as it is wanted, or as the kernel holds it. ``until_ns`` is of the monotonic clock."""

    #: ``drop``, ``greylist`` or ``cookie``.
    response: str
    until_ns: int
    #: SYNs of a source that met the rule.
    hits: int = 0
    #: Of a cookie: SYNs that may still be answered on trial; ``EVERYBODY`` when all are.
    canaries: int = 0
    answer: Answer | None = None
    #: Who wanted it, for those who look at nftables.
    comment: str = ""


class Kernel(Protocol):
    """Enforces rules until their time is over, whether or not anybody is there by then.

    Every method may take milliseconds and raises SynguardError, in words, when the kernel refuses.
    """

    def put(self, rules: Mapping[Target, Rule]) -> None:
        """Enforce all of these, in one go where it can be; what a source's rule has caught so far is kept.

        Raises UsageError for more prefix lengths than there is room for.
        """

    def end(self, targets: Iterable[Target]) -> None:
        """Enforce the rules of these no more; those that are gone already do not matter."""

    def hits(self, target: Network) -> int:
        """Return how many SYNs the rule of a source has caught; 0 where there is none."""

    def sources(self) -> dict[Target, Rule]:
        """Return the rules of sources and prefixes that the kernel holds, also those that are over."""

    def listeners(self) -> dict[Target, Rule]:
        """Return the rules of listeners that the kernel holds."""

    def tidy(self) -> None:
        """Take away what is over and was kept for a while, to know what comes again."""

    def leave(self) -> None:
        """Take away what would outlive the probe, which goes now."""


class Rehearsal:
    """Enforces nothing: holds what would be enforced, for dry-run."""

    def __init__(self) -> None:
        self._rules: dict[Target, Rule] = {}

    def put(self, rules: Mapping[Target, Rule]) -> None:
        """Hold these."""
        self._rules.update(rules)

    def end(self, targets: Iterable[Target]) -> None:
        """Hold these no more."""
        for target in targets:
            self._rules.pop(target, None)

    def hits(self, target: Network) -> int:  # noqa: ARG002
        """Return 0: what would have been caught is not known."""
        return 0

    def sources(self) -> dict[Target, Rule]:
        """Return nothing: the kernel holds no rule of a rehearsal."""
        return {}

    def listeners(self) -> dict[Target, Rule]:
        """Return nothing, for the same reason."""
        return {}

    def tidy(self) -> None:
        """Do nothing."""

    def leave(self) -> None:
        """Do nothing."""
