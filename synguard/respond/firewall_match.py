"""Says whether a rule's match holds for a packet of which not everything is known: yes, no, or it depends.

Matches are read as libnftables writes them in JSON (libnftables-json(5)). What is not understood depends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

from synguard.endpoint import Network
from synguard.errors import SynguardError
from synguard.respond.firewall_fields import bits, field_name

#: True, False, or None: it depends on what is not known.
Truth = bool | None
Value = int | str | IPv4Address | IPv6Address
#: What each field of a packet may be, by its name as nft writes it (``tcp dport``). Not there: anything. The
#: empty set: the packet has no such field, and no match that asks for it holds.
Facts = dict[str, frozenset[Value]]

#: Other ways to write a value.
_SYNONYMS: dict[str, Mapping[Any, str]] = {
    "meta l4proto": {6: "tcp", "6": "tcp"},
    "ip protocol": {6: "tcp", "6": "tcp"},
    "ip6 nexthdr": {6: "tcp", "6": "tcp"},
    "meta nfproto": {2: "ipv4", 10: "ipv6"},
    "meta pkttype": {"unicast": "host"},
}
#: Headers that a TCP segment does not have.
_OTHER_HEADERS = frozenset(
    {"udp", "udplite", "icmp", "icmpv6", "igmp", "sctp", "dccp", "arp", "esp", "ah", "comp", "gre"}
)
#: Nobody can be there: the kernel drops what claims to come from these, whatever a firewall says.
_NOBODY = tuple(map(ip_network, ("0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/4", "::/128", "::1/128", "ff00::/8")))
_NUMERIC: dict[str, Callable[[int, int], bool]] = {
    "<": lambda one, other: one < other,
    ">": lambda one, other: one > other,
    "<=": lambda one, other: one <= other,
    ">=": lambda one, other: one >= other,
}


class TooManyRulesError(SynguardError):
    """A firewall is larger than may be looked through."""


@dataclass(slots=True)
class Budget:
    """How many rules and elements of sets may still be looked at."""

    steps: int

    def spend(self) -> None:
        """Take one; raises TooManyRulesError when none is left."""
        self.steps -= 1
        if self.steps < 0:
            raise TooManyRulesError("the firewall has more rules and elements than are looked through")


@dataclass(frozen=True, slots=True)
class NamedSet:
    """A set or map of a table."""

    elements: tuple[Any, ...]
    #: Whether packets put elements into it, so that one that is not there now may be there next.
    is_fed: bool = False


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a rule refers to, and how far one may look."""

    sets: Mapping[str, NamedSet]
    budget: Budget


@dataclass(frozen=True, slots=True)
class Operand:
    """A match's left side: the field, and what it may be (None: anything)."""

    key: str
    values: frozenset[Value] | None


def both(one: Truth, other: Truth) -> Truth:
    """Return whether two things hold together."""
    if one is False or other is False:
        return False
    return None if one is None or other is None else True


def opposite(truth: Truth) -> Truth:
    """Return whether a thing does not hold."""
    return None if truth is None else not truth


def _any_of(truths: Iterable[Truth]) -> Truth:
    found: Truth = False
    for truth in truths:
        if truth:
            return True
        found = None if truth is None else found
    return found


def _always_or_never(truths: Iterable[Truth]) -> Truth:
    """Return what holds for every value alike."""
    different = set(truths)
    return different.pop() if len(different) == 1 else None


def holds(match: Mapping[str, Any], facts: Facts, around: Surroundings) -> Truth:
    """Return whether a ``match`` statement holds."""
    operands = operands_of(match["left"], facts)
    operation, right = match["op"], match["right"]
    if any(operand.values == frozenset() for operand in operands):
        return False
    if operation in {"==", "!="}:
        truth = among(right, operands, around)
        return truth if operation == "==" else opposite(truth)
    (operand, *more) = operands
    if more or operand.values is None:
        return None
    return _always_or_never(_compared(operand.key, value, operation, right) for value in operand.values)


def _compared(key: str, value: Value, operation: str, right: Any) -> Truth:
    other = bits(key, right)
    if not isinstance(value, int) or other is None:
        return None
    if operation == "in":
        return value & other != 0
    if operation == "!":
        return value & other == 0
    return _NUMERIC[operation](value, other) if operation in _NUMERIC else None


