"""The daemon's loop: how often it saves."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
import structlog

from synguard.config import Settings
from synguard.daemon import watch as watch_module
from synguard.daemon.stopping import StopRequest
from synguard.daemon.watch import Watch

PROBE = SimpleNamespace(
    maps={"dropped": SimpleNamespace(items=lambda: iter(()))},
    watch_flows=None,
    set_one_way=lambda _one_way: None,
    memlock_bytes=lambda: 0,
)


def test_baselines_are_saved_every_minute_and_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a killed daemon loses of them is what it learned since; the run shows that it went on."""

    async def quietly() -> None:
        return None

    saved: list[Any] = []
    runs: list[float] = []
    states = {"203.0.113.5:443": {"version": 1}}
    nothing = SimpleNamespace(stop=lambda _wall_s: (), baselines=lambda: states, suspects=frozenset)
    history = SimpleNamespace(save_baselines=saved.append, run_goes_on=runs.append)
    upkeep = SimpleNamespace(look_after=quietly, review=quietly)
    parts: list[Any] = [PROBE, None, nothing, history, SimpleNamespace(upkeep=upkeep, settle=quietly)]
    watched = Watch(*parts, settings=Settings(), log=structlog.get_logger())

    watched.reader = SimpleNamespace(read=lambda _now_ns, _wall_s: None)  # type: ignore[assignment]

    async def sleepless(self: Watch, *_: object) -> None:
        await self._stop.wait()

    for name in ("_poll", "_look", "_take_over"):
        monkeypatch.setattr(Watch, name, sleepless if name == "_poll" else lambda _self: quietly())
    monkeypatch.setattr(watch_module, "BASELINES_INTERVAL_S", 0.01)
    monkeypatch.setattr(watch_module, "RUN_INTERVAL_S", 0.005)
    control: Any = SimpleNamespace(start=quietly, stop=quietly)

    async def story() -> int:
        running = asyncio.create_task(watched.run(control, StopRequest(), quietly))
        while len(saved) < 3:
            await asyncio.sleep(0.005)
        watched._stop.set()
        before = len(saved)
        await running
        return before

    before = asyncio.run(asyncio.wait_for(story(), 10))
    assert len(saved) > before
    assert all(one is states for one in saved)
    assert len(runs) >= 2
    assert runs == sorted(runs)
