"""Walks a packet through a firewall's chains, and says what might keep it from its listener.

Where a rule depends on what is not known, both ways are gone at once: what was certain becomes possible.
The walk ends at the first drop that any packet could meet.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from synguard.respond.firewall_fields import field_name
from synguard.respond.firewall_match import (
    Budget,
    Facts,
    Surroundings,
    Truth,
    among,
    both,
    holds,
    operands_of,
)
from synguard.respond.firewall_packet import Packet, tracking
from synguard.respond.firewall_rules import Chain, Rule, Ruleset

_DEPTH_MAX = 16
#: Statements that may or may not hold, for reasons that are not in the packet.
_DEPENDING = frozenset({"limit", "quota", "ct count", "set", "map", "meter"})
#: Statements that change nothing of where a packet goes.
_HARMLESS = frozenset(
    {
        "counter",
        "log",
        "comment",
        "dup",
        "flow",
        "ct helper",
        "ct timeout",
        "ct expectation",
        "secmark",
        "last",
    }
)
_HARMLESS_TARGETS = frozenset(
    {"AUDIT", "CHECKSUM", "CLASSIFY", "CONNMARK", "CONNSECMARK", "CT", "DSCP", "HL", "LOG", "MARK", "NFLOG"}
    | {"RATEEST", "SECMARK", "SET", "TCPMSS", "TEE", "TRACE", "TTL"}
)
#: What may be rewritten with the packet still reaching the listener: how such fields' names begin.
_HARMLESS_CHANGES = ("meta ", "ct ", "ip dscp", "ip ttl", "ip ecn", "ip6 dscp", "ip6 hoplimit", "ip6 ecn")
#: Verdicts by which a packet never comes to the listener, or not as itself.
_ELSEWHERE = frozenset(
    {"dnat", "redirect", "tproxy", "synproxy", "queue", "fwd", "snat", "masquerade", "mangle"}
    | {"DNAT", "REDIRECT", "TPROXY", "SYNPROXY", "QUEUE", "NFQUEUE", "NETMAP", "MASQUERADE", "SNAT"}
)
_DROPS = frozenset({"drop", "reject", "DROP", "REJECT"})


class Flow(Enum):
    """What comes after a rule, or after a chain that was jumped to."""

    #: The next rule, at least for some.
    GOES_ON = auto()
    #: Out of this base chain, for all.
    ACCEPTED = auto()
    #: Back to the chain that jumped here, for all.
    RETURNED = auto()


class _StoppedError(Exception):
    """A packet may be dropped, or sent elsewhere; the message tells where, and on what it depends."""

    def __init__(self, where: str, *, by_all_means: bool, goes_elsewhere: bool = False) -> None:
        super().__init__(where)
        self.by_all_means = by_all_means
        self.goes_elsewhere = goes_elsewhere


@dataclass(slots=True)
class _State:
    """What is known of the packet so far."""

    packet: Packet
    facts: Facts
    #: The last rule of this base chain by which some are accepted, and others not.
    parting: str | None = None
    #: Why only some came to where the walk is: "after" a jump, "but for" a return.
    doubts: list[str] = field(default_factory=list)
    is_untracked: Truth = False


def stopped(
    packet: Packet, interfaces: Collection[str], rules: Ruleset, budget: Budget, *, is_bridged: bool = False
) -> str | None:
    """Return what might keep a packet from getting through, and for whom; None when nothing does.

    Raises TooManyRulesError when the budget is not enough.
    """
    state = _State(packet, dict(packet.facts))
    family = str(next(iter(packet.facts["ip"])))
    chains = rules.passed(family, interfaces, is_incoming=packet.is_incoming, is_bridged=is_bridged)
    try:
        for chain in chains:
            if chain.kind != "nat" or _meets_nat(state):
                plain = {name: value for name, value in state.facts.items() if not name.startswith("ct ")}
                state.facts = plain | tracking(packet, chain, state.is_untracked)
                state.parting = None
                _Walk(rules, chain, budget, state).base()
    except _StoppedError as stop:
        return _reason(stop, packet)
    return None


def _reason(stop: _StoppedError, packet: Packet) -> str:
    if stop.goes_elsewhere:
        return f"the firewall sends this port's clients elsewhere: {stop}"
    if not stop.by_all_means:
        return f"the firewall treats clients of this port differently: {stop}"
    if packet.lost == "SYN":
        return f"the firewall lets no client in: {stop}"
    if packet.lost == "ACK":
        return f"the firewall drops the ACK to a cookie, whose SYN connection tracking never saw: {stop}"
    return f"the firewall drops what the listener sends: {stop}"


def _meets_nat(state: _State) -> bool:
    """Return whether chains of type nat look at a packet: only at one that begins a connection."""
    return state.packet.state == "new" and state.packet.is_incoming and state.is_untracked is not True


class _Walk:
    """One base chain, and what is jumped to from it."""

    def __init__(self, rules: Ruleset, chain: Chain, budget: Budget, state: _State) -> None:
        self._rules = rules
        self._chain = chain
        self._around = Surroundings(rules.sets.get(chain.table, {}), budget)
        self._state = state

    def base(self) -> None:
        """Go through the chain; raises _StoppedError where it may end badly."""
        flow = self._through(self._chain, 0)
        if flow is not Flow.ACCEPTED and self._chain.drops_by_default:
            raise self._stop("drop", True, f"{self._chain}: policy drop")

    def _through(self, chain: Chain, depth: int) -> Flow:
        if depth > _DEPTH_MAX:
            raise _StoppedError(f"{chain}: more than {_DEPTH_MAX} jumps", by_all_means=False)
        doubts = self._state.doubts
        known, may_have_returned, flow = len(doubts), False, Flow.RETURNED
        for rule in chain.rules:
            self._around.budget.spend()
            after, may_return = self._rule(chain, rule, depth)
            if after is not Flow.GOES_ON:
                flow = after
                break
            may_have_returned |= may_return
        if flow is Flow.ACCEPTED and may_have_returned:
            self._state.parting = doubts[-1].removeprefix("but for ")
            flow = Flow.RETURNED
        del doubts[known:]
        return flow

    def _rule(self, chain: Chain, rule: Rule, depth: int) -> tuple[Flow, bool]:
        """Return what comes after a rule, and whether some leave the chain by it."""
        truth: Truth = True
        for statement in rule.statements:
            ((kind, what),) = statement.items()
            if kind == "match":
                truth = both(truth, holds(what, self._state.facts, self._around))
                if truth is False:
                    return Flow.GOES_ON, False
            elif kind in _DEPENDING or (kind == "xt" and isinstance(what, dict) and what["type"] == "match"):
                truth = both(truth, None)
            elif kind == "vmap":
                return self._mapped(chain, rule, truth, what, depth)
            elif (after := self._verdict(chain, rule, truth, statement, depth)) is not None:
                return after
        return Flow.GOES_ON, False

    def _mapped(
        self, chain: Chain, rule: Rule, truth: Truth, what: Mapping[str, Any], depth: int
    ) -> tuple[Flow, bool]:
        operands = operands_of(what["key"], self._state.facts)
        if any(operand.values == frozenset() for operand in operands):
            return Flow.GOES_ON, False
        may_return = False
        for key, verdict in self._elements(what["data"]):
            applies = both(truth, among(key, operands, self._around))
            if applies is False:
                continue
            after = self._verdict(chain, rule, applies, verdict, depth) or (Flow.GOES_ON, False)
            if applies:
                return after
            may_return |= after[1]
        return Flow.GOES_ON, may_return

    def _elements(self, data: Any) -> Any:
        if isinstance(data, str):
            found = self._around.sets.get(data.removeprefix("@"))
            return found.elements if found else [("?", {"queue": None})]
        return data["set"]

    def _verdict(
        self, chain: Chain, rule: Rule, truth: Truth, statement: Mapping[str, Any], depth: int
    ) -> tuple[Flow, bool] | None:
        """Carry a statement out; return what comes after it, None for the rule's next one."""
        ((kind, what),) = statement.items()
        where = f"{chain}: {rule.text}"
        if kind == "continue":
            return Flow.GOES_ON, False
        if kind in {"accept", "return"}:
            return self._leaving(kind, truth, where)
        if kind in {"jump", "goto"}:
            return self._going(kind, what["target"], chain, truth, where, depth)
        if not self._stays(kind, what, truth):
            raise self._stop(_action(kind, what), truth, where)
        return None

    def _leaving(self, kind: str, truth: Truth, where: str) -> tuple[Flow, bool]:
        if truth is None and kind == "return":
            self._state.doubts.append(f"but for {where}")
            return Flow.GOES_ON, True
        if truth is None:
            self._state.parting = where
            return Flow.GOES_ON, False
        return (Flow.ACCEPTED if kind == "accept" else Flow.RETURNED), False

    def _going(
        self, kind: str, name: str, chain: Chain, truth: Truth, where: str, depth: int
    ) -> tuple[Flow, bool]:
        target = self._rules.chains.get((chain.table, name))
        if target is None:
            raise _StoppedError(f"{where}, a chain that is not there", by_all_means=False)
        if truth is None:
            self._state.doubts.append(f"after {where}")
        flow = self._through(target, depth + 1)
        if truth is None:
            self._state.doubts.pop()
            if flow is Flow.ACCEPTED:
                self._state.parting = where
            elif kind == "goto":
                self._state.doubts.append(f"but for {where}")
                return Flow.GOES_ON, True
            return Flow.GOES_ON, False
        if flow is Flow.ACCEPTED:
            return flow, False
        return (Flow.RETURNED if kind == "goto" else Flow.GOES_ON), False

    def _stop(self, action: str, truth: Truth, where: str) -> _StoppedError:
        state = self._state
        is_sure = truth is True and state.parting is None and not state.doubts
        if truth is True and state.doubts:
            where = f"{where}, {state.doubts[-1]}"
        elif truth is True and state.parting is not None:
            where = f"{where}, but for {state.parting}"
        return _StoppedError(
            where, by_all_means=is_sure and action in _DROPS, goes_elsewhere=action in _ELSEWHERE
        )

    def _stays(self, kind: str, what: Any, truth: Truth) -> bool:
        """Note what a statement changes of the packet; return whether it is sure to go on."""
        if kind == "notrack":
            self._state.is_untracked = True if truth else None
            self._state.facts.pop("ct state", None)
        elif kind == "mangle":
            name = field_name(what["key"])
            self._state.facts.pop(name, None)
            return name.startswith(_HARMLESS_CHANGES) or "tcp option" in what["key"]
        elif kind == "xt":
            self._state.facts.pop("meta mark", None)
            if _action(kind, what) == "CT":
                self._state.is_untracked = None
            return _action(kind, what) in _HARMLESS_TARGETS
        else:
            return kind in _HARMLESS
        return True


def _action(kind: str, what: Any) -> str:
    """Return a statement's name, or that of the iptables target that it stands for."""
    return str(what["name"]) if kind == "xt" and isinstance(what, dict) else kind
