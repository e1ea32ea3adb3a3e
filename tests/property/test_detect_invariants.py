"""What holds for any traffic: nothing depends on order or names, and nobody's good traffic hides a flood."""

from __future__ import annotations

import functools
import random
import zlib
from dataclasses import replace
from ipaddress import ip_address, ip_network

from hypothesis import given, settings
from hypothesis import strategies as st

from synguard.detect import Detector, Thresholds
from synguard.endpoint import Address, Listener, Network, source_text
from synguard.model import Action, Alert, Change, Evidence, Snapshot, SourceReading
from tests.property.mixes import PREFIXES, TICK_MS, Mix, mixes
from tests.unit.detect.simulation import FLOODER, MAIL, WEB, Stream, World, single


class Recorder(Detector):
    """A detector that also keeps the snapshots that it was shown."""

    def __init__(self, thresholds: Thresholds) -> None:
        super().__init__(thresholds, next_alert_id=1)
        self.snapshots: list[Snapshot] = []

    def observe(self, snapshot: Snapshot) -> tuple[Action, ...]:
        """Keep the snapshot, then judge it."""
        self.snapshots.append(snapshot)
        return super().observe(snapshot)


def recorded(mix: Mix) -> tuple[list[Snapshot], list[Action]]:
    """Return a mix's snapshots, some seconds beyond its end, and what a detector made of them."""
    recorder = Recorder(Thresholds())
    world = mix.world(recorder).run(mix.end_ms + 3000)
    return recorder.snapshots, [action for _, action in world.actions]


def replayed(snapshots: list[Snapshot]) -> list[Action]:
    """Return what a fresh detector makes of snapshots."""
    detector = Detector(Thresholds(), next_alert_id=1)
    return [action for snapshot in snapshots for action in detector.observe(snapshot)]


@settings(max_examples=30, deadline=None)
@given(mixes, st.randoms(use_true_random=False))
def test_the_order_of_readings_changes_nothing(mix: Mix, dice: random.Random) -> None:
    """The same snapshots with their listeners, sources and prefixes shuffled give the same actions."""
    snapshots, actions = recorded(mix)
    shuffled = [
        replace(
            snapshot,
            listeners=tuple(dice.sample(snapshot.listeners, len(snapshot.listeners))),
            sources=tuple(dice.sample(snapshot.sources, len(snapshot.sources))),
            prefixes=tuple(dice.sample(snapshot.prefixes, len(snapshot.prefixes))),
        )
        for snapshot in snapshots
    ]
    assert replayed(shuffled) == actions


class Names:
    """New names for addresses: two share as many leading bits as the old ones did (Xu et al. 2002)."""

    def __init__(self, key: int) -> None:
        self._key = key
        self.network = functools.cache(self._network)

    def address(self, old: Address) -> Address:
        """Return the new name of an address."""
        return self.network(ip_network(old)).network_address

    def listener(self, old: Listener) -> Listener:
        """Return the new name of a listener; its port stays."""
        return Listener(self.address(old.address), old.port)

    def _network(self, old: Network) -> Network:
        bits, value = old.max_prefixlen, int(old.network_address)
        new = 0
        for place in range(old.prefixlen):
            above = f"{self._key}/{old.version}/{place}/{value >> (bits - place)}"
            flip = zlib.crc32(above.encode()) >> 7
            new |= (((value >> (bits - place - 1)) ^ flip) & 1) << (bits - place - 1)
        address = type(old.network_address)(new)
        return ip_network((address, old.prefixlen))

    def snapshot(self, old: Snapshot) -> Snapshot:
        """Return a snapshot under the new names."""

        def renamed(reading: SourceReading) -> SourceReading:
            return replace(reading, source=self.network(reading.source))

        server = old.server
        if server is not None:
            queues = {self.listener(listener): found for listener, found in server.queues.items()}
            server = replace(server, queues=queues)
        return replace(
            old,
            listeners=tuple(replace(one, listener=self.listener(one.listener)) for one in old.listeners),
            sources=tuple(renamed(reading) for reading in old.sources),
            prefixes=tuple(renamed(reading) for reading in old.prefixes),
            server=server,
        )

    def alert(self, old: Alert) -> Alert:
        """Return an alert under the new names, those of equal rank in the order of their names."""
        return replace(
            old,
            listener=None if old.listener is None else self.listener(old.listener),
            source=None if old.source is None else self.network(old.source),
            listeners=tuple(self.listener(listener) for listener in old.listeners),
            top_sources=tuple(replace(top, source=self.network(top.source)) for top in old.top_sources),
            timeline=tuple(self._change(change) for change in old.timeline),
            evidence=tuple(self._evidence(item) for item in old.evidence),
        )

    def _evidence(self, old: Evidence) -> Evidence:
        if old.name != "live_address":
            return old
        return replace(old, value=source_text(self.network(ip_network(str(old.value)))))

    def _change(self, old: Change) -> Change:
        return replace(old, before=self._text(old.before, old.what), after=self._text(old.after, old.what))

    def _text(self, old: str | None, what: str) -> str | None:
        if old is None or what not in ("source", "listener"):
            return old
        if what == "listener":
            return str(self.listener(Listener.parse(old)))
        whole = "/" not in old
        network = self.network(ip_network(old))
        return str(ip_address(network.network_address)) if whole else str(network)


