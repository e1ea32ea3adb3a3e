"""The naive detector: its rule on counts that were made up, and its kernel part on packets."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import closing
from ipaddress import IPv4Address, IPv6Address

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Packet, Raw

from bench.defences.naive.load import PROGRAM, load_naive
from bench.defences.naive.rule import CLOSE_AFTER_S, HALF_OPEN_PER_S, Counts, Rule
from synguard.probe.address_layout import encode_address
from synguard.probe.compiler import LoadedObject
from synguard.probe.syscall import test_run as run_program

XDP_DROP, XDP_PASS = 1, 2
_NEEDS_KERNEL = [pytest.mark.kernel]
SOURCE = b"source"


def told(rule: Rule, syns: int, completed: int, span_s: float = 1.0) -> list[str]:
    """Return the names of the events after one more poll of one source."""
    return [event["event"] for _, event in rule.judge({SOURCE: (syns, completed)}, span_s)]


class TestRule:
    """Polls, one after another."""

    def test_a_flood_is_told_once(self) -> None:
        """An alert is raised when the threshold is passed, and not again while the flood lasts."""
        rule = Rule()
        assert told(rule, int(HALF_OPEN_PER_S), 0) == []
        assert told(rule, 200, 0) == ["alert.raised"]
        assert told(rule, 400, 0) == []

    def test_counts_are_compared_with_the_poll_before(self) -> None:
        """What was counted in earlier polls does not add up to a flood."""
        rule = Rule()
        assert [told(rule, 40 * poll, 0) for poll in range(1, 10)] == [[]] * 9

    def test_a_late_poll_judges_by_the_time_it_took(self) -> None:
        """The threshold is a rate: over ten seconds, ten times as many are no flood yet."""
        assert told(Rule(), int(10 * HALF_OPEN_PER_S), 0, 10.0) == []

    def test_a_busy_good_client_is_no_flood(self) -> None:
        """A source that completes half of what it begins never is one."""
        assert told(Rule(), 10_000, 5_000) == []

    def test_quiet_closes_the_alert(self) -> None:
        """It is closed after so many seconds below the threshold, counted anew by every burst."""
        rule = Rule()
        told(rule, 1000, 0)
        assert told(rule, 1000, 0, CLOSE_AFTER_S - 0.5) == []
        assert told(rule, 2000, 0) == []
        assert told(rule, 2000, 0, CLOSE_AFTER_S - 0.5) == []
        assert told(rule, 2000, 0, 0.5) == ["alert.closed"]

    def test_a_forgotten_source_closes_too(self) -> None:
        """An alert whose source the table has forgotten is closed, and a new entry counts from nothing."""
        rule = Rule()
        told(rule, 1000, 0)
        nobody: dict[bytes, Counts] = {}
        assert [event["alert_id"] for _, event in rule.judge(nobody, CLOSE_AFTER_S)] == [1]
        assert told(rule, 100, 0) == ["alert.raised"]
        assert told(rule, 60, 0) == []


def packet(version: int, flags: str, *, acknowledgement: int = 0, tags: int = 0, port: int = 1024) -> bytes:
    """Return a frame of one connection."""
    frame: Packet = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
    for tag in range(tags):
        frame /= Dot1Q(vlan=tag + 1)
    network = (
        IP(src="192.0.2.1", dst="192.0.2.2") if version == 4 else IPv6(src="2001:db8::1", dst="2001:db8::2")
    )
    return bytes(
        frame / network / TCP(sport=port, dport=443, flags=flags, ack=acknowledgement) / Raw(bytes(6))
    )


@pytest.fixture(scope="module")
def loaded() -> Iterator[LoadedObject]:
    """Load it with small tables, and with blocking."""
    with closing(load_naive(MAX_SOURCES=64, MAX_CONNECTIONS=64, BLOCKING=1)) as loaded:
        yield loaded


@pytest.fixture
def naive(loaded: LoadedObject) -> LoadedObject:
    """Return it with empty tables."""
    for name in ("sources", "connections", "blocked"):
        for key in [key for key, _ in loaded.maps[name].items()]:
            loaded.maps[name].delete(key)
    loaded.maps["totals"].update(bytes(4), bytes(loaded.maps["totals"].value_bytes))
    return loaded


class TestKernelPart:
    """Packets by BPF_PROG_TEST_RUN."""

    pytestmark = _NEEDS_KERNEL

    @pytest.mark.parametrize("version", [4, 6])
    @pytest.mark.parametrize("tags", [0, 1, 2])
    def test_any_ack_completes(self, naive: LoadedObject, version: int, tags: int) -> None:
        """An ACK with any number completes a connection that sent a SYN, once, tagged or not."""
        run = naive.programs[PROGRAM]
        source = IPv4Address("192.0.2.1") if version == 4 else IPv6Address("2001:db8::1")
        for flags, expected in (("S", (1, 0)), ("A", (1, 1)), ("A", (1, 1))):
            frame = packet(version, flags, acknowledgement=12345, tags=tags)
            assert run_program(run, frame).return_value == XDP_PASS
            assert _tally(naive, encode_address(source)) == expected

    @pytest.mark.parametrize("flags", ["SA", "R", "RA", "F"])
    def test_other_segments_complete_nothing(self, naive: LoadedObject, flags: str) -> None:
        """Neither a SYN-ACK nor a reset nor a FIN is counted."""
        run = naive.programs[PROGRAM]
        run_program(run, packet(4, "S"))
        run_program(run, packet(4, flags))
        assert _tally(naive, encode_address(IPv4Address("192.0.2.1"))) == (1, 0)

    def test_whoever_is_blocked_is_cut_off(self, naive: LoadedObject) -> None:
        """Everything that a blocked source sends is dropped; its SYNs are counted as seen and as dropped."""
        run = naive.programs[PROGRAM]
        naive.maps["blocked"].update(encode_address(IPv4Address("192.0.2.1")), bytes(8))
        verdicts = [run_program(run, packet(4, flags)).return_value for flags in ("S", "A")]
        assert verdicts == [XDP_DROP, XDP_DROP]
        assert run_program(run, packet(6, "S")).return_value == XDP_PASS
        assert _totals(naive) == (3, 2, 0, 1)


def _tally(naive: LoadedObject, source: bytes) -> tuple[int, int]:
    value = naive.maps["sources"].lookup(source)
    assert value is not None
    syns, completed, _ = struct.unpack("=QQQ", value)
    return syns, completed


def _totals(naive: LoadedObject) -> tuple[int, ...]:
    """Return packets, SYNs, completed and dropped, of all CPUs."""
    values = naive.maps["totals"].lookup(bytes(4)) or b""
    return tuple(sum(column) for column in zip(*struct.iter_unpack("=4Q", values), strict=True))
