"""Sees the cookies of each listener through: whether they can be, on trial, for everybody, or withdrawn."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from structlog.typing import FilteringBoundLogger

from synguard.block import Block
from synguard.endpoint import Listener
from synguard.errors import SynguardError
from synguard.history.records import time_to_json
from synguard.respond.book import Book
from synguard.respond.cookies import EVERYBODY, CookieCourse, CookieFigures
from synguard.respond.figures import Figures
from synguard.respond.kernel import Rule

#: Where cookies broke something they are not tried again for so long, in seconds.
WITHDRAWN_FOR_S = 300.0
#: What stands against cookies while nobody has looked yet.
NOT_LOOKED_YET = "what stands before the listener is being looked at"


class Prospect(NamedTuple):
    """What a look at the way to a listener found."""

    #: Why it cannot be answered with cookies, or None.
    obstacle: str | None
    #: What its clients would lose by them, or None.
    loss: str | None = None


#: Looks at the firewall, which may take a second, and returns what was found for each listener.
Scout = Callable[[Sequence[Listener]], Mapping[Listener, Prospect]]


@dataclass(slots=True)
class _Course:
    """The cookies of one listener, from the canary on."""

    course: CookieCourse
    since_s: float
    state: str = "canary"
    #: What came of them in all since the probe is there.
    figures: CookieFigures | None = None


class _Withdrawn(NamedTuple):
    why: str
    since_s: float
    until_s: float


class CookieWatch:
    """Knows what stands against cookies at each listener, and looks after those that are answered.

    Args:
        book: what is in force.
        figures: how listeners fare.
        scout: looks at what stands before a listener, in a thread.
        log: is told what becomes of the cookies.

    """

    def __init__(
        self,
        book: Book,
        figures: Figures,
        scout: Scout,
        log: FilteringBoundLogger,
        *,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._book = book
        self._figures = figures
        self._scout = scout
        self._log = log
        self._monotonic_s = monotonic_s
        self._wall_s = book.blocks.wall_s
        self._courses: dict[Listener, _Course] = {}
        self._withdrawn: dict[Listener, _Withdrawn] = {}
        self._prospects: dict[Listener, Prospect] = {}
        #: Gets the id of an alert that is to be decided anew.
        self.reconsider: Callable[[int], None] = lambda _alert_id: None

    def unknown(self, listeners: Iterable[Listener]) -> list[Listener]:
        """Return those of which nobody knows yet what stands against cookies there."""
        return [one for one in listeners if one not in self._prospects and one not in self._withdrawn]

    def obstacles(self, listeners: Iterable[Listener]) -> dict[Listener, str]:
        """Return what stands against cookies now; a listener at which nothing does is left out."""
        found = ((listener, self._obstacle(listener)) for listener in listeners)
        return {listener: why for listener, why in found if why is not None}

    def _obstacle(self, listener: Listener) -> str | None:
        withdrawn = self._withdrawn.get(listener)
        if withdrawn is not None and withdrawn.until_s > self._wall_s():
            return withdrawn.why
        prospect = self._prospects.get(listener)
        return prospect.obstacle if prospect is not None else NOT_LOOKED_YET

    def losses(self, listeners: Iterable[Listener]) -> dict[Listener, str]:
        """Return what clients lose by cookies at each, where they lose anything."""
        found = ((listener, self._prospects.get(listener)) for listener in listeners)
        return {listener: one.loss for listener, one in found if one is not None and one.loss is not None}

    async def scout(self, listeners: Sequence[Listener]) -> None:
        """Look at what stands before these. Trouble stands against cookies, too."""
        try:
            found = await asyncio.to_thread(self._scout, listeners)
        except (OSError, SynguardError) as error:
            found = {one: Prospect(f"what stands before it cannot be seen: {error}") for one in listeners}
            self._log.error("firewall.unknown", error=str(error))
        self._prospects.update(found)

    async def look(self) -> None:
        """See the cookies through that are in force; a few times a second."""
        wanted = self._book.blocks.wanted()
        answered = {to: rule for to, rule in wanted.items() if isinstance(to, Listener)}
        for listener in [*self._courses]:
            if listener not in answered or answered[listener].response != "cookie":
                del self._courses[listener]
        for listener, rule in answered.items():
            figures = self._counted(listener)
            if rule.response != "cookie" or figures is None:
                continue
            if listener not in self._courses:
                self._courses[listener] = _Course(CookieCourse(figures, self._monotonic_s()), self._wall_s())
            try:
                await self._follow(listener, rule, self._courses[listener], figures)
            except SynguardError as error:
                self._log.error("cookies.not_changed", listener=str(listener), error=str(error))

    def _counted(self, listener: Listener) -> CookieFigures | None:
        reading = self._figures.reading(listener)
        if reading is None:
            return None
        return CookieFigures(
            reading.cookies_sent,
            reading.cookies_valid,
            reading.cookies_connected,
            self._figures.counter("SyncookiesRecv"),
        )

    async def _follow(self, listener: Listener, rule: Rule, course: _Course, figures: CookieFigures) -> None:
        """Do what the course says."""
        step = course.course.look(figures, self._monotonic_s())
        course.figures = figures
        if step.withdrawn is not None:
            await self._withdraw(listener, step.withdrawn, WITHDRAWN_FOR_S)
        elif step.canaries != EVERYBODY:
            # What the kernel has left of the last ones is not known here: these take their place.
            await self._book.blocks.set_rule(listener, rule._replace(canaries=step.canaries))
        elif rule.canaries != EVERYBODY:
            await self._book.blocks.set_rule(listener, rule._replace(canaries=EVERYBODY))
            course.state, course.since_s = "on", self._wall_s()
            self._log.info("cookies.for_everybody", listener=str(listener), sent=figures.sent)

    async def _withdraw(self, listener: Listener, why: str, for_s: float) -> None:
        """Greylist a listener instead, at once, and have its alert decided anew."""
        now_s = self._wall_s()
        self._withdrawn[listener] = _Withdrawn(why, now_s, now_s + for_s)
        self._courses.pop(listener, None)
        self._log.warning("cookies.withdrawn", listener=str(listener), why=why)
        block = self._book.blocks.get(listener)
        if block is None:
            return
        await self._book.put([replace(block, response="greylist", reason=f"cookies were withdrawn: {why}")])
        if block.alert_id is not None:
            self.reconsider(block.alert_id)

    async def review(self, blocks: Collection[Block]) -> None:
        """Look again at what stands before these blocks' listeners, and have decided what it changes."""
        held = {block.target: block for block in blocks if isinstance(block.target, Listener)}
        now_s = self._wall_s()
        stood = self.obstacles(held)
        self._withdrawn = {to: one for to, one in self._withdrawn.items() if one.until_s > now_s}
        self._prospects = {to: one for to, one in self._prospects.items() if to in held}
        if held:
            await self.scout([*held])
        stands = self.obstacles(held)
        for listener, block in held.items():
            if block.response == "cookie" and listener in stands and listener in self._courses:
                await self._withdraw(listener, stands[listener], 0.0)
            elif (listener in stood) != (listener in stands) and block.alert_id is not None:
                self.reconsider(block.alert_id)

    def describe(self) -> list[dict[str, Any]]:
        """Return what ``status`` shows of each listener's cookies."""
        now_s = self._wall_s()
        courses = ((to, one.state, None, one.since_s, one.figures) for to, one in self._courses.items())
        withdrawn = (
            (to, "withdrawn", one.why, one.since_s, None)
            for to, one in self._withdrawn.items()
            if one.until_s > now_s
        )
        return [
            {
                "listener": str(listener),
                "state": state,
                "why": why,
                "since": time_to_json(since_s),
                "sent": figures.sent if figures else None,
                "valid": figures.valid if figures else None,
                "connected": figures.connected if figures else None,
            }
            for listener, state, why, since_s, figures in (*courses, *withdrawn)
        ]