def unordered(alert: Alert) -> Alert:
    """Return an alert whose equally great top sources stand in the order of their names."""
    top = sorted(alert.top_sources, key=lambda one: (-one.attempts, str(one.source)))
    return replace(alert, top_sources=tuple(top))


@settings(max_examples=30, deadline=None)
@given(mixes, st.integers(1, 1000))
def test_other_addresses_change_only_names(mix: Mix, key: int) -> None:
    """Each address renamed, so that neighbours stay neighbours: the same actions, under the new names."""
    # No two are alike, for of equals the one whose name comes first is told of first.
    streams = tuple(replace(one, per_s=one.per_s * 1.17**place) for place, one in enumerate(mix.streams))
    snapshots, actions = recorded(replace(mix, streams=streams))
    names = Names(key)
    renamed = replayed([names.snapshot(snapshot) for snapshot in snapshots])
    expected = [(type(action), unordered(names.alert(action.alert))) for action in actions]
    assert [(type(action), unordered(action.alert)) for action in renamed] == expected


good = st.builds(
    Stream,
    listener=st.sampled_from([WEB, MAIL]),
    per_s=st.sampled_from([50, 1000, 8000, 60_000]),
    start_ms=st.integers(0, 40).map(lambda tick: tick * 100),
    stop_ms=st.just(1_000_000),
    rtt_ms=st.sampled_from([20, 200, 800]),
    sources=st.sampled_from([None, 10, 500]),
)
crowds = st.lists(good, max_size=4, unique=True)


def overwhelming(others: list[Stream]) -> list[Stream]:
    """Return the crowds that a listener that never saw so many at once takes for a flood at first.

    Those are of more than 24,000 a second from beyond its allowance (``evidence``).
    """
    return [one for one in others if one.per_s > 24_000 and one.rtt_ms > Thresholds().allowance_floor_ms]


def assert_alone(alert: Alert, others: list[Stream], world: World) -> None:
    """Hold that no other alert was opened, but for what a crowd overwhelms at first."""
    more = [other for _, other in world.opened() if other.id != alert.id]
    assert len(more) <= len(overwhelming(others))


@settings(max_examples=40, deadline=None)
@given(st.sampled_from([70, 200, 1500, 10_000]), crowds)
def test_good_traffic_of_others_never_hides_a_sources_flood(flood_per_s: int, others: list[Stream]) -> None:
    """However much good traffic there is, a flooding source is found, and named."""
    world = World(Detector(Thresholds(), 1), single(flood_per_s, 500), *others, tick_ms=TICK_MS, poll_ms=60)
    alerts = world.run(6500).detector.open_alerts()
    by_name = [one for one in alerts if FLOODER in {one.source, *(top.source for top in one.top_sources)}]
    assert by_name
    assert_alone(by_name[-1], others, world)


@settings(max_examples=30, deadline=None)
@given(st.sampled_from([80, 400, 6000]), st.sampled_from(PREFIXES), st.sampled_from([1, 4, 12]), crowds)
def test_good_traffic_of_others_never_hides_a_prefixs_flood(
    flood_per_s: int, prefixes: tuple[Network, ...], many: int, others: list[Stream]
) -> None:
    """However much good traffic there is, a prefix that floods is found, and it or its target named."""
    floods = [
        Stream(WEB, flood_per_s / many, 500, lost=1.0, prefix=prefix, sources=200 + place)
        for place, prefix in enumerate(prefixes[:many])
    ]
    world = World(Detector(Thresholds(), 1), *floods, *others, tick_ms=TICK_MS, poll_ms=60).run(6500)
    alerts = world.detector.open_alerts()
    if overwhelming(others) and [(one.listener, one.source) for one in alerts] == [(WEB, None)]:
        return  # It goes on under the alert that the crowd began, a small part of its peak.
    (alert,) = (one for one in alerts if one.source is not None)
    assert alert.source is not None
    assert_alone(alert, others, world)
    assert all(prefix.subnet_of(alert.source) for prefix in prefixes[:many])  # type: ignore[arg-type]


@settings(max_examples=6, deadline=None)
@given(st.sampled_from([20.0, 40.0]), st.lists(st.sampled_from([10, 40, 80]), max_size=2), st.booleans())
def test_good_traffic_never_hides_a_slow_flood(flood_per_s: float, clients: list[int], known: bool) -> None:
    """Beside 160 connections a second at most, known before, 20 SYN/s are found within a minute."""
    start_ms = 120_000 if known else 4000
    others = [Stream(WEB, per_s, sources=20 + place) for place, per_s in enumerate(clients if known else [])]
    slow = Stream(WEB, flood_per_s, start_ms, lost=1.0)
    world = World(Detector(Thresholds(), 1), slow, *others, tick_ms=TICK_MS, poll_ms=500)
    ((_, alert),) = world.run(start_ms + 60_000).opened()
    assert alert.listener == WEB
