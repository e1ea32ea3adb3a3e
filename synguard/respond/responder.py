"""Carries decisions out: keeps the blocks, the operator's mode and the never-touch list together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Protocol

from structlog.typing import FilteringBoundLogger

from synguard.block import Block
from synguard.endpoint import Network, source_text
from synguard.errors import SynguardError, UnsupportedError, UsageError
from synguard.model import Alert, RespondMode, Response
from synguard.respond.blocks import Blocks
from synguard.respond.policy import Decision, Protected, Rules, decide, protection


class BlockHistory(Protocol):
    """Where blocks are written down, so that they are in force again after a restart."""

    def save_block(self, block: Block) -> None:
        """Take in a block."""

    def remove_block(self, target: Network) -> None:
        """Take in that a block is over."""


class Responder:
    """Decides about alerts and keeps the blocks; the daemon's and people's alike."""

    def __init__(
        self,
        blocks: Blocks,
        rules: Rules,
        gather_protected: Callable[[], Iterable[Protected]],
        cannot_drop: Callable[[], str | None],
        history: BlockHistory,
        log: FilteringBoundLogger,
    ) -> None:
        self.blocks = blocks
        self.rules = rules
        self._gather_protected = gather_protected
        #: Says why the probe could not drop anything where it sits, or None.
        self._cannot_drop = cannot_drop
        self._history = history
        self._log = log
        #: Blocks set and refusals given since the start, for ``status``.
        self.actions = 0
        self.refusals = 0

    async def consider(self, alert: Alert, wall_s: float) -> Decision:
        """Decide about an open alert, and in ``enforce`` do it. Trouble becomes the decision's reason."""
        try:
            protected = tuple(await asyncio.to_thread(self._gather_protected))
        except OSError as error:
            self._log.error("protected.unknown", error=str(error))
            reason = f"the never-touch list cannot be read ({error}), so nothing is touched"
            return Decision(None, reason, retry=True)
        decision = decide(alert, self.rules, protected, len(self.blocks), wall_s)
        if decision.response is None or alert.source is None:
            self.refusals += 1
            return self._undone(alert, decision) if decision.undo else decision
        if decision.response.mode is not RespondMode.ENFORCE:
            self._log.info(
                "source.spared", target=decision.response.target, alert_id=alert.id, mode="dry-run"
            )
            return decision
        return self._enforce(alert, alert.source, decision.response, wall_s)

    def _enforce(self, alert: Alert, source: Network, response: Response, wall_s: float) -> Decision:
        if (why := self._cannot_drop()) is not None:
            self.refusals += 1
            return Decision(None, why, retry=True)
        held = next((block for block in self.blocks.held() if block.target == source), None)
        if held is not None and held.asked_by == "manual":
            # A person's block stays a person's: leaving enforce must not end it.
            reason = f"{response.target} is blocked by hand already"
            return Decision(replace(response, until_s=held.until_s), reason)
        block = Block(source, response.until_s or wall_s, response.reason, "alert", alert.id, wall_s)
        try:
            self._put(block)
        except SynguardError as error:
            self.refusals += 1
            return Decision(None, str(error), retry=True)
        return Decision(response, response.reason)

    def _undone(self, alert: Alert, decision: Decision) -> Decision:
        """End the block that an alert brought about; where it does not end, that is tried again."""
        try:
            for block in self.blocks.held():
                if block.alert_id == alert.id and block.asked_by != "manual":
                    self.unblock(block.target, decision.reason)
        except SynguardError as error:
            return Decision(None, f"{decision.reason}; its block does not end: {error}", retry=True)
        return decision

    def _put(self, block: Block) -> None:
        self.blocks.add(block)
        self._history.save_block(block)
        self.actions += 1
        self._log.info(
            "source.blocked",
            target=source_text(block.target),
            until_s=round(block.until_s, 3),
            asked_by=block.asked_by,
            alert_id=block.alert_id,
            reason=block.reason,
        )

    async def block_by_hand(self, target: Network, ttl_s: float, reason: str, wall_s: float) -> Block:
        """Block a target for ``ttl_s`` seconds on a person's word.

        Raises UsageError when it is on the never-touch list, UnsupportedError when nothing can be dropped
        here, SynguardError when it cannot be done.
        """
        if (why := self._cannot_drop()) is not None:
            raise UnsupportedError(f"{why}; nothing was blocked")
        try:
            protected = tuple(await asyncio.to_thread(self._gather_protected))
        except OSError as error:
            raise SynguardError(
                f"the never-touch list cannot be read: {error}; nothing was blocked"
            ) from error
        if (held := protection(target, protected)) is not None:
            raise UsageError(f"{held}; nothing was blocked")
        block = Block(target, wall_s + ttl_s, reason, "manual", None, wall_s)
        self._put(block)
        return block

    def unblock(self, target: Network, why: str) -> bool:
        """End a block; return whether there was one."""
        if not self.blocks.remove(target):
            return False
        self._forget(target, why)
        return True

    def _forget(self, target: Network, why: str) -> None:
        self._history.remove_block(target)
        self._log.info("source.unblocked", target=source_text(target), why=why)

    def clear(self, why: str) -> int:
        """End every block; return how many there were."""
        return sum(self.unblock(block.target, why) for block in self.blocks.held())

    def set_mode(self, mode: RespondMode) -> None:
        """Change the mode; leaving ``enforce`` ends the daemon's own blocks, not people's."""
        self.rules = replace(self.rules, mode=mode)
        if mode is not RespondMode.ENFORCE:
            for block in self.blocks.held():
                if block.asked_by != "manual":
                    self.unblock(block.target, f"mode {mode}")
        self._log.info("respond.mode_changed", mode=mode)

    def restore(self, blocks: Iterable[Block]) -> None:
        """Enforce again what an earlier daemon left: people's blocks always, its own only in ``enforce``."""
        for block in blocks:
            if block.asked_by != "manual" and self.rules.mode is not RespondMode.ENFORCE:
                self._history.remove_block(block.target)
                continue
            try:
                self.blocks.add(block)
            except SynguardError as error:
                self._log.error("source.not_restored", target=source_text(block.target), error=str(error))
            else:
                self._log.info("source.restored", target=source_text(block.target), until_s=block.until_s)
        try:
            ended = self.blocks.end_unknown()
        except SynguardError as error:
            self._log.error("source.not_unblocked", error=str(error))
        else:
            if ended:
                self._log.info("source.unblocked", blocks=ended, why="the history does not tell of them")

    def tidy(self) -> None:
        """Forget blocks whose time is over; the kernel has stopped enforcing them by itself."""
        try:
            for block in self.blocks.expire():
                self._forget(block.target, "its time is over")
        except SynguardError as error:
            self._log.error("source.not_unblocked", error=str(error))

    async def spare_protected(self) -> None:
        """End blocks of addresses that have come onto the never-touch list since."""
        if not len(self.blocks):
            return
        try:
            protected = tuple(await asyncio.to_thread(self._gather_protected))
        except OSError as error:
            self._log.error("protected.unknown", error=str(error))
            return
        for block in self.blocks.held():
            if (why := protection(block.target, protected)) is None:
                continue
            try:
                self.unblock(block.target, why)
            except SynguardError as error:
                self._log.error("source.not_unblocked", target=source_text(block.target), error=str(error))
