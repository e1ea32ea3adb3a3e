"""The words of a defence: whom it guards, what it can tell while it runs, what is known of it beforehand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from bench.defences.follow import LogEvent
from bench.net.links import Endpoint


def ignore(_event: LogEvent) -> None:
    """Take no notice of an event."""


@dataclass(frozen=True, slots=True)
class Target:
    """Whom a defence stands before."""

    #: The host on whose first interface everything arrives: the server, or the gateway before it.
    guarded: Endpoint
    #: The server's, IPv4 and IPv6.
    addresses: tuple[str, ...]
    port: int
    role: Literal["host", "gateway"]
    #: An existing folder, for files of the defence's own.
    folder: Path
    #: Of synguard, by section and name; other defences have none.
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    #: Sources that are going to flood, for defences that are told beforehand: addresses or prefixes.
    flooding: tuple[str, ...] = ()
    #: Called with each log event of a detector, in a thread of its own.
    heard: Callable[[LogEvent], None] = ignore


class Deployed:
    """What a running defence can tell; None is what it does not know.

    Counts are those since it was deployed. Every method raises SynguardError when a detector does not answer.
    """

    #: Whether it raises alerts.
    detects = False

    @property
    def pids(self) -> tuple[int, ...]:
        """Its processes."""
        return ()

    @property
    def is_up(self) -> bool:
        """Whether all its processes run."""
        return True

    def totals(self) -> dict[str, int] | None:
        """Return its own counts by name."""
        return None

    def counted_syns(self) -> int | None:
        """Return how many SYN frames it has counted, those that it dropped included."""
        return None

    def dropped_syns(self) -> int | None:
        """Return how many SYNs it has kept from the listener, whether it dropped or answered them itself."""
        return None

    def map_bytes(self) -> int | None:
        """Return the kernel memory that its BPF maps are charged for; None where it has none."""
        return None

    def lost_updates(self) -> int | None:
        """Return how many updates of its tables it says it lost."""
        return None


@dataclass(frozen=True, slots=True)
class Defence:
    """One defence that may be deployed."""

    name: str
    #: What it is, in one sentence.
    says: str
    #: Starts it; what it yields is running, and after the block nothing is left of it.
    start: Callable[[Target], AbstractContextManager[Deployed]]
    #: Debian packages and kernel features without which it cannot be had.
    needs: tuple[str, ...] = ()
    #: Whether it takes the interface's place for an XDP program, of which there is one.
    takes_xdp: bool = False
    #: Whether it answers by XDP_TX, for which the far end of the guarded's wire needs a program.
    answers_by_xdp: bool = False


class Joined(Deployed):
    """Several defences at once, as one."""

    def __init__(self, parts: Sequence[Deployed]) -> None:
        self._parts = parts
        self.detects = any(part.detects for part in parts)

    @property
    def pids(self) -> tuple[int, ...]:
        """The processes of all parts."""
        return tuple(pid for part in self._parts for pid in part.pids)

    @property
    def is_up(self) -> bool:
        """Whether every part is up."""
        return all(part.is_up for part in self._parts)

    def totals(self) -> dict[str, int] | None:
        """Return the counts of the one part that counts."""
        return next((totals for part in self._parts if (totals := part.totals()) is not None), None)

    def counted_syns(self) -> int | None:
        """Return what the one part that counts has counted."""
        return _sum(part.counted_syns() for part in self._parts)

    def dropped_syns(self) -> int | None:
        """Return how many SYNs all parts together have kept from the listener."""
        return _sum(part.dropped_syns() for part in self._parts)

    def map_bytes(self) -> int | None:
        """Return the kernel memory of all parts' BPF maps."""
        return _sum(part.map_bytes() for part in self._parts)

    def lost_updates(self) -> int | None:
        """Return the lost updates of all parts."""
        return _sum(part.lost_updates() for part in self._parts)


def _sum(counts: Iterable[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None
