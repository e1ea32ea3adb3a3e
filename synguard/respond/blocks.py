"""The blocks: targets whose SYNs are dropped, greylisted or answered with cookies until a moment.

The kernel lets each lapse by itself; this side then only tidies up. A source's rule is in the kernel for as
long as its block lasts. A listener's is a lease of seconds that is renewed while the block lasts: without
the daemon nobody would see how its clients fare.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from synguard.block import Block
from synguard.endpoint import Listener, Target, target_text
from synguard.errors import SynguardError
from synguard.respond.figures import Figures
from synguard.respond.kernel import Kernel, Rule
from synguard.respond.room import check_room

#: How long a listener's rule goes on without its daemon, in seconds.
LEASE_S = 10.0
#: So long before its end a lease is renewed, in seconds.
RENEW_BEFORE_S = 6.0
#: Of so many the hits are asked for one by one; of more, all at once.
MOST_ASKED_ONE_BY_ONE = 64


class Blocks:
    """Keeps what the kernel enforces and what people know of it together.

    What changes the kernel does so in a thread, one after the other, and takes effect here once the kernel
    has agreed.

    Args:
        kernel: enforces them.
        max_blocks: how many there may be at the same time.
        figures: how listeners fare, and how they answer by themselves.

    """

    def __init__(
        self,
        kernel: Kernel,
        max_blocks: int,
        *,
        figures: Figures | None = None,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        self.kernel = kernel
        self._max_blocks = max_blocks
        self._figures = figures or Figures()
        self._monotonic_ns = monotonic_ns
        self.wall_s = wall_s
        self._blocks: dict[Target, Block] = {}
        #: What the kernel is to hold for them; nothing of those that are suspended.
        self._rules: dict[Target, Rule] = {}
        #: Kept, and gone from the kernel, where they are left so.
        self._missing: set[Target] = set()
        self._hits_before: dict[Listener, int] = {}
        self._changing = asyncio.Lock()

    def __len__(self) -> int:
        return len(self._blocks)

    def __contains__(self, target: object) -> bool:
        return target in self._blocks

    def get(self, target: Target) -> Block | None:
        """Return the block of a target, without its hits."""
        return self._blocks.get(target)

    def of_alert(self, alert_id: int) -> list[Block]:
        """Return what an alert brought about, without hits."""
        return [block for block in self._blocks.values() if block.alert_id == alert_id]

    def made(self) -> list[Block]:
        """Return every block as it was made, the newest first: without their hits, which have their price."""
        return sorted(self._blocks.values(), key=lambda block: block.created_at_s, reverse=True)

    def by_response(self) -> dict[str, int]:
        """Return how many blocks there are of each response."""
        counts = Counter(block.response for block in self._blocks.values())
        return {response: counts[response] for response in ("drop", "greylist", "cookie")}

    def is_suspended(self, target: Target) -> bool:
        """Tell whether a block is only kept, until responses are on again."""
        return target in self._blocks and target not in self._rules and target not in self._missing

    def is_missing(self, target: Target) -> bool:
        """Tell whether somebody removed a block from the kernel, and it is left so."""
        return target in self._missing

    def wanted(self) -> dict[Target, Rule]:
        """Return what the kernel is to hold."""
        return dict(self._rules)

    def with_hits(self, block: Block) -> Block:
        """Return a block with what it has caught so far; a system call for a source."""
        return replace(block, hits=self._hits(block.target))

    def _hits(self, target: Target) -> int:
        if not isinstance(target, Listener):
            return self.kernel.hits(target)
        return max(0, self._figures.caught(target) - self._hits_before.get(target, 0))

    async def held(self) -> list[Block]:
        """Return every block with its hits, the newest first."""
        async with self._changing:
            rules = await asyncio.to_thread(self.kernel.sources)
        return [self._caught(block, rules.get(block.target)) for block in self.made()]

    async def there(self) -> dict[Target, Rule]:
        """Return all rules that the kernel holds, whoever made them. Raises SynguardError."""
        async with self._changing:
            return {
                **await asyncio.to_thread(self.kernel.sources),
                **await asyncio.to_thread(self.kernel.listeners),
            }

    async def tidy(self) -> None:
        """Let the kernel forget what it has kept for a while after its end. Raises SynguardError."""
        async with self._changing:
            await asyncio.to_thread(self.kernel.tidy)

    def _caught(self, block: Block, rule: Rule | None) -> Block:
        if isinstance(block.target, Listener):
            return self.with_hits(block)
        return replace(block, hits=rule.hits if rule is not None else 0)

    async def put(self, blocks: Sequence[Block], *, in_force: bool = True) -> None:
        """Enforce blocks, or give those that are there new terms: all of them or, on any trouble, none.

        With ``in_force`` false they are only kept, to be enforced by :meth:`resume`.

        Raises:
            UsageError: there would be more prefix lengths than the probe looks up.
            SynguardError: there is no room, or the kernel refuses.

        """
        async with self._changing:
            check_room(self._blocks, blocks, self._max_blocks)
            if in_force:
                await self._enforce(blocks)
            for block in blocks:
                self._keep(block)

    async def _enforce(self, blocks: Sequence[Block]) -> None:
        rules = {block.target: self._rule(block) for block in blocks}
        await asyncio.to_thread(self.kernel.put, rules)
        self._rules.update(rules)
        self._missing.difference_update(rules)

    def _keep(self, block: Block) -> None:
        if isinstance(block.target, Listener) and block.target not in self._blocks:
            self._hits_before[block.target] = self._figures.caught(block.target)
        self._blocks[block.target] = replace(block, hits=0)

    def _rule(self, block: Block) -> Rule:
        left_s = self._left_s(block)
        if isinstance(block.target, Listener):
            left_s = min(left_s, LEASE_S)
        until_ns = self._monotonic_ns() + int(left_s * 1e9)
        held = self._rules.get(block.target)
        if held is not None and block.response == held.response == "cookie":
            return held._replace(until_ns=until_ns)
        answer = self._figures.answer(block.target) if isinstance(block.target, Listener) else None
        comment = "by hand" if block.alert_id is None else f"alert {block.alert_id}"
        return Rule(block.response, until_ns, answer=answer, comment=comment)

    def _left_s(self, block: Block) -> float:
        """Return how long a block goes on: never longer than it was made for, though the clock be wrong.

        A machine without a battery-backed clock wakes up long before the block was made.
        """
        return max(0.0, min(block.until_s - self.wall_s(), block.until_s - block.created_at_s))

    async def set_rule(self, listener: Listener, rule: Rule) -> None:
        """Change how a listener is answered within its block. Raises SynguardError on refusal."""
        async with self._changing:
            if listener not in self._rules:
                return
            rule = rule._replace(until_ns=self._rules[listener].until_ns)
            await asyncio.to_thread(self.kernel.put, {listener: rule})
            self._rules[listener] = rule

    async def end(self, targets: Iterable[Target]) -> list[Block]:
        """Stop; return the blocks that there were, with their hits. Raises SynguardError on refusal."""
        async with self._changing:
            over = [self._blocks[target] for target in dict.fromkeys(targets) if target in self._blocks]
            caught = await self._caught_by(over)
            await self._end_rules(block.target for block in over)
            for block in over:
                del self._blocks[block.target]
                self._missing.discard(block.target)
                if isinstance(block.target, Listener):
                    self._hits_before.pop(block.target, None)
            return caught

    async def _caught_by(self, blocks: Sequence[Block]) -> list[Block]:
        """Return blocks with their hits: one by one, or of many all at once."""
        if len(blocks) <= MOST_ASKED_ONE_BY_ONE:
            return [self.with_hits(block) for block in blocks]
        rules = await asyncio.to_thread(self.kernel.sources)
        return [self._caught(block, rules.get(block.target)) for block in blocks]

    async def _end_rules(self, targets: Iterable[Target]) -> None:
        enforced = [target for target in targets if target in self._rules]
        if not enforced:
            return
        try:
            await asyncio.to_thread(self.kernel.end, enforced)
        except SynguardError as error:
            names = ", ".join(target_text(target) for target in enforced[:3])
            more = f" and {len(enforced) - 3} more" if len(enforced) > 3 else ""
            raise SynguardError(
                f"the block of {names}{more} does not end: {error}; it ends by itself in time"
            ) from error
        for target in enforced:
            del self._rules[target]

    async def suspend(self) -> list[Block]:
        """Take every rule out of the kernel, but keep the blocks; return those with their hits.

        Raises SynguardError on refusal.
        """
        async with self._changing:
            caught = await self._caught_by([self._blocks[target] for target in self._rules])
            await self._end_rules([*self._rules])
            return caught

    async def resume(self) -> list[Block]:
        """Enforce what was suspended, as far as its time lasts; return it. Raises SynguardError."""
        async with self._changing:
            now_s = self.wall_s()
            suspended = (block for target, block in self._blocks.items() if self.is_suspended(target))
            waiting = [block for block in suspended if block.until_s > now_s]
            if waiting:
                await self._enforce(waiting)
            return waiting

    async def renew(self) -> None:
        """Renew the leases of listeners that are about to end. Raises SynguardError on refusal.

        What is gone from the kernel is left to whoever compares.
        """
        soon_ns = self._monotonic_ns() + int(RENEW_BEFORE_S * 1e9)
        if not any(isinstance(to, Listener) and rule.until_ns < soon_ns for to, rule in self._rules.items()):
            return
        async with self._changing:
            present = await asyncio.to_thread(self.kernel.listeners)
            due = [
                _with_canaries_left(target, rule, present)
                for target, rule in self._rules.items()
                if isinstance(target, Listener) and rule.until_ns < soon_ns and target in present
            ]
            self._rules.update(due)
            await self._enforce([self._blocks[target] for target, _ in due])

    async def put_back(self, targets: Iterable[Target]) -> list[Target]:
        """Enforce again what the kernel has lost of these; return what came back. Raises SynguardError."""
        async with self._changing:
            lost = [self._blocks[target] for target in targets if target in self._rules]
            if lost:
                await self._enforce(lost)
            return [block.target for block in lost]

    def give_up(self, targets: Iterable[Target]) -> list[Target]:
        """Take in that the kernel holds these no more, and is not to; return those that were held."""
        given_up = [target for target in targets if self._rules.pop(target, None) is not None]
        self._missing.update(given_up)
        return given_up

    async def end_unknown(self, targets: Iterable[Target]) -> list[Target]:
        """End rules of the kernel's that are nobody's here; return which. Raises SynguardError on refusal."""
        async with self._changing:
            unknown = [target for target in targets if target not in self._rules]
            if unknown:
                await asyncio.to_thread(self.kernel.end, unknown)
            return unknown

    def over(self) -> list[Target]:
        """Return the targets whose time is over."""
        now_s = self.wall_s()
        return [target for target, block in self._blocks.items() if block.until_s <= now_s]


def _with_canaries_left(target: Target, rule: Rule, present: Mapping[Target, Rule]) -> tuple[Target, Rule]:
    """Return a listener's rule with the canaries left by now: a renewed lease grants no new ones."""
    if rule.canaries <= 0:
        return target, rule
    return target, rule._replace(canaries=min(rule.canaries, max(0, present[target].canaries)))
