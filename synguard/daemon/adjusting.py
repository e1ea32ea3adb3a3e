"""Puts changed settings in force in a running daemon; what is open, blocked or learned goes on."""

from __future__ import annotations

from structlog.typing import FilteringBoundLogger

from synguard.config import Change, Settings
from synguard.config.settings import HistorySettings
from synguard.daemon.responding import adjust_responses
from synguard.daemon.watch import Watch
from synguard.errors import SynguardError
from synguard.history.retention import DAY_S, Keep
from synguard.history.store import HistoryStore
from synguard.observe import log as observe_log
from synguard.tuning import thresholds_of


def keep_of(history: HistorySettings) -> Keep:
    """Return what the history keeps."""
    return Keep(
        history.retention_days * DAY_S,
        history.retention_mib << 20,
        history.seconds_days * DAY_S,
        history.minutes_days * DAY_S,
    )


class Adjustment:
    """Everything in a daemon that goes by settings which may change while it guards."""

    def __init__(
        self, watch: Watch, history: HistoryStore, log_writer: observe_log.Writer, log: FilteringBoundLogger
    ) -> None:
        self._watch = watch
        self._history = history
        self._log_writer = log_writer
        self._log = log

    async def apply(self, settings: Settings, changed: tuple[Change, ...]) -> None:
        """Go by ``settings`` from now on.

        The mode is taken from them only where it is among the ``changed``: one that a person set since is
        that person's word.
        """
        keys = {change.key for change in changed}
        self._watch.adjust(settings, thresholds_of(settings))
        self._history.keep(keep_of(settings.history))
        observe_log.configure(settings.log.level, settings.log.format, writer=self._log_writer)
        upkeep = self._watch.upkeep
        await adjust_responses(upkeep, settings)
        if "respond.mode" in keys:
            try:
                await upkeep.set_mode(settings.respond.mode)
            except SynguardError as error:
                self._log.warning("respond.mode_incomplete", error=str(error))
            finally:
                self._watch.cases.mode_changed()
