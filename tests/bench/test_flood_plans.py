"""Plans of floods: how many SYNs are due when, and what a scenario's words for one mean."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.flood.commands import command_of, sent_in, trafgen_config
from bench.flood.layout import State, decode_state, encode_state, frame_bytes
from bench.flood.plan import FloodPlan, FloodReport, Pattern, Shape
from bench.flood.resolve import plan_of, source_of
from bench.flood.sender import Sender
from bench.net.line import Line
from bench.net.namespaces import Topology
from bench.scenario.model import FloodSpec
from synguard.errors import UsageError
from synguard.probe.compiler import LoadedObject
from tests.bench.flooding import plan_for

#: Never entered: it only tells who would be where.
TOPOLOGY = Topology(clients={"near": Line(), "far": Line()})


def report_of(plan: FloodPlan, **changes: Any) -> FloodReport:
    """Return the report of a flood that kept its plan, with changes."""
    last_ns = 10**9 + round(plan.due_s(plan.expected_syns - 1) * 1e9)
    fields = {"frames": plan.frame_limit, "first_ns": 10**9, "last_ns": last_ns}
    return FloodReport(**{**fields, "syns": plan.expected_syns, **changes})


@pytest.mark.parametrize(
    ("changes", "syns"),
    [
        ({}, 2000),
        ({"syn_per_s": 0.5, "duration_s": 5.0}, 3),
        ({"syn_per_s": 0.5, "duration_s": 1.0}, 1),
        ({"syn_per_s": 0.1, "duration_s": 30.0}, 3),
        ({"pattern": "pulse", "on_s": 0.25, "off_s": 0.25}, 1000),
        ({"pattern": "pulse", "on_s": 1.5, "off_s": 10.0}, 1500),
        ({"pattern": "ramp"}, 1010),
        ({"frames": 23}, 23),
        ({"copies": 7}, 2000),
        ({"copies": 7, "frames": 23, "acks_per_syn": 3}, 17),
    ],
)
def test_a_plan_says_how_many_syns_to_expect(changes: dict[str, Any], syns: int) -> None:
    """The SYNs of a plan are those whose time lies within its duration, cut by its number of frames."""
    plan = plan_for("192.0.2.1", **{"duration_s": 2.0, "frames": None, **changes})
    assert plan.expected_syns == syns


def test_frames_count_copies_and_acks() -> None:
    """Frames are SYNs with their copies, and ACKs behind every whole group of copies."""
    plan = plan_for("192.0.2.1", frames=None, copies=10, acks_per_syn=4, syn_per_s=105.0)
    assert plan.frame_limit == 105 + 10 * 4
    assert plan.frames_per_syn == pytest.approx(1.4)


@given(
    pattern=st.sampled_from(["steady", "pulse", "ramp"]),
    syn_per_s=st.floats(0.1, 1e6),
    duration_s=st.floats(0.01, 600),
    on_s=st.floats(0.01, 10),
    off_s=st.floats(0.01, 10),
    share=st.floats(0, 1),
)
def test_when_a_syn_is_due_is_the_inverse_of_how_many_are(
    pattern: Pattern, syn_per_s: float, duration_s: float, on_s: float, off_s: float, share: float
) -> None:
    """At the time at which the n-th SYN is due, n are, for every pattern; and the number never falls."""
    changes = {"pattern": pattern, "syn_per_s": syn_per_s, "duration_s": duration_s}
    plan = plan_for("192.0.2.1", on_s=on_s, off_s=off_s, frames=None, **changes)
    syns = share * plan.due_syns(duration_s)
    due_s = plan.due_s(syns)
    assert plan.due_syns(due_s) == pytest.approx(syns, rel=1e-6, abs=1e-6 * syn_per_s)
    assert plan.due_syns(due_s) <= plan.due_syns(due_s + 0.1)


def test_a_pulse_tells_its_phases() -> None:
    """A pulse is on, then off; it says how long it stays so, and how long it will send nothing."""
    plan = plan_for("192.0.2.1", pattern="pulse", on_s=2.0, off_s=3.0)
    assert [plan.pause_s(at_s) for at_s in (0.0, 1.0, 2.0, 4.0, 5.0, 8.0)] == [0, 0, 3, 1, 0, 2]
    assert [plan.phase_left_s(at_s) for at_s in (0.0, 1.5, 2.0, 4.5)] == [2, 0.5, 3, 0.5]
    assert plan_for("192.0.2.1").phase_left_s(1.0) == math.inf


@pytest.mark.parametrize(
    ("changes", "held"),
    [
        ({}, True),
        ({"syns": 1910}, True),
        ({"syns": 1890}, False),
        ({"last_ns": 3_090_000_000}, True),
        ({"last_ns": 3_110_000_000}, False),
        ({"last_ns": 2_880_000_000}, False),
    ],
)
def test_a_rate_is_held_within_5_percent(changes: dict[str, Any], held: bool) -> None:
    """A flood kept its plan when neither its SYNs nor its time differ by more than a twentieth."""
    plan = plan_for("192.0.2.1", frames=None, duration_s=2.0)
    assert report_of(plan, **changes).held(plan) is held


def test_what_has_no_rate_is_always_held() -> None:
    """As fast as it can is what it was; one SYN has no rate either."""
    fastest = plan_for("192.0.2.1", frames=None, syn_per_s=None)
    assert report_of(fastest, syns=5).held(fastest)
    single = plan_for("192.0.2.1", frames=1)
    assert report_of(single).held(single)
    assert not report_of(single, syns=0).held(single)


def test_busy_is_a_share_of_the_span() -> None:
    """How busy the sender was is unknown where it does not say, and never above 1."""
    plan = plan_for("192.0.2.1", frames=None, duration_s=2.001)
    assert report_of(plan).busy is None
    assert report_of(plan, busy_ns=10**9).busy == pytest.approx(0.5)
    assert report_of(plan, busy_ns=10**10).busy == 1.0


def test_the_state_survives_the_way_to_the_kernel() -> None:
    """All fields of the state come back from its bytes, each in its place."""
    names = State.__struct_fields__
    state = State(**{name: number for number, name in enumerate(names, 1)})
    assert decode_state(encode_state(state)) == state
    assert (state.frames, state.distinct_syns) == (3, 4)


def test_waiting_is_not_being_busy() -> None:
    """What the program waited within its calls is no part of the time that sending took."""
    sender = Sender(LoadedObject({}, {}), 1, ("02:00:00:00:00:01", "02:00:00:00:00:02"))
    sender._state = State(syns=3, groups=3, first_ns=10**9, last_ns=2 * 10**9, idle_ns=3 * 10**8)
    sender._spent_ns = 10**9
    report = sender.report()
    assert (report.frames, report.busy_ns, report.busy) == (3, 7 * 10**8, 0.7)


@pytest.mark.parametrize(
    ("source", "changes", "length"),
    [
        ("192.0.2.1", {}, 74),
        ("192.0.2.1", {"shape": Shape.BARE}, 54),
        ("2001:db8::1", {"shape": Shape.HPING3}, 74),
        ("2001:db8::1", {"vlans": (1, 2)}, 102),
        ("192.0.2.1", {"payload_bytes": 256}, 330),
    ],
)
def test_frames_are_as_long_as_their_headers(source: str, changes: dict[str, Any], length: int) -> None:
    """A frame is Ethernet, its tags, IP, TCP and the shape's options, and nothing else."""
    assert frame_bytes(plan_for(source, **changes)) == length


