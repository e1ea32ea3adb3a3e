"""A responder with everything around it made up: a kernel, a clock, a history, a firewall."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import structlog
from structlog.testing import LogCapture

from synguard.block import Block
from synguard.endpoint import Listener, Network, Target
from synguard.errors import SynguardError, UsageError
from synguard.history.responses import TakenResponse
from synguard.model import (
    Alert,
    AlertClass,
    AlertKind,
    AlertState,
    Evidence,
    HandshakeCounts,
    ListenerReading,
    RespondMode,
    Severity,
    Snapshot,
)
from synguard.respond.blocks import Blocks
from synguard.respond.book import Book
from synguard.respond.by_hand import ByHand
from synguard.respond.cookie_watch import CookieWatch, Prospect
from synguard.respond.figures import Figures
from synguard.respond.kernel import Rehearsal, Rule
from synguard.respond.ledger import Ledger
from synguard.respond.policy import Decision, Protected, Rules
from synguard.respond.reconcile import Reconciler
from synguard.respond.responder import Responder, Senses
from synguard.respond.spared import NeverTouch
from synguard.respond.upkeep import Upkeep
from synguard.server import ServerReading

NOW_S = 1_790_000_000.0
SOURCE = ip_network("198.51.100.7")
LISTENER = Listener.parse("203.0.113.5:443")
MOST_LENGTHS = 8


class FakeKernel:
    """Holds rules; ``refuses`` says why every change fails."""

    def __init__(self) -> None:
        self.rules: dict[Target, Rule] = {}
        self.refuses: str | None = None
        self.puts: list[dict[Target, Rule]] = []
        self.spared: frozenset[Network] = frozenset()

    def _check(self) -> None:
        if self.refuses is not None:
            raise SynguardError(self.refuses)

    def put(self, rules: Mapping[Target, Rule]) -> None:
        """Hold these."""
        self._check()
        networks = [one for one in (*self.rules, *rules) if not isinstance(one, Listener)]
        if len({(one.version, one.prefixlen) for one in networks}) > MOST_LENGTHS:
            raise UsageError(f"only {MOST_LENGTHS} prefix lengths can be in use")
        self.puts.append(dict(rules))
        for target, rule in rules.items():
            held = self.rules.get(target)
            self.rules[target] = rule._replace(hits=held.hits if held is not None else 0)

    def end(self, targets: Iterable[Target]) -> None:
        """Hold these no more."""
        self._check()
        for target in targets:
            self.rules.pop(target, None)

    def hits(self, target: Network) -> int:
        """Return the hits."""
        held = self.rules.get(target)
        return held.hits if held is not None else 0

    def sources(self) -> dict[Target, Rule]:
        """Return the rules of sources."""
        return {to: rule for to, rule in self.rules.items() if not isinstance(to, Listener)}

    def listeners(self) -> dict[Target, Rule]:
        """Return the rules of listeners."""
        return {to: rule for to, rule in self.rules.items() if isinstance(to, Listener)}

    def tidy(self) -> None:
        """Do nothing."""

    def leave(self) -> None:
        """Take nothing away: nothing outlives this one."""

    def replace(self, networks: Iterable[Network]) -> None:
        """Spare these."""
        self._check()
        self.spared = frozenset(networks)

    def responses(self) -> dict[str, str]:
        """Return which response each target has."""
        return {str(target): rule.response for target, rule in self.rules.items()}


class FakeHistory:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.blocks: dict[Target, Block] = {}
        self.taken: dict[tuple[str, str, str, int], TakenResponse] = {}

    def save_block(self, block: Block) -> None:
        """Keep a block."""
        self.blocks[block.target] = block

    def remove_block(self, target: Target) -> None:
        """Forget a block."""
        self.blocks.pop(target, None)

    def save_response(self, taken: TakenResponse) -> None:
        """Keep the newest word on a response."""
        self.taken[taken.key] = taken


class Scene:
    """A responder with everything around it made up."""

    def __init__(self, mode: RespondMode = RespondMode.ENFORCE, drop: str = "always", **rules: Any) -> None:
        self.kernel, self.history = FakeKernel(), FakeHistory()
        self.wall_s, self.monotonic_ns = NOW_S, 10**9
        self.cannot_drop: str | None = None
        self.protected: list[Protected] | OSError = []
        self.prospects: dict[Listener, Prospect] = {}
        self.scouted: list[Sequence[Listener]] = []
        #: What the kernel held each time somebody looked at the firewall.
        self.at_scouting: list[dict[str, str]] = []
        self.reconsidered: list[int] = []
        self._log = LogCapture()
        self.log = structlog.wrap_logger(
            None, processors=[self._log], wrapper_class=structlog.make_filtering_bound_logger(0)
        )
        self.settings = Rules(mode, drop, 600.0, rules.pop("max_blocks", 16), **rules)
        self.start()

    def start(self, *, restores: bool = True) -> None:
        """Let a daemon begin with what the kernel has by now."""
        self.figures, ledger = Figures(), Ledger(self.history)
        clocks: Any = {"monotonic_ns": lambda: self.monotonic_ns, "wall_s": lambda: self.wall_s}
        most = self.settings.max_blocks
        self.blocks = Blocks(self.kernel, most, figures=self.figures, **clocks)
        self.book = Book(RespondMode.ENFORCE, self.blocks, ledger, self.history, self.log)
        rehearsed = Blocks(Rehearsal(), most, figures=self.figures, **clocks)
        self.rehearsal = Book(RespondMode.DRY_RUN, rehearsed, ledger, self.history, self.log)
        self.never_touch = NeverTouch(self._gather, self.kernel, self.log)
        self.cookies = CookieWatch(
            self.book, self.figures, self._scout, self.log, monotonic_s=lambda: self.monotonic_ns / 1e9
        )
        self.cookies.reconsider = self.reconsidered.append
        self.responder = Responder(
            self.settings,
            self.book,
            self.rehearsal,
            self.never_touch,
            self.cookies,
            Senses(lambda: self.cannot_drop),
            self.log,
        )
        self.reconciler = Reconciler(
            self.blocks, self.log, restores=restores, monotonic_ns=lambda: self.monotonic_ns
        )
        self.upkeep = Upkeep(self.responder, self.reconciler, self.figures, ledger, self.history, self.log)
        self.by_hand = ByHand(self.responder)

    def _gather(self) -> Iterable[Protected]:
        if isinstance(self.protected, OSError):
            raise self.protected
        return self.protected

    def _scout(self, listeners: Sequence[Listener]) -> dict[Listener, Prospect]:
        self.scouted.append(listeners)
        self.at_scouting.append(self.kernel.responses())
        return {one: self.prospects.get(one, Prospect(None)) for one in listeners}

    def list_anew(self) -> None:
        """Have the never-touch list read at the next decision, however soon that comes."""
        self.never_touch._read_s = None

    def pass_time(self, seconds: float) -> None:
        """Let both clocks go on."""
        self.wall_s += seconds
        self.monotonic_ns += int(seconds * 1e9)

    def consider(self, alert: Alert) -> Decision:
        """Let the responder decide about an alert now."""
        self.list_anew()
        return asyncio.run(self.responder.consider(alert, self.wall_s))

    def block(self, *targets: str, ttl_s: float = 60.0) -> list[Block]:
        """Block by hand."""
        self.list_anew()
        return asyncio.run(self.by_hand.block(targets, ttl_s, "by hand", self.wall_s))

    def see(self, *, received: int = 0, **counts: int) -> None:
        """Let a snapshot tell how the listener fares."""
        reading = ListenerReading(LISTENER, HandshakeCounts(), (), **counts)  # type: ignore[arg-type]
        server = ServerReading(0, {"SyncookiesRecv": received}, 1)
        self.figures.take(Snapshot(0, self.wall_s, 1, 1, (reading,), server=server))

    def look(self, seconds: float = 0.25, **counts: int) -> None:
        """Let time pass, then figures come in, and see the cookies through."""
        self.pass_time(seconds)
        self.see(**counts)
        asyncio.run(self.upkeep.look_after())

    def held(self) -> dict[str, str]:
        """Return which response each target has, as people are told."""
        return {str(block.target): block.response for block in self.blocks.made()}

    def told(self, mode: str = "enforce") -> list[tuple[str, str, str | None]]:
        """Return what the history tells of responses in a mode: what, of whom, and why it ended."""
        return [
            (one.response, one.target, one.ended_because)
            for one in self.history.taken.values()
            if one.mode == mode
        ]

    def logged(self, event: str) -> list[dict[str, Any]]:
        """Return what was logged under an event."""
        return [dict(entry) for entry in self._log.entries if entry["event"] == event]


def flood(alert_id: int = 1, source: Network = SOURCE) -> Alert:
    """Return an open flood from one source."""
    return Alert(
        alert_id, AlertKind.SYN_FLOOD, AlertClass.SINGLE_SOURCE, Severity.HIGH, AlertState.OPEN, NOW_S,
        LISTENER, source,
    )  # fmt: skip


def spoofed(alert_id: int = 1, *listeners: Listener) -> Alert:
    """Return an open flood whose sources cannot be believed."""
    on = listeners or (LISTENER,)
    alert = replace(flood(alert_id), alert_class=AlertClass.SPOOFED, source=None)
    return replace(alert, listener=on[0], listeners=on)


def in_a_live_clients_name() -> Alert:
    """Return a single source's flood once it was seen that somebody completes handshakes there."""
    return replace(spoofed(), evidence=(Evidence("live_client", 2, 0.5),))


def manual(target: Network = SOURCE, ttl_s: float = 60.0) -> Block:
    """Return a person's block."""
    return Block(target, NOW_S + ttl_s, "by hand", "manual", None, NOW_S)
