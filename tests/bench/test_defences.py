"""Every defence before a real server: good clients get through, floods do not, and nothing is left of it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_network
from pathlib import Path
from typing import ClassVar, Self

import msgspec
import pytest

from bench.defences import detectors
from bench.defences.firewall import GLOBAL_SYN_PER_S, SOURCE_SYN_PER_S
from bench.defences.follow import LogEvent
from bench.defences.registry import DEFENCES, Target, chosen, deploy
from bench.flood.driver import FloodGenerator
from bench.flood.plan import FloodPlan, FloodReport
from bench.net import links
from bench.net.counters import syns_sent
from bench.net.enter import NAMESPACES, call_in
from bench.net.namespaces import SILENT_IPV4, SILENT_IPV6, Topology, wait_until
from bench.peers.clients import shake_hands
from synguard.errors import UnsupportedError, UsageError
from synguard.probe.claim import CLAIMS

PORT = 443
_NEEDS_KERNEL = [pytest.mark.root, pytest.mark.netns, pytest.mark.kernel]
LIMITS = ("nft-limit", "nft-limit-global", "nft-ingress-limit", "iptables-hashlimit")
_FOR_EVERYBODY = ("nft-limit-global", "nft-ingress-limit")
#: These are told beforehand who will flood.
BLOCK_LISTS = ("nft-raw-set", "nft-netdev-set", "synguard-block")
#: Each of the ways in which a defence is made, and the ways of joining them.
KINDS = (
    "none",
    "sink",
    "cookies",
    *LIMITS,
    *BLOCK_LISTS,
    "nft-synproxy",
    "naive",
    "naive-block",
    "cookies+nft-limit+synguard-drop",
)


def test_a_defence_that_does_not_exist_is_refused_with_those_that_do() -> None:
    """An unknown name is a usage error which lists every known one."""
    with pytest.raises(UsageError, match=r"no defence 'moat'; there are none, sink.*, synguard-drop"):
        chosen("cookies+moat")


@pytest.mark.parametrize(
    ("names", "complaint"),
    [
        ("cookies+cookies", "only once"),
        ("naive+synguard-off", "one XDP program"),
        ("sink+nft-limit+naive-block", "sink and naive-block"),
        ("", "no defence ''"),
    ],
)
def test_defences_that_cannot_be_joined_are_refused(names: str, complaint: str) -> None:
    """What comes twice, or wants the one place for an XDP program, is a usage error that says so."""
    with pytest.raises(UsageError, match=complaint):
        chosen(names)


def test_joined_defences_are_deployed_in_the_order_given() -> None:
    """The order of the names is the order of the defences."""
    names = "synguard-drop+nft-limit+cookies"
    assert [defence.name for defence in chosen(names)] == names.split("+")


def test_every_defence_says_what_it_is_and_needs() -> None:
    """Each has one sentence, and all but nothing at all name what they need."""
    for name, defence in DEFENCES.items():
        assert defence.name == name
        assert defence.says.endswith(".")
        assert bool(defence.needs) is (name != "none")


class Recorded:
    """Stands in for the daemon: keeps what it was started with."""

    started: ClassVar[list[tuple[object, ...]]] = []

    def __init__(self, *arguments: object) -> None:
        self.started.append(arguments)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def wait_until_ready(self) -> None:
        """Be ready at once."""

    def stop(self) -> int:
        """End well."""
        return 0


@pytest.mark.parametrize(
    ("name", "respond", "settings"),
    [
        ("synguard-off", "off", {"respond": {"block_ttl_s": 7}}),
        ("synguard-dry-run", "dry-run", {"respond": {"block_ttl_s": 7}}),
        ("synguard-enforce", "enforce", {"respond": {"block_ttl_s": 7, "drop": "proven"}}),
        ("synguard-drop", "enforce", {"respond": {"block_ttl_s": 7, "drop": "always"}}),
    ],
)
def test_synguards_name_is_its_mode(
    name: str, respond: str, settings: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each name starts the daemon in one mode, with the scenario's settings beside what the mode needs."""
    monkeypatch.setattr(detectors, "Guard", Recorded)
    server = IPv4Interface("198.18.0.1/24"), IPv6Interface("2001:2:0:1::1/64")
    endpoint = links.Endpoint("server", "nowhere", "02:00:00:00:00:01", *server)
    target = Target(endpoint, (), PORT, "host", tmp_path, {"respond": {"block_ttl_s": 7}})
    with deploy(name, target) as deployed:
        assert deployed.detects
    assert Recorded.started.pop() == (endpoint, tmp_path, respond, settings, target.heard)