@pytest.mark.parametrize(
    ("word", "ipv4", "ipv6"),
    [
        ("silent", "198.18.66.13", "2001:2:0:66::13"),
        ("any", "0.0.0.0/0", "2000::/3"),
        ("attacker", str(TOPOLOGY.attacker.ipv4.ip), str(TOPOLOGY.attacker.ipv6.ip)),
        ("client:far", str(TOPOLOGY.clients["far"].ipv4.ip), str(TOPOLOGY.clients["far"].ipv6.ip)),
    ],
)
def test_words_for_sources_are_resolved(word: str, ipv4: str, ipv6: str) -> None:
    """Each word means an address or prefix of the flood's family in this topology."""
    assert source_of(word, 4, TOPOLOGY) == ipv4
    assert source_of(word, 6, TOPOLOGY) == ipv6


def test_addresses_and_prefixes_are_themselves() -> None:
    """An address, also with its full length, and a prefix resolve to themselves."""
    assert source_of("192.0.2.7", 4, TOPOLOGY) == source_of("192.0.2.7/32", 4, TOPOLOGY) == "192.0.2.7"
    assert source_of("2001:db8::/48", 6, TOPOLOGY) == "2001:db8::/48"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sources": ("nobody",)}, "'nobody' is no source of a flood"),
        ({"sources": ("192.0.2.1/24",)}, "'192.0.2.1/24' is no source of a flood"),
        ({"sources": ("client:gone",)}, "no client is called 'gone' here; there are: near, far"),
        ({"sources": ("2001:db8::1",)}, "2001:db8::1 is no IPv4 source"),
        ({"sources": ("silent", "any")}, "a list of addresses, or one prefix"),
        ({"sources": ()}, "1 to 4096 sources"),
        ({"syn_per_s": "max", "pattern": "ramp"}, "a ramp needs a rate"),
        ({"payload_bytes": 6}, "0 to 256 bytes of data, in fours"),
        ({"ttls": (65, 64)}, "hops go from 1 to 255, the least first"),
    ],
)
def test_nonsense_is_refused_in_words(changes: dict[str, Any], message: str) -> None:
    """A spec that means nothing here is a usage error that says why."""
    with pytest.raises(UsageError, match=message):
        plan_of(FloodSpec(**changes), TOPOLOGY, 443, 5.0)


