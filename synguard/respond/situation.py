"""What the policy decides by, and what it decides: the operator's rules, the situation, the decision."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from synguard.endpoint import Listener, Network, source_text, unmapped
from synguard.handshake import ClockProof
from synguard.model import RespondMode, Response


@dataclass(frozen=True, slots=True)
class Rules:
    """The operator's settings, as far as they bear on decisions."""

    mode: RespondMode
    #: ``proven`` or ``always``.
    drop: str
    #: How long a first block lasts, in seconds.
    block_ttl_s: float
    #: Responses held at the same time, at most.
    max_blocks: int
    #: How long a repeater's block lasts at most, in seconds.
    block_ttl_max_s: float = 86_400.0
    #: Responses that alerts bring about in a minute, at most.
    max_actions_per_min: int = 120
    #: ``greylist`` or ``none``.
    source_response: str = "greylist"
    #: ``cookie``, ``greylist`` or ``none``.
    listener_response: str = "cookie"


@dataclass(frozen=True, slots=True)
class Protected:
    """An address or network that is never touched, and why."""

    network: Network
    why: str


def overlaps(first: Network, second: Network) -> bool:
    """Tell whether two networks share an address; those of different families never do."""
    first, second = unmapped(first), unmapped(second)
    if first.version == 4 and second.version == 4:
        return first.overlaps(second)
    return first.version == 6 and second.version == 6 and first.overlaps(second)


def within(inner: Network, outer: Network) -> bool:
    """Tell whether every address of one network is in the other."""
    inner, outer = unmapped(inner), unmapped(outer)
    if inner.version == 4 and outer.version == 4:
        return inner.subnet_of(outer)
    return inner.version == 6 and outer.version == 6 and inner.subnet_of(outer)


def protection(target: Network, protected: Iterable[Protected]) -> str | None:
    """Return why ``target`` must not be dropped, wholly or in part on the never-touch list, or None."""
    for entry in protected:
        if overlaps(target, entry.network):
            return f"{source_text(target)} is never touched: {entry.why} ({source_text(entry.network)})"
    return None


@dataclass(frozen=True, slots=True)
class Situation:
    """What the policy may know beyond the alert and the settings, as of now."""

    #: The never-touch list.
    protected: tuple[Protected, ...]
    #: How many responses are held, whoever asked for them.
    blocks_held: int = 0
    #: How many responses alerts brought about in the last minute (``pacing.py``).
    actions_last_min: int = 0
    #: Of the alert's source; None: nothing to go by.
    proof: ClockProof | None = None
    #: Blocks of this source before, not yet decayed (``repeats.py``).
    repeats: int = 0
    #: Why the probe can drop nothing here; None: it can.
    cannot_drop: str | None = None
    #: Why a listener cannot be answered with cookies; missing: it can.
    obstacles: Mapping[Listener, str] = field(default_factory=dict)
    #: What clients lose by cookies at a listener.
    losses: Mapping[Listener, str] = field(default_factory=dict)
    #: What this very alert has brought about and goes on (in dry-run: would). It is among ``blocks_held``,
    #: and to decide it again takes neither room nor an action.
    in_force: tuple[Response, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do, if anything, and why."""

    #: Empty: nothing. The first is the one that the alert shows.
    responses: tuple[Response, ...]
    reason: str
    #: Whether it is worth deciding again soon: what stands against it may pass, or a proof may come.
    retry: bool = False
    #: Whether what was done about the alert before is undone, but for ``responses``: somebody real would be
    #: cut off. Without this, what is in force lasts its time.
    undo: bool = False

    @property
    def response(self) -> Response | None:
        """The first of the responses, or None for nothing."""
        return self.responses[0] if self.responses else None
