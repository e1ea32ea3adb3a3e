"""Reads rules as iptables-save(8) prints them, into the form in which libnftables tells of its own.

libnftables only names the matches of iptables-nft's rules (``xt``), and knows nothing of iptables-legacy's.
Options that are not understood become such a nameless match: one that may hold or not.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from synguard.respond.firewall_rules import Chain, Rule, Ruleset, Table

Statement = dict[str, Any]

#: Kind, hook and priority of the built-in chains: include/uapi/linux/netfilter_ipv4.h.
_PRIORITIES = {"raw": -300, "mangle": -150, "filter": 0, "security": 50}
_HOOKS = {"PREROUTING": "prerouting", "INPUT": "input", "OUTPUT": "output", "POSTROUTING": "postrouting"}
_NAT_PRIORITIES = {"PREROUTING": -100, "INPUT": 100, "OUTPUT": -100, "POSTROUTING": 100}

_VERDICTS = {"ACCEPT": "accept", "DROP": "drop", "REJECT": "reject", "RETURN": "return", "NFQUEUE": "queue"}
_STATES = frozenset({"NEW", "ESTABLISHED", "RELATED", "INVALID", "UNTRACKED"})
_ALL_FLAGS = ["fin", "syn", "rst", "psh", "ack", "urg"]
#: Options with a value that decide nothing: a match's name, and a comment.
_SAYING_NOTHING = frozenset({"-m", "--comment"})
_OPTION = re.compile(r"--?[a-zA-Z]")


def _match(left: Any, right: Any, operation: str = "==") -> Statement:
    return {"match": {"left": left, "right": right, "op": operation}}


def _payload(protocol: str, name: str) -> Any:
    return {"payload": {"protocol": protocol, "field": name}}


def _unknown(option: str) -> Statement:
    return {"xt": {"type": "match", "name": option.lstrip("-")}}


def _address(family: str, name: str) -> Callable[[str], Statement]:
    def read(text: str) -> Statement:
        address, _, length = text.partition("/")
        if not length:
            return _match(_payload(family, name), address)
        if not length.isdigit():
            return _unknown(name)
        return _match(_payload(family, name), {"prefix": {"addr": address, "len": int(length)}})

    return read


def _interface(key: str) -> Callable[[str], Statement]:
    return lambda text: _match({"meta": {"key": key}}, f"{text[:-1]}*" if text.endswith("+") else text)


def _ports(name: str) -> Callable[[str], Statement]:
    return lambda text: _match(_payload("tcp", name), {"set": [_port(part) for part in text.split(",")]})


def _port(text: str) -> Any:
    first, colon, last = text.partition(":")
    return {"range": [int(first or 0), int(last or 65535)]} if colon else int(first)


def _state(text: str) -> Statement:
    names = text.split(",")
    if not _STATES.issuperset(names):
        return _unknown("conntrack")
    return _match({"ct": {"key": "state"}}, [name.lower() for name in names], "in")


def _destination_type(text: str) -> Statement:
    return _match({"fib": {"result": "type", "flags": ["daddr"]}}, {"set": text.lower().split(",")})


def _flags(mask: str, wanted: str) -> Statement:
    names = {"ALL": _ALL_FLAGS, "NONE": []}
    read = [names.get(text, text.lower().split(",")) for text in (mask, wanted)]
    return _match({"&": [_payload("tcp", "flags"), read[0]]}, read[1])


def _options(family: str) -> dict[str, Callable[..., Statement]]:
    """Return what reads each option; a function's parameters are the option's."""
    header = "ip" if family == "ip" else "ip6"
    return {
        "-s": _address(header, "saddr"),
        "-d": _address(header, "daddr"),
        "-i": _interface("iifname"),
        "-o": _interface("oifname"),
        "-p": lambda text: _match({"meta": {"key": "l4proto"}}, text),
        "--dport": _ports("dport"),
        "--sport": _ports("sport"),
        "--dports": _ports("dport"),
        "--sports": _ports("sport"),
        "--ctstate": _state,
        "--state": _state,
        "--dst-type": _destination_type,
        "--tcp-flags": _flags,
    }


def _inverted(statement: Statement) -> Statement:
    """Return a match's opposite; what is not known stays so."""
    match = statement.get("match")
    if match is None:
        return statement
    return _match(match["left"], match["right"], {"==": "!=", "in": "!"}[match["op"]])


