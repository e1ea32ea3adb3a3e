"""Keeping CPUs awake while nanoseconds are measured."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from bench.net import promptness
from bench.net.promptness import awake

pytestmark = pytest.mark.root
DEVICE = Path("/dev/cpu_dma_latency")


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
