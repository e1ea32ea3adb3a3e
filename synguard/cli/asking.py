"""Asks the daemon whose socket the settings or the command line name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from synguard.cli.options import settings_for
from synguard.client import request


def ask(config_file: Path | None, socket: str | None, command: str, **arguments: Any) -> Any:
    """Return the daemon's answer as JSON gives it. Raises as :func:`synguard.client.request` does."""
    return request(settings_for(config_file, socket=socket).control.socket_path, command, **arguments)
