"""The daemon's share: that its own probe is fed, at the rate asked for, and what makes no result."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench.defences.model import Deployed
from bench.net.namespaces import namespaces_of
from bench.scenario.load import find, load
from bench.scenario.model import ShareScenario
from bench.share.feeder import Feeder, feeder
from bench.share.share import _faults, play
from synguard.errors import SynguardError, UnsupportedError

SCENARIO = ShareScenario(purpose="A test.", syn_per_s=(0, 20_000), sources=(0, 3), span_s=0.3, repetitions=1)


@pytest.mark.root
@pytest.mark.kernel
@pytest.mark.netns
def test_the_daemons_own_probe_counts_what_it_is_given() -> None:
    """Each load is a trial, all SYNs were counted by the daemon, and nothing is left behind."""
    before = os.sched_getaffinity(0)
    trials = list(play(SCENARIO, lambda _line: None))
    loads = [(trial.labels["syn_per_s"], trial.labels["sources"]) for trial in trials]
    assert loads == [(0, "anywhere"), (20_000, "anywhere"), (20_000, 3)]
    # On a busy machine a rate may not be held; what was given has to be counted all the same.
    reasons = [reason for trial in trials for reason in trial.invalid_because]
    assert not [reason for reason in reasons if not reason.startswith("rate-held")]
    for trial in trials:
        assert 0 < (trial.figures["daemon_cpu"] or 0) < 1
        assert 20 < (trial.figures["daemon_rss_mib"] or 0) < 200
    assert os.sched_getaffinity(0) == before
    assert not namespaces_of(os.getpid())


class Daemon(Deployed):
    """A daemon that says it counted so many SYNs."""

    def __init__(self, counted: int, *, is_up: bool = True) -> None:
        self._counted = counted
        self._is_up = is_up

    @property
    def is_up(self) -> bool:
        """Whether it runs."""
        return self._is_up

    def counted_syns(self) -> int:
        """Return its count."""
        return self._counted


@pytest.mark.parametrize(
    ("daemon", "held", "said"),
    [
        (Daemon(1000), True, []),
        (Daemon(1000), False, ["rate-held: the SYNs were not given fast enough"]),
        (Daemon(999), True, ["accounted: 1000 SYNs were given, and 999 counted"]),
        (Daemon(0, is_up=False), True, ["the daemon ended"]),
    ],
)
def test_what_makes_no_result_is_said(daemon: Daemon, held: bool, said: list[str]) -> None:
    """A rate that was not held, a SYN astray, and a daemon that is gone."""
    source = Feeder(None, 0, 0, syns=1000)  # type: ignore[arg-type]
    assert list(_faults(daemon, source, held=held)) == said


@pytest.mark.root
@pytest.mark.kernel
def test_only_a_daemon_of_ours_can_be_fed() -> None:
    """A process without the probe's programs is refused by name."""
    with (
        pytest.raises(SynguardError, match="holds no program synguard_xdp"),
        feeder(os.getppid(), None),  # type: ignore[arg-type]
    ):
        pass


def test_one_cpu_is_too_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """The flood would take the daemon's time."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0})
    with pytest.raises(UnsupportedError, match="a CPU each"):
        next(play(SCENARIO, lambda _line: None))


@pytest.mark.parametrize("name", ["daemon-share", "daemon-cost"])
def test_the_daemons_share_is_promised(name: str) -> None:
    """At a million SYNs a second at most 5 % of a core, and always at most 80 MiB."""
    plan = load(find(name), quick=False)
    assert plan is not None
    promised = {promise.figure: promise.at_most for promise in plan.scenario.promises}
    assert promised == {"daemon_cpu": 0.05, "daemon_rss_mib": 80}
    assert "1_000_000" in (Path(find(name)).read_text(encoding="utf-8"))
