"""The host's build of the parser, the kernel's, and the oracle say the same of 100,000 generated frames."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from synguard.probe import layout
from synguard.probe.compiler import LoadedObject, ProgramType, load_object
from synguard.probe.probe import Groups, Probe, Sizes
from synguard.probe.programs import XDP_PROGRAM
from synguard.probe.reader import ProbeReader
from synguard.probe.syscall import test_run as run_program
from tests.fuzz.build import HEADERS, HERE, HostParser, altered_headers, build_library
from tests.fuzz.packets import PacketMaker

pytestmark = [pytest.mark.root, pytest.mark.kernel]

FRAMES = 100_000
SEED = 1
#: BPF_PROG_TEST_RUN takes no less than an Ethernet header.
LEAST_BYTES = 14

#: ``enum parse_result``, by the totals that count each: TCP is counted by its flags.
RESULTS = ("tcp", "not_ip", "not_tcp", *layout.UNPARSED_REASONS)
FIN, SYN, RST, PSH, ACK, URG = (1 << bit for bit in range(6))


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> HostParser:
    """Return the host's build."""
    return build_library(tmp_path_factory.mktemp("library"))


@pytest.fixture(scope="module")
def frames() -> list[bytes]:
    """Return the generated frames."""
    return list(PacketMaker(SEED).frames(FRAMES))


def load_parser(headers: Path, folder: Path) -> LoadedObject:
    """Load the kernel's build of the parser in these headers; makes the source in ``folder``."""
    shutil.copytree(headers, folder, dirs_exist_ok=True)
    for name in ("agree.c", "parsed.h"):
        shutil.copy(HERE / name, folder)
    return load_object(folder / "agree.c", {"parses": ProgramType.XDP})


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[LoadedObject]:
    """Yield the kernel's build."""
    loaded = load_parser(HEADERS, tmp_path)
    yield loaded
    loaded.close()


def differences(host: HostParser, program_fd: int, frames: list[bytes]) -> Iterator[str]:
    """Yield where the two builds differ: in the result, in any field, or in the frame behind the answer."""
    size = host.answer_bytes
    for frame in frames:
        expected = host.parse(frame)
        data = run_program(program_fd, frame).data
        if data[size:] != frame:
            yield f"the frame came back as another: {frame.hex()}"
        if data[:4] != expected[:4]:
            yield f"result {data[0]} in the kernel, {expected[0]} on the host: {frame.hex()}"
        for field in (*host.fields, host.masked):
            place = slice(field.at, field.at + field.size_bytes)
            if data[place] != expected[place]:
                yield f"{field.name} is another: {frame.hex()}"


def test_host_and_kernel_agree(host: HostParser, kernel: LoadedObject, frames: list[bytes]) -> None:
    """Every field is the same, byte for byte, also where parsing ends half-way."""
    sendable = [frame for frame in frames if len(frame) >= LEAST_BYTES]
    assert len(sendable) > 0.95 * FRAMES
    assert next(differences(host, kernel.programs["parses"], sendable), None) is None


def test_host_and_oracle_agree(host: HostParser, frames: list[bytes]) -> None:
    """A parser written from the standards gives the same result, and the same fields of a TCP segment."""
    for frame in frames:
        expected, answer = host.consult(frame), host.parse(frame)
        assert answer[0] == expected[0], frame.hex()
        if answer[0] == RESULTS.index("tcp"):
            for field in host.fields:
                place = slice(field.at, field.at + field.size_bytes)
                assert answer[place] == expected[place], f"{field.name} of {frame.hex()}"


def test_every_result_is_generated(host: HostParser, frames: list[bytes]) -> None:
    """Agreement covers the parser: each result comes up often, and about half of the frames are TCP."""
    seen = Counter(RESULTS[host.parse(frame)[0]] for frame in frames)
    assert set(seen) == set(RESULTS)
    assert min(seen.values()) > FRAMES / 200
    assert 0.4 < seen["tcp"] / FRAMES < 0.6
    assert len(set(frames)) > 0.99 * FRAMES


def test_the_oracle_knows_every_field(host: HostParser) -> None:
    """Who adds a field to ``struct packet`` teaches it to the oracle."""
    assert sorted(host.oracle_fields) == sorted(field.name for field in host.fields)


def test_a_kernel_that_parses_otherwise_is_noticed(host: HostParser, tmp_path: Path) -> None:
    """Of a parser with another byte order for one number, the first segment tells."""
    headers = altered_headers(tmp_path, "NET32(tcp->seq)", "tcp->seq")
    loaded = load_parser(headers, tmp_path / "altered")
    some = [frame for frame in PacketMaker(SEED).frames(200) if len(frame) >= LEAST_BYTES]
    found = list(differences(host, loaded.programs["parses"], some))
    loaded.close()
    assert 50 < len(found) < 150
    assert all(line.startswith("sequence is another") for line in found)


def expected_totals(host: HostParser, frames: list[bytes]) -> Counter[str]:
    """Return what the probe's totals should move by, as the host parses these frames."""
    flags_at = next(field.at for field in host.fields if field.name == "flags")
    expected: Counter[str] = Counter(packets=len(frames))
    for frame in frames:
        answer = host.parse(frame)
        result = RESULTS[answer[0]]
        expected[flag_class(answer[flags_at]) if result == "tcp" else result] += 1
    return expected


#: By SYN, ACK, RST and FIN, while nothing is answered: what a segment counts as.
KINDS = {
    SYN: "syn",
    ACK: "ack_segments",
    FIN | ACK: "ack_segments",
    RST: "nothing",
    RST | ACK: "nothing",
    SYN | ACK: "nothing",
}
#: By all flags but ECE and CWR, of those that are none of these.
PROBES = {0: "null_probes", FIN: "fin_probes", FIN | PSH | URG: "xmas_probes"}


def flag_class(flags: int) -> str:
    """Return what a segment with these flags counts as."""
    kind = KINDS.get(flags & (SYN | ACK | RST | FIN))
    return kind or PROBES.get(flags & (FIN | SYN | RST | PSH | ACK | URG), "nonsense_flags")


def test_the_probe_counts_what_the_host_parses(host: HostParser, frames: list[bytes]) -> None:
    """Each total of the real XDP program is what the host's parser makes of the same frames."""
    sendable = [frame for frame in frames if len(frame) >= LEAST_BYTES]
    probe = Probe.load(Sizes(), Groups())
    for frame in sendable:
        run_program(probe.programs[XDP_PROGRAM], frame)
    totals = ProbeReader(probe).totals()
    probe.close()
    expected = expected_totals(host, sendable)
    del expected["nothing"]
    syns = ("attempts", "syn_retransmits", "syn_duplicates")
    assert sum(totals[name] for name in syns) == expected.pop("syn") > FRAMES / 50
    assert {name: totals[name] for name in expected} == dict(expected)
    assert {"ack_segments", "null_probes", "fin_probes", "xmas_probes", "nonsense_flags"} < set(expected)
