"""Threads that stand in for interrupts, and CPUs that are kept awake, while something is measured."""

from __future__ import annotations

import os
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.net import promptness
from bench.net.promptness import ask_for_promptness, awake, before_all

pytestmark = pytest.mark.root
DEVICE = Path("/dev/cpu_dma_latency")


@pytest.fixture
def thread() -> Iterator[int]:
    """Yield the pid of a process that runs promptly, as a receiver does."""
    with subprocess.Popen(["sleep", "60"]) as process:
        ask_for_promptness(process.pid)
        yield process.pid
        process.kill()


def allowed_us() -> int:
    """Return how long CPUs may take to wake by the wish of whoever holds the device open now."""
    return int(struct.unpack("=i", DEVICE.read_bytes()[:4])[0])


def test_cpus_are_kept_awake_for_as_long_as_is_measured() -> None:
    """By the kernel's own word, and as before afterwards."""
    before_us = allowed_us()
    with awake():
        assert allowed_us() == 0
    assert allowed_us() == before_us


def test_where_it_cannot_be_asked_for_it_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In a container without the device, or on a machine whose idle CPUs only halt."""
    monkeypatch.setattr(promptness, "_DMA_LATENCY", tmp_path / "missing")
    with awake() as obeyed:
        assert not obeyed
    assert list(tmp_path.iterdir()) == []
    for driver in ("none", "haltpoll"):
        (tmp_path / "latency").write_bytes(b"")
        (tmp_path / "driver").write_text(f"{driver}\n")
        monkeypatch.setattr(promptness, "_DMA_LATENCY", tmp_path / "latency")
        monkeypatch.setattr(promptness, "_IDLE_DRIVER", tmp_path / "driver")
        with awake() as obeyed:
            assert obeyed is (driver != "none")
        assert (tmp_path / "latency").read_bytes() == bytes(4)


def test_a_receiver_goes_before_all_while_its_capacity_is_sought(thread: int) -> None:
    """And takes turns with the others, as before, when it is flooded beyond that."""

    def scheduled() -> tuple[int, int]:
        return os.sched_getscheduler(thread), os.getpriority(os.PRIO_PROCESS, thread)

    before = scheduled()
    assert before == (os.SCHED_OTHER, -20)
    with before_all([thread]):
        assert os.sched_getscheduler(thread) == os.SCHED_FIFO
    assert scheduled() == before
