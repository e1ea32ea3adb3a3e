"""Takes up a changed settings file while the daemon guards: all of it checked first, or nothing."""

from __future__ import annotations

import asyncio
import stat
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from structlog.typing import FilteringBoundLogger

from synguard.config import Change, Settings, applicable, changes, file_in_use
from synguard.errors import SynguardError, UsageError
from synguard.history.records import time_to_json
from synguard.observe import systemd

#: Gets what has changed and the settings that are in force from now on.
Apply = Callable[[Settings, tuple[Change, ...]], Awaitable[None]]


class Reloader:
    """The settings in force, and how the last attempt to change them went.

    Args:
        settings: those that the daemon began with.
        config_file: what they were read from; None where there was no file yet.
        read: reads the file and lays the command line over it. Raises UsageError.
        log: is told what changed, or why nothing did.

    """

    def __init__(
        self,
        settings: Settings,
        config_file: Path | None,
        read: Callable[[], Settings],
        log: FilteringBoundLogger,
    ) -> None:
        self.in_force = settings
        self._config_file = config_file
        self._read = read
        self._log = log
        self._loaded_at_s = time.time()
        #: The file's settings as they were read last: a mode that a person set meanwhile is not in it.
        self._in_file = settings
        self._needs_restart: tuple[str, ...] = ()
        #: Why the file is not in force, or None.
        self.refused: str | None = None

    def by(self, apply: Apply) -> Callable[[], Awaitable[str | None]]:
        """Return what reloads by ``apply``, and returns why that is refused, or None."""

        async def reload() -> str | None:
            await self.reload(apply)
            return self.refused

        return reload

    async def reload(self, apply: Apply) -> None:
        """Read and check the file, and put it in force; on any error all stays as it was, which is said."""
        systemd.notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            wanted = await asyncio.to_thread(self._read_file)
            found = changes(self._in_file, wanted)
            settings = applicable(self.in_force, wanted)
            await apply(settings, tuple(change for change in found if not change.needs_restart))
        except SynguardError as error:
            self.refused = str(error)
            self._log.error("config.refused", error=str(error), consequence="the settings stay as they were")
        else:
            self._take(settings, wanted, found)

    def _read_file(self) -> Settings:
        # The default one may have come since the start; one that was read once must stay there.
        self._config_file = file_in_use(self._config_file)
        if self._config_file is not None:
            try:
                kind = stat.S_IFMT(self._config_file.stat().st_mode)
            except OSError as error:
                raise UsageError(f"{self._config_file}: cannot be read: {error.strerror}") from error
            if kind != stat.S_IFREG:  # a pipe would let us wait for ever
                raise UsageError(f"{self._config_file}: is no file that can be read again")
        return self._read()

    def _take(self, settings: Settings, wanted: Settings, found: tuple[Change, ...]) -> None:
        self.in_force, self._in_file, self.refused = settings, wanted, None
        self._loaded_at_s = time.time()
        self._needs_restart = tuple(change.key for change in changes(settings, wanted))
        self._log.info(
            "config.reloaded",
            changed={change.key: [change.old, change.new] for change in found if not change.needs_restart},
            needs_restart=list(self._needs_restart),
        )

    def describe(self) -> dict[str, Any]:
        """Return what ``status`` tells of the settings."""
        return {
            "file": None if self._config_file is None else str(self._config_file.absolute()),
            "loaded_at": time_to_json(self._loaded_at_s),
            "refused": self.refused,
            "needs_restart": list(self._needs_restart),
        }
