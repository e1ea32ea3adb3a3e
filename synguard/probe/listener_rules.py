"""The rules about listeners that the probe enforces by itself.

Each rule ends at a moment of the kernel's monotonic clock, whether or not there is a daemon then. Where a
method raises nothing else it raises SynguardError in words when the kernel refuses.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import IntEnum
from typing import NamedTuple

from synguard.endpoint import Listener
from synguard.handshake import Answer
from synguard.probe import layout, response_layout
from synguard.probe.probe import Probe
from synguard.probe.refusing import in_words

#: Of a listener rule's canaries: everybody is answered, and nobody is greylisted.
EVERYBODY = -1


class ListenerAction(IntEnum):
    """What is done about SYNs to a listener, ``enum listener_action``."""

    GREYLIST = 1
    COOKIE = 2


class ListenerRule(NamedTuple):
    """What is to be done at a listener."""

    action: ListenerAction
    until_ns: int
    #: How many of the SYNs that its greylist admits are answered with a cookie; ``EVERYBODY``.
    canaries: int = 0
    #: What such an answer looks like.
    answer: Answer | None = None
    #: When it began, as ``response_layout.encode_tick`` has it; ``put`` knows.
    since_tick: int = 0


class ListenerRules:
    """What is done about SYNs to listeners. Rules that an earlier daemon left are held from the start."""

    def __init__(self, probe: Probe, *, monotonic_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._probe = probe
        self._map = probe.maps["listener_rules"]
        self._monotonic_ns = monotonic_ns
        self._held: dict[Listener, ListenerAction] = {}
        self._lingering: dict[Listener, int] = {}
        for listener, rule in self._all().items():
            self._held[listener] = rule.action
        self._tell_probe()

    def put(self, listener: Listener, rule: ListenerRule) -> None:
        """Let a rule begin, or have new terms. Raises UnsupportedError when there is no room."""
        self._write(listener, rule._replace(since_tick=self._since_tick(listener)))
        self._held[listener] = rule.action
        self._lingering.pop(listener, None)
        self._tell_probe()

    def end(self, listener: Listener) -> None:
        """Let a rule end; one that is not there is as good.

        It stays in the kernel for a while, where it does nothing but know what comes again: a SYN that it
        dropped, a cookie that it sent; until :meth:`tidy`.
        """
        rule = self._all().get(listener)
        if rule is not None and listener not in self._lingering:
            now_ns = self._monotonic_ns()
            self._write(listener, rule._replace(until_ns=min(rule.until_ns, now_ns)))
            self._lingering[listener] = now_ns

    def tidy(self) -> None:
        """Take away the rules that have lingered long enough."""
        now_ns = self._monotonic_ns()
        for listener in [
            one for one, since_ns in self._lingering.items() if now_ns - since_ns > response_layout.LINGER_NS
        ]:
            with in_words(f"the response for {listener}"):
                self._map.delete(layout.encode_listener_key(listener))
            del self._lingering[listener]
            self._held.pop(listener, None)
        self._tell_probe()

    def read(self) -> dict[Listener, ListenerRule]:
        """Return what the kernel holds and was not ended, with the canaries that are left."""
        return {one: rule for one, rule in self._all().items() if one not in self._lingering}

    def _since_tick(self, listener: Listener) -> int:
        raw = None
        if listener in self._held and listener not in self._lingering:
            with in_words(f"the response for {listener}"):
                raw = self._map.lookup(layout.encode_listener_key(listener))
        if raw is None:
            return response_layout.encode_tick(self._monotonic_ns())
        return _decode(bytes(raw)).since_tick

    def _all(self) -> dict[Listener, ListenerRule]:
        with in_words("responses for listeners"):
            return {layout.decode_listener_key(key): _decode(bytes(raw)) for key, raw in self._map.items()}

    def _write(self, listener: Listener, rule: ListenerRule) -> None:
        answer = response_layout.encode_answer(rule.answer)
        with in_words(f"a response for {listener}"):
            value = response_layout.LISTENER_RULE.pack(
                rule.until_ns, rule.canaries, answer, rule.action, rule.since_tick
            )
            self._map.update(layout.encode_listener_key(listener), value)

    def _tell_probe(self) -> None:
        cookies = any(action is ListenerAction.COOKIE for action in self._held.values())
        self._probe.set_responding("listeners", bool(self._held), checking_cookies=cookies)


def _decode(raw: bytes) -> ListenerRule:
    until_ns, canaries, raw_answer, action, since_tick = response_layout.LISTENER_RULE.unpack(raw)
    answer = response_layout.decode_answer(raw_answer)
    return ListenerRule(ListenerAction(action), until_ns, canaries, answer, since_tick)
