"""One mode's responses: brought about and ended, told to the history and to the log."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from structlog.typing import FilteringBoundLogger

from synguard.block import Block
from synguard.endpoint import Listener, Target, target_text
from synguard.errors import SynguardError
from synguard.model import Alert, RespondMode, Response
from synguard.respond.blocks import Blocks
from synguard.respond.ledger import Ledger, ResponseHistory
from synguard.respond.pacing import Pacing
from synguard.respond.repeats import Repeats

#: So many are told in one go; then whoever reads the probe has its turn.
_TOLD_AT_ONCE = 250
#: Of more than so many at once the log tells the number of each kind, not each.
_MOST_LOGGED = 20
#: What begins and what ends, by response and whether it is a listener's.
_BEGUN = {
    ("drop", False): "source.blocked",
    ("greylist", False): "source.greylisted",
    ("greylist", True): "listener.greylisted",
    ("cookie", True): "listener.cookies_begun",
}
_ENDED = {
    ("drop", False): "source.unblocked",
    ("greylist", False): "source.greylist_ended",
    ("greylist", True): "listener.greylist_ended",
    ("cookie", True): "listener.cookies_ended",
}


class BlockHistory(ResponseHistory, Protocol):
    """Where blocks are written down, so that they are in force again after a restart."""

    def save_block(self, block: Block) -> None:
        """Take in a block."""

    def remove_block(self, target: Target) -> None:
        """Take in that a block is over."""


class Book:
    """What is in force (enforce), or would be (dry-run).

    Args:
        mode: which of both.
        blocks: keeps them; those of a dry-run in a rehearsal of a kernel.
        ledger: keeps account from begin to end.
        history: has drops in force again after a restart.
        log: is told what begins and ends.

    """

    def __init__(
        self,
        mode: RespondMode,
        blocks: Blocks,
        ledger: Ledger,
        history: BlockHistory,
        log: FilteringBoundLogger,
    ) -> None:
        self.mode = mode
        self.blocks = blocks
        self.pacing = Pacing()
        self.repeats = Repeats()
        self._ledger = ledger
        self._history = history
        self._log = log
        self._problem: str | None = None

    def in_force(self, alert: Alert) -> tuple[Response, ...]:
        """Return what an alert has brought about and goes on."""
        return tuple(
            Response(block.response, self.mode, target_text(block.target), block.reason, block.until_s)
            for block in self.blocks.of_alert(alert.id)
        )

    async def put(self, blocks: Sequence[Block], *, in_force: bool = True) -> None:
        """Bring responses about. Raises as :meth:`Blocks.put` does, and then there is none of them."""
        await self.blocks.put(blocks, in_force=in_force)
        await self.tell_begun(blocks)

    async def tell_begun(self, blocks: Sequence[Block]) -> None:
        """Tell history and log of responses that are in force."""
        now_s = self.blocks.wall_s()
        for number, block in enumerate(blocks, 1):
            self._ledger.blocked(block, now_s, self.mode, instead_because=block.reason)
            if self.mode is RespondMode.ENFORCE and block.response == "drop":
                self._history.save_block(block)
            elif self.mode is RespondMode.ENFORCE:
                self._history.remove_block(block.target)
            if number % _TOLD_AT_ONCE == 0:
                await asyncio.sleep(0)
        for event, alike in _by_event(blocks, self._begun).items():
            if len(blocks) > _MOST_LOGGED:
                self._log.info(event, blocks=len(alike), **self._mode(alike[0]), **_terms(alike[0]))
                continue
            for block in alike:
                self._log.info(event, target=target_text(block.target), **self._mode(block), **_terms(block))

    def _begun(self, block: Block) -> str:
        """Return what the log calls the begin of a response."""
        is_of_listener = isinstance(block.target, Listener)
        if self.mode is RespondMode.ENFORCE:
            return _BEGUN[block.response, is_of_listener]
        return "listener.spared" if is_of_listener else "source.spared"

    def tell_restored(self, blocks: Sequence[Block], *, in_force: bool) -> None:
        """Tell history and log of what an earlier daemon left."""
        now_s = self.blocks.wall_s()
        if in_force:
            for block in blocks:
                self._ledger.blocked(block, now_s, self.mode)
        for block in blocks[:_MOST_LOGGED]:
            self._log.info(
                "source.restored",
                target=target_text(block.target),
                until_s=block.until_s,
                suspended=not in_force,
            )
        if len(blocks) > _MOST_LOGGED:
            self._log.info("source.restored", blocks=len(blocks), suspended=not in_force)

    def _mode(self, block: Block) -> dict[str, str]:
        """Say what would have been done, where it is not."""
        if self.mode is RespondMode.ENFORCE:
            return {}
        return {"mode": str(self.mode), "response": block.response}

    async def end(self, targets: Iterable[Target], because: str) -> list[Block]:
        """End responses; return those that there were, with their hits. Raises SynguardError on refusal."""
        ended = await self.blocks.end(targets)
        now_s = self.blocks.wall_s()
        enforced = self.mode is RespondMode.ENFORCE
        for number, block in enumerate(ended, 1):
            hits = block.hits if enforced else None
            self._ledger.unblocked(block.target, because, hits, now_s, self.mode)
            if enforced:
                self._history.remove_block(block.target)
            if number % _TOLD_AT_ONCE == 0:
                await asyncio.sleep(0)
        if enforced:
            self._log_ended(ended, because)
        return ended

    def _log_ended(self, ended: Sequence[Block], because: str) -> None:
        for event, alike in _by_event(ended, _ended).items():
            if len(ended) > _MOST_LOGGED:
                self._log.info(event, blocks=len(alike), why=because)
                continue
            for block in alike:
                self._log.info(event, target=target_text(block.target), why=because, hits=block.hits)

    async def suspend(self, because: str) -> int:
        """Keep every block, out of force; return how many. Raises SynguardError on refusal."""
        suspended = await self.blocks.suspend()
        for block in suspended:
            self._ledger.unblocked(block.target, because, block.hits, self.blocks.wall_s(), self.mode)
        return len(suspended)

    async def resume(self) -> int:
        """Put in force what was suspended; return how many those are. Raises SynguardError on refusal."""
        resumed = await self.blocks.resume()
        self.tell_restored(resumed, in_force=True)
        return len(resumed)

    async def try_end(self, targets: Iterable[Target], because: str) -> list[Block]:
        """End responses as :meth:`end` does, but log trouble; what does not end is still held."""
        try:
            ended = await self.end(targets, because)
        except SynguardError as error:
            if str(error) != self._problem:
                self._log.error("block.not_ended", error=str(error))
            self._problem = str(error)
            return []
        self._problem = None
        return ended

    def of_alerts(self) -> list[Target]:
        """Return the targets of all that alerts brought about."""
        return [block.target for block in self.blocks.made() if block.asked_by != "manual"]


def _ended(block: Block) -> str:
    """Return what the log calls the end of a response."""
    return _ENDED[block.response, isinstance(block.target, Listener)]


def _by_event(blocks: Iterable[Block], named: Callable[[Block], str]) -> dict[str, list[Block]]:
    """Return blocks by what the log calls what happened to them."""
    alike: dict[str, list[Block]] = {}
    for block in blocks:
        alike.setdefault(named(block), []).append(block)
    return alike


def _terms(block: Block) -> dict[str, object]:
    return {
        "until_s": round(block.until_s, 3),
        "asked_by": block.asked_by,
        "alert_id": block.alert_id,
        "reason": block.reason,
    }
