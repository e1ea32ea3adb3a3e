"""Runs the daemon in a namespace as a person would, and follows its log as it speaks."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import msgspec

from bench.defences.follow import Followed, LogEvent
from bench.defences.held import programs_held_by
from bench.net.links import Endpoint
from synguard import client

__all__ = ["READY_TIMEOUT_S", "Guard", "LogEvent", "Setting", "programs_held_by", "synguard_command"]

READY_TIMEOUT_S = 30.0

Setting = str | float | list[str]


def synguard_command(*arguments: str) -> list[str]:
    """Return the command line of the ``synguard`` that belongs to this Python."""
    return [str(Path(sys.executable).with_name("synguard")), *arguments]


def _toml(settings: Mapping[str, Mapping[str, Any]]) -> str:
    # A JSON string, number or list of strings is written the same way in TOML.
    lines = []
    for section, values in settings.items():
        lines.append(f"[{section}]")
        lines += [f"{name} = {msgspec.json.encode(value).decode()}" for name, value in values.items()]
    return "\n".join(lines) + "\n"


class Guard(Followed):
    """A daemon that guards an endpoint's interface, while the ``with`` block lasts.

    Args:
        endpoint: whose interface it guards, from inside its namespace.
        folder: for its configuration, database, socket and error output.
        respond: ``off``, ``dry-run`` or ``enforce``.
        settings: further settings by section and name.
        on_event: called with each log event, in a thread of its own, before anyone who waits is told.

    """

    def __init__(
        self,
        endpoint: Endpoint,
        folder: Path,
        respond: str,
        settings: Mapping[str, Mapping[str, Any]] | None = None,
        on_event: Callable[[LogEvent], None] | None = None,
    ) -> None:
        self.database = folder / "synguard.db"
        self.socket = folder / "control.sock"
        self._config = folder / "synguard.toml"
        self._settings = dict(settings or {}) | {
            "control": {"socket": str(self.socket), "group": "root"},
            "log": {"format": "json"},
        }
        argv = synguard_command(
            "run",
            *("--interface", endpoint.interface),
            *("--config", str(self._config)),
            *("--database", str(self.database)),
            *("--respond", respond),
        )
        super().__init__("the daemon", endpoint.namespace, argv, folder / "stderr.txt", on_event)

    def __enter__(self) -> Self:
        """Start it; returns at once, see :meth:`wait_until_ready`."""
        self._config.write_text(_toml(self._settings), encoding="utf-8")
        return super().__enter__()

    def wait_until_ready(self) -> None:
        """Wait until the daemon guards the interface."""
        self.wait_for(lambda: bool(self.named("daemon.ready")), "being ready", READY_TIMEOUT_S)

    def status(self) -> dict[str, Any]:
        """Return what ``synguard status --format json`` shows."""
        answer = client.request(self.socket, "status")
        assert isinstance(answer, dict)  # noqa: S101 - the protocol's promise
        return answer
