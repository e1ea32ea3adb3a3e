"""What people do about sources by hand: block them for a time, and end a block whoever made it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from ipaddress import ip_network

from synguard.block import Block
from synguard.endpoint import Network, Target, unmapped
from synguard.errors import SynguardError, UnsupportedError, UsageError
from synguard.model import RespondMode
from synguard.respond.book import Book
from synguard.respond.responder import Responder
from synguard.respond.spared import Lookup

#: Refused targets that an error names; the rest are counted.
_MOST_NAMED = 10


class ByHand:
    """Carries out what people ask for; all of it or nothing."""

    def __init__(self, responder: Responder) -> None:
        self._responder = responder

    @property
    def _book(self) -> Book:
        return self._responder.book

    async def block(self, texts: Sequence[str], ttl_s: float, reason: str, wall_s: float) -> list[Block]:
        """Drop the SYNs of sources for ``ttl_s`` seconds on a person's word; return the blocks.

        Raises UsageError when one is no source, on the never-touch list, or responses are off;
        UnsupportedError when nothing can be dropped here, SynguardError when it cannot be done.
        """
        responder = self._responder
        if responder.rules.mode is RespondMode.OFF:
            raise UsageError(
                "responses are off, so nothing was blocked: `synguard respond dry-run` lets people's blocks "
                "be in force, `synguard respond enforce` the daemon's, too"
            )
        if (why := responder.senses.cannot_drop()) is not None:
            raise UnsupportedError(f"{why}; nothing was blocked")
        try:
            protected = await responder.never_touch.read()
        except SynguardError as error:
            raise SynguardError(f"{error}; nothing was blocked") from error
        targets = await asyncio.to_thread(_checked, texts, Lookup(protected))
        blocks = [Block(target, wall_s + ttl_s, reason, "manual", None, wall_s) for target in targets]
        try:
            await self._book.put(blocks)
        except UsageError as error:
            raise UsageError(f"{error}; nothing was blocked") from error
        except SynguardError as error:
            raise SynguardError(f"{error}; nothing was blocked") from error
        responder.actions += len(blocks)
        return blocks

    async def unblock(self, target: Target, why: str) -> bool:
        """End a block; return whether there was one. One of an open alert's is not made again for it.

        Raises SynguardError when the kernel refuses.
        """
        return bool(self._lift(await self._book.end([target], why)))

    async def clear(self, why: str) -> int:
        """End every block; return how many there were. Raises SynguardError when the kernel refuses."""
        return self._lift(await self._book.end([block.target for block in self._book.blocks.made()], why))

    def _lift(self, ended: Sequence[Block]) -> int:
        lifted = ((block.alert_id, block.target) for block in ended)
        self._responder.lifted.update((alert_id, to) for alert_id, to in lifted if alert_id is not None)
        return len(ended)


def _checked(texts: Sequence[str], lookup: Lookup) -> list[Network]:
    """Return the sources that are meant. Raises UsageError that names those that cannot be blocked."""
    targets: dict[Network, None] = {}
    refused: list[str] = []
    for text in texts:
        try:
            target = unmapped(ip_network(text))
        except ValueError as error:
            refused.append(f"{text!r} is not an address or a prefix: {error}")
            continue
        why = lookup.why(target)
        if why is None:
            targets[target] = None
        else:
            refused.append(why)
    if refused:
        more = f"; and {len(refused) - _MOST_NAMED} more" if len(refused) > _MOST_NAMED else ""
        raise UsageError("; ".join(refused[:_MOST_NAMED]) + f"{more}; nothing was blocked")
    return list(targets)
