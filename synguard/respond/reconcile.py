"""Compares what the kernel holds with what it is to hold, and mends: what is lost, and what is nobody's."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from structlog.typing import FilteringBoundLogger

from synguard.endpoint import Target, target_text
from synguard.errors import SynguardError
from synguard.respond.blocks import Blocks
from synguard.respond.kernel import Rule

#: Rules whose ends differ by no more than this are the same, in nanoseconds.
_SAME_END_NS = 2 * 10**9
#: Targets that one line of the log names.
_MOST_NAMED = 20


class Differences(NamedTuple):
    """What is to be mended."""

    #: Wanted, and not there, or there on other terms.
    lost: list[Target]
    #: There, and not wanted.
    unknown: list[Target]
    #: There, over, and nobody's.
    lapsed: list[Target]


def compare(wanted: Mapping[Target, Rule], there: Mapping[Target, Rule], now_ns: int) -> Differences:
    """Return how what is there differs from what is wanted; what is over by ``now_ns`` does not count."""
    lost = [
        target
        for target, rule in wanted.items()
        if rule.until_ns > now_ns and not _is_same(rule, there.get(target))
    ]
    strange = {target: rule for target, rule in there.items() if target not in wanted}
    unknown = [target for target, rule in strange.items() if rule.until_ns > now_ns]
    lapsed = [target for target, rule in strange.items() if rule.until_ns <= now_ns]
    return Differences(lost, unknown, lapsed)


def _is_same(wanted: Rule, there: Rule | None) -> bool:
    if there is None or there.response != wanted.response:
        return False
    return abs(there.until_ns - wanted.until_ns) <= _SAME_END_NS


@dataclass(slots=True)
class Mended:
    """How often something was found, since the daemon's start."""

    restored: int = 0
    #: Found lost, and left so: ``respond.when_flushed = "notice"``.
    noticed: int = 0
    unknown_ended: int = 0


class Reconciler:
    """Looks at start and every now and then.

    Args:
        blocks: what the kernel is to hold.
        restores: whether what somebody flushed comes back, or is only noticed.
        log: is told of each mending once.

    """

    def __init__(
        self,
        blocks: Blocks,
        log: FilteringBoundLogger,
        *,
        restores: bool = True,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._blocks = blocks
        self._log = log
        #: May be set at any time.
        self.restores = restores
        self._monotonic_ns = monotonic_ns
        self.mended = Mended()
        self._problem: str | None = None

    async def look(self) -> list[Target]:
        """Compare and mend once; return what was found lost and stays so. Trouble is logged, and tried again.

        What changes meanwhile is left to the next look.
        """
        try:
            before = self._blocks.wanted()
            there = await self._blocks.there()
            found = compare(before, there, self._monotonic_ns())
            after = self._blocks.wanted()
            lost = [target for target in found.lost if after.get(target) == before[target]]
            await self._blocks.end_unknown(found.lapsed)
            await self._end_unknown(found.unknown)
            given_up = await self._mend(lost)
        except SynguardError as error:
            self._fail(str(error))
            return []
        self._problem = None
        return given_up

    async def _mend(self, lost: list[Target]) -> list[Target]:
        if not lost:
            return []
        if not self.restores:
            given_up = self._blocks.give_up(lost)
            self.mended.noticed += len(given_up)
            self._log.warning(
                "block.missing",
                **_told(given_up),
                why="somebody removed it from the kernel; respond.when_flushed leaves it so",
            )
            return given_up
        back = await self._blocks.put_back(lost)
        self.mended.restored += len(back)
        self._log.warning("block.restored", **_told(back), why="it was gone from the kernel")
        return []

    async def _end_unknown(self, unknown: list[Target]) -> None:
        if not unknown:
            return
        ended = await self._blocks.end_unknown(unknown)
        if ended:
            self.mended.unknown_ended += len(ended)
            self._log.warning("block.unknown_ended", **_told(ended), why="no block here stands for it")

    def _fail(self, problem: str) -> None:
        if problem != self._problem:
            self._log.error("block.not_mended", error=problem)
        self._problem = problem


def _told(targets: Iterable[Target]) -> dict[str, object]:
    names = [target_text(target) for target in targets]
    return {"blocks": len(names), "targets": names[:_MOST_NAMED]}
