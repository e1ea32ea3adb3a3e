"""What no input breaks: whatever snapshots tell, the detector's memory is bounded, and it raises nothing."""

from __future__ import annotations

import gc
import random
import sys
from ipaddress import ip_address, ip_network
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synguard.detect import Detector, Thresholds
from synguard.endpoint import Listener, Network
from synguard.model import Cohort, HandshakeCounts, ListenerReading, Snapshot, SourceReading
from synguard.server import ListenerQueues, ServerReading
from synguard.sight import BlindCause, FlowReading, InterfaceReading, Sight, Trouble
from tests.unit.detect.simulation import BOOT_NS, BOOT_WALL_S

LISTENER_SLICE_NS, SOURCE_SLICE_NS, NS_PER_S = 1 << 24, 1 << 26, 1_000_000_000
#: Steps of the clock between two snapshots, in nanoseconds: hours forward, some back, none.
STEPS_NS = (
    50_000_000,
    50_000_000,
    50_000_000,
    0,
    1,
    NS_PER_S,
    31 * NS_PER_S,
    7200 * NS_PER_S,
    -3600 * NS_PER_S,
)
#: What the detector may hold, in bytes: itself with the baselines of listeners that it met before; for each
#: listener, source and prefix that is remembered (those that the last snapshot named, and SPARE more of each)
#: and each alert. Of each it keeps the last reading: a full ring would take 38,000 bytes more of a listener,
#: 10,000 of a source.
BASE, PER_LISTENER, PER_SOURCE, PER_PREFIX, PER_ALERT = 8_200_000, 12_000, 3_000, 4_500, 60_000
SPARE, MOST_ALERTS = 512, 20


class Chaos:
    """Makes snapshots of anything at all: what a broken probe, or an attacker who knew how, might tell."""

    def __init__(self, seed: int, named: int, pool: int) -> None:
        self._dice = random.Random(seed)  # noqa: S311  a test that fails must fail again
        self.named = named
        #: As many of each there are; the fewer, the more often each is met again.
        self.pool = pool
        self.time_ns = BOOT_NS

    def snapshot(self, step_ns: int) -> Snapshot:
        """Return what is told next, so much later."""
        dice = self._dice
        self.time_ns = max(1, self.time_ns + step_ns)
        numbers = [dice.sample(range(self.pool), min(self.pool, self.named)) for _ in range(3)]
        return Snapshot(
            time_ns=self.time_ns,
            wall_s=BOOT_WALL_S + self.time_ns / NS_PER_S + dice.choice([0, 0, -4000, 90_000]),
            listener_cohort_ns=LISTENER_SLICE_NS,
            source_cohort_ns=SOURCE_SLICE_NS,
            listeners=tuple(self._listener(number) for number in numbers[0]),
            sources=tuple(self._source(_network(number, 32)) for number in numbers[1]),
            prefixes=tuple(self._source(_network(number, 24)) for number in numbers[2]),
            totals={"attempts": self._count()},
            one_way=dice.random() < 0.1,
            sight=self._sight(),
            server=self._server() if dice.random() < 0.5 else None,
        )

    def _count(self) -> int:
        return self._dice.choice([0, 1, 40, self._dice.randrange(2**12), self._dice.randrange(2**40)])

    def _counts(self) -> HandshakeCounts:
        return HandshakeCounts(*(self._count() for _ in range(8)))

    def _cohorts(self, slice_ns: int, slices: int) -> tuple[Cohort, ...]:
        dice, now = self._dice, self.time_ns // slice_ns
        ages = sorted(dice.sample(range(-2, slices + 20), dice.choice([0, 3, 12])), reverse=True)
        most = dice.choice([1, 50, 5000])
        return tuple(
            Cohort((now - age) * slice_ns, dice.randrange(most), dice.randrange(most)) for age in ages
        )

    def _histogram(self) -> tuple[int, ...]:
        return tuple(self._count() for _ in range(self._dice.choice([0, 16, 32])))

    def _listener(self, number: int) -> ListenerReading:
        dice = self._dice
        address = ip_address((0x20010DB8 << 96) + number if number % 3 else 0xCB007100 + number)
        return ListenerReading(
            Listener(address, number % 4 * 101),
            self._counts(),
            self._cohorts(LISTENER_SLICE_NS, 256),
            self._count(),
            dice.choice([None, dice.randrange(70_000)]),
            self._histogram(),
            dice.choice([None, dice.random()]),
            self._histogram(),
            self._histogram(),
            self._count(),
            self._count(),
        )

    def _source(self, network: Network) -> SourceReading:
        dice = self._dice
        of_prefix = network.prefixlen in (24, 48)
        return SourceReading(
            network,
            self._counts(),
            self._cohorts(SOURCE_SLICE_NS, 64),
            0 if of_prefix else dice.randrange(251),
            dice.randrange(251) if of_prefix else None,
            *(dice.choice([0, 0, self._count()]) for _ in range(3)),
        )

    def _server(self) -> ServerReading:
        dice = self._dice
        names = ("ListenOverflows", "ListenDrops", "SyncookiesSent", "TCPReqQFullDoCookies")
        queues = {
            self._listener(number).listener: ListenerQueues(
                self._count(), 128, self._count(), 128, dice.random() * 1.2, 1, dice.random(), self._count()
            )
            for number in dice.sample(range(self.pool), min(self.pool, 4))
        }
        read_ns = self.time_ns + dice.choice([0, -NS_PER_S, NS_PER_S])
        looked_ns = dice.choice([None, read_ns, read_ns - 2 * NS_PER_S])
        counters = {name: self._count() for name in names}
        return ServerReading(
            read_ns, counters, dice.randrange(3), queues, looked_ns, self._count(), self._count()
        )

    def _sight(self) -> Sight:
        dice = self._dice
        moments = sorted(self.time_ns + dice.randrange(-(10**12), 10**10) for _ in range(2))
        cause = dice.choice([BlindCause.DETACHED, BlindCause.REPLACED, BlindCause.MISSING])
        trouble = Trouble(cause, moments[0], "found", "outcome", dice.choice([None, moments[1]]))
        interface = InterfaceReading(
            dice.choice(["net0", "net1"]),
            self.time_ns,
            dice.choice([None, trouble]),
            None,
            self._count(),
            self._count(),
        )
        flows = FlowReading(moments[0], dice.randrange(60), dice.randrange(60))
        failed = {"listeners_full": dice.choice([0, self._count()])}
        late_s = dice.choice([0.0, 5.0])
        return Sight(
            (interface,), dice.choice([None, flows]), dice.random() < 0.1, failed, late_s, self._count()
        )


