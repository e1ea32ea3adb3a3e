"""Cases of SYN floods whose sources cannot be believed."""

from __future__ import annotations

from bench.detection.case import HOST, Case, Expected
from bench.detection.flooded import beside_a_crowd, flood_case, flooded
from bench.detection.stage import Stage
from bench.flood.plan import Shape
from bench.net.links import owned
from bench.run.arena import Wanted
from bench.scenario.model import FloodSpec, ServerSpec

_SPOOFED = Expected("syn-flood", "spoofed", "listener")

_PORTS = (443, 25, 80, 993, 8080)
#: Of hosts that live, and answer what they never asked for with RST.
_LIVING = "32.0.0.0/3"
_BURST_SYNS, _BURST_S = 257, 0.067
_THOUSAND = tuple(
    f"{11 + number % 100}.{number * 7 % 256}.{number % 251}.{number % 9 + 1}" for number in range(1000)
)


def _answered_by_rst(stage: Stage) -> None:
    stage.run(owned(stage.topology.attacker, _LIVING))
    flooded(FloodSpec(sources=(_LIVING,), syn_per_s=5_000))(stage)


def _five_listeners(stage: Stage) -> None:
    for port in _PORTS:
        stage.serve(ServerSpec(port=port))
    stage.learn()
    stage.flood(*(FloodSpec(sources=("any",), syn_per_s=2_000, port=port) for port in _PORTS), seconds=4.0)


CASES: tuple[Case, ...] = (
    flood_case(
        "any address",
        "20,000 SYN/s, each from another address.",
        _SPOOFED,
        FloodSpec(sources=("any",), syn_per_s=20_000),
        closes=True,
    ),
    flood_case(
        "any address, 100,000/s",
        "100,000 SYN/s, each from another address.",
        _SPOOFED,
        FloodSpec(sources=("any",), syn_per_s=100_000),
    ),
    flood_case(
        "any address, IPv6",
        "20,000 SYN/s, each from another IPv6 address.",
        _SPOOFED,
        FloodSpec(sources=("any",), syn_per_s=20_000, family=6),
    ),
    flood_case(
        "any address, cold start",
        "20,000 SYN/s from anywhere to a listener of which nothing is known.",
        _SPOOFED,
        FloodSpec(sources=("any",), syn_per_s=20_000),
        learn_s=0.0,
    ),
    flood_case(
        "any address, bare",
        "5,000 SYN/s without any option, each from another address.",
        _SPOOFED,
        FloodSpec(sources=("any",), syn_per_s=5_000, shape=Shape.BARE),
    ),
    flood_case(
        "any address, data",
        "5,000 SYN/s with 64 bytes of data, each from another address.",
        _SPOOFED,
        FloodSpec(sources=("any",), syn_per_s=5_000, payload_bytes=64),
    ),
    flood_case(
        "any address, hping3",
        "hping3 -S --rand-source.",
        _SPOOFED,
        FloodSpec(tool="hping3", sources=("any",), syn_per_s=2_000),
    ),
    flood_case(
        "any address, trafgen",
        "trafgen with random sources.",
        _SPOOFED,
        FloodSpec(tool="trafgen", sources=("any",), syn_per_s=2_000),
    ),
    flood_case(
        "any address, a user among them",
        "5,000 SYN/s from anywhere, and 40 SYN/s in the name of a user who goes on connecting.",
        _SPOOFED,
        FloodSpec(sources=("any",), syn_per_s=5_000),
        FloodSpec(sources=("client:client",), syn_per_s=40),
        seconds=4.0,
    ),
    flood_case(
        "any address, beside a crowd",
        "2,500 SYN/s from anywhere beside 6,000 good connections a second.",
        _SPOOFED,
        play=beside_a_crowd(FloodSpec(sources=("any",), syn_per_s=2_500)),
    ),
    flood_case(
        "any address, answered by RST",
        "5,000 SYN/s in the names of living hosts, which reset what they never asked for.",
        _SPOOFED,
        play=_answered_by_rst,
    ),
    flood_case(
        "any address, a burst",
        "257 SYNs from as many addresses in 67 ms.",
        _SPOOFED,
        FloodSpec(sources=("any",), syn_per_s=_BURST_SYNS / _BURST_S),
        seconds=_BURST_S,
        settle_s=4.0,
    ),
    flood_case(
        "a thousand addresses, 100/s",
        "100 SYN/s from a thousand addresses, each once in ten seconds.",
        _SPOOFED,
        FloodSpec(sources=_THOUSAND, syn_per_s=100),
        seconds=15.0,
    ),
    flood_case(
        "any address, slow",
        "20 SYN/s, each from another address, at a quiet listener.",
        _SPOOFED,
        FloodSpec(sources=("any",), syn_per_s=20),
        seconds=60.0,
        quiet_per_s=2.0,
        within_s=60.0,
    ),
    flood_case(
        "any address, ramp",
        "From 50 to 5,000 SYN/s within ten seconds.",
        _SPOOFED,
        FloodSpec(sources=("any",), syn_per_s=5_000, pattern="ramp"),
        seconds=10.0,
    ),
    flood_case(
        "any address, pulses",
        "2,000 SYN/s for 0.3 s in every second: one alert.",
        _SPOOFED,
        FloodSpec(sources=("any",), syn_per_s=2_000, pattern="pulse", on_s=0.3, off_s=0.7),
        seconds=6.0,
    ),
    flood_case(
        "any address, pauses",
        "Five seconds of flood, five of rest, and so on for a minute: one alert.",
        _SPOOFED,
        FloodSpec(sources=("any",), syn_per_s=5_000, pattern="pulse", on_s=5.0, off_s=5.0),
        seconds=55.0,
    ),
    flood_case(
        "five listeners",
        "Five listeners at once, each at 2,000 SYN/s: one alert that names all five.",
        _SPOOFED,
        play=_five_listeners,
    ),
    flood_case(
        "any address, gateway",
        "20,000 SYN/s through a gateway that guards the server behind it.",
        _SPOOFED,
        FloodSpec(sources=("any",), syn_per_s=20_000),
        hosts=Wanted("gateway", HOST.lines),
    ),
)
