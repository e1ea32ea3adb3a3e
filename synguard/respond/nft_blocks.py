"""Drops blocked sources by nftables, in one table of our own, for those who want to see their blocks there.

    table inet synguard
        set v4_32, v4_24, v6_64 ...   addresses, or prefixes of one length by their first address
        chain blocked                 prerouting, priority raw: SYNs that come in by a guarded interface

Each element ends by itself, though the daemon be dead, and its comment says who wanted it. As in the probe
each prefix length has a set of its own, so prefixes may overlap. Nothing outside the table is touched.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from ipaddress import ip_network
from typing import Any

from synguard.endpoint import Network
from synguard.errors import SynguardError, UnsupportedError
from synguard.probe.above import above
from synguard.probe.source_rules import SourceAction, SourceRule
from synguard.respond import nft

TABLE = "synguard"
CHAIN = "blocked"
_FAMILY = "inet"
_HERE = {"family": _FAMILY, "table": TABLE}
#: SYN, and none of the others, whatever ECE, CWR, PSH and URG say.
_IS_SYN = {
    "match": {
        "op": "==",
        "left": {"&": [{"payload": {"protocol": "tcp", "field": "flags"}}, ["fin", "syn", "rst", "ack"]]},
        "right": "syn",
    }
}


class NftBlocks:
    """The blocks in the table. Every method but the first raises as :func:`synguard.respond.nft.run` does.

    Args:
        interfaces: the guarded ones; SYNs that come in by others, not on top of them, are left alone.
        monotonic_ns: the clock that blocks are reckoned by.

    Raises:
        UnsupportedError: netfilter's binding is missing, or the table is somebody else's.

    """

    def __init__(
        self, interfaces: Sequence[str], *, monotonic_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._interfaces = sorted(interfaces)
        self._monotonic_ns = monotonic_ns
        #: The sets that have their rule; of a table that is gone none.
        self._ready: set[str] = set()
        self._held: set[Network] = set()
        if _is_foreign(_listed()):
            raise UnsupportedError(
                f"there is a table inet {TABLE} in nftables that is not synguard's: rename it, or set "
                'respond.backend = "xdp"'
            )
        self.read()

    def put(self, blocks: Mapping[Network, tuple[int, str]]) -> None:
        """Drop these until a moment in ns, all or none; the text is the comment that is shown beside each."""
        if not blocks:
            return
        wanted = {_set_of(target) for target in blocks}
        try:
            if not wanted <= self._ready:
                raise SynguardError("there is no set for them yet")
            nft.run(self._elements(blocks))
        except SynguardError:
            # What was there may be gone, too: somebody flushed it.
            nft.run([*self._structure(wanted), *self._elements(blocks)])
            self._ready |= wanted
        self._held.update(blocks)

    def end(self, targets: Iterable[Network]) -> None:
        """Drop these no more; of the last one the table goes along."""
        over = self._held.intersection(targets)
        if not over:
            return
        left = self._held - over
        if left:
            self._end_elements(over)
        else:
            self.remove()
        self._held = left

    def _end_elements(self, over: Iterable[Network]) -> None:
        try:
            commands = []
            for name, elements in _by_set(dict.fromkeys(over, (None, ""))).items():
                # One that has ended by itself could not be deleted.
                commands += [_element("add", name, elements), _element("delete", name, elements)]
            nft.run(commands)
        except SynguardError:
            if _listed():
                raise

    def read(self) -> dict[Network, SourceRule]:
        """Return what is dropped, with what each element counted; nothing where the rules are gone."""
        now_ns, listed = self._monotonic_ns(), _listed()
        self._ready = _sets_with_rules(listed)
        found = {}
        for entry in listed:
            if "set" not in entry or entry["set"]["name"] not in self._ready:
                continue
            length = int(entry["set"]["name"].rpartition("_")[2])
            for one in entry["set"].get("elem", ()):
                element = one["elem"]
                target = ip_network(f"{element['val']}/{length}")
                until_ns = now_ns + int(element.get("expires", 0) * 1e9)
                hits = element.get("counter", {}).get("packets", 0)
                found[target] = SourceRule(SourceAction.DROP, until_ns, hits)
        self._held = set(found)
        return found

    def remove(self) -> None:
        """Take the whole table away."""
        remove_table()
        self._ready.clear()

    def _structure(self, wanted: set[str]) -> list[dict[str, Any]]:
        """Return what makes table, chain and sets where they are missing, and the rules anew."""
        chain = {"type": "filter", "hook": "prerouting", "prio": -300, "policy": "accept"}
        commands: list[dict[str, Any]] = [
            {"add": {"table": {"family": _FAMILY, "name": TABLE}}},
            {"add": {"chain": {**_HERE, "name": CHAIN, **chain}}},
            {"flush": {"chain": {**_HERE, "name": CHAIN}}},
        ]
        there = {entry["set"]["name"] for entry in _listed() if "set" in entry}
        entrances = self._entrances()
        for name in sorted(there | wanted):
            kind = "ipv4_addr" if name.startswith("v4") else "ipv6_addr"
            described = {"type": kind, "flags": ["timeout"], "stmt": [{"counter": None}]}
            commands.append({"add": {"set": {**_HERE, "name": name, **described}}})
            commands.append({"add": {"rule": {**_HERE, "chain": CHAIN, "expr": _rule(name, entrances)}}})
        return commands

    def _entrances(self) -> list[str]:
        """Return the interfaces by which their packets come: what is on top of one takes them over."""
        names = set(self._interfaces)
        for name in self._interfaces:
            with contextlib.suppress(SynguardError):  # one that is waited for has nothing on top yet
                names |= above(name).interfaces
        return sorted(names)

    def _elements(self, blocks: Mapping[Network, tuple[int, str]]) -> list[dict[str, Any]]:
        """Return what puts elements in, or gives those that are there new terms.

        Before Linux 6.12 adding one again does not move its end, so it is deleted in between; and what is
        deleted must be there, so it is added first.
        """
        now_ns = self._monotonic_ns()
        lasting = {
            target: (max(1, -(-(until_ns - now_ns) // 10**9)), comment)
            for target, (until_ns, comment) in blocks.items()
        }
        commands = []
        for name, elements in _by_set(lasting).items():
            plain = [{"elem": {"val": one["elem"]["val"]}} for one in elements]
            commands += [_element("add", name, elements), _element("delete", name, plain)]
            commands.append(_element("add", name, elements))
        return commands


def remove_table() -> bool:
    """Take our table away, whoever left it; return whether there was one. Raises as nft.run does."""
    try:
        listed = _listed()
    except UnsupportedError:  # whoever has no binding has made no table
        return False
    if not listed or _is_foreign(listed):
        return False
    nft.run([{"delete": {"table": {"family": _FAMILY, "name": TABLE}}}])
    return True


def _rule(name: str, entrances: Sequence[str]) -> list[dict[str, Any]]:
    """Return the rule that drops SYNs of the sources in a set, by whichever of these interfaces they come."""
    version, length = name[1], int(name.rpartition("_")[2])
    protocol = "ip" if version == "4" else "ip6"
    source: dict[str, Any] = {"payload": {"protocol": protocol, "field": "saddr"}}
    first = ip_network(f"0.0.0.0/{length}" if version == "4" else f"::/{length}")
    if length < first.max_prefixlen:
        source = {"&": [source, str(first.netmask)]}
    entrance = {"meta": {"key": "iifname"}}
    return [
        {"match": {"op": "==", "left": entrance, "right": {"set": list(entrances)}}},
        _IS_SYN,
        {"match": {"op": "==", "left": source, "right": f"@{name}"}},
        {"drop": None},
    ]


def _set_of(target: Network) -> str:
    return f"v{target.version}_{target.prefixlen}"


def _by_set(targets: Mapping[Network, tuple[int | None, str]]) -> dict[str, list[dict[str, Any]]]:
    """Return the elements of each set, with their time in seconds and their comment where there is one."""
    elements: dict[str, list[dict[str, Any]]] = {}
    for target, (timeout_s, comment) in targets.items():
        element: dict[str, Any] = {"val": str(target.network_address)}
        if timeout_s is not None:
            element |= {"timeout": timeout_s, "comment": comment}
        elements.setdefault(_set_of(target), []).append({"elem": element})
    return elements


def _element(verb: str, name: str, elements: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {verb: {"element": {**_HERE, "name": name, "elem": list(elements)}}}


def _listed() -> list[dict[str, Any]]:
    """Return the table with all that is in it; nothing where there is none."""
    return nft.table(_FAMILY, TABLE)


def _is_foreign(listed: Iterable[Mapping[str, Any]]) -> bool:
    """Tell whether a table of that name has other things in it than ours, or none at all."""
    names = [entry[kind]["name"] for entry in listed for kind in ("chain", "set", "map") if kind in entry]
    ours = [name for name in names if name == CHAIN or name[:3] in ("v4_", "v6_")]
    return any("table" in entry for entry in listed) and (ours != names or CHAIN not in names)


def _sets_with_rules(listed: Iterable[Mapping[str, Any]]) -> set[str]:
    """Return the sets by which a rule of our chain drops."""
    found = set()
    for entry in listed:
        for part in entry.get("rule", {}).get("expr", ()):
            right = part.get("match", {}).get("right")
            if isinstance(right, str) and right.startswith("@"):
                found.add(right[1:])
    return found