class Arena:
    """A server that completes handshakes on both its addresses, and who floods it."""

    def __init__(self, topology: Topology, generator: FloodGenerator, folder: Path) -> None:
        self.topology = topology
        self._generator = generator
        server = topology.server
        self.events: list[LogEvent] = []
        self.target = Target(
            guarded=topology.guarded,
            addresses=(str(server.ipv4.ip), str(server.ipv6.ip)),
            port=PORT,
            role="gateway" if topology.gateway else "host",
            folder=folder,
            flooding=(str(SILENT_IPV4), str(SILENT_IPV6)),
            heard=self.events.append,
        )

    def shake_hands(self) -> int:
        """Make real handshakes with both of the server's addresses; return how many SYNs that took."""
        before = syns_sent(self.topology.client)
        for address in self.target.addresses:
            shake_hands(self.topology.client, address, PORT, 3)
        return syns_sent(self.topology.client) - before

    def flood(self, version: int, *, syn_per_s: float | None = 20_000.0, **changes: object) -> FloodReport:
        """Flood the server's address of that version with 10,000 SYNs from one silent source."""
        source = SILENT_IPV4 if version == 4 else SILENT_IPV6
        plan = FloodPlan(
            destination=self.target.addresses[version == 6],
            destination_port=PORT,
            sources=(str(source),),
            syn_per_s=syn_per_s,
            frames=10_000,
            duration_s=5.0,
        )
        return self._generator.flood(msgspec.structs.replace(plan, **changes))

    def traces(self) -> dict[str, object]:
        """Return all that a defence could leave in the guarded namespace."""
        guarded = self.topology.guarded
        number = (NAMESPACES / guarded.namespace).stat().st_ino
        return {
            "rules": call_in(guarded.namespace, _rules),
            "sysctls": call_in(guarded.namespace, _sysctls),
            "xdp": links.read_link(guarded.namespace, guarded.interface).xdp_attached,
            "qdiscs": links.qdisc_kinds(guarded.namespace, guarded.interface),
            "claims": list(CLAIMS.glob(f"netns-{number}-*")),
        }


def _rules() -> list[str]:
    listings = (
        ["nft", "list", "ruleset"],
        ["iptables-legacy-save"],
        ["ip6tables-legacy-save"],
    )
    return [subprocess.run(argv, capture_output=True, text=True, check=True).stdout for argv in listings]


def _sysctls() -> dict[str, str]:
    names = (
        "ipv4/tcp_syncookies",
        "ipv4/tcp_timestamps",
        "netfilter/nf_conntrack_tcp_loose",
    )
    return {name: (Path("/proc/sys/net") / name).read_text(encoding="ascii") for name in names}


@contextlib.contextmanager
def _listening(topology: Topology) -> Iterator[None]:
    """Listen on both of the server's addresses; what the block leaves half-open goes with it."""
    server = topology.server
    addresses = ((socket.AF_INET, str(server.ipv4.ip)), (socket.AF_INET6, str(server.ipv6.ip)))

    def listen() -> list[socket.socket]:
        return [socket.create_server((ip, PORT), family=family, backlog=4096) for family, ip in addresses]

    listeners = call_in(server.namespace, listen)
    try:
        yield
    finally:
        for listener in listeners:
            listener.close()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    """Server, client and generator, shared by the tests of this file."""
    sysctls = {"core/somaxconn": 4096, "ipv4/tcp_max_syn_backlog": 1 << 16, "ipv4/tcp_syncookies": 0}
    with Topology(sysctls) as topology, FloodGenerator.between(topology) as generator:
        generator.wait_until_ready()
        yield Arena(topology, generator, tmp_path_factory.mktemp("defence"))


@pytest.fixture
def arena(built: Arena) -> Iterator[Arena]:
    """Return them with fresh queues."""
    with _listening(built.topology):
        yield built


@pytest.fixture
def events(arena: Arena) -> list[LogEvent]:
    """Return what detectors log from here on."""
    arena.events.clear()
    return arena.events


