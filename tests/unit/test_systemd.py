"""What systemd is told, and what it is spared."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from synguard.observe.systemd import Heart, notify

Manager = tuple[dict[str, str], Callable[[], list[str]]]


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    """Yield the environment that a manager gives its service, and what it has been told since last time."""
    path = tmp_path / "notify"
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as listener:
        listener.bind(str(path))
        listener.setblocking(False)

        def told() -> list[str]:
            found = []
            while True:
                try:
                    found.append(listener.recv(4096).decode())
                except BlockingIOError:
                    return found

        yield {"NOTIFY_SOCKET": str(path)}, told


def test_the_watchdog_hears_four_beats_in_its_time(manager: Manager) -> None:
    """However often the loop goes round."""
    environment, told = manager
    now_s = [50.0]
    watched = environment | {"WATCHDOG_USEC": "10000000", "WATCHDOG_PID": str(os.getpid())}
    heart = Heart(watched, monotonic_s=lambda: now_s[0])
    for _ in range(100):
        heart.beat()
        now_s[0] += 0.125
    assert told() == ["WATCHDOG=1"] * 5


@pytest.mark.parametrize(
    "words", [{}, {"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "soon"}]
)
def test_without_a_watchdog_of_ours_nothing_is_said(manager: Manager, words: dict[str, str]) -> None:
    """None, that of another process, and nonsense."""
    environment, told = manager
    Heart(environment | words).beat()
    assert told() == []


def test_a_manager_that_is_not_there_is_no_trouble(tmp_path: Path) -> None:
    """Neither where there is none nor where none listens."""
    assert not notify("READY=1", {})
    assert not notify("READY=1", {"NOTIFY_SOCKET": str(tmp_path / "nobody")})
