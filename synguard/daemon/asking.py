"""Answers what the control socket asks the history for beside alerts: figures over time, responses, runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from synguard.daemon.control import Handler, argument
from synguard.daemon.permitting import Peer
from synguard.history.questions import (
    Rows,
    find_listener_series,
    find_responses,
    find_runs,
    find_totals,
)

Arguments = Mapping[str, Any]


class Asking:
    """One method for each such command; none of them runs on the event loop."""

    def __init__(self, database: Path) -> None:
        self._database = database

    def by_command(self) -> dict[str, Handler]:
        """Return each command's handler."""
        return {
            "totals_series": self.totals,
            "listener_series": self.listeners,
            "responses": self.responses,
            "runs": self.runs,
        }

    async def totals(self, arguments: Arguments, peer: Peer) -> Rows:  # noqa: ARG002
        """Return what came in all."""
        return await self._ask(find_totals, *_time(arguments), argument(arguments, "most_steps", int, 600))

    async def listeners(self, arguments: Arguments, peer: Peer) -> Rows:  # noqa: ARG002
        """Return what came to some listeners."""
        listeners = argument(arguments, "listeners", list[str])
        steps = argument(arguments, "most_steps", int, 600)
        return await self._ask(find_listener_series, listeners, *_time(arguments), steps)

    async def responses(self, arguments: Arguments, peer: Peer) -> Rows:  # noqa: ARG002
        """Return the responses taken and ended."""
        alert_id = argument(arguments, "alert_id", int) if "alert_id" in arguments else None
        return await self._ask(find_responses, *_time(arguments), alert_id)

    async def runs(self, arguments: Arguments, peer: Peer) -> Rows:  # noqa: ARG002
        """Return the daemon's runs."""
        return await self._ask(find_runs, *_time(arguments))

    async def _ask(self, question: Callable[..., Rows], *about: Any) -> Rows:
        return await asyncio.to_thread(question, self._database, *about)


def _time(arguments: Arguments) -> tuple[float, float]:
    return argument(arguments, "since_s", float), argument(arguments, "until_s", float)
