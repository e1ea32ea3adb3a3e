"""A trial's floods: whatever goes wrong, none goes on; and arenas, which are closed whatever goes wrong."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import pytest

from bench.net.counters import read_wire
from bench.run import arena as arenas
from bench.run.arena import Arena, Stage, Wanted
from bench.run.floods import Floods
from bench.scenario.model import FloodScenario, FloodSpec, ServerSpec
from synguard.errors import SynguardError, UnsupportedError

_NETNS = [pytest.mark.root, pytest.mark.netns, pytest.mark.kernel]

SLOW = FloodSpec(syn_per_s=200.0)


def scenario(*floods: FloodSpec) -> FloodScenario:
    """Return one with these floods of two seconds."""
    return FloodScenario(
        purpose="Floods.", premises=(), floods=floods, server=ServerSpec(kind="none"), clients=(), flood_s=2.0
    )


@pytest.fixture
def arena() -> Iterator[Arena]:
    """Hosts of this test's own, with generators as they are asked for."""
    with Arena(Wanted.by(scenario(SLOW))) as built:
        yield built


def frames_in(arena: Arena, span_s: float) -> int:
    """Return how many frames were put on the wire during the next moments."""
    before = read_wire(arena.topology)
    time.sleep(span_s)
    after = read_wire(arena.topology) - before
    return after.offered_frames + after.refused_frames


class TestFloods:
    """Real floods, cut short."""

    pytestmark = _NETNS

    def test_an_error_in_the_block_ends_every_flood(self, arena: Arena) -> None:
        """Whoever raises in the middle of two floods leaves none of them behind, and usable generators."""
        with contextlib.suppress(RuntimeError), Floods(scenario(SLOW, SLOW), arena) as floods:
            floods.start()
            assert frames_in(arena, 0.1) > 10
            raise RuntimeError("in the middle")
        assert frames_in(arena, 0.3) == 0
        with Floods(scenario(SLOW, SLOW), arena) as floods:
            floods.start()
            assert [flood.report.syns for flood in floods.finish()] == [400, 400]

    def test_an_error_while_it_waits_ends_the_others_at_once(self, arena: Arena) -> None:
        """When one generator ends by itself, the other's flood is over before the block is left."""
        with Floods(scenario(SLOW, SLOW), arena) as floods:
            floods.start()
            generator = arena.generators(2)[0]
            os.kill(generator.pid, signal.SIGKILL)
            with pytest.raises(SynguardError, match="ended"):
                floods.finish()
            assert frames_in(arena, 0.3) == 0

    def test_an_error_of_the_second_start_ends_the_first(self, arena: Arena) -> None:
        """A flood that cannot begin, because its generator has ended, takes those that did with it."""
        later = FloodSpec(syn_per_s=200.0, start_s=0.2)
        with Floods(scenario(SLOW, later), arena) as floods:
            floods.wait_until_ready()
            os.kill(arena.generators(2)[1].pid, signal.SIGKILL)
            with pytest.raises(SynguardError, match="ended"):
                floods.start()
            assert frames_in(arena, 0.3) == 0

    def test_a_generator_that_does_not_answer_is_killed(
        self, arena: Arena, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One that is told to stop and does not say that it did cannot go on later."""
        with Floods(scenario(SLOW), arena) as floods:
            floods.start()
            (generator,) = arena.generators(1)
            os.kill(generator.pid, signal.SIGSTOP)
            monkeypatch.setattr("bench.flood.driver._GRACE_S", 0.2)
            with pytest.raises(SynguardError, match="said nothing within"):
                generator.stop()
            assert not Path(f"/proc/{generator.pid}").exists()

    def test_a_missing_tool_leaves_no_folder_of_another(
        self, arena: Arena, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """When the second of two tools is missing, what the first was given is gone."""
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        there = {"hping3": "/usr/sbin/hping3"}
        monkeypatch.setattr("bench.flood.tools.shutil.which", lambda tool, **_: there.get(tool))
        tools = (FloodSpec(tool="hping3", syn_per_s=50.0), FloodSpec(tool="trafgen", syn_per_s=50.0))
        floods = Floods(scenario(*tools), arena)
        with pytest.raises(UnsupportedError, match="trafgen"):
            floods.__enter__()
        assert list(tmp_path.iterdir()) == []


class FakeArena:
    """An arena of nothing, which may fail to close."""

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.closed = False

    def __enter__(self) -> FakeArena:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.closed = True
        if self.wanted.role.startswith("broken"):
            raise SynguardError(f"{self.wanted.role} does not close")


def test_an_arena_that_does_not_close_keeps_no_other_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """All arenas are closed, then the first error is raised, and none is closed twice."""
    monkeypatch.setattr(arenas, "Arena", FakeArena)
    monkeypatch.setattr(arenas, "ARENAS_MAX", 3)
    stage = Stage()
    kept = [stage.arena(Wanted(role, ())) for role in ("broken-1", "broken-2", "host")]
    with pytest.raises(SynguardError, match="broken-1 does not close"):
        stage.clear()
    assert all(isinstance(arena, FakeArena) and arena.closed for arena in kept)
    stage.clear()
