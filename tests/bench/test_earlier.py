"""The search for what a receiver takes, and the accounts of what is sent before anything is measured."""

from __future__ import annotations

import pytest

from bench.flood.plan import FloodPlan, FloodReport
from bench.measure.observation import Earlier
from bench.run.earlier import Search, Slice, seek, steady

PLAN = FloodPlan(
    destination="198.18.0.1",
    destination_port=443,
    sources=("198.18.66.13",),
    syn_per_s=None,
    duration_s=3.0,
    ttls=(40, 50),
)


class Machine:
    """A generator and a receiver with limits of their own."""

    def __init__(self, generator_per_s: float, receiver_per_s: float) -> None:
        self._generator_per_s = generator_per_s
        self._receiver_per_s = receiver_per_s
        self.asked_per_s: list[float] = []
        self.refused = 0

    def send(self, plan: FloodPlan) -> tuple[FloodReport, int]:
        """Send as much as was asked for, or as can be."""
        assert plan.syn_per_s is not None
        self.asked_per_s.append(plan.syn_per_s)
        sent_per_s = min(plan.syn_per_s, self._generator_per_s)
        frames = round(sent_per_s * plan.duration_s)
        refused = max(frames - round(self._receiver_per_s * plan.duration_s), 0)
        self.refused += refused
        last_ns = 1000 + round((frames - 1) / sent_per_s * 1e9)
        return FloodReport(frames=frames, syns=frames, first_ns=1000, last_ns=last_ns), refused


@pytest.mark.parametrize("receiver_per_s", [155_000, 420_000, 2_500_000])
def test_a_receivers_limit_is_found(receiver_per_s: int) -> None:
    """What it takes is found to a tenth, wherever between two paces it lies, and is its own limit."""
    machine = Machine(10_000_000, receiver_per_s)
    search, sent = seek(PLAN, machine.send)
    assert search.capacity_per_s == pytest.approx(receiver_per_s, rel=0.1)
    assert search.capacity_per_s <= receiver_per_s
    assert search.limited_by == "receiver"
    assert sent.refused_frames == machine.refused > 0


def test_a_generators_limit_is_told_as_such() -> None:
    """A receiver that takes all that the generator can send has not met its own limit."""
    search, sent = seek(PLAN, Machine(700_000, 5_000_000).send)
    assert search.capacity_per_s == pytest.approx(700_000, rel=0.01)
    assert search.limited_by == "generator"
    assert sent.refused_frames == 0


def test_what_is_taken_beyond_the_limit_is_no_capacity() -> None:
    """A ring that takes more the more it is overrun loses the good clients' frames, too."""
    search = Search()
    while not search.done:
        pace = search.next_per_s
        search.look(Slice(pace, pace, 0.0 if pace <= 400_000 else 0.02))
    assert search.capacity_per_s == pytest.approx(400_000, rel=0.1)
    assert search.capacity_per_s <= 400_000
    assert search.limited_by == "receiver"


@pytest.mark.parametrize("hiccup", [(100_000,), (225_000, 337_500)])
def test_a_hiccup_is_not_taken_for_the_limit(hiccup: tuple[float, ...]) -> None:
    """Floods that lose some do not end the search when the next, faster one loses nothing."""
    search = Search()
    while not search.done:
        pace = search.next_per_s
        search.look(Slice(pace, pace, 0.3 if pace in hiccup or pace > 1_000_000 else 0.0))
    assert search.capacity_per_s == pytest.approx(1_000_000, rel=0.1)


def test_a_receiver_that_takes_next_to_nothing_has_a_limit_too() -> None:
    """Where the first flood was too fast already, slower ones follow."""
    search, _ = seek(PLAN, Machine(10_000_000, 30_000).send)
    assert search.capacity_per_s == pytest.approx(30_000, rel=0.1)


def test_the_search_ends_for_who_takes_nothing_at_all() -> None:
    """Nor does it end only where something is taken."""
    search, _ = seek(PLAN, Machine(10_000_000, 0).send)
    assert search.capacity_per_s == 0


def test_the_search_comes_from_below_and_ends() -> None:
    """Few floods are far beyond the limit, and there are not many."""
    machine = Machine(20_000_000, 400_000)
    seek(PLAN, machine.send)
    assert machine.asked_per_s[:4] == [100_000, 150_000, 225_000, 337_500]
    assert max(machine.asked_per_s) < 3 * 400_000
    assert len(machine.asked_per_s) <= 10


def test_what_was_taken_is_what_was_sent_less_what_was_refused() -> None:
    """A ring that refused a quarter leaves three quarters."""
    assert Slice(1000.0, 1000.0, 0.25).taken_per_s == 750


def test_floods_sent_before_add_up() -> None:
    """Frames, SYNs and refused frames are sums, and the first packet is that of the first flood."""
    report = FloodReport(frames=30, syns=20, first_ns=7, last_ns=9)
    later = FloodReport(frames=3, syns=2, first_ns=70, last_ns=90)
    assert Earlier() + Earlier.of(report, 4) + Earlier.of(later, 1) == Earlier(33, 22, 5, 7)


def test_a_flood_sent_before_is_of_the_same_syns() -> None:
    """Only rate and time differ; copies and pulses are left out."""
    plan = steady(PLAN, 5000.0, 0.5)
    assert (plan.syn_per_s, plan.duration_s) == (5000.0, 0.5)
    assert (plan.sources, plan.ttls, plan.destination) == (PLAN.sources, PLAN.ttls, PLAN.destination)
