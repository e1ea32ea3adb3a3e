"""Cases of SYN floods whose sources can be named: one, a prefix of them, or many that are believed."""

from __future__ import annotations

from collections.abc import Callable

from bench.detection.case import Case, Expected
from bench.detection.flooded import beside_a_crowd, flood_case, flooded
from bench.detection.stage import Stage
from bench.net.line import Line
from bench.run.arena import Wanted
from bench.scenario.model import ClientSpec, FloodSpec

_SINGLE = Expected("syn-flood", "single-source", "source")
_PREFIX = Expected("syn-flood", "prefix", "prefix")
_DISTRIBUTED = Expected("syn-flood", "distributed", "listener")

_CLOSED_PORT = 9
#: Each of them sends 25 SYN/s.
_TWO_HUNDRED = tuple(f"198.51.100.{host}" for host in range(20, 220))
#: Sixty hosts of as many networks.
_SIXTY = tuple(
    f"{20 + 3 * number}.{7 * number % 200}.{11 * number % 250}.{number + 1}" for number in range(60)
)
#: Clients as far apart as those sixty: hops left, by the client's name.
_DISTANCES = {"client": 64, "near": 60, "farther": 55, "farthest": 50}


def _refused(stage: Stage) -> None:
    stage.serve()
    stage.learn()
    stage.flood(FloodSpec(sources=("silent",), syn_per_s=5_000), port=_CLOSED_PORT)
    stage.truth.listeners = {stage.listener(0)}


def _distributed(stage: Stage) -> None:
    stage.serve()
    for name, hops in _DISTANCES.items():
        stage.set_sysctls(stage.topology.clients[name], {"ipv4/ip_default_ttl": hops})
        stage.visit(ClientSpec(name=name, per_s=20.0, addresses=10))
    stage.wait(3.0)
    reach = (min(_DISTANCES.values()), max(_DISTANCES.values()))
    stage.flood(FloodSpec(sources=_SIXTY, syn_per_s=1_800, ttls=reach), seconds=6.0)


def _merged_upward(source: str, play: Callable[[Stage], None]) -> Callable[[Stage], None]:
    """Return a play in which the prefix that an alert names has to be exactly ``source``."""

    def merged(stage: Stage) -> None:
        stage.truth.source = source
        play(stage)

    return merged


CASES: tuple[Case, ...] = (
    flood_case(
        "one address",
        "10,000 SYN/s from one address that answers nothing.",
        _SINGLE,
        FloodSpec(syn_per_s=10_000),
        closes=True,
    ),
    flood_case(
        "one address, IPv6",
        "10,000 SYN/s from one IPv6 address; its /64 is the source.",
        _SINGLE,
        FloodSpec(syn_per_s=10_000, family=6),
    ),
    flood_case(
        "one /64",
        "10,000 SYN/s, each from another address of one IPv6 /64.",
        _SINGLE,
        FloodSpec(syn_per_s=10_000, family=6, sources=("2001:db8:66:1::/64",)),
    ),
    flood_case(
        "one address, refused",
        "5,000 SYN/s from one address to a closed port.",
        _SINGLE,
        play=_refused,
    ),
    flood_case(
        "one SYN, copied",
        "One SYN, sent 500 times a second.",
        _SINGLE,
        FloodSpec(syn_per_s=500, copies=1000),
        seconds=2.0,
    ),
    flood_case(
        "one address, hping3",
        "hping3 -S from one address.",
        _SINGLE,
        FloodSpec(tool="hping3", syn_per_s=2_000),
    ),
    flood_case(
        "one address, ACKs between",
        "2,000 SYN/s from one address, each followed by two ACKs that prove nothing.",
        _SINGLE,
        FloodSpec(syn_per_s=2_000, acks_per_syn=2),
    ),
    flood_case(
        "one address, tagged",
        "2,000 SYN/s from one address, with an 802.1Q tag of a VLAN that nobody is in.",
        _SINGLE,
        FloodSpec(syn_per_s=2_000, vlans=(5,)),
    ),
    flood_case(
        "one address, slow",
        "60 SYN/s from one address.",
        _SINGLE,
        FloodSpec(syn_per_s=60),
        seconds=5.0,
    ),
    flood_case(
        "one address, cold start",
        "10,000 SYN/s from one address to a listener of which nothing is known.",
        _SINGLE,
        FloodSpec(syn_per_s=10_000),
        learn_s=0.0,
        seconds=2.0,
    ),
    flood_case(
        "one address, beside a crowd",
        "2,500 SYN/s from one address beside 6,000 good connections a second.",
        _SINGLE,
        play=beside_a_crowd(FloodSpec(syn_per_s=2_500)),
    ),
    flood_case(
        "a /24",
        "200 addresses of a /24, each of which sends 25 SYN/s.",
        _PREFIX,
        play=_merged_upward("198.51.100.0/24", flooded(FloodSpec(sources=_TWO_HUNDRED, syn_per_s=5_000))),
    ),
    flood_case(
        "a /16",
        "10,000 SYN/s from everywhere in a /16.",
        _PREFIX,
        FloodSpec(sources=("198.51.0.0/16",), syn_per_s=10_000),
    ),
    flood_case(
        "sixty hosts",
        "Sixty hosts of as many networks, near and far, each of which sends 30 whole SYNs a second.",
        _DISTRIBUTED,
        play=_distributed,
        hosts=Wanted("host", tuple((name, Line()) for name in _DISTANCES)),
        closes=True,
    ),
)
