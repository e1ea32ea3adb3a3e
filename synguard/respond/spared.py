"""Keeps the never-touch list as of now, and in the kernel, for the rules of prefixes and listeners, too."""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable
from typing import Protocol

from structlog.typing import FilteringBoundLogger

from synguard.endpoint import Network, unmapped
from synguard.errors import SynguardError
from synguard.respond.situation import Protected, protection

#: Decisions that come close together go by the same list, in seconds.
GOOD_FOR_S = 0.25


class Lookup:
    """Tells of very many targets quickly which of them the never-touch list protects."""

    def __init__(self, protected: Iterable[Protected]) -> None:
        self._protected = tuple(protected)
        networks = [unmapped(entry.network) for entry in self._protected]
        self._lengths = sorted({(network.version, network.prefixlen) for network in networks})
        self._prefixes = {
            (network.version, network.prefixlen, _first(network) >> _host_bits(network))
            for network in networks
        }
        self._firsts = {
            version: sorted(_first(network) for network in networks if network.version == version)
            for version in (4, 6)
        }

    def why(self, target: Network) -> str | None:
        """Return why a target must not be dropped, wholly or in part on the list, or None."""
        target = unmapped(target)
        if not (self._is_inside(target) or self._holds_one(target)):
            return None
        return protection(target, self._protected)

    def _is_inside(self, target: Network) -> bool:
        first, bits = _first(target), target.max_prefixlen
        return any(
            (version, length, first >> (bits - length)) in self._prefixes
            for version, length in self._lengths
            if version == target.version and length <= target.prefixlen
        )

    def _holds_one(self, target: Network) -> bool:
        firsts = self._firsts[target.version]
        place = bisect_left(firsts, _first(target))
        return place < len(firsts) and firsts[place] <= int(target.broadcast_address)


def _first(network: Network) -> int:
    return int(network.network_address)


def _host_bits(network: Network) -> int:
    return network.max_prefixlen - network.prefixlen


class Spared(Protocol):
    """Where the kernel looks up whom no rule of a listener or prefix may touch."""

    def replace(self, networks: Iterable[Network]) -> None:
        """Take these, and no others. Raises SynguardError on refusal."""


class NeverTouch:
    """The never-touch list.

    Args:
        gather: reads it from the system, which may take milliseconds. Raises OSError.
        spared: gets the whole of it whenever it has changed.
        log: is told when it cannot be read, and when it can be again.

    """

    def __init__(
        self,
        gather: Callable[[], Iterable[Protected]],
        spared: Spared,
        log: FilteringBoundLogger,
    ) -> None:
        self._gather = gather
        self._spared = spared
        self._log = log
        self._list: tuple[Protected, ...] = ()
        self._read_s: float | None = None
        self._in_kernel: frozenset[Network] | None = None
        self._reading = asyncio.Lock()
        #: Why it cannot be had now, or None.
        self.problem: str | None = None

    def __len__(self) -> int:
        """Return how many networks the kernel spares."""
        return len(self._in_kernel or ())

    def gather_by(self, gather: Callable[[], Iterable[Protected]]) -> None:
        """Read it another way from the next time on, which is at once."""
        self._gather, self._read_s = gather, None

    async def read(self) -> tuple[Protected, ...]:
        """Return the list as of now, which the kernel has, too.

        Raises SynguardError when either fails: without the list nothing may be touched.
        """
        async with self._reading:
            if self._read_s is None or time.monotonic() - self._read_s > GOOD_FOR_S:
                try:
                    await asyncio.to_thread(self._read)
                except (OSError, SynguardError) as error:
                    self._read_s = None
                    raise self._failed(error) from error
                if self.problem is not None:
                    self._log.info("protected.known", networks=len(self))
                    self.problem = None
            return self._list

    def _read(self) -> None:
        gathered = tuple(self._gather())
        networks = frozenset(entry.network for entry in gathered)
        if networks != self._in_kernel:
            self._in_kernel = None
            self._spared.replace(networks)
            self._in_kernel = networks
        self._list, self._read_s = gathered, time.monotonic()

    def _failed(self, error: Exception) -> SynguardError:
        words = f"the never-touch list cannot be had ({error}), so nothing is touched"
        if self.problem is None:
            self._log.error("protected.unknown", error=str(error))
        self.problem = words
        return SynguardError(words)
