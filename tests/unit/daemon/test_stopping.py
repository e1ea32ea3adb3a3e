"""The request to stop: remembered whenever it comes, and told once."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import sys
from collections.abc import Iterator

import pytest

from synguard.daemon.stopping import StopRequest


@pytest.fixture
def ignoring() -> Iterator[None]:
    """Start with both signals ignored, as a shell's background job and nohup do."""
    numbers = (signal.SIGINT, signal.SIGHUP)
    before = [signal.signal(number, signal.SIG_IGN) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_interrupts_nothing_and_is_told_once(number: signal.Signals) -> None:
    """An impatient second Ctrl-C does not cut the leave-taking short."""
    told: list[str] = []
    before = signal.getsignal(number)
    with StopRequest() as stop:
        stop.tell(lambda: told.append("stop"))
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)
        assert stop.asked
        assert told == ["stop"]
    assert signal.getsignal(number) is before


def test_a_request_that_came_early_is_told_late() -> None:
    """A signal while the probe compiles stops the loop that starts afterwards."""
    told: list[str] = []
    with StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        stop.tell(lambda: told.append("stop"))
    assert told == ["stop"]


def test_a_background_job_can_be_interrupted_and_nohup_is_kept(ignoring: None) -> None:  # noqa: ARG001
    """SIGINT stops what a script started with an ampersand; a terminal that hangs up stops no nohup."""
    with StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGHUP)
        assert not stop.asked
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.asked


def test_a_hang_up_asks_a_service_to_reload() -> None:
    """Each time, also one that came before anybody could be told; it stops nothing."""
    told: list[str] = []
    with StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGHUP)
        stop.tell_reload(lambda: told.append("reload"))
        assert told == ["reload"]
        os.kill(os.getpid(), signal.SIGHUP)
        assert told == ["reload", "reload"]
        assert not stop.asked


def test_a_terminal_that_is_gone_stops_what_it_started() -> None:
    """Whoever closes the window expects that what ran in it ends."""
    script = (
        "import os, signal\n"
        "from synguard.daemon.stopping import StopRequest\n"
        "with StopRequest() as stop:\n"
        "    os.kill(os.getpid(), signal.SIGHUP)\n"
        "    print('stops' if stop.asked else 'goes on')\n"
    )
    child, terminal = pty.fork()
    if child == 0:
        os.execv(sys.executable, [sys.executable, "-c", script])  # noqa: S606 - a terminal's own child
    said = b""
    with contextlib.suppress(OSError):  # EIO is a terminal's end of file
        while data := os.read(terminal, 1024):
            said += data
    os.waitpid(child, 0)
    os.close(terminal)
    assert said.strip() == b"stops"
