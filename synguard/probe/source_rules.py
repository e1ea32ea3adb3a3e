"""The rules about sources and prefixes that the probe enforces by itself.

Each rule ends at a moment of the kernel's monotonic clock, whether or not there is a daemon then. Where a
method raises nothing else it raises SynguardError in words when the kernel refuses.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from enum import IntEnum
from typing import NamedTuple

from synguard.endpoint import Network
from synguard.errors import SynguardError, UsageError
from synguard.probe import layout, response_layout
from synguard.probe.block_filter import BlockFilter
from synguard.probe.probe import Probe
from synguard.probe.refusing import in_words
from synguard.probe.response_layout import decode_block_key, encode_block_key

#: A rule that ends so near to when it is to end is left as it is: the next daemon reckons ends from the wall
#: clock.
_SAME_END_NS = 50 * 10**6


class SourceAction(IntEnum):
    """What is done about SYNs of a source or prefix, ``enum source_action``."""

    DROP = 1
    GREYLIST = 2
    #: Somebody else drops them behind us: they count as dropped, and pass.
    COUNT = 3


class SourceRule(NamedTuple):
    """What the kernel holds about a source or prefix."""

    action: SourceAction
    until_ns: int
    #: SYNs that it has dropped.
    hits: int
    #: When it began, as ``response_layout.encode_tick`` has it.
    since_tick: int = 0


class SourceRules:
    """What is done about SYNs of sources and prefixes, up to ``layout.BLOCK_LENGTHS_MAX`` lengths of them.

    Rules that an earlier daemon left are held from the start.
    """

    def __init__(self, probe: Probe, *, monotonic_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._probe = probe
        self._map = probe.maps["blocks"]
        self._monotonic_ns = monotonic_ns
        #: Every target in the kernel, and what is done about it.
        self._held: dict[Network, SourceAction] = {}
        #: Greylists that were ended, and since when.
        self._lingering: dict[Network, int] = {}
        self._filter = BlockFilter(probe)
        for target, rule in self._all().items():
            self._held[target] = rule.action
        with in_words("blocks"):
            self._filter.begin(map(encode_block_key, self._held))
        self._tell_probe()

    def put(self, rules: Mapping[Network, tuple[SourceAction, int]]) -> None:
        """Let rules begin, or have new terms, each until a moment in ns. Hits go on.

        A SYN that comes while a rule gets new terms is dropped and counted among the totals, but may be
        missing among the rule's hits. One whose terms are those that it has is left alone: to 50 ms.

        Raises:
            UsageError: one more prefix length than the probe looks up; nothing was done.
            UnsupportedError: there is no room for them all; none of the new ones is in force.

        """
        self._check_lengths(rules)
        known = {target: self._find(target) for target in rules if target in self._held}
        since_tick = response_layout.encode_tick(self._monotonic_ns())
        written = {}
        for target, (action, until_ns) in rules.items():
            if self._is_as_asked(target, known.get(target), action, until_ns):
                continue
            held = known.get(target) or SourceRule(action, until_ns, 0, since_tick)
            if target in self._lingering:
                held = held._replace(since_tick=since_tick)
            written[target] = held._replace(action=action, until_ns=until_ns)
        try:
            self._write(written)
        except SynguardError:
            self._delete([target for target in rules if target not in known])
            raise
        finally:
            self._tell_probe()

    def end(self, targets: Iterable[Network]) -> None:
        """Let rules end; one that is not there is as good.

        A greylist stays in the kernel for a while, where it drops nothing, so that what comes again is known
        for the attempt that it was: until :meth:`tidy`.
        """
        gone = []
        for target in targets:
            found = self._find(target) if target in self._held else None
            if found is None or found.action is not SourceAction.GREYLIST:
                gone.append(target)
            elif target not in self._lingering:
                now_ns = self._monotonic_ns()
                self._write({target: found._replace(until_ns=min(found.until_ns, now_ns))})
                self._lingering[target] = now_ns
        self._delete(gone)
        self._tell_probe()

    def tidy(self) -> None:
        """Take away the greylists that have lingered long enough."""
        now_ns = self._monotonic_ns()
        over = [
            target
            for target, since_ns in self._lingering.items()
            if now_ns - since_ns > response_layout.LINGER_NS
        ]
        if over:
            self._delete(over)
            self._tell_probe()

    def hits(self, target: Network) -> int:
        """Return how many SYNs a rule dropped; 0 without one."""
        found = self._find(target)
        return found.hits if found else 0

    def read(self) -> dict[Network, SourceRule]:
        """Return what the kernel holds and was not ended, also what is over by its clock."""
        found = self._all()
        for target in self._lingering:
            found.pop(target, None)
        return found

    def _all(self) -> dict[Network, SourceRule]:
        with in_words("blocks"):
            return {decode_block_key(key): _decode(bytes(value)) for key, value in self._map.items()}

    def _find(self, target: Network) -> SourceRule | None:
        with in_words("blocks"):
            raw = self._map.lookup(encode_block_key(target))
        return None if raw is None else _decode(raw)

    def _write(self, rules: Mapping[Network, SourceRule]) -> None:
        pack = response_layout.BLOCK.pack
        keys = {target: encode_block_key(target) for target in rules}
        new = [target for target in rules if target not in self._held]
        for target, rule in rules.items():
            self._held[target] = rule.action
            self._lingering.pop(target, None)
        with in_words("blocks"):
            self._filter.add(keys[target] for target in new)
            self._map.update_all(
                {
                    keys[target]: pack(rule.until_ns, rule.hits, rule.action, rule.since_tick)
                    for target, rule in rules.items()
                }
            )

    def _delete(self, targets: Iterable[Network]) -> None:
        over = {target: encode_block_key(target) for target in targets}
        with in_words("blocks"):
            for key in over.values():
                self._map.delete(key)
            self._filter.remove(key for target, key in over.items() if target in self._held)
        for target in over:
            self._held.pop(target, None)
            self._lingering.pop(target, None)

    def _is_as_asked(
        self, target: Network, held: SourceRule | None, action: SourceAction, until_ns: int
    ) -> bool:
        if held is None or target in self._lingering:
            return False
        return held.action is action and abs(held.until_ns - until_ns) <= _SAME_END_NS

    def _check_lengths(self, targets: Iterable[Network]) -> None:
        used = set(map(_length, self._held))
        if len(used | set(map(_length, targets))) > layout.BLOCK_LENGTHS_MAX:
            raise UsageError(
                f"only {layout.BLOCK_LENGTHS_MAX} prefix lengths can be blocked at once, and in use are "
                + ", ".join(map(_length_text, sorted(used)))
            )

    def _tell_probe(self) -> None:
        """Let the probe look up these lengths, and ask the greylist if there is one."""
        lengths = sorted(set(map(_length, self._held)))[: layout.BLOCK_LENGTHS_MAX]
        if tuple(lengths) != self._probe.block_lengths:
            self._probe.set_block_lengths(lengths)
        more = any(action is not SourceAction.DROP for action in self._held.values())
        self._probe.set_responding("sources", more)


def _length(target: Network) -> int:
    return target.prefixlen + (96 if target.version == 4 else 0)


def _length_text(length: int) -> str:
    return f"/{length - 96} (IPv4)" if length >= 96 else f"/{length} (IPv6)"


def _decode(raw: bytes) -> SourceRule:
    until_ns, hits, action, since_tick = response_layout.BLOCK.unpack(raw)
    return SourceRule(SourceAction(action), until_ns, hits, since_tick)
