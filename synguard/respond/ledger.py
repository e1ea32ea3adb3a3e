"""Keeps account of responses from begin to end, for the history: what was done, and would have been."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Protocol

from synguard.block import Block
from synguard.endpoint import Target, target_text
from synguard.history.responses import TakenResponse
from synguard.model import RespondMode

DAEMON_ENDED = "the daemon ended"


class ResponseHistory(Protocol):
    """Where responses are written down."""

    def save_response(self, taken: TakenResponse) -> None:
        """Take a response in: that it was taken, goes on otherwise, or has ended."""


class Ledger:
    """The responses that have no end yet. Times are seconds since the Unix epoch.

    Of one target one response goes on in each mode at a time: in dry-run the one that would.
    """

    def __init__(self, history: ResponseHistory) -> None:
        self._history = history
        self._taken: dict[tuple[RespondMode, Target], TakenResponse] = {}

    def blocked(
        self,
        block: Block,
        wall_s: float,
        mode: RespondMode = RespondMode.ENFORCE,
        *,
        instead_because: str = "another took its place",
    ) -> None:
        """Take in that a block is in force, or goes on with other terms.

        ``instead_because`` says why the response before it is over, if it is another one.
        """
        held = self._taken.get((mode, block.target))
        if held is not None and _same(held, block):
            taken = replace(held, until_s=block.until_s, reason=block.reason)
        else:
            if held is not None:
                self._end(held, instead_because, wall_s)
            taken = TakenResponse(
                block.response,
                str(mode),
                target_text(block.target),
                block.reason,
                block.asked_by,
                block.alert_id,
                wall_s,
                block.until_s,
            )
        if taken != held:
            self._taken[mode, block.target] = taken
            self._history.save_response(taken)

    def unblocked(
        self,
        target: Target,
        because: str,
        hits: int | None,
        wall_s: float,
        mode: RespondMode = RespondMode.ENFORCE,
    ) -> None:
        """Take in that a block is over, and how many SYNs it caught; None: nobody can know."""
        held = self._taken.pop((mode, target), None)
        if held is not None:
            self._end(replace(held, hits=hits), because, wall_s)

    def end_all(self, blocks: Iterable[Block], wall_s: float) -> None:
        """Take in that the daemon ends, and takes everything away; of these it is known what they caught."""
        for block in blocks:
            self.unblocked(block.target, DAEMON_ENDED, block.hits, wall_s)
        for held in self._taken.values():
            self._end(held, DAEMON_ENDED, wall_s)
        self._taken.clear()

    def _end(self, taken: TakenResponse, because: str, wall_s: float) -> None:
        # A clock that was set back must not let it end before it began.
        ended_s = max(wall_s, taken.started_at_s)
        self._history.save_response(replace(taken, ended_at_s=ended_s, ended_because=because))


def _same(taken: TakenResponse, block: Block) -> bool:
    """Tell whether a block is the one that was taken in before, on whatever terms."""
    return (taken.response, taken.asked_by, taken.alert_id) == (
        block.response,
        block.asked_by,
        block.alert_id,
    )
