"""A firewall as it is read: chains and sets by their tables, and in which order a packet passes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from synguard.respond.firewall_match import NamedSet
from synguard.respond.firewall_text import statement_text

#: Family and table, as in ``inet filter``.
Table = tuple[str, str]

#: Hooks that an incoming packet passes, in this order, and that one of this machine's passes.
_INCOMING = ("ingress", "bridge prerouting", "bridge input", "prerouting", "input")
_LEAVING = ("output", "postrouting", "bridge output", "bridge postrouting", "egress")
_AT_DEVICES = frozenset({"ingress", "egress"})
_FEEDING = frozenset({"add", "update"})


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: its statements as libnftables writes them, and how a person reads it."""

    statements: tuple[Mapping[str, Any], ...]
    text: str


@dataclass(slots=True)
class Chain:
    """A chain; one without a hook is only jumped to."""

    table: Table
    name: str
    kind: str = "filter"
    hook: str | None = None
    priority: int = 0
    drops_by_default: bool = False
    #: The interfaces of a chain at ``ingress``; empty where nft does not tell.
    devices: frozenset[str] = frozenset()
    rules: list[Rule] = field(default_factory=list)

    @property
    def stage(self) -> str:
        """Its hook, and whether that is a bridge's."""
        return f"bridge {self.hook}" if self.table[0] == "bridge" else self.hook or ""

    def __str__(self) -> str:
        """Return ``inet filter input``."""
        return f"{self.table[0]} {self.table[1]} {self.name}"


@dataclass(slots=True)
class Ruleset:
    """Everything that the firewall is made of."""

    chains: dict[tuple[Table, str], Chain] = field(default_factory=dict)
    sets: dict[Table, dict[str, NamedSet]] = field(default_factory=dict)

    def passed(
        self, family: str, interfaces: Iterable[str], *, is_incoming: bool, is_bridged: bool
    ) -> list[Chain]:
        """Return the base chains that a packet of a family (``ip``, ``ip6``) passes, the first one first."""
        hooks = _INCOMING if is_incoming else _LEAVING
        names = frozenset(interfaces)
        found = [
            chain
            for chain in self.chains.values()
            if chain.stage in hooks
            and chain.table[0] in _families(chain, family, is_bridged=is_bridged)
            and (not chain.devices or chain.devices & names)
        ]
        return sorted(found, key=lambda chain: (hooks.index(chain.stage), chain.priority))


def _families(chain: Chain, family: str, *, is_bridged: bool) -> set[str]:
    if chain.hook in _AT_DEVICES:
        return {"netdev", "inet"}
    return {family, "inet", "bridge"} if is_bridged else {family, "inet"}


def parse(objects: Iterable[Mapping[str, Any]], *, without: Table | None = None) -> Ruleset:
    """Return what libnftables tells, but for one table. Raises KeyError for what is no ruleset."""
    found = Ruleset()
    fed: set[tuple[Table, str]] = set()
    elements: dict[tuple[Table, str], tuple[Any, ...]] = {}
    for kind, what in (pair for one in objects for pair in one.items()):
        table = (what.get("family", ""), what.get("table", ""))
        if table == without:
            continue
        if kind == "chain":
            found.chains[table, what["name"]] = _chain(table, what)
        elif kind in {"set", "map"}:
            elements[table, what["name"]] = _elements(what)
            if "dynamic" in _listed(what.get("flags")):
                fed.add((table, what["name"]))
        elif kind == "rule":
            rule = _rule(what["expr"])
            found.chains[table, what["chain"]].rules.append(rule)
            fed |= {(table, name) for name in _fed_by(rule)}
    for (table, name), known in elements.items():
        found.sets.setdefault(table, {})[name] = NamedSet(known, (table, name) in fed)
    return found


def _chain(table: Table, what: Mapping[str, Any]) -> Chain:
    return Chain(
        table,
        what["name"],
        what.get("type", "filter"),
        what.get("hook"),
        what.get("prio", 0),
        what.get("policy") == "drop",
        frozenset(_listed(what.get("dev"))),
    )


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _elements(what: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(what.get("elem", ()))


def _rule(statements: list[Mapping[str, Any]]) -> Rule:
    return Rule(tuple(statements), " ".join(filter(None, map(statement_text, statements))))


def _fed_by(rule: Rule) -> Iterator[str]:
    """Yield the sets that a rule puts the addresses of packets into."""
    for statement in rule.statements:
        for kind in ("set", "map"):
            what = statement.get(kind)
            if isinstance(what, dict) and what.get("op") in _FEEDING:
                yield str(what.get(kind, "")).removeprefix("@")
