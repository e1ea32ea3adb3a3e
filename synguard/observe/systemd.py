"""Tells systemd how the service fares: sd_notify(3) without a library."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping


def notify(state: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Send one notification, such as ``READY=1``; return whether there was somebody to send it to.

    A manager that does not listen is no reason to stop guarding, so a failed send is False as well.
    """
    path = environment.get("NOTIFY_SOCKET")
    if not path:
        return False
    address = "\0" + path[1:] if path.startswith("@") else path
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        try:
            sender.sendto(state.encode(), address)
        except OSError:
            return False
    return True
