"""Whom the probe neither greylists nor answers with cookies, whatever a rule of a prefix or listener says."""

from __future__ import annotations

import errno
from collections.abc import Iterable

from synguard.endpoint import Network
from synguard.probe import response_layout
from synguard.probe.probe import Probe
from synguard.probe.refusing import in_words


class SparedNetworks:
    """Whom no greylist and no cookie of a prefix or listener touches."""

    def __init__(self, probe: Probe) -> None:
        self._map = probe.maps["spared"]
        with in_words("the never-touch list"):
            self._held = {bytes(key) for key, _ in self._map.items()}

    def __len__(self) -> int:
        return len(self._held)

    def replace(self, networks: Iterable[Network]) -> None:
        """Spare these and nobody else; UnsupportedError for too many, and nothing was done."""
        wanted = dict(map(response_layout.encode_spared, networks))
        room = self._map.info.max_entries
        with in_words("the never-touch list"):
            if len(wanted) > room:
                raise OSError(errno.ENOSPC, f"{len(wanted)} networks, and room for {room}")
            # Nobody goes without for a moment, unless the table cannot hold both.
            if len(self._held | wanted.keys()) > room:
                self._forget(self._held - wanted.keys())
            for key in wanted.keys() - self._held:
                self._map.update(key, wanted[key])
            self._held |= wanted.keys()
            self._forget(self._held - wanted.keys())

    def _forget(self, keys: Iterable[bytes]) -> None:
        for key in keys:
            self._map.delete(key)
            self._held.discard(key)
