"""Keeps the probe in the kernel from one daemon to the next: takes over pins, replaces older ones."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from structlog.typing import FilteringBoundLogger

from synguard.config.settings import ProbeSettings
from synguard.errors import SynguardError
from synguard.probe.claim import Claim, claim_pins
from synguard.probe.compiler import LoadedObject, ProgramType, load_object
from synguard.probe.detaching import detach_others
from synguard.probe.known import KnownPrograms
from synguard.probe.pinned_set import BrokenPinsError, open_set
from synguard.probe.pins import PinError, PinFolder
from synguard.probe.version import ProbeVersion


class Keeper:
    """The pins of this network namespace, and what this daemon did about them.

    Without pins everything goes on but the probe's life after the daemon: whatever stands in their way is
    said and costs nothing else.
    """

    def __init__(self, settings: ProbeSettings, known: KnownPrograms, log: FilteringBoundLogger) -> None:
        """Look for pins, and with ``keep_attached`` make room for them; trouble is logged.

        What is pinned is ``known`` from then on, so that it can be replaced where it is attached.
        """
        self._settings = settings
        self._known = known
        self._log = log
        self._folder = PinFolder(Path(settings.pin_directory))
        self._claim: Claim | None = None
        self._found: dict[ProbeVersion, Path] = {}
        self._version = ProbeVersion("", "")
        #: The version whose maps were taken over, and the set of pins that is ours by now.
        self._taken: ProbeVersion | None = None
        self._pinned: Path | None = None
        try:
            self._open()
        except SynguardError as error:
            self._say_unavailable(error)
        #: Whether the end of this daemon leaves the probe where it is.
        self.leaves = bool(self._found)

    def _open(self) -> None:
        if self._settings.keep_attached:
            self._folder.create()
        elif not self._folder.exists():
            return
        self._folder.check()
        self._claim = claim_pins(self._folder.path)
        self._found = self._folder.sets()
        self._folder.hold_programs(self._known)
        strangers = self._folder.strangers()
        if strangers:
            self._log.warning("pins.left_alone", path=str(self._folder.path), not_ours=strangers)

    def _say_unavailable(self, error: SynguardError) -> None:
        if self._settings.keep_attached:
            consequence = "the probe does not stay attached when this daemon ends"
        else:
            consequence = "what is pinned there is not taken over"
        self._log.warning("pins.unavailable", problem=str(error), consequence=consequence)

    def load(
        self, source: Path, programs: Mapping[str, ProgramType], defines: Mapping[str, int]
    ) -> LoadedObject:
        """Return the pinned probe, or new code over its maps, or all of it new.

        Raises as :func:`synguard.probe.compiler.load_object` does.
        """
        self._version = ProbeVersion.of(source, defines)
        sizes = {name.removeprefix("MAX_").lower(): entries for name, entries in defines.items()}
        for version, path in self._candidates():
            found = self._open_set(path, programs, sizes)
            if found is None:
                continue
            self._taken = version
            if version == self._version:
                self._pinned = path
                return found
            for fd in found.programs.values():
                os.close(fd)
            return load_object(source, programs, defines, found.maps)
        return load_object(source, programs, defines)

    def _candidates(self) -> list[tuple[ProbeVersion, Path]]:
        """Return the sets of pins with our layout: our own version first, then the newest."""
        newest_first = reversed(self._found.items())
        same = [(found, path) for found, path in newest_first if found.layout == self._version.layout]
        return sorted(same, key=lambda candidate: candidate[0] != self._version)

    def _open_set(
        self, path: Path, programs: Mapping[str, ProgramType], sizes: Mapping[str, int]
    ) -> LoadedObject | None:
        try:
            return open_set(path, programs, sizes)
        except BrokenPinsError as error:
            self._log.warning("pins.broken", path=str(path), problem=str(error))
            return None

    def store(self, loaded: LoadedObject) -> Path | None:
        """Pin what is about to be attached, where that is wanted; return where. Trouble is logged."""
        if self._settings.keep_attached and self._claim is not None and self._pinned is None:
            try:
                self._pinned = self._folder.store(loaded, self._version)
            except PinError as error:
                self._say_unavailable(error)
        return self._pinned

    def settle(self, guarded: Collection[str], switched_in_s: float) -> None:
        """Now that the probe is attached to these, remove what it replaced. Trouble is logged.

        ``switched_in_s`` is how long the two sides of a connection may have been seen by two programs.
        """
        self.leaves = self._settings.keep_attached and self._pinned is not None
        if not self._found:
            return
        try:
            for removed in detach_others(guarded, Path(self._settings.pin_directory), self._known):
                self._log.info("probe.detached", removed=removed, why="it is guarded no more")
        except SynguardError as error:
            self._log.error("probe.not_detached", error=str(error))
        try:
            self._folder.remove_sets(keep=self._pinned)
        except PinError as error:
            self._log.error("pins.not_removed", path=str(self._folder.path), error=str(error))
        self._say_what_became(switched_in_s)

    def _say_what_became(self, switched_in_s: float) -> None:
        if self._taken == self._version:
            self._log.info("probe.taken_over", layout=self._version.layout, program=self._version.program)
            return
        old = self._taken or [*self._found][-1]
        self._log.warning(
            "probe.replaced",
            old_layout=old.layout,
            new_layout=self._version.layout,
            old_program=old.program,
            new_program=self._version.program,
            counts="go on" if self._taken else "start anew",
            gap_ms=round(1000 * switched_in_s, 3),
        )

    def describe(self) -> dict[str, Any]:
        """Return what ``status`` shows of the pins, and which probe this is."""
        return {
            "directory": str(self._folder.path) if self._claim is not None else None,
            "pinned": None if self._pinned is None else str(self._pinned),
            "stays_attached": self.leaves,
            "taken_over": self._taken is not None,
            "layout": self._version.layout,
            "program": self._version.program,
        }

    def forget(self) -> None:
        """Remove the pins, since the probe is attached no more. Trouble is logged."""
        if self._claim is None:
            return
        try:
            self._folder.remove()
        except PinError as error:
            self._log.error("pins.not_removed", path=str(self._folder.path), error=str(error))

    def close(self) -> None:
        """Give up the right to the pins."""
        if self._claim is not None:
            self._claim.close()
