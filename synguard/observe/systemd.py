"""Tells systemd how the service fares: sd_notify(3) without a library."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping


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


def has_manager(environment: Mapping[str, str] = os.environ) -> bool:
    """Tell whether anybody is told by :func:`notify`."""
    return bool(environment.get("NOTIFY_SOCKET"))


class Heart:
    """Tells systemd's watchdog that a loop goes round, four times in the time after which it would act.

    Without a watchdog, or with one that means another process, it is silent: sd_watchdog_enabled(3).
    """

    def __init__(
        self,
        environment: Mapping[str, str] = os.environ,
        *,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._environment = environment
        self._monotonic_s = monotonic_s
        self._interval_s = _watchdog_s(environment) / 4
        self._due_s = 0.0

    def beat(self) -> None:
        """Say that all is well; to be called by what would stand still if it were not."""
        now_s = self._monotonic_s()
        if self._interval_s and now_s >= self._due_s:
            self._due_s = now_s + self._interval_s
            notify("WATCHDOG=1", self._environment)


def _watchdog_s(environment: Mapping[str, str]) -> float:
    """Return how long the watchdog waits; 0 without one."""
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return 0.0
    try:
        return max(int(environment.get("WATCHDOG_USEC", "0")), 0) / 1e6
    except ValueError:
        return 0.0
