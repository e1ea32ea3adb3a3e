"""Strategies for traffic: clients, and every kind of what is to be told of, each as it shows to the probe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network

from hypothesis import strategies as st

from synguard.detect import Detector
from synguard.endpoint import Listener, Network
from synguard.server import ListenerQueues, ServerReading
from tests.unit.detect.simulation import BOOT_NS, CLOSED, MAIL, MS, WEB, Stream, World

#: All times of these streams are multiples of it.
TICK_MS = 20
WEB6 = Listener(ip_address("2001:db8::5"), 443)
LISTENERS = (WEB, MAIL, WEB6)
#: Sources in different prefixes, from none of which a prefix's flood comes.
SOURCES: tuple[Network, ...] = (
    *(ip_network(f"198.51.{number}.{number}/32") for number in range(1, 7)),
    *(ip_network(f"2001:db8:a{number}::/64") for number in range(1, 3)),
)
#: Neighbours in one /16, and in one /32.
PREFIXES: tuple[tuple[Network, ...], ...] = (
    tuple(ip_network(f"192.0.{number}.0/24") for number in range(12)),
    tuple(ip_network(f"2001:db9:{number:x}::/48") for number in range(12)),
)
Streams = tuple[Stream, ...]


@dataclass(frozen=True)
class SlowServer:
    """A time in which a listener's application does not accept, and its kernel turns connections away."""

    listener: Listener
    start_ms: int
    stop_ms: int
    turned_away_per_s: float

    def reading(self, now_ms: int) -> ServerReading:
        """Return what the kernel says of itself at a moment; queues are looked at once a second."""
        look_ms = now_ms // 1000 * 1000
        full = self.start_ms <= look_ms < self.stop_ms
        lasted_ms = max(0, min(now_ms, self.stop_ms) - self.start_ms)
        away = int(lasted_ms / 1000 * self.turned_away_per_s)
        queues = ListenerQueues(0, 128, 129 if full else 0, 128, 1.0 if full else 0.0, drops=away)
        counters = {"ListenOverflows": away, "ListenDrops": away}
        at_ns, look_ns = BOOT_NS + now_ms * MS, BOOT_NS + look_ms * MS
        return ServerReading(at_ns, counters, 1, {self.listener: queues}, look_ns)


@dataclass(frozen=True)
class Mix:
    """Streams, and perhaps a slow server."""

    streams: Streams
    slow: SlowServer | None = None

    @property
    def end_ms(self) -> int:
        """Return the millisecond from which on nothing is sent, and every server accepts."""
        return max([stream.stop_ms for stream in self.streams] + ([self.slow.stop_ms] if self.slow else []))

    def world(self, detector: Detector) -> World:
        """Return the world in which it is played."""
        server: Callable[[int], ServerReading] | None = self.slow.reading if self.slow else None
        return World(detector, *self.streams, poll_ms=60, tick_ms=TICK_MS, server=server)


starts_ms = st.sampled_from([0, 300, 1100, 2000])
lengths_ms = st.sampled_from([100, 400, 1500, 4000, 9000])
outcomes = st.sampled_from(
    [{}, {"refused": True}, {"silent_from_ms": 0}, {"silent_from_ms": 0, "retries": True}]
)
shapes = st.sampled_from(
    [{}, {"bare": True}, {"ttl": 250}, {"patterned": 1.0}, {"bogon": 0.13}, {"aborted": 0.3}]
)
watched = st.sampled_from(SOURCES)
anywhere = st.sampled_from([*LISTENERS, CLOSED])


def _stream(listener: Listener, per_s: float, *more: dict[str, object]) -> Stream:
    fields = {name: value for some in more for name, value in some.items()}
    return replace(Stream(listener, per_s, lost=1.0), **fields)  # type: ignore[arg-type]


clients = st.builds(
    Stream,
    listener=st.sampled_from(LISTENERS),
    per_s=st.sampled_from([3, 45, 300, 4000]),
    rtt_ms=st.sampled_from([20, 40, 300, 900, 1900]),
    lost=st.sampled_from([0.0, 0.05, 0.5]),
    sources=st.sampled_from([None, 5, 300]),
    watched=st.one_of(st.none(), watched),
    silent_from_ms=st.sampled_from([None, None, 1000]),
    retries=st.just(True),
    ttl=st.sampled_from([52, 60, 120]),
)
source_floods = st.builds(
    lambda listener, per_s, source, targets, *more: _stream(
        listener, per_s, {"watched": source, "targets": targets}, *more
    ),
    anywhere,
    st.sampled_from([60, 90, 700, 20_000]),
    watched,
    st.sampled_from([1, 5, 12]),
    outcomes,
    shapes,
)
crowded_floods = st.builds(
    lambda listener, per_s, sources, *more: _stream(listener, per_s, {"sources": sources}, *more),
    anywhere,
    st.sampled_from([60, 700, 20_000]),
    st.sampled_from([None, 30, 300]),
    outcomes,
    shapes,
)
scans = st.one_of(
    st.builds(
        lambda per_s, source, outcome: _stream(
            CLOSED, per_s, {"watched": source, "targets": 60_000}, outcome
        ),
        st.sampled_from([40, 900]),
        watched,
        outcomes,
    ),
    st.builds(
        lambda listener, per_s, source: _stream(listener, per_s, {"watched": source, "targets": 60_000}),
        st.sampled_from(LISTENERS),
        st.sampled_from([20, 60]),
        watched,
    ),
    st.builds(
        lambda per_s, source, kind: _stream(WEB, per_s, {"watched": source, "targets": 30, "probes": kind}),
        st.sampled_from([5, 20, 900]),
        watched,
        st.sampled_from(["fin", "null", "xmas"]),
    ),
)
prefix_floods = st.builds(
    lambda listener, per_s, prefixes, many, *more: tuple(
        _stream(listener, per_s / many * (1 + place / 10), {"prefix": prefix, "sources": 200}, *more)
        for place, prefix in enumerate(prefixes[:many])
    ),
    st.sampled_from(LISTENERS),
    st.sampled_from([60, 400, 5000]),
    st.sampled_from(PREFIXES),
    st.sampled_from([1, 3, 12]),
    outcomes,
    shapes,
)
wrongs: st.SearchStrategy[Streams] = st.one_of(
    source_floods.map(lambda one: (one,)),
    crowded_floods.map(lambda one: (one,)),
    scans.map(lambda one: (one,)),
    prefix_floods,
)


def timed(streams: Streams, start_ms: int, length_ms: int) -> Streams:
    """Return streams at another time; what begins to be unanswered does so with them."""
    return tuple(
        replace(
            one,
            start_ms=start_ms,
            stop_ms=start_ms + length_ms,
            silent_from_ms=None if one.silent_from_ms is None else start_ms + one.silent_from_ms,
        )
        for one in streams
    )


slow_servers = st.builds(
    lambda listener, start_ms, length_ms, per_s: SlowServer(listener, start_ms, start_ms + length_ms, per_s),
    st.sampled_from(LISTENERS),
    starts_ms,
    st.sampled_from([1000, 3000, 6000]),
    st.sampled_from([0.5, 5.0, 80.0]),
)
_good = st.lists(st.builds(timed, clients.map(lambda one: (one,)), starts_ms, lengths_ms), max_size=3)
_bad = st.lists(st.builds(timed, wrongs, starts_ms, lengths_ms), min_size=1, max_size=3)
mixes = st.builds(
    lambda good, bad, slow: Mix(tuple(dict.fromkeys(one for some in (*good, *bad) for one in some)), slow),
    _good,
    _bad,
    st.one_of(st.none(), st.none(), slow_servers),
)
