"""Keeps responses right over time: the mode, what an earlier daemon left, and what is over or out of step."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from structlog.typing import FilteringBoundLogger

from synguard.block import Block
from synguard.endpoint import Network, target_text
from synguard.errors import SynguardError
from synguard.model import RespondMode
from synguard.respond.book import BlockHistory
from synguard.respond.figures import Figures
from synguard.respond.ledger import Ledger
from synguard.respond.reconcile import Reconciler
from synguard.respond.responder import Responder


class ModeChange(NamedTuple):
    """What another mode brought about."""

    was: RespondMode
    #: Responses of alerts that ended.
    ended: int = 0
    #: People's blocks that are kept and not enforced.
    suspended: int = 0
    #: People's blocks that are enforced again.
    resumed: int = 0


class Upkeep:
    """What is done about responses at the start, periodically, when the mode changes, and at the end."""

    def __init__(
        self,
        responder: Responder,
        reconciler: Reconciler,
        figures: Figures,
        ledger: Ledger,
        history: BlockHistory,
        log: FilteringBoundLogger,
    ) -> None:
        self.responder = responder
        self.reconciler = reconciler
        #: Gets each snapshot.
        self.figures = figures
        self._ledger = ledger
        self._history = history
        self._log = log
        self._problem: str | None = None

    async def set_mode(self, mode: RespondMode) -> ModeChange:
        """Change the mode at run time. ``off`` takes everything out of the kernel and keeps people's blocks.

        Leaving ``enforce`` or ``dry-run`` ends what alerts brought about in it. Raises SynguardError when the
        kernel refuses: the mode has changed all the same, and what stays in force is tried again.
        """
        was = self.responder.rules.mode
        self.responder.rules = replace(self.responder.rules, mode=mode)
        self._log.info("respond.mode_changed", mode=mode)
        try:
            return (await self._heed_mode())._replace(was=was)
        except SynguardError as error:
            raise SynguardError(f"the mode is {mode} now, but {error}; it is tried again") from error

    async def _heed_mode(self) -> ModeChange:
        """Let the kernel hold what the mode allows, and no more."""
        responder, mode = self.responder, self.responder.rules.mode
        ended = 0
        for book in (responder.book, responder.rehearsal):
            if book.mode is not mode:
                ended += len(await book.end(book.of_alerts(), f"mode {mode}"))
        if mode is RespondMode.OFF:
            return ModeChange(mode, ended, suspended=await responder.book.suspend(f"mode {mode}"))
        return ModeChange(mode, ended, resumed=await responder.book.resume())

    async def restore(
        self, blocks: Sequence[Block], earlier_drops: Collection[tuple[Network, float]]
    ) -> None:
        """Take in what an earlier daemon left, before anything is attached.

        People's blocks are in force again unless the mode is off; drops of alerts only in ``enforce``, and
        nothing else of theirs: their alerts are over.

        Args:
            blocks: as the history tells.
            earlier_drops: whom a daemon dropped before, and when that was over, the newest first.

        """
        for source, over_s in reversed([*earlier_drops]):
            self.responder.book.repeats.blocked(source, over_s, over_s)
        mode = self.responder.rules.mode
        kept = [
            block
            for block in blocks
            if block.asked_by == "manual" or (mode is RespondMode.ENFORCE and block.response == "drop")
        ]
        for block in blocks:
            if block not in kept:
                self._history.remove_block(block.target)
        await self._put_again(kept)
        await self.reconciler.look()

    async def _put_again(self, blocks: Sequence[Block]) -> None:
        """Put blocks in force again: all at once, or where that fails, each that can be."""
        book, in_force = self.responder.book, self.responder.rules.mode is not RespondMode.OFF
        try:
            await book.blocks.put(blocks, in_force=in_force)
        except SynguardError as error:
            if len(blocks) == 1:
                self._log.error("source.not_restored", target=target_text(blocks[0].target), error=str(error))
                return
            for block in blocks:
                await self._put_again([block])
            return
        book.tell_restored(blocks, in_force=in_force)

    async def tidy(self) -> None:
        """Forget what is over, which the kernel has ended by itself, and try again what failed."""
        for book in (self.responder.book, self.responder.rehearsal):
            await book.try_end(book.blocks.over(), "its time is over")
        try:
            await self._heed_mode()
            await self.responder.book.blocks.tidy()
        except SynguardError as error:
            self._fail(str(error))
        else:
            self._problem = None

    async def look_after(self) -> None:
        """See cookies through and renew leases; a few times a second."""
        try:
            await self.responder.cookies.look()
            await self.responder.book.blocks.renew()
        except SynguardError as error:
            self._fail(str(error))

    async def review(self) -> None:
        """Look again whom to spare, what stands before listeners, and what the kernel holds."""
        await self.responder.spare_protected()
        active = self.responder.active()
        await self.responder.cookies.review(active.blocks.made() if active is not None else ())
        await self.reconciler.look()

    def _fail(self, problem: str) -> None:
        if problem != self._problem:
            self._log.error("block.not_kept", error=problem)
        self._problem = problem

    async def take_leave(self) -> None:
        """Take in that the probe goes away, and all that is in force with it."""
        self._ledger.end_all(await self._caught(), time.time())
        try:
            self.responder.book.blocks.kernel.leave()
        except SynguardError as error:
            self._log.error("block.not_removed", error=str(error))

    async def _caught(self) -> Iterable[Block]:
        try:
            return await self.responder.book.blocks.held()
        except SynguardError as error:
            self._log.error("block.hits_unknown", error=str(error))
            return ()