def operands_of(left: Any, facts: Facts) -> tuple[Operand, ...]:
    """Return the fields of a left side: several for a concatenation."""
    if isinstance(left, dict) and "concat" in left:
        return tuple(_operand(part, facts) for part in left["concat"])
    return (_operand(left, facts),)


def _operand(left: Any, facts: Facts) -> Operand:
    if isinstance(left, dict) and "&" in left:
        inner, *masks = left["&"]
        return _masked(_operand(inner, facts), masks)
    key = field_name(left)
    header = key.partition(" ")[0]
    if header in _OTHER_HEADERS:
        return Operand(key, frozenset())
    if header in {"ip", "ip6"} and "ip" in facts and header not in facts["ip"]:
        return Operand(key, frozenset())
    return Operand(key, facts.get(key))


def _masked(operand: Operand, masks: list[Any]) -> Operand:
    values = operand.values
    for mask in masks:
        number = bits(operand.key, mask)
        if values is None or number is None or not all(isinstance(value, int) for value in values):
            return Operand(operand.key, None)
        values = frozenset(value & number for value in values if isinstance(value, int))
    return Operand(operand.key, values)


def among(right: Any, operands: tuple[Operand, ...], around: Surroundings) -> Truth:
    """Return whether the fields are what a right side names: a value, range, prefix or set."""
    around.budget.spend()
    if isinstance(right, str) and right.startswith("@"):
        return _in_named_set(around.sets.get(right[1:]), operands, around)
    if isinstance(right, dict):
        if "set" in right:
            parts = right["set"] if isinstance(right["set"], list) else [right["set"]]
            return _any_of(among(part, operands, around) for part in parts)
        if "elem" in right:
            return among(right["elem"]["val"], operands, around)
        if "concat" in right:
            return _together(right["concat"], operands, around)
    if len(operands) != 1:
        return None
    return _is(operands[0], right)


def _in_named_set(found: NamedSet | None, operands: tuple[Operand, ...], around: Surroundings) -> Truth:
    if found is None:
        return None
    truth = _any_of(among(element, operands, around) for element in found.elements)
    return None if truth is False and found.is_fed else truth


def _together(parts: list[Any], operands: tuple[Operand, ...], around: Surroundings) -> Truth:
    if len(parts) != len(operands):
        return None
    truth: Truth = True
    for part, operand in zip(parts, operands, strict=True):
        truth = both(truth, among(part, (operand,), around))
    return truth


def _is(operand: Operand, right: Any) -> Truth:
    if operand.values is None:
        return _anything_is(operand.key, right)
    return _always_or_never(map(partial(_equal, operand.key, right=right), operand.values))


def _anything_is(key: str, right: Any) -> Truth:
    """Judge a field that may be anything: every address is in ``0.0.0.0/0``, no client in ``127.0.0.0/8``."""
    if key not in {"ip saddr", "ip6 saddr"}:
        return None
    network = _network(right)
    if network is None:
        return None
    if network.prefixlen == 0:
        return True
    nobody = any(network.version == one.version and network.subnet_of(one) for one in _NOBODY)  # type: ignore[arg-type]
    return False if nobody else None


def _network(right: Any) -> Network | None:
    try:
        if isinstance(right, dict) and "prefix" in right:
            return ip_network((right["prefix"]["addr"], right["prefix"]["len"]))
        return ip_network(right) if isinstance(right, str) else None
    except (ValueError, KeyError):
        return None


def _equal(key: str, value: Value, *, right: Any) -> Truth:
    if isinstance(right, dict) and "range" in right:
        return _between(value, *right["range"])
    if isinstance(value, IPv4Address | IPv6Address):
        network = _network(right)
        return None if network is None else value in network
    if isinstance(value, int):
        number = bits(key, right)
        return None if number is None else value == number
    right = _SYNONYMS.get(key, {}).get(right, right) if isinstance(right, str | int) else right
    if not isinstance(right, str) or right == "*":
        return None
    if key in {"meta iifname", "meta oifname"} and right.endswith("*"):
        return value.startswith(right[:-1])
    return value == right


def _between(value: Value, first: Any, last: Any) -> Truth:
    try:
        if isinstance(value, IPv4Address | IPv6Address):
            low, high = ip_address(first), ip_address(last)
            return low.version == value.version and int(low) <= int(value) <= int(high)
    except ValueError:
        return None
    if isinstance(value, int) and isinstance(first, int) and isinstance(last, int):
        return first <= value <= last
    return None