def _statements(words: list[str], family: str, chains: Collection[str]) -> Iterator[Statement]:
    """Yield the statements of a rule, given without ``-A CHAIN``."""
    options = _options(family)
    waiting = list(words)
    while waiting:
        is_inverted = waiting[0] == "!"
        option, *waiting = waiting[int(is_inverted) :]
        count = 1 if option in _SAYING_NOTHING else _length(waiting)
        values, waiting = waiting[:count], waiting[count:]
        if option in {"-j", "-g"}:
            yield _target(option, values[0], waiting, chains)
            return
        if option not in _SAYING_NOTHING:
            statement = _read(options, option, values)
            yield _inverted(statement) if is_inverted else statement


def _length(words: list[str]) -> int:
    """Return how many of these words belong to the option before them."""
    return next((at for at, word in enumerate(words) if word == "!" or _OPTION.match(word)), len(words))


def _read(options: Mapping[str, Callable[..., Statement]], option: str, values: list[str]) -> Statement:
    try:
        return options[option](*values)
    except (KeyError, TypeError, ValueError):
        return _unknown(option)


def _target(option: str, name: str, rest: list[str], chains: Collection[str]) -> Statement:
    if name in chains:
        return {"goto" if option == "-g" else "jump": {"target": name}}
    if name in _VERDICTS:
        return {_VERDICTS[name]: None}
    if name == "NOTRACK" or (name == "CT" and "--notrack" in rest):
        return {"notrack": None}
    return {"xt": {"type": "target", "name": name}}


def parse(text: str, family: str, *, kind: str = "") -> Ruleset:
    """Return the rules that ``iptables-save`` (``ip``) or ``ip6tables-save`` (``ip6``) printed.

    ``kind`` is put before the names of tables. Raises ValueError for what cannot be read.
    """
    found = Ruleset()
    table: Table = (family, "")
    try:
        for line in text.splitlines():
            if line.startswith("*"):
                table = (family, f"{kind}{line[1:]}")
            elif line.startswith(":"):
                name, policy = line[1:].split()[:2]
                found.chains[table, name] = _chain(table, name, policy, kind)
            elif line.startswith("-A "):
                _, name, *words = shlex.split(line)
                names = {known for where, known in found.chains if where == table}
                rule = Rule(tuple(_statements(words, family, names)), line.split(maxsplit=2)[-1])
                found.chains[table, name].rules.append(rule)
    except (KeyError, IndexError) as error:
        raise ValueError(f"iptables-save printed what it never prints: {error}") from error
    return found


def _chain(table: Table, name: str, policy: str, kind: str) -> Chain:
    if policy == "-":
        return Chain(table, name)
    plain = table[1].removeprefix(kind)
    is_nat, hook = plain == "nat", _HOOKS.get(name, "forward")
    priority = _NAT_PRIORITIES.get(name, 0) if is_nat else _PRIORITIES[plain]
    return Chain(table, name, "nat" if is_nat else "filter", hook, priority, policy == "DROP")


def explain(rules: Ruleset, saved: Ruleset) -> None:
    """Put rules as iptables-nft-save prints them in the place of those that libnftables only names."""
    for key, chain in rules.chains.items():
        known = saved.chains.get(key)
        if known is not None and len(known.rules) == len(chain.rules):
            chain.rules[:] = known.rules


def has_unnamed(rules: Ruleset, family: str) -> bool:
    """Return whether there are rules of ``ip`` or ``ip6`` with parts that libnftables only names."""
    return any(
        "xt" in statement
        for chain in rules.chains.values()
        if chain.table[0] == family
        for rule in chain.rules
        for statement in rule.statements
    )
