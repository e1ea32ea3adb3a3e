"""Holds the silences that people asked for, and tells which alerts they cover."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import ip_network
from typing import Protocol

from structlog.typing import FilteringBoundLogger

from synguard.endpoint import Listener, Network, Target, target_text, unmapped
from synguard.errors import SynguardError
from synguard.model import Alert
from synguard.silence import Silence

MAX_SILENCES = 1000


class SilenceHistory(Protocol):
    """Where silences are written down, so that they are in force again after a restart."""

    def save_silence(self, silence: Silence) -> None:
        """Take in a silence."""

    def remove_silence(self, target: Target) -> None:
        """Take in that a silence is over."""


class Silences:
    """The silences in force; each ends by itself.

    Args:
        ipv6_prefix: IPv6 sources are told apart by so many bits, so an address stands for all of its prefix.
        history: keeps them over restarts; while its disk is dead, they are in force all the same.
        log: is told of each that begins or ends.

    """

    def __init__(self, ipv6_prefix: int, history: SilenceHistory, log: FilteringBoundLogger) -> None:
        self._ipv6_prefix = ipv6_prefix
        self._history = history
        self._log = log
        self._silences: dict[Target, Silence] = {}
        #: By family and length, what to look a source up by; rebuilt on each change.
        self._lengths: frozenset[tuple[int, int]] = frozenset()

    def __len__(self) -> int:
        return len(self._silences)

    def restore(self, silences: Iterable[Silence]) -> None:
        """Take in what an earlier daemon left."""
        self._silences.update((silence.target, silence) for silence in silences)
        self._index()

    def add(self, silence: Silence) -> None:
        """Put a silence in force, or give one that is there new terms.

        Raises SynguardError if there are too many.
        """
        if silence.target not in self._silences and len(self._silences) >= MAX_SILENCES:
            raise SynguardError(
                f"there are {MAX_SILENCES} silences, the most allowed: `synguard silence remove` ends one"
            )
        self._silences[silence.target] = silence
        self._index()
        self._history.save_silence(silence)
        self._log.info(
            "silence.added",
            target=target_text(silence.target),
            until_s=round(silence.until_s, 3),
            asked_by=silence.asked_by,
            reason=silence.reason,
        )

    def remove(self, target: Target, why: str) -> bool:
        """End a silence; return whether there was one."""
        if self._silences.pop(target, None) is None:
            return False
        self._index()
        self._history.remove_silence(target)
        self._log.info("silence.ended", target=target_text(target), why=why)
        return True

    def tidy(self, wall_s: float) -> None:
        """Forget the silences whose time is over."""
        for silence in [*self._silences.values()]:
            if silence.until_s <= wall_s:
                self.remove(silence.target, "its time is over")

    def held(self, wall_s: float) -> list[Silence]:
        """Return the silences in force, by target."""
        running = (silence for silence in self._silences.values() if silence.until_s > wall_s)
        return sorted(running, key=lambda silence: target_text(silence.target))

    def on(self, alert: Alert, wall_s: float) -> Silence | None:
        """Return the silence that an alert is under, or None.

        One that covers the alert's source suffices; of listeners, all that the alert is on must be covered,
        and then it is the one that ends first that is returned.
        """
        if not self._silences:
            return None
        by_source = self._longest(self._meant_by(alert.source), wall_s) if alert.source else None
        if by_source is not None:
            return by_source
        listeners = alert.listeners or ((alert.listener,) if alert.listener else ())
        found = [self._longest(_meant(listener), wall_s) for listener in listeners]
        covering = [silence for silence in found if silence is not None]
        if not covering or len(covering) < len(found):
            return None
        return min(covering, key=lambda silence: silence.until_s)

    def _longest(self, targets: Iterable[Target], wall_s: float) -> Silence | None:
        found = (self._silences.get(target) for target in targets)
        running = [silence for silence in found if silence is not None and silence.until_s > wall_s]
        return max(running, key=lambda silence: silence.until_s, default=None)

    def _meant_by(self, source: Network) -> Iterator[Target]:
        """Yield every target in force that would cover a source: itself, or what it lies in."""
        source = unmapped(source)
        for version, length in self._lengths:
            if version == source.version and length <= source.prefixlen:
                yield source.supernet(new_prefix=length)
        if source.version == 6 and source.prefixlen == self._ipv6_prefix:
            # People name the address that they know; its source is the prefix.
            yield from (target for target in self._silences if _is_inside(target, source))

    def _index(self) -> None:
        networks = (target for target in self._silences if not isinstance(target, Listener))
        self._lengths = frozenset((network.version, network.prefixlen) for network in networks)


def _meant(listener: Listener) -> tuple[Target, Target]:
    """Return the targets that cover a listener: itself, and its address, which means all its ports."""
    return listener, ip_network(listener.address)


def _is_inside(target: Target, source: Network) -> bool:
    if isinstance(target, Listener) or target.version != 6 or source.version != 6:
        return False
    return target.subnet_of(source)
