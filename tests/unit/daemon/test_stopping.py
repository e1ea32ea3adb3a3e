"""The request to stop: remembered whenever it comes, and told once."""

from __future__ import annotations

import os
import signal
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


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
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
