"""The daemon's loop: how often it saves."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
import structlog

from synguard.config.settings import ProbeSettings
from synguard.daemon import watch as watch_module
from synguard.daemon.stopping import StopRequest
from synguard.daemon.watch import Watch


def test_baselines_are_saved_every_minute_and_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a killed daemon loses of them is at most what it learned since the last time."""
    saved: list[Any] = []
    states = {"203.0.113.5:443": {"version": 1}}
    nothing = SimpleNamespace(stop=lambda _wall_s: (), baselines=lambda: states, suspects=frozenset)
    history = SimpleNamespace(save_baselines=saved.append, close_interrupted=lambda _wall_s: None)
    probe = SimpleNamespace(watch_flows=None, set_one_way=lambda _one_way: None, memlock_bytes=lambda: 0)
    parts: list[Any] = [probe, None, nothing, history, None]
    watched = Watch(*parts, settings=ProbeSettings(), log=structlog.get_logger())

    async def sleepless(self: Watch, *_: object) -> None:
        await self._stop.wait()

    async def quietly() -> None:
        return None

    for name in ("_poll", "_look", "_take_over"):
        monkeypatch.setattr(Watch, name, sleepless if name == "_poll" else lambda _self: quietly())
    monkeypatch.setattr(watch_module, "BASELINES_INTERVAL_S", 0.01)
    watched.cases = SimpleNamespace(responder=SimpleNamespace(spare_protected=quietly))  # type: ignore[assignment]
    control: Any = SimpleNamespace(start=quietly, stop=quietly)

    async def story() -> int:
        running = asyncio.create_task(watched.run(control, StopRequest()))
        while len(saved) < 3:
            await asyncio.sleep(0.005)
        watched._stop.set()
        before = len(saved)
        await running
        return before

    before = asyncio.run(asyncio.wait_for(story(), 10))
    assert len(saved) > before
    assert all(one is states for one in saved)
