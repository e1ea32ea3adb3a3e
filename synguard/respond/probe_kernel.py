"""Enforces blocks by the probe's own rules, and where that is wanted drops by nftables' sets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from synguard.endpoint import Listener, Network, Target
from synguard.errors import SynguardError
from synguard.probe.listener_rules import ListenerAction, ListenerRule, ListenerRules
from synguard.probe.source_rules import SourceAction, SourceRule, SourceRules
from synguard.respond.firewall import cookie_answer
from synguard.respond.kernel import Rule

_SOURCE_ACTIONS = {"drop": SourceAction.DROP, "greylist": SourceAction.GREYLIST}
_LISTENER_ACTIONS = {"greylist": ListenerAction.GREYLIST, "cookie": ListenerAction.COOKIE}
_SOURCE_RESPONSES = {
    SourceAction.DROP: "drop",
    SourceAction.GREYLIST: "greylist",
    SourceAction.COUNT: "drop",
}
_LISTENER_RESPONSES = {action: response for response, action in _LISTENER_ACTIONS.items()}


class Dropper(Protocol):
    """Drops sources elsewhere than in the probe: nftables."""

    def put(self, blocks: Mapping[Network, tuple[int, str]]) -> None:
        """Drop these until a moment in ns; the text says who wants it."""

    def end(self, targets: Iterable[Network]) -> None:
        """Drop these no more."""

    def read(self) -> dict[Network, SourceRule]:
        """Return all that is dropped."""

    def remove(self) -> None:
        """Drop nobody."""


class ProbeKernel:
    """The rules in the kernel.

    Args:
        sources: the probe's, of sources and prefixes.
        listeners: the probe's, of listeners.
        nftables: drops instead of the probe, which then counts only; None: the probe drops.

    """

    def __init__(
        self, sources: SourceRules, listeners: ListenerRules, nftables: Dropper | None = None
    ) -> None:
        self._sources = sources
        self._listeners = listeners
        self._nftables = nftables

    def put(self, rules: Mapping[Target, Rule]) -> None:
        """Enforce all of these; where a listener's fails those before it are in force."""
        drops: dict[Network, tuple[int, str]] = {}
        sources: dict[Network, tuple[SourceAction, int]] = {}
        for target, rule in rules.items():
            if isinstance(target, Listener):
                continue
            action = _SOURCE_ACTIONS[rule.response]
            if action is SourceAction.DROP and self._nftables is not None:
                drops[target] = rule.until_ns, rule.comment
                action = SourceAction.COUNT
            sources[target] = action, rule.until_ns
        if self._nftables is not None and drops:
            self._nftables.put(drops)
        if sources:
            self._put_sources(sources, drops)
        if self._nftables is not None and (others := sources.keys() - drops.keys()):
            # One that was dropped and is greylisted now must not be dropped on.
            self._nftables.end(others)
        for target, rule in rules.items():
            if isinstance(target, Listener):
                self._put_listener(target, rule)

    def _put_sources(
        self, sources: Mapping[Network, tuple[SourceAction, int]], drops: Mapping[Network, tuple[int, str]]
    ) -> None:
        """Let the probe know them; what it has no room for, nftables must not drop on either."""
        try:
            self._sources.put(sources)
        except SynguardError:
            if self._nftables is not None and drops:
                self._nftables.end(drops.keys() - self._sources.read().keys())
            raise

    def _put_listener(self, listener: Listener, rule: Rule) -> None:
        action = _LISTENER_ACTIONS[rule.response]
        answer = None if rule.answer is None else cookie_answer(rule.answer)
        self._listeners.put(listener, ListenerRule(action, rule.until_ns, rule.canaries, answer))

    def end(self, targets: Iterable[Target]) -> None:
        """Enforce these no more: all that can be ended is, and then the first trouble is raised."""
        targets = [*targets]
        sources = [target for target in targets if not isinstance(target, Listener)]
        listeners = [target for target in targets if isinstance(target, Listener)]
        trouble: list[SynguardError] = []
        enders = [keeper.end for keeper in (self._nftables, self._sources) if keeper is not None]
        for end in enders if sources else ():
            try:
                end(sources)
            except SynguardError as error:
                trouble.append(error)
        for listener in listeners:
            try:
                self._listeners.end(listener)
            except SynguardError as error:
                trouble.append(error)
        if trouble:
            raise trouble[0]

    def hits(self, target: Network) -> int:
        """Return how many SYNs of a source were dropped or greylisted; the probe counts nftables', too."""
        return self._sources.hits(target)

    def sources(self) -> dict[Target, Rule]:
        """Return the rules of sources; a drop by nftables is one only where both hold it."""
        dropped = self._nftables.read() if self._nftables is not None else {}
        held: dict[Target, Rule] = {
            target: Rule(_SOURCE_RESPONSES[rule.action], rule.until_ns, rule.hits)
            for target, rule in self._sources.read().items()
            if rule.action is not SourceAction.COUNT or target in dropped
        }
        for target, rule in dropped.items():
            held.setdefault(target, Rule("drop", rule.until_ns, rule.hits))
        return held

    def listeners(self) -> dict[Target, Rule]:
        """Return the rules of listeners."""
        return {
            listener: Rule(
                _LISTENER_RESPONSES[rule.action],
                rule.until_ns,
                canaries=rule.canaries,
                answer=rule.answer,
            )
            for listener, rule in self._listeners.read().items()
        }

    def tidy(self) -> None:
        """Take greylists away that have lingered long enough."""
        self._sources.tidy()
        self._listeners.tidy()

    def leave(self) -> None:
        """Take away what would outlive the probe. Raises SynguardError when nftables refuses."""
        if self._nftables is not None:
            self._nftables.remove()
