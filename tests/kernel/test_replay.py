"""Made-up captures through the whole of a replay: the probe sees the same, whatever they were written as."""

from __future__ import annotations

import gzip
import json
import struct
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from synguard.cli import cli
from synguard.history.records import time_from_json
from tests.unit.public import public_directory, python_as_nobody
from tests.unit.replay.making import (
    ACK,
    BEGIN_S,
    CLIENT,
    FIN,
    NS_PER_S,
    RST,
    SERVER,
    SYN,
    enhanced,
    ethernet,
    interface,
    option,
    pcap,
    section,
    tcp,
)

pytestmark = [pytest.mark.root, pytest.mark.kernel]

NS_PER_MS = 10**6
BEGIN_NS = BEGIN_S * NS_PER_S
IPV6_SERVER, IPV6_CLIENT = "2001:db8:5::5", "2001:db8::7"

Records = list[tuple[int, bytes]]


def handshake(number: int, client: str, server: str, at_ns: int) -> Records:
    """Return a good handshake of 1 ms, and data that goes on, as IP packets with their times."""
    there, back = (20_000 + number, 443), (443, 20_000 + number)
    isn, answer = 1000 * number + 1, 5000 * number + 7
    segments = [
        tcp(client, server, SYN, ports=there, seq=isn),
        tcp(server, client, SYN | ACK, ports=back, seq=answer, ack=isn + 1),
        tcp(client, server, ACK, ports=there, seq=isn + 1, ack=answer + 1),
        tcp(client, server, ACK, ports=there, seq=isn + 1, ack=answer + 1, payload=b"x" * 300),
    ]
    return [(at_ns + step * NS_PER_MS // 2, segment) for step, segment in enumerate(segments)]


def talk() -> Records:
    """Return 23 handshakes of each family, a refused SYN, an aborted one and a FIN probe."""
    records: Records = []
    for number in range(23):
        at_ns = BEGIN_NS + 20 * number * NS_PER_MS
        records += handshake(number, CLIENT, SERVER, at_ns)
        records += handshake(number, IPV6_CLIENT, IPV6_SERVER, at_ns + 5 * NS_PER_MS)
    odd = [
        tcp(CLIENT, SERVER, SYN, ports=(1, 81), seq=5),
        tcp(SERVER, CLIENT, RST | ACK, ports=(81, 1), ack=6),
        tcp(CLIENT, SERVER, SYN, ports=(2, 443), seq=5),
        tcp(SERVER, CLIENT, SYN | ACK, ports=(443, 2), seq=70, ack=6),
        tcp(CLIENT, SERVER, RST, ports=(2, 443), seq=6),
        tcp(CLIENT, SERVER, FIN, ports=(3, 443), seq=6),
    ]
    return records + [(BEGIN_NS + NS_PER_S + number, segment) for number, segment in enumerate(odd)]


COUNTED = {
    "attempts": 48, "answered": 47, "completed": 46, "refused": 1, "aborted": 1, "fin_probes": 1,
    "syn_retransmits": 0, "syn_duplicates": 0, "unparsed": 0,
}  # fmt: skip


def cooked(packet: bytes, version: int) -> bytes:
    """Return the packet behind a cooked header of that version, marked by its direction."""
    protocol = 0x0800 if packet[0] >> 4 == 4 else 0x86DD
    source = packet[12:16] if packet[0] >> 4 == 4 else packet[8:24]
    kind = 4 if source in {ip_address(SERVER).packed, ip_address(IPV6_SERVER).packed} else 0
    if version == 1:
        return struct.pack("!HHH8sH", kind, 1, 6, bytes(8), protocol) + packet
    return struct.pack("!HHIHBB8s", protocol, 0, 2, 1, kind, 6, bytes(8)) + packet


def bsd(packet: bytes) -> bytes:
    """Return the packet behind an address family, as macOS writes it."""
    return struct.pack("<I", 2 if packet[0] >> 4 == 4 else 30) + packet


def of_each(turn: Callable[[bytes], bytes]) -> Records:
    """Return the talk with each packet turned into what a link type holds."""
    return [(time_ns, turn(packet)) for time_ns, packet in talk()]


def as_pcapng() -> bytes:
    """Return the talk as a file of two interfaces that differ in link type and resolution."""
    file = section() + interface(1, option(9, b"\x09")) + interface(101, option(9, bytes([0x80 | 30])))
    for number, (time_ns, packet) in enumerate(talk()):
        if number % 2:
            file += enhanced(packet, -(-time_ns * (1 << 30) // NS_PER_S), number=1)
        else:
            file += enhanced(ethernet(packet), time_ns)
    return file


WRITTEN = {
    "Ethernet": lambda: pcap(of_each(ethernet)),
    "nanoseconds, big-endian": lambda: pcap(of_each(ethernet), nano=True, order=">"),
    "VLAN": lambda: pcap(of_each(lambda packet: ethernet(packet, [0x88A8, 0x8100]))),
    "raw IP": lambda: pcap(of_each(bytes), link_type=101),
    "cooked v1": lambda: pcap(of_each(lambda packet: cooked(packet, 1)), link_type=113),
    "cooked v2": lambda: pcap(of_each(lambda packet: cooked(packet, 2)), link_type=276),
    "BSD null": lambda: pcap(of_each(bsd), link_type=0),
    "cut behind the headers": lambda: pcap(of_each(ethernet), snap=74),
    "gzipped": lambda: gzip.compress(pcap(of_each(ethernet))),
    "pcapng of two interfaces": as_pcapng,
}

Replay = Callable[..., Result]


@pytest.fixture
def replay(tmp_path: Path) -> Replay:
    """Return what writes a capture and runs ``synguard replay`` on it."""

    def run(content: bytes, *options: str) -> Result:
        path = tmp_path / "capture.pcap"
        path.write_bytes(content)
        return CliRunner().invoke(cli, ["replay", str(path), *options], prog_name="synguard")

    return run


def report_of(result: Result) -> dict[str, Any]:
    """Return the JSON that a replay without a complaint gave."""
    assert result.exit_code == 0, result.stderr
    report: dict[str, Any] = json.loads(result.stdout)
    return report


@pytest.mark.parametrize("written", WRITTEN)
def test_each_way_of_writing_counts_the_same(replay: Replay, written: str) -> None:
    """Every link type, resolution and packing gives the exact totals of the same talk, and no alert."""
    report = report_of(replay(WRITTEN[written](), "--format", "json"))
    assert {name: report["totals"][name] for name in COUNTED} == COUNTED
    assert report["capture"]["ours"] == [SERVER, IPV6_SERVER]
    assert report["capture"]["skipped"] == {"not_ours": 0, "not_readable": 0}
    assert report["capture"]["direction"] == "both"
    assert report["alerts"] == []


def test_what_is_cut_inside_its_headers_is_told_by_reason(replay: Replay) -> None:
    """Packets cut in the link, IP or TCP header are unparsed by that reason, and no others."""
    frame = ethernet(tcp(CLIENT, SERVER, SYN))
    records = [(BEGIN_NS, frame[:10]), (BEGIN_NS, frame[:30]), (BEGIN_NS, frame[:40]), (BEGIN_NS, frame[:54])]
    report = report_of(replay(pcap(records), "--protect", f"{SERVER}/32", "--format", "json"))
    assert {why: count for why, count in report["capture"]["unparsed"].items() if count} == {
        "truncated_link": 1, "truncated_ip": 1, "truncated_tcp": 1,
    }  # fmt: skip
    assert (report["totals"]["unparsed"], report["totals"]["attempts"]) == (3, 1)


def flood(begin_ns: int, seconds: int, first: int = 0) -> Records:
    """Return 500 bare SYNs a second, each from another address, with the answers to them."""
    records = []
    for number in range(first, first + 500 * seconds):
        source = f"{number % 200 + 11}.{number // 200 % 256}.{number % 251}.{number % 241}"
        at_ns, ports = begin_ns + (number - first) * 2 * NS_PER_MS, (number % 50_000 + 1024, 443)
        answer = tcp(SERVER, source, SYN | ACK, ports=ports[::-1], seq=7, ack=number * 77_777 % 2**32 + 1)
        records.append((at_ns, tcp(source, SERVER, SYN, ports=ports, seq=number * 77_777 % 2**32)))
        records.append((at_ns + NS_PER_MS, answer))
    return records


def test_a_flood_is_named_at_its_time_in_words_and_data(replay: Replay) -> None:
    """Two floods hours apart are two alerts with the capture's times, and the text names what the data do."""
    later_ns = BEGIN_NS + 5 * 3600 * NS_PER_S
    records = flood(BEGIN_NS, 3) + flood(later_ns, 3, first=10_000)
    content = pcap([(at_ns, ethernet(packet)) for at_ns, packet in records])
    report = report_of(replay(content, "--format", "json"))
    assert [(one["kind"], one["listener"]) for one in report["alerts"]] == [
        ("syn-flood", f"{SERVER}:443")
    ] * 2
    # A slice of time that attempts are counted in begins up to 17 ms before the first of them.
    begins_s = [time_from_json(one["started_at"]) for one in report["alerts"]]
    assert begins_s == pytest.approx([BEGIN_S, later_ns / NS_PER_S], abs=0.1)
    assert {one["state"] for one in report["alerts"]} == {"closed"}
    assert report["capture"]["snapshots"] < 400
    assert report["totals"]["attempts"] == 3000
    text = replay(content).stdout
    for said in (
        "taken as ours: 203.0.113.5, inferred",
        "syn-flood",
        f"{SERVER}:443",
        "what comes in and what leaves",
    ):
        assert said in text


def test_the_same_capture_tells_the_same(replay: Replay) -> None:
    """Two replays of one flood give the same alerts, but for estimates that hang on the hashes' secret."""
    content = pcap([(at_ns, ethernet(packet)) for at_ns, packet in flood(BEGIN_NS, 2)])
    first, second = (report_of(replay(content, "--format", "json")) for _ in range(2))
    for report in (first, second):
        assert report["capture"].pop("losses")
        for alert in report["alerts"]:
            for estimate in ("sources_estimated", "evidence", "measurements", "top_sources", "timeline"):
                alert.pop(estimate, None)
    assert first == second


def test_what_stays_on_the_host_leaves_and_comes_in(replay: Replay) -> None:
    """Connections over lo, of which each packet is captured once, are counted whole."""
    records = [
        (time_ns, bsd(packet))
        for number in range(23)
        for time_ns, packet in handshake(number, "127.0.0.1", "127.0.0.1", BEGIN_NS + 20 * number * NS_PER_MS)
    ]
    report = report_of(replay(pcap(records, link_type=0), "--format", "json"))
    assert {report["totals"][name] for name in ("attempts", "answered", "completed")} == {23}
    assert report["totals"]["syn_duplicates"] == 0


def test_protect_turns_a_capture_round(replay: Replay) -> None:
    """With the client as ours its connections leave, which are no attempts; other people's are skipped."""
    content = pcap(of_each(ethernet))
    report = report_of(replay(content, "--protect", f"{CLIENT}/32", "--format", "json"))
    assert (report["totals"]["attempts"], report["capture"]["skipped"]["not_ours"]) == (0, 23 * 4)
    assert report["capture"]["inferred_because"] is None


def test_a_damaged_capture_gives_what_was_read(replay: Replay) -> None:
    """The report is that of the packets before the damage; the error goes to standard error, exit 1."""
    content = pcap(of_each(ethernet))
    result = replay(content + b"\xff" * 100, "--format", "json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["totals"]["attempts"] == COUNTED["attempts"]
    assert "damaged after 190 packets" in result.stderr
    assert json.loads(result.stdout)["capture"]["error"] is not None


def test_an_empty_capture_is_a_capture(replay: Replay) -> None:
    """Nothing was captured: nothing is found, and nothing is wrong."""
    report = report_of(replay(pcap([]), "--format", "json"))
    assert (report["capture"]["packets"], report["totals"]["attempts"], report["alerts"]) == (0, 0, [])
    assert "0 packets" in replay(pcap([])).stdout


@pytest.mark.parametrize(
    ("content", "exit_code", "words"),
    [
        (b"no capture at all", 1, "tcpdump -w"),
        (pcap([(BEGIN_NS, bytes(60))], link_type=127), 1, "link type 127"),
        (
            pcap([(BEGIN_NS, ethernet(tcp(f"192.0.2.{n}", f"198.18.{n}.9", ACK))) for n in range(99)]),
            2,
            "--protect",
        ),
    ],
    ids=["no capture", "unknown link type", "no side"],
)
def test_what_cannot_be_replayed_is_told(replay: Replay, content: bytes, exit_code: int, words: str) -> None:
    """The message says what to do next."""
    result = replay(content)
    assert (result.exit_code, result.stdout) == (exit_code, "")
    assert words in result.stderr
    assert "Traceback" not in result.stderr


def test_without_the_rights_it_is_told() -> None:
    """Who may not load eBPF is told so, exit 3."""
    with public_directory() as folder:
        path = folder / "capture.pcap"
        path.write_bytes(pcap(of_each(ethernet)))
        path.chmod(0o644)
        done = python_as_nobody("-m", "synguard", "replay", str(path))
    assert (done.returncode, done.stdout) == (3, "")
    assert "not permitted" in done.stderr
    assert "Traceback" not in done.stderr
