"""Decides what to do about an alert: pure, and each decision with its reason, also that to do nothing.

A spoofed source is somebody else's address, and to drop it lets the attacker choose whom we cut off. So the
answers go up and down like this:

* A source that a flood is called after is *greylisted*: its real clients get in, about a second late.
* It is *dropped* once it is proven to be itself (``proof.py``), or on the operator's word
  (``drop = "always"``). A drop lasts its time though the proof grows old; each further one of that source
  lasts twice as long (``repeats.py``). Back to greylist at once when somebody completes handshakes there.
* A prefix is greylisted and never dropped: others live in it.
* Of a flood whose sources cannot be believed, or are many, each listener is answered with SYN *cookies*, or
  greylisted where it cannot be.

Whoever is on the never-touch list is not answered. The kernel spares them in a prefix or at a listener; a
prefix that holds one of them is never dropped.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import ip_network

from synguard.endpoint import Listener, Network, source_text
from synguard.model import Alert, AlertClass, AlertKind, AlertState, RespondMode, Response
from synguard.respond import proof
from synguard.respond.caps import MOST_OF_ONE_ALERT, carried_out
from synguard.respond.situation import (
    Decision,
    Protected,
    Rules,
    Situation,
    overlaps,
    protection,
    within,
)

__all__ = [
    "MOST_OF_ONE_ALERT",
    "Decision",
    "Protected",
    "Rules",
    "Situation",
    "decide",
    "overlaps",
    "protection",
    "suspect",
    "within",
]

#: A drop that ends this soon, or in half of ``block_ttl_s``, is decided anew; in seconds.
RENEW_BEFORE_S = 2.0
#: Doublings of a repeater's TTL, at most: a second becomes a month.
_MOST_DOUBLINGS = 22

#: Why nothing is done about what is no flood.
_NO_FLOOD = {
    AlertKind.SCAN: "a scan does this server no harm, and its probes may bear anybody's address",
    AlertKind.REFLECTION: "the addresses of a reflection are those of its victims, who asked nothing",
    AlertKind.OVERLOAD: "an overload is made by real clients whom the application does not serve",
    AlertKind.BLIND: "what is not seen cannot be answered",
}
#: The evidence that somebody lives at the address of most of a flood.
_LIVE_CLIENT = "live_client"
_LIVE_ADDRESS = "live_address"


def decide(alert: Alert, rules: Rules, situation: Situation, wall_s: float) -> Decision:
    """Decide about an alert.

    Args:
        alert: as the detector reports it.
        rules: the operator's settings.
        situation: what else bears on it, as of now.
        wall_s: the present, in seconds since the epoch, from which each response's end is reckoned.

    """
    if rules.mode is RespondMode.OFF:
        return Decision((), "responses are off (respond.mode)")
    decision = _answered(alert, rules, situation, wall_s)
    harm = None if decision.undo else _harm_done(alert, decision, situation)
    return replace(decision, reason=f"{decision.reason}; {harm}", undo=True) if harm else decision


def _harm_done(alert: Alert, decision: Decision, situation: Situation) -> str | None:
    """Return why a drop that an alert brought about, perhaps as it named somebody else, must end; or None."""
    goes_on = {response.target for response in decision.responses}
    for held in situation.in_force:
        if held.response == "drop" and held.target not in goes_on:
            target, protected = ip_network(held.target), situation.protected
            why = _wholly_protected(target, protected) or _never_dropped(alert, target, protected)
            if why is not None:
                return f"what was dropped before is not any more: {why}"
    return None


def _answered(alert: Alert, rules: Rules, situation: Situation, wall_s: float) -> Decision:
    """Return the decision about what an alert is now."""
    if alert.kind is not AlertKind.SYN_FLOOD or alert.state is not AlertState.OPEN:
        why = _NO_FLOOD.get(alert.kind, "the flood is over")
        return Decision((), f"no response for {alert.kind} alerts: {why}")
    if alert.alert_class in (AlertClass.SPOOFED, AlertClass.DISTRIBUTED):
        one = suspect(alert) if alert.source is None else None
        if one is not None and alert.alert_class is AlertClass.SPOOFED:
            return _of_suspect(alert, one, rules, situation, wall_s)
        return _of_listeners(alert, rules, situation, wall_s)
    if alert.source is not None and alert.alert_class is AlertClass.SINGLE_SOURCE:
        return _of_source(alert, alert.source, rules, situation, wall_s)
    if alert.source is not None and alert.alert_class is AlertClass.PREFIX:
        return _of_prefix(alert.source, rules, situation, wall_s)
    return Decision((), "no response for this flood: it names no source")


def suspect(alert: Alert) -> Network | None:
    """Return the source whose own clock may prove that it floods: the one it is called after, or a live one.

    At the one address of most of a flood somebody completed handshakes. That may be another's than who
    floods, which is why the flood has no name; its clock tells.
    """
    address = next((item.value for item in alert.evidence if item.name == _LIVE_ADDRESS), None)
    return ip_network(str(address)) if alert.source is None and address is not None else alert.source


def _of_suspect(alert: Alert, source: Network, rules: Rules, situation: Situation, wall_s: float) -> Decision:
    """Return the decision about a flood in a live client's name: that client's, if its clock proves it."""
    finding, clock = proof.judge(situation.proof), situation.proof
    meanwhile = clock is not None and wall_s - clock.seconds_old > alert.started_at_s
    standing = _standing_drop(source, rules, situation, wall_s) is not None and not finding.is_disproven
    spared = meanwhile or protection(source, situation.protected) is not None
    if spared or not (finding.is_proven or standing):
        decision = _of_listeners(alert, rules, situation, wall_s)
        return replace(decision, retry=decision.retry or (finding.may_come and not spared))
    why = f"{source_text(source)} floods itself and is proven not to be spoofed: {finding.words}"
    return replace(_drop(source, why, rules, situation, wall_s), undo=True)


def _of_source(alert: Alert, source: Network, rules: Rules, situation: Situation, wall_s: float) -> Decision:
    """Return the decision about the flood of one source: drop, greylist or neither."""
    name = source_text(source)
    if (why := _wholly_protected(source, situation.protected)) is not None:
        return Decision((), why, undo=True)
    if (why := _never_dropped(alert, source, situation.protected)) is not None:
        return _greylist(source, why, rules, situation, wall_s, undo=True)
    if rules.drop == "always":
        why = f'single source {name} floods, respond.drop is "always", and it is not on the never-touch list'
        return _drop(source, why, rules, situation, wall_s)
    finding = proof.judge(situation.proof)
    if finding.is_proven:
        why = f"single source {name} floods and is proven not to be spoofed: {finding.words}"
        return _drop(source, why, rules, situation, wall_s)
    standing = _standing_drop(source, rules, situation, wall_s)
    if standing is not None and not finding.is_disproven:
        return carried_out((standing,), rules, situation)
    why = f"nothing proves that {name} is not spoofed ({finding.words})"
    return _greylist(source, why, rules, situation, wall_s, retry=finding.may_come, undo=finding.is_disproven)


def _wholly_protected(source: Network, protected: Iterable[Protected]) -> str | None:
    return protection(source, (entry for entry in protected if within(source, entry.network)))


def _never_dropped(alert: Alert, source: Network, protected: Iterable[Protected]) -> str | None:
    """Return why a source must not be dropped, whatever is proven or was done before; None: it may be."""
    if (why := protection(source, protected)) is not None:
        return f"part of {why}"
    completed = max((top.completed for top in alert.top_sources if overlaps(top.source, source)), default=0)
    if seen := completed or _live_client(alert):
        return f"{source_text(source)} completed handshakes meanwhile ({seen}): real clients share it"
    return None


def _live_client(alert: Alert) -> float | int | str | None:
    """Return how many handshakes were completed at the one address of most of a flood, or None."""
    return next((item.value for item in alert.evidence if item.name == _LIVE_CLIENT), None)


def _drop(source: Network, why: str, rules: Rules, situation: Situation, wall_s: float) -> Decision:
    """Return the decision to drop a source, for longer each time; what is in force is left as it is."""
    standing = _standing_drop(source, rules, situation, wall_s)
    if standing is not None:
        return carried_out((standing,), rules, situation)
    doublings = min(max(situation.repeats, 0), _MOST_DOUBLINGS)
    ttl_s = min(rules.block_ttl_s * 2**doublings, max(rules.block_ttl_max_s, rules.block_ttl_s))
    if doublings:
        why += f"; blocks of it lately: {situation.repeats}, so this one is for {ttl_s:.0f} s"
    response = Response("drop", rules.mode, source_text(source), why, wall_s + ttl_s)
    return carried_out((response,), rules, situation)


def _standing_drop(source: Network, rules: Rules, situation: Situation, wall_s: float) -> Response | None:
    """Return the drop of a source that this alert brought about, unless it is over, or soon."""
    for held in situation.in_force:
        if (held.response, held.target) == ("drop", source_text(source)):
            left_s = (held.until_s or 0.0) - wall_s
            is_over = left_s <= min(RENEW_BEFORE_S, rules.block_ttl_s / 2)
            return None if is_over else replace(held, mode=rules.mode)
    return None


def _of_prefix(source: Network, rules: Rules, situation: Situation, wall_s: float) -> Decision:
    """Return the decision about the flood of a prefix: greylist or nothing."""
    if (why := _wholly_protected(source, situation.protected)) is not None:
        return Decision((), why, undo=True)
    why = f"a drop of {source_text(source)} would hit everybody in it, also who does not flood"
    return _greylist(source, why, rules, situation, wall_s)


def _greylist(
    source: Network,
    why: str,
    rules: Rules,
    situation: Situation,
    wall_s: float,
    *,
    retry: bool = False,
    undo: bool = False,
) -> Decision:
    """Return the decision to greylist a source or prefix, since it must not be dropped."""
    if rules.source_response == "none":
        return Decision((), f'{why}; respond.source_response is "none"', retry, undo)
    why += ", so it is greylisted: who is really there gets in about a second late"
    spared = [entry for entry in situation.protected if overlaps(source, entry.network)]
    if spared:
        why += f"; spared is {source_text(spared[0].network)} ({spared[0].why})"
        why += f" and {len(spared) - 1} more" if len(spared) > 1 else ""
    response = Response("greylist", rules.mode, source_text(source), why, wall_s + rules.block_ttl_s)
    return carried_out((response,), rules, situation, retry=retry, undo=undo)


def _of_listeners(alert: Alert, rules: Rules, situation: Situation, wall_s: float) -> Decision:
    """Return the decision about a flood that has nobody at whom a response could be aimed."""
    alive = _live_client(alert)
    undo = alive is not None
    if alive is not None:
        why = f"at its one address somebody completes handshakes ({alive} so far), who would be cut off"
    elif alert.alert_class is AlertClass.DISTRIBUTED:
        why = "each of its many sources makes little of it, and real clients may be among them"
    else:
        why = "its addresses may be other people's"
    named = dict.fromkeys(alert.listeners or ((alert.listener,) if alert.listener is not None else ()))
    served = [listener for listener in named if listener.port]
    if rules.listener_response == "none":
        word = f'no response for this flood: {why}; respond.listener_response is "none"'
        return Decision((), word, undo=undo)
    if not served:
        word = "it is on closed ports, where nobody is served" if named else "it names no listener"
        return Decision((), f"no response for this flood: {why}, and {word}", undo=undo)
    until_s = wall_s + rules.block_ttl_s
    responses = tuple(_answer(listener, why, rules, situation, until_s) for listener in served)
    closed = len(named) - len(served)
    note = f"nothing for {closed} of closed ports, where nobody is served" if closed else ""
    return carried_out(responses, rules, situation, note=note, undo=undo)


def _answer(listener: Listener, why: str, rules: Rules, situation: Situation, until_s: float) -> Response:
    """Return the response at one listener of a flood whose sources are not to blame."""
    name = str(listener)
    obstacle = situation.obstacles.get(listener)
    if rules.listener_response == "cookie" and obstacle is None:
        reason = f"{name} answers with SYN cookies, since no source can be blamed: {why}"
        loss = situation.losses.get(listener)
        return Response("cookie", rules.mode, name, f"{reason}; {loss}" if loss else reason, until_s)
    reason = f"{name} is greylisted, since no source can be blamed: {why}"
    if rules.listener_response == "cookie":
        reason += f"; it cannot be answered with SYN cookies: {obstacle}"
    return Response("greylist", rules.mode, name, reason, until_s)