def test_a_spec_becomes_a_plan() -> None:
    """All that a spec says is in the plan, aimed at the server's address of its family."""
    spec = FloodSpec(
        family=6,
        sources=("client:near",),
        syn_per_s="max",
        shape=Shape.HPING3,
        pattern="pulse",
        on_s=0.3,
        off_s=0.4,
        copies=5,
        acks_per_syn=6,
        vlans=(7, 8),
        random_ports=True,
        ttls=(50, 60),
        payload_bytes=64,
    )
    plan = plan_of(spec, TOPOLOGY, 8443, 5.0)
    assert (plan.destination, plan.destination_port) == (str(TOPOLOGY.server.ipv6.ip), 8443)
    assert plan.sources == (str(TOPOLOGY.clients["near"].ipv6.ip),)
    assert (plan.syn_per_s, plan.duration_s, plan.shape) == (None, 5.0, Shape.HPING3)
    same = ("pattern", "on_s", "off_s", "copies", "acks_per_syn", "vlans", "random_ports", "ttls")
    assert [getattr(plan, name) for name in same] == [getattr(spec, name) for name in same]
    assert plan.payload_bytes == 64
    assert plan_of(FloodSpec(duration_s=1.5), TOPOLOGY, 443, 5.0).duration_s == 1.5
    assert plan_of(FloodSpec(port=25), TOPOLOGY, 443, 5.0).destination_port == 25


@pytest.mark.parametrize(
    ("tool", "changes", "message"),
    [
        ("hping3", {"sources": ("2001:db8::1",), "destination": "2001:2:0:1::1"}, "hping3 has no IPv6"),
        ("hping3", {"sources": ("192.0.2.0/24",)}, "from one address or from any"),
        ("hping3", {"copies": 2}, "use the generator"),
        ("trafgen", {"vlans": (1,)}, "use the generator"),
        ("trafgen", {"pattern": "ramp"}, "use the generator"),
        ("trafgen", {"payload_bytes": 4}, "use the generator"),
        ("hping3", {"ttls": (63, 64)}, "use the generator"),
        ("nmap", {"acks_per_syn": 1}, "use the generator"),
        ("nmap", {}, "set random_ports"),
        ("nmap", {"random_ports": True}, "own address"),
    ],
)
def test_a_tool_refuses_what_it_cannot_do(
    tool: Any, changes: dict[str, Any], message: str, tmp_path: Any
) -> None:
    """What a tool cannot send is a usage error that names the generator or the way out."""
    sources = changes.pop("sources", ("192.0.2.1",))
    plan = plan_for(*sources, **changes)
    with pytest.raises(UsageError, match=message):
        command_of(tool, plan, TOPOLOGY.attacker, TOPOLOGY.server.mac, tmp_path)


def test_trafgen_draws_only_the_bytes_that_differ() -> None:
    """A prefix becomes a template with its constant bytes, and the others drawn anew for each packet."""
    config = trafgen_config(plan_for("192.0.2.64/26"), TOPOLOGY.attacker, TOPOLOGY.server.mac)
    assert "sa=192.0.2.64, sa[3]=drnd(64, 127)," in config
    listed = trafgen_config(plan_for("192.0.2.1", "192.0.2.2"), TOPOLOGY.attacker, TOPOLOGY.server.mac)
    assert listed.count("ipv4(") == 2


def test_the_tools_own_words_are_understood() -> None:
    """The number of packets that each tool says that it sent is found in what it says."""
    assert sent_in("hping3", "23 packets transmitted, 0 packets received, 100% packet loss") == 23
    assert sent_in("nmap", "Raw packets sent: 29 (1.2KB) | Rcvd: 29 (1.1KB)") == 29
    assert sent_in("trafgen", "\n          31 packets outgoing\n") == 31
    assert sent_in("trafgen", "Interrupted") is None
