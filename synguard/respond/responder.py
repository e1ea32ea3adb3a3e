"""Carries decisions out: asks the policy about alerts, and brings about and ends what it says."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from structlog.typing import FilteringBoundLogger

from synguard.block import Block
from synguard.endpoint import Listener, Network, Target, parse_target
from synguard.errors import SynguardError
from synguard.handshake import ClockProof
from synguard.model import Alert, RespondMode, Response
from synguard.respond.book import Book
from synguard.respond.cookie_watch import CookieWatch
from synguard.respond.policy import (
    RENEW_BEFORE_S,
    Decision,
    Protected,
    Rules,
    Situation,
    decide,
    suspect,
    within,
)
from synguard.respond.spared import Lookup, NeverTouch

#: Of two alerts that want another response for one target, the stronger is what is done.
_STRENGTH = ("greylist", "cookie", "drop")


@dataclass(frozen=True, slots=True)
class Senses:
    """What decisions go by beyond the alert: asked at each."""

    #: Says why the probe can drop nothing where it sits, or None.
    cannot_drop: Callable[[], str | None] = lambda: None
    #: Tells whether a source's flood continues the clock of a handshake that it completed.
    clock_proof: Callable[[Network], ClockProof | None] = lambda _source: None


class Responder:
    """Decides about alerts and keeps what was brought about; the daemon's responses and people's alike.

    Args:
        rules: the operator's settings.
        book: what is in force.
        rehearsal: what would be, in dry-run.
        never_touch: whom no response may cut off.
        cookies: what stands against cookies, and how they fare.
        senses: what else decisions go by.
        log: is told what is not decided here.

    """

    def __init__(
        self,
        rules: Rules,
        book: Book,
        rehearsal: Book,
        never_touch: NeverTouch,
        cookies: CookieWatch,
        senses: Senses,
        log: FilteringBoundLogger,
    ) -> None:
        self.rules = rules
        self.book = book
        self.rehearsal = rehearsal
        self.never_touch = never_touch
        self.cookies = cookies
        self.senses = senses
        self._log = log
        #: What a person ended of an open alert's: it stays so.
        self.lifted: set[tuple[int, Target]] = set()
        #: In force, and not told yet, since it is still being decided.
        self._untold: set[tuple[int, Target]] = set()
        #: Responses brought about and refusals given since the start, for ``status``.
        self.actions = 0
        self.refusals = 0

    def active(self) -> Book | None:
        """Return what alerts are answered in: the kernel, its rehearsal, or neither."""
        return {RespondMode.ENFORCE: self.book, RespondMode.DRY_RUN: self.rehearsal}.get(self.rules.mode)

    def in_force(self, alert: Alert) -> tuple[Response, ...]:
        """Return what an alert has brought about and goes on, or in dry-run would."""
        book = self.active()
        return book.in_force(alert) if book is not None else ()

    async def consider(self, alert: Alert, wall_s: float) -> Decision:
        """Decide about an open alert, and do it. Trouble becomes the decision's reason.

        What stands against cookies takes long to find out: meanwhile their listeners are greylisted.
        """
        try:
            protected = await self.never_touch.read()
        except SynguardError as error:
            self.refusals += 1
            return Decision((), str(error), retry=True)
        decision = self._decide(alert, protected, wall_s)
        unknown = self.cookies.unknown(_listeners(decision))
        if unknown and self.rules.listener_response == "cookie":
            await self._hold_the_door(alert, decision, wall_s)
            await self.cookies.scout(unknown)
            decision = self._decide(alert, protected, wall_s)
        return await self._carry_out(alert, decision, wall_s)

    def _decide(self, alert: Alert, protected: tuple[Protected, ...], wall_s: float) -> Decision:
        book = self.active() or self.book
        listeners = alert.listeners or ((alert.listener,) if alert.listener else ())
        source = suspect(alert)
        held = len(book.blocks) + (len(self.book.blocks) if book is not self.book else 0)
        situation = Situation(
            protected,
            held,
            book.pacing.last_min(wall_s),
            self.senses.clock_proof(source) if source is not None else None,
            book.repeats.count(source, wall_s) if source is not None else 0,
            self.senses.cannot_drop(),
            self.cookies.obstacles(listeners),
            self.cookies.losses(listeners),
            book.in_force(alert),
        )
        return decide(alert, self.rules, situation, wall_s)

    async def _hold_the_door(self, alert: Alert, decision: Decision, wall_s: float) -> None:
        """Greylist what may be answered with cookies soon, untold; trouble comes again when it counts."""
        if self.rules.mode is not RespondMode.ENFORCE:
            return
        new = [
            block
            for block in self._new(self.book, alert, decision, wall_s)
            if block.target not in self.book.blocks
        ]
        try:
            await self.book.blocks.put(new)
        except SynguardError as error:
            self._log.warning("response.delayed", alert_id=alert.id, error=str(error))
        else:
            self._untold.update((alert.id, block.target) for block in new)

    async def _carry_out(self, alert: Alert, decision: Decision, wall_s: float) -> Decision:
        book = self.active()
        if book is None:
            self.refusals += 1
            return decision
        kept_on = await self._undo(book, alert, decision) if decision.undo else []
        refused = await self._put(book, self._new(book, alert, decision, wall_s))
        carried = tuple(filter(None, (self._carried(book, alert, one) for one in decision.responses)))
        if not carried:
            self.refusals += 1
        lifted = len(decision.responses) - len(carried) - len(refused)
        words = [*kept_on, *refused, *(["somebody ended it by hand"] if lifted > 0 else [])]
        # Where nothing came of it, what it was to do is not said as if it were done.
        reasons = [] if decision.responses and not carried else [decision.reason]
        return replace(
            decision,
            responses=carried,
            reason="; ".join(dict.fromkeys([*reasons, *words])),
            retry=decision.retry or bool(kept_on or refused),
            undo=decision.undo and not kept_on,
        )

    def _new(self, book: Book, alert: Alert, decision: Decision, wall_s: float) -> list[Block]:
        """Return what is to be brought about: what goes on as it is, is left out."""
        return [
            Block(
                target,
                response.until_s or wall_s,
                response.reason,
                "alert",
                alert.id,
                wall_s,
                response=response.response,
            )
            for response in decision.responses
            if not self._stands(book, alert, target := parse_target(response.target), response, wall_s)
        ]

    def _stands(self, book: Book, alert: Alert, target: Target, response: Response, wall_s: float) -> bool:
        """Tell whether nothing is to be done for a response: it goes on, or somebody's word is before it."""
        if (alert.id, target) in self.lifted:
            return True
        if (alert.id, target) in self._untold:
            return False
        held = self._held(book, target)
        if held is None:
            return False
        if held.asked_by == "manual":
            # A person's block stays a person's: leaving enforce must not end it.
            return True
        if held.alert_id == alert.id:
            return held.response == response.response and held.until_s - wall_s > RENEW_BEFORE_S
        return _STRENGTH.index(held.response) >= _STRENGTH.index(response.response)

    def _held(self, book: Book, target: Target) -> Block | None:
        by_hand = self.book.blocks.get(target)
        if by_hand is not None and by_hand.asked_by == "manual":
            return by_hand
        return book.blocks.get(target)

    async def _put(self, book: Book, blocks: list[Block]) -> list[str]:
        """Bring responses about, all that can be; return what stood against the others."""
        try:
            await self._put_all(book, blocks)
        except SynguardError as error:
            if len(blocks) == 1:
                return [str(error)]
            return [words for block in blocks for words in await self._put(book, [block])]
        return []

    async def _put_all(self, book: Book, blocks: list[Block]) -> None:
        if not blocks:
            return
        await book.put(blocks)
        self._untold.difference_update((block.alert_id, block.target) for block in blocks if block.alert_id)
        self.actions += len(blocks)
        now_s = book.blocks.wall_s()
        book.pacing.took(len(blocks), now_s)
        for block in blocks:
            if block.response == "drop":
                book.repeats.blocked(block.network, now_s, block.until_s)

    def _carried(self, book: Book, alert: Alert, response: Response) -> Response | None:
        """Return a response as it is in force, with its own end; None: it is not."""
        held = self._held(book, parse_target(response.target))
        if held is None:
            return None
        if held.asked_by == "manual":
            reason = f"{response.target} is blocked by hand already"
            return replace(response, response=held.response, until_s=held.until_s, reason=reason)
        if held.alert_id != alert.id:
            reason = f"alert {held.alert_id} has brought it about already"
            return replace(response, response=held.response, until_s=held.until_s, reason=reason)
        return replace(response, until_s=held.until_s)

    async def _undo(self, book: Book, alert: Alert, decision: Decision) -> list[str]:
        """End what an alert brought about but for the decision's; return what stands against that."""
        kept = {(one.response, one.target) for one in decision.responses}
        over = [
            parse_target(one.target) for one in book.in_force(alert) if (one.response, one.target) not in kept
        ]
        try:
            ended = await book.end(over, decision.reason)
        except SynguardError as error:
            return [str(error)]
        for block in ended:
            if block.response == "drop":
                book.repeats.forgive(block.network)
        return []

    async def closed(self, alert_id: int) -> list[Target]:
        """End what lasts as long as its alert; drops last their time. Return what ended."""
        self.lifted = {one for one in self.lifted if one[0] != alert_id}
        self._untold = {one for one in self._untold if one[0] != alert_id}
        over: list[Target] = []
        for book in (self.book, self.rehearsal):
            passing = [one.target for one in book.blocks.of_alert(alert_id) if one.response != "drop"]
            over += [block.target for block in await book.try_end(passing, "the alert closed")]
        return over

    async def spare_protected(self) -> None:
        """Read the never-touch list, and end what would touch addresses that have come onto it since."""
        try:
            protected = await self.never_touch.read()
        except SynguardError:
            return
        lookup = Lookup(protected)
        for book in (self.book, self.rehearsal):
            for block in book.blocks.made():
                why = self._spared(block, lookup, protected)
                if why is not None:
                    await book.try_end([block.target], why)

    @staticmethod
    def _spared(block: Block, lookup: Lookup, protected: Iterable[Protected]) -> str | None:
        """Return why a block must end; the kernel itself spares those within what is greylisted."""
        if isinstance(block.target, Listener):
            return None
        why = lookup.why(block.target)
        if why is None or block.response == "drop":
            return why
        is_wholly = any(within(block.target, entry.network) for entry in protected)
        return why if is_wholly else None


def _listeners(decision: Decision) -> list[Listener]:
    targets = (parse_target(one.target) for one in decision.responses)
    return [target for target in targets if isinstance(target, Listener)]
