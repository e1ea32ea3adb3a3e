"""Whatever bytes the maps hold, decoding them gives plausible figures and never fails."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from hypothesis import given
from hypothesis import strategies as st

from synguard.model import Cohort, Listener
from synguard.probe import layout, sketch

NOW_NS = st.integers(0, 2**63)
SOURCE = ip_network("192.0.2.1")
LISTENER = Listener(ip_address("192.0.2.1"), 443)
WORD = st.one_of(st.just(0), st.integers(0, 2**64 - 1), st.integers(0, 300))


def record(size_bytes: int) -> st.SearchStrategy[bytes]:
    """Return bytes of that size: random, or mostly zero with a few words set."""
    words = st.dictionaries(st.integers(0, size_bytes // 8 - 1), WORD, max_size=40)

    def pack(chosen: dict[int, int]) -> bytes:
        raw = bytearray(size_bytes)
        for index, word in chosen.items():
            raw[index * 8 : index * 8 + 8] = word.to_bytes(8, "little")
        return bytes(raw)

    noise = st.randoms(use_true_random=False).map(lambda generator: generator.randbytes(size_bytes))
    return st.one_of(words.map(pack), noise)


def check_cohorts(cohorts: tuple[Cohort, ...], now_ns: int, slice_ns: int, slices: int) -> None:
    """Check what the detector relies on."""
    starts = [cohort.start_ns for cohort in cohorts]
    assert starts == sorted(starts)
    for cohort in cohorts:
        assert 0 <= cohort.completed <= cohort.attempts
        assert cohort.attempts > 0
        assert 0 <= cohort.start_ns <= now_ns
        assert now_ns - cohort.start_ns < (slices + 1) * slice_ns


@given(record(layout.SOURCE_BYTES), NOW_NS)
def test_any_source_decodes(raw: bytes, now_ns: int) -> None:
    """Counts are never negative, completions never above attempts, slices never in the future."""
    reading = layout.decode_source(raw, SOURCE, now_ns)
    check_cohorts(reading.cohorts, now_ns, 1 << layout.SOURCE_COHORT_SHIFT, layout.SOURCE_COHORTS)
    assert reading.counts.attempts >= 0
    assert 0 <= reading.targets_estimated < 400
    assert layout.source_last_ns(raw) >= 0


@given(st.lists(record(layout.LISTENER_BYTES), min_size=1, max_size=3), NOW_NS)
def test_any_listener_decodes(copies: list[bytes], now_ns: int) -> None:
    """The same of a listener, added up over CPUs."""
    raw = memoryview(b"".join(copies))
    reading = layout.decode_listener(raw, LISTENER, now_ns)
    check_cohorts(reading.cohorts, now_ns, 1 << layout.LISTENER_COHORT_SHIFT, layout.LISTENER_COHORTS)
    assert reading.sources_estimated is not None
    assert reading.sources_estimated >= 0
    assert min(reading.handshake_ms_histogram) >= 0
    assert layout.listener_last_ns(raw) >= 0


@given(st.lists(st.binary(min_size=layout.TOTALS.size, max_size=layout.TOTALS.size), min_size=1, max_size=4))
def test_any_totals_decode(copies: list[bytes]) -> None:
    """Every counter is there, and is the sum of the CPUs' own."""
    totals = layout.decode_totals(b"".join(copies))
    assert tuple(totals) == layout.TOTAL_COUNTERS
    assert totals["attempts"] == sum(int.from_bytes(copy[:8], "little") for copy in copies)


@given(st.lists(st.binary(min_size=256, max_size=256), max_size=3))
def test_any_registers_give_an_estimate(banks: list[bytes]) -> None:
    """Registers beyond what the probe writes are no reason to fail."""
    assert sketch.distinct_count(banks) >= 0


@given(st.binary(min_size=16, max_size=16))
def test_addresses_survive_the_round_trip(raw: bytes) -> None:
    """What was read can be written again, byte for byte."""
    assert layout.encode_address(layout.decode_address(raw)) == raw


@given(st.binary(min_size=20, max_size=20))
def test_any_listener_key_decodes(raw: bytes) -> None:
    """A key names an address and a port in network order."""
    listener = layout.decode_listener_key(raw)
    assert listener.port == int.from_bytes(raw[16:18], "big")


@given(st.binary(min_size=16, max_size=16), st.integers(16, 128))
def test_any_source_key_decodes(raw: bytes, prefix_length: int) -> None:
    """IPv4 sources are addresses, IPv6 ones prefixes of the length in force."""
    source = layout.decode_source_key(raw, prefix_length)
    assert source.prefixlen == (32 if source.version == 4 else prefix_length)


@given(st.integers(0, 2**32 - 1), st.integers(0, 32))
def test_ipv4_block_keys_survive_the_round_trip(number: int, length: int) -> None:
    """A block is read back as it was written."""
    network = IPv4Network((number, length), strict=False)
    assert layout.decode_block_key(layout.encode_block_key(network)) == network


@given(st.integers(0, 2**128 - 1), st.integers(0, 128))
def test_ipv6_block_keys_survive_the_round_trip(number: int, length: int) -> None:
    """As in IPv4; prefixes of mapped addresses apart, which stand for IPv4."""
    network = IPv6Network((number, length), strict=False)
    decoded = layout.decode_block_key(layout.encode_block_key(network))
    mapped = network.network_address.ipv4_mapped
    if mapped is not None and length >= 96:
        assert decoded == IPv4Network((mapped, length - 96))
    else:
        assert decoded == network
