"""Decides what to do about an alert: pure, and each decision with its reason, also that to do nothing.

A spoofed source is somebody else's address, and to block it lets the attacker choose whom we cut off. So
``drop`` happens only to the one source that a flood is called after, only on the operator's word (``drop =
"always"``), and never to an address on the never-touch list, or to one at which somebody completes
handshakes. Nothing is done about a prefix: others live in it. Nor about what is no flood.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from synguard.endpoint import Network, source_text, unmapped
from synguard.model import Alert, AlertClass, AlertKind, RespondMode, Response

#: Why nothing is done about what is no flood.
_NO_FLOOD = {
    AlertKind.SCAN: "a scan does this server no harm, and its probes may bear anybody's address",
    AlertKind.REFLECTION: "the addresses of a reflection are those of its victims, who asked nothing",
    AlertKind.OVERLOAD: "an overload is made by real clients whom the application does not serve",
    AlertKind.BLIND: "what is not seen cannot be answered",
}
#: The evidence that somebody lives at the address of most of a flood.
_LIVE_CLIENT = "live_client"


@dataclass(frozen=True, slots=True)
class Rules:
    """The operator's settings, as far as they bear on decisions."""

    mode: RespondMode
    #: ``proven`` or ``always``.
    drop: str
    #: How long a block lasts, in seconds.
    block_ttl_s: float
    #: Blocks at the same time, at most.
    max_blocks: int


@dataclass(frozen=True, slots=True)
class Protected:
    """An address or network that is never touched, and why."""

    network: Network
    why: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do, or None for nothing; in either case why."""

    response: Response | None
    reason: str
    #: Whether what stands against it may pass by itself, so that it is worth deciding again.
    retry: bool = False
    #: Whether what was done about the alert before is undone: somebody real would be cut off.
    undo: bool = False


def overlaps(first: Network, second: Network) -> bool:
    """Tell whether two networks share an address; those of different families never do."""
    first, second = unmapped(first), unmapped(second)
    if first.version == 4 and second.version == 4:
        return first.overlaps(second)
    return first.version == 6 and second.version == 6 and first.overlaps(second)


def protection(target: Network, protected: Iterable[Protected]) -> str | None:
    """Return why ``target`` must not be touched, or None."""
    for entry in protected:
        if overlaps(target, entry.network):
            return f"{source_text(target)} is never touched: {entry.why} ({source_text(entry.network)})"
    return None


def decide(
    alert: Alert, rules: Rules, protected: Iterable[Protected], blocks_held: int, wall_s: float
) -> Decision:
    """Decide about an open alert.

    Args:
        alert: as the detector reports it.
        rules: the operator's settings.
        protected: the never-touch list as of now.
        blocks_held: how many blocks there are already.
        wall_s: the present, in seconds since the epoch; the response ends ``block_ttl_s`` later.

    """
    if rules.mode is RespondMode.OFF:
        return Decision(None, "responses are off (respond.mode)")
    if alert.kind is not AlertKind.SYN_FLOOD:
        return Decision(None, f"no response for {alert.kind} alerts: {_NO_FLOOD[alert.kind]}")
    if alert.alert_class is not AlertClass.SINGLE_SOURCE or alert.source is None:
        return _of_nobody(alert)
    if (sparing := _sparing(alert, alert.source, rules, protected, blocks_held)) is not None:
        return sparing
    target = source_text(alert.source)
    reason = f'single source {target} floods, respond.drop is "always", and it is not on the never-touch list'
    return Decision(Response("drop", rules.mode, target, reason, wall_s + rules.block_ttl_s), reason)


def _of_nobody(alert: Alert) -> Decision:
    """Return the decision about a flood that has nobody at whom a response could be aimed."""
    alive = next((item.value for item in alert.evidence if item.name == _LIVE_CLIENT), None)
    if alive is not None:
        why = f"at its one address somebody completes handshakes ({alive} so far), who would be cut off"
    elif alert.alert_class is AlertClass.PREFIX and alert.source is not None:
        why = f"a block of {source_text(alert.source)} would hit everybody in it, also who does not flood"
    elif alert.alert_class is AlertClass.DISTRIBUTED:
        why = "each of its many sources makes little of it, and real clients may be among them"
    else:
        why = "it names no source, since its addresses may be other people's"
    return Decision(None, f"no response for this flood: {why}", undo=alive is not None)


def _sparing(
    alert: Alert, source: Network, rules: Rules, protected: Iterable[Protected], blocks_held: int
) -> Decision | None:
    """Return the decision to spare a single source, or None."""
    name = source_text(source)
    if rules.drop != "always":
        word = 'respond.drop = "always" drops single sources without proof'
        return Decision(None, f"nothing proves that {name} is not spoofed; {word}")
    completed = next((top.completed for top in alert.top_sources if top.source == source), 0)
    if completed:
        why = f"{name} completed {completed} handshakes meanwhile: real clients share it"
        return Decision(None, why, undo=True)
    if blocks_held >= rules.max_blocks:
        why = f"there are {blocks_held} blocks already, the most allowed (respond.max_blocks)"
        return Decision(None, why, retry=True)
    held = protection(source, protected)
    return Decision(None, held) if held is not None else None