class TestInTheKernel:
    """Defences in a namespace of their own."""

    pytestmark = _NEEDS_KERNEL

    @pytest.mark.parametrize("names", KINDS)
    def test_good_clients_pass_and_nothing_is_left(self, arena: Arena, names: str) -> None:
        """Handshakes of both IP versions succeed through it, and afterwards no trace of it is there."""
        before = arena.traces()
        with deploy(names, arena.target) as deployed:
            assert deployed.is_up
            assert names in ("none",) or arena.traces() != before
            if names != "sink":
                arena.shake_hands()
        assert arena.traces() == before

    @pytest.mark.parametrize("version", [4, 6])
    @pytest.mark.parametrize("name", LIMITS)
    def test_a_limit_drops_what_is_above_it(self, arena: Arena, name: str, version: int) -> None:
        """Of a flood from one source no more passes than the limit and its burst, and the rest is counted."""
        with deploy(name, arena.target) as deployed:
            report = arena.flood(version)
            passed = report.syns - (deployed.dropped_syns() or 0)
        per_s = GLOBAL_SYN_PER_S if name in _FOR_EVERYBODY else SOURCE_SYN_PER_S
        lasted_s = (report.last_ns - report.first_ns) / 1e9
        assert 2 * per_s <= passed <= (2.1 + lasted_s) * per_s
        assert report.syns == 10_000

    @pytest.mark.parametrize("name", BLOCK_LISTS)
    def test_a_block_list_drops_the_flood_and_nothing_else(self, arena: Arena, name: str) -> None:
        """Every SYN of the sources that it was told of is dropped and counted; good clients pass."""
        with deploy(name, arena.target) as deployed:
            sent = arena.flood(4).syns + arena.flood(6).syns
            arena.shake_hands()
            wait_until(lambda: deployed.dropped_syns() == sent, f"{sent} dropped SYNs", 1.0)

    def test_a_block_list_takes_prefixes(self, arena: Arena) -> None:
        """A flood from all over a prefix that the firewall was told of is dropped whole."""
        prefix = f"{SILENT_IPV4}/30"
        target = replace(arena.target, flooding=(str(ip_network(prefix, strict=False)),))
        with deploy("nft-raw-set", target) as deployed:
            sent = arena.flood(4, sources=target.flooding).syns
            assert deployed.dropped_syns() == sent

    def test_sources_that_found_the_table_of_hashlimit_full_count_as_dropped(self, arena: Arena) -> None:
        """A flood of more sources than the table holds is dropped in part; its own rule never counts that."""
        with deploy("iptables-hashlimit", arena.target) as deployed:
            report = arena.flood(4, sources=("0.0.0.0/0",), frames=150_000, syn_per_s=None)
            dropped = deployed.dropped_syns()
        assert report.syns == 150_000
        assert dropped is not None
        assert dropped > 10_000

    @pytest.mark.parametrize("version", [4, 6])
    def test_synproxy_keeps_a_flood_from_the_server(self, arena: Arena, version: int) -> None:
        """SYNs that nobody follows up never reach the server; the handshakes among them do."""
        anybody = "0.0.0.0/0" if version == 4 else "2000::/3"
        with deploy("nft-synproxy", arena.target) as deployed:
            arena.shake_hands()
            assert deployed.dropped_syns() == 0
            report = arena.flood(version, sources=(anybody,))
            kept_away = deployed.dropped_syns()
            arena.shake_hands()
        assert kept_away is not None
        assert 0.99 * report.syns <= kept_away <= report.syns

    def test_synproxy_announces_the_window_scale_of_the_server(self, arena: Arena) -> None:
        """A client is told the same window scale through the proxy as by the server itself."""
        by_server = _window_scale_told(arena)
        with deploy("nft-synproxy", arena.target):
            assert _window_scale_told(arena) == by_server

    def test_the_sink_counts_every_syn_and_passes_none(self, arena: Arena) -> None:
        """As many SYNs as were sent are counted and dropped, of both versions, and a client hears nothing."""
        with deploy("sink", arena.target) as deployed:
            sent = arena.flood(4).syns + arena.flood(6).syns
            assert deployed.counted_syns() == deployed.dropped_syns() == sent
            assert 0 < (deployed.map_bytes() or 0) < 4096
            with pytest.raises(OSError, match="timed out"):
                shake_hands(arena.topology.client, arena.target.addresses[0], PORT, 1)

    def test_cookies_are_on_only_while_deployed(self, arena: Arena) -> None:
        """The server's tcp_syncookies is 1 while the defence stands."""
        with deploy("cookies", arena.target):
            sysctls = call_in(arena.topology.server.namespace, _sysctls)
        assert sysctls["ipv4/tcp_syncookies"].strip() == "1"

    def test_synguard_counts_every_syn(self, arena: Arena) -> None:
        """Flood and handshakes together are what it says it counted; blocks, maps and process show, too."""
        with deploy("cookies+synguard-drop", arena.target) as deployed:
            sent = arena.shake_hands() + arena.flood(4).syns + arena.flood(6).syns
            assert deployed.counted_syns() == sent
            assert deployed.dropped_syns() == (deployed.totals() or {})["dropped_by_us"]
            assert 32 << 20 < (deployed.map_bytes() or 0) < 64 << 20
            assert deployed.lost_updates() is not None
            assert [Path(f"/proc/{pid}").exists() for pid in deployed.pids] == [True]

    def test_settings_that_synguard_refuses_are_a_usage_error(self, arena: Arena) -> None:
        """A setting that does not exist is told as such, and nothing is left."""
        before = arena.traces()
        with (
            pytest.raises(UsageError, match="nonsense"),
            deploy("synguard-off", replace(arena.target, settings={"respond": {"nonsense": 1}})),
        ):
            pass
        assert arena.traces() == before

    @pytest.mark.parametrize("names", ["synguard-off", "naive"])
    def test_a_killed_detector_is_seen_and_leaves_nothing(self, arena: Arena, names: str) -> None:
        """One that was killed is not up, and its programs, qdisc and claim go with its deployment."""
        before = arena.traces()
        with deploy(names, arena.target) as deployed:
            os.kill(deployed.pids[0], signal.SIGKILL)
            wait_until(lambda: not deployed.is_up, "its end")
            assert arena.traces() != before
        assert arena.traces() == before

    def test_the_naive_detector_alerts_blocks_and_closes(self, arena: Arena, events: list[LogEvent]) -> None:
        """It raises an alert about one source's flood, drops its SYNs from then on, and closes the alert."""
        with deploy("naive-block", arena.target) as deployed:
            sent = arena.shake_hands() + arena.flood(4, frames=None, duration_s=2.5).syns
            _expect(events, "alert.closed", 8.0)
            assert deployed.counted_syns() == sent
            assert 5_000 < (deployed.dropped_syns() or 0) < sent
            assert (deployed.map_bytes() or 0) > 128 << 20
        told = [event for event in events if event.name != "totals.told"]
        assert [event.name for event in told] == [
            "daemon.ready",
            "alert.raised",
            "source.blocked",
            "alert.closed",
        ]
        raised = told[1].fields
        assert (raised["kind"], raised["class"], raised["listener"]) == ("syn-flood", "single-source", None)
        assert raised["source"] == told[2].fields["target"] == str(SILENT_IPV4)

    def test_padding_with_acks_fools_the_naive_detector(self, arena: Arena, events: list[LogEvent]) -> None:
        """A flood whose every SYN is followed by some ACK is all completed handshakes to it."""
        with deploy("naive", arena.target) as deployed:
            sent = arena.flood(4, frames=None, duration_s=2.5, acks_per_syn=1).syns
            assert (deployed.totals() or {})["completed"] == sent
        assert [event for event in events if event.name == "alert.raised"] == []

    def test_a_missing_tool_names_its_package(self, arena: Arena, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without nft, what needs it is unsupported here, with the package to install."""
        monkeypatch.setenv("PATH", "/nonexistent")
        for name in ("nft-limit", "iptables-hashlimit", "nft-synproxy"):
            with (
                pytest.raises(UnsupportedError, match="apt-get install nftables"),
                deploy(name, arena.target),
            ):
                pass


class TestOnAGateway:
    """Defences before the server's own host."""

    pytestmark = _NEEDS_KERNEL

    def test_they_work_there_too(self, tmp_path: Path) -> None:
        """Handshakes pass through each, the proxy keeps a flood away, and cookies say why they cannot."""
        with (
            Topology(role="gateway") as topology,
            FloodGenerator.between(topology) as generator,
            _listening(topology),
        ):
            arena = Arena(topology, generator, tmp_path)
            generator.wait_until_ready()
            before = arena.traces()
            for names in ("nft-limit", "iptables-hashlimit", "nft-synproxy", "synguard-off"):
                with deploy(names, arena.target) as deployed:
                    arena.shake_hands()
                    sent = arena.flood(4).syns
                    dropped = deployed.dropped_syns()
                    assert dropped is not None
                    assert (dropped > 0.9 * sent) is (names != "synguard-off")
                assert arena.traces() == before
            with pytest.raises(UnsupportedError, match="gateway"), deploy("cookies", arena.target):
                pass


def _expect(events: list[LogEvent], name: str, timeout_s: float) -> None:
    wait_until(lambda: any(event.name == name for event in events), name, timeout_s)


def _window_scale_told(arena: Arena) -> list[int]:
    """Return the window scales that the server announces to a client, by address (struct tcp_info)."""

    def told() -> list[int]:
        scales = []
        for address in arena.target.addresses:
            family = socket.AF_INET6 if ip_address(address).version == 6 else socket.AF_INET
            with socket.socket(family) as client:
                client.settimeout(2.0)
                client.connect((address, PORT))
                info = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 8)
                scales.append(info[6] & 0x0F)
        return scales

    return call_in(arena.topology.client.namespace, told)