def _network(number: int, length: int) -> Network:
    """Return one of many sources (length 32) or prefixes (24), every third of them of IPv6."""
    if number % 3 == 0:
        bits = {32: 64, 24: 48}[length]
        return ip_network(((0x20010DB8 << 96) + (number << (128 - bits)), bits))
    return ip_network(((198 << 24) + (number << (32 - length)), length))


def held_bytes(thing: object) -> int:
    """Return what an object holds in memory, in bytes, with all that it leads to, but no code."""
    code = (type, FunctionType, BuiltinFunctionType, MethodType, ModuleType)
    seen = {id(thing)}
    total, found = 0, [thing]
    while found:
        one = found.pop()
        total += sys.getsizeof(one)
        for other in gc.get_referents(one):
            if id(other) not in seen and not isinstance(other, code):
                seen.add(id(other))
                found.append(other)
    return total


def bound(named: int) -> int:
    """Return what a detector may hold, however long it has run, of snapshots that name so many of each."""
    each = PER_LISTENER + PER_SOURCE + PER_PREFIX
    return BASE + (named + SPARE) * each + (MOST_ALERTS + named) * PER_ALERT


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**32),
    st.integers(0, 30),
    st.sampled_from([3, 30, 60_000]),
    st.lists(st.sampled_from(STEPS_NS), min_size=5, max_size=60),
)
def test_no_input_breaks_the_detector(seed: int, named: int, pool: int, steps_ns: list[int]) -> None:
    """Any listeners, sources, cohorts and clocks: no exception, no alert too many, and all can stop."""
    chaos = Chaos(seed, named, pool)
    detector = Detector(Thresholds(max_open_alerts=MOST_ALERTS), 1)
    for step_ns in steps_ns:
        detector.observe(chaos.snapshot(step_ns))
        blind = sum(alert.kind == "blind" for alert in detector.open_alerts())
        assert len(detector.open_alerts()) - blind <= MOST_ALERTS
        assert len(detector.suspects()) <= 64
    numbers = [alert.id for alert in detector.open_alerts()]
    assert sorted(action.alert.id for action in detector.stop(BOOT_WALL_S)) == numbers
    assert detector.open_alerts() == ()


@pytest.mark.parametrize("steps_ns", [STEPS_NS, STEPS_NS[:3], (*STEPS_NS[:3], STEPS_NS[-1])])
def test_memory_has_a_bound(steps_ns: tuple[int, ...]) -> None:
    """Always new listeners, sources and prefixes: what is held does not grow with how long that goes on."""
    chaos = Chaos(seed=len(steps_ns), named=24, pool=60_000)
    detector = Detector(Thresholds(max_open_alerts=MOST_ALERTS), 1)
    for number in range(240):
        detector.observe(chaos.snapshot(steps_ns[number % len(steps_ns)]))
    assert held_bytes(detector) <= bound(named=24)
