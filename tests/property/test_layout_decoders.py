"""Whatever bytes the maps hold, decoding them gives plausible figures and never fails."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import astuple, replace
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from synguard.endpoint import Listener
from synguard.model import Cohort
from synguard.probe import address_layout, layout, response_layout, sight_layout

NOW_NS = st.integers(0, 2**63)
SOURCE = ip_network("192.0.2.1")
PREFIX = ip_network("192.0.2.0/24")
LISTENER = Listener(ip_address("192.0.2.1"), 443)
WORD = st.one_of(st.just(0), st.integers(0, 2**64 - 1), st.integers(0, 300))

#: Addresses of every kind, most with the zeros behind them that a prefix has.
ADDRESS = st.one_of(
    st.binary(min_size=16, max_size=16),
    st.binary(max_size=16).map(lambda front: front.ljust(16, b"\0")),
    st.binary(max_size=4).map(lambda front: (bytes(10) + b"\xff\xff" + front).ljust(16, b"\0")),
)


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


def slices(number: int) -> st.SearchStrategy[list[tuple[int, int, int, int]]]:
    """Return places in a ring with an age about what the ring holds, attempts and completions of them."""
    small = st.integers(0, 2**20 - 1)
    age = st.one_of(st.integers(-2, 4), st.integers(number - 3, number + 3), st.integers(0, number))
    return st.lists(st.tuples(st.integers(0, number - 1), age, small, small), max_size=12)


@st.composite
def sources(draw: st.DrawFn) -> tuple[bytes, int]:
    """Return any source, with slices about a moment, and that moment."""
    raw, now_ns = bytearray(draw(record(layout.SOURCE_BYTES))), draw(NOW_NS)
    now_epoch = now_ns >> layout.SOURCE_COHORT_SHIFT
    for place, age, attempts, completed in draw(slices(layout.SOURCE_COHORTS)):
        word = (now_epoch - age) % 2**24 << 40 | attempts << 20 | completed
        struct.pack_into("=Q", raw, layout.SOURCE_COHORT_WORDS + 8 * place, word)
    return bytes(raw), now_ns


@st.composite
def listeners(draw: st.DrawFn) -> tuple[bytes, int]:
    """Return any listener's copies, with slices about a moment, and that moment."""
    now_ns = draw(NOW_NS)
    now_epoch = now_ns >> layout.LISTENER_COHORT_SHIFT
    copies = [bytearray(draw(record(layout.LISTENER_BYTES))) for _ in range(draw(st.integers(1, 3)))]
    for copy in copies:
        for place, age, attempts, completed in draw(slices(layout.LISTENER_COHORTS)):
            cohort = ((now_epoch - age) % 2**32, attempts, completed)
            struct.pack_into("=III", copy, layout.LISTENER_COHORT_RECORDS + 12 * place, *cohort)
        bank_epoch = now_ns >> layout.SKETCH_EPOCH_SHIFT
        ages = draw(st.tuples(st.integers(-1, 3), st.integers(-1, 3)))
        banks = [(bank_epoch - age) % 2**32 for age in ages]
        struct.pack_into("=II", copy, layout.LISTENER_SKETCH_EPOCH, *banks)
    return b"".join(copies), now_ns


def check_cohorts(cohorts: tuple[Cohort, ...], now_ns: int, slice_ns: int, slices: int) -> None:
    """Check what the detector relies on."""
    starts = [cohort.start_ns for cohort in cohorts]
    assert starts == sorted(starts)
    for cohort in cohorts:
        assert 0 <= cohort.completed <= cohort.attempts
        assert cohort.attempts > 0
        assert 0 <= cohort.start_ns <= now_ns
        assert now_ns - cohort.start_ns < slices * slice_ns


@given(sources())
def test_any_source_decodes(source: tuple[bytes, int]) -> None:
    """Counts are never negative, completions never above attempts, slices never in the future."""
    raw, now_ns = source
    reading = layout.decode_source(raw, SOURCE, now_ns)
    check_cohorts(reading.cohorts, now_ns, 1 << layout.SOURCE_COHORT_SHIFT, layout.SOURCE_COHORTS)
    assert min(astuple(reading.counts)) >= 0
    assert reading.counts.attempts >= sum(cohort.attempts for cohort in reading.cohorts)
    assert 0 <= reading.targets_estimated < 400
    assert min(reading.fin_probes, reading.null_probes, reading.xmas_probes) >= 0
    assert layout.source_last_ns(raw) >= 0


@given(sources())
def test_any_prefix_decodes(record: tuple[bytes, int]) -> None:
    """A prefix is read as a source is, but without probes, and its sources stand where targets do."""
    raw, now_ns = record
    prefix = layout.decode_prefix(raw, PREFIX, now_ns)
    source = layout.decode_source(raw, SOURCE, now_ns)
    assert prefix == replace(
        source,
        source=PREFIX,
        targets_estimated=0,
        sources_estimated=source.targets_estimated,
        fin_probes=0,
        null_probes=0,
        xmas_probes=0,
    )


@given(st.integers(0, len(layout.PROBE_COUNTERS) - 1), WORD)
def test_each_kind_of_probe_of_a_source_is_read_from_its_place(kind: int, value: int) -> None:
    """One word set is found in that kind's figure and in nothing else."""
    raw = bytearray(layout.SOURCE_BYTES)
    struct.pack_into("=Q", raw, layout.SOURCE_PROBES + 8 * kind, value)
    nothing = layout.decode_source(bytes(layout.SOURCE_BYTES), SOURCE, 0)
    counted: dict[str, Any] = {layout.PROBE_COUNTERS[kind]: value}
    assert layout.decode_source(bytes(raw), SOURCE, 0) == replace(nothing, **counted)


@given(listeners())
def test_any_listener_decodes(copies: tuple[bytes, int]) -> None:
    """The same of a listener, added up over CPUs, with its histograms and its sample of sources."""
    raw, now_ns = memoryview(copies[0]), copies[1]
    reading = layout.decode_listener(raw, LISTENER, now_ns)
    check_cohorts(reading.cohorts, now_ns, 1 << layout.LISTENER_COHORT_SHIFT, layout.LISTENER_COHORTS)
    assert min(astuple(reading.counts)) >= 0
    assert min(reading.bare_attempts, reading.bogon_attempts, reading.patterned_attempts) >= 0
    assert reading.sources_estimated is not None
    assert reading.sources_estimated >= 0
    assert reading.sources_once_share is None or 0 <= reading.sources_once_share <= 1
    histograms = (reading.handshake_ms_histogram, reading.syn_ttl_histogram, reading.completed_ttl_histogram)
    bins = (layout.HANDSHAKE_TIME_BINS, layout.TTL_BINS, layout.TTL_BINS)
    assert tuple(map(len, histograms)) == bins
    assert min(map(min, histograms)) >= 0
    assert layout.listener_last_ns(raw) >= 0


@given(st.integers(0, layout.LISTENER_SKETCH_EPOCH // 8 - 1), st.lists(WORD, min_size=1, max_size=3))
def test_each_count_of_a_listener_is_read_from_its_place(word: int, values: list[int]) -> None:
    """One word set on each CPU is found as their sum in one figure, and in no other."""
    copies = [bytearray(layout.LISTENER_BYTES) for _ in values]
    for copy, value in zip(copies, values, strict=True):
        struct.pack_into("=Q", copy, 8 * word, value)
    reading = layout.decode_listener(memoryview(b"".join(copies)), LISTENER, 0)
    figures = [
        *astuple(reading.counts),
        0,  # when the last attempt came
        reading.bare_attempts,
        reading.bogon_attempts,
        reading.patterned_attempts,
        reading.greylisted,
        reading.cookies_sent,
        reading.cookies_valid,
        reading.cookies_connected,
        *((reading.answer.local, reading.answer.foreign) if reading.answer else (0, 0)),
        0,  # when the last answer was seen
        0,  # what it looked like
        0,  # the ISN and port that came last
        *reading.handshake_ms_histogram,
        *reading.syn_ttl_histogram,
        *reading.completed_ttl_histogram,
    ]
    others = {
        layout.LISTENER_LAST_NS // 8,
        *range(layout.LISTENER_ANSWER_NS // 8, layout.LISTENER_HANDSHAKE_TIME // 8),
    }
    expected = sum(values) * (word not in others)
    assert figures == [expected * (index == word) for index in range(len(figures))]


@given(st.lists(st.binary(min_size=layout.TOTALS.size, max_size=layout.TOTALS.size), min_size=1, max_size=4))
def test_any_totals_decode(copies: list[bytes]) -> None:
    """Every counter is there, and is the sum of the CPUs' own."""
    totals = layout.decode_totals(b"".join(copies))
    assert tuple(totals) == layout.TOTAL_COUNTERS
    assert totals["attempts"] == sum(int.from_bytes(copy[:8], "little") for copy in copies)


@given(st.binary(min_size=16, max_size=16))
def test_addresses_survive_the_round_trip(raw: bytes) -> None:
    """What was read can be written again, byte for byte."""
    assert address_layout.encode_address(address_layout.decode_address(raw)) == raw


@given(st.binary(min_size=24, max_size=24))
def test_any_listener_key_decodes(raw: bytes) -> None:
    """A key names an address and a port in network order."""
    listener = layout.decode_listener_key(raw)
    assert listener.port == int.from_bytes(raw[16:18], "big")


@given(ADDRESS, st.integers(0, 32), st.integers(0, 128))
def test_any_source_key_decodes(raw: bytes, ipv4_length: int, ipv6_length: int) -> None:
    """A source or prefix has the length in force for its IP version, and holds the address of its key."""
    source = layout.decode_source_key(raw, ipv4_length, ipv6_length)
    assert source.prefixlen == (ipv4_length if source.version == 4 else ipv6_length)
    assert address_layout.decode_address(raw) in source


@given(st.sampled_from((32, 64, 128)).flatmap(lambda bits: st.tuples(st.integers(0, bits), st.just(bits))))
def test_a_prefix_mask_has_its_bits_in_front(mask: tuple[int, int]) -> None:
    """Of so many bits the first are set, as a netmask's are."""
    length, bits = mask
    written = "".join(f"{byte:08b}" for byte in layout.prefix_mask(length, bits))
    assert written == "1" * length + "0" * (bits - length)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 15)), max_size=20))
def test_completions_that_are_too_many_belong_to_older_attempts(counted: list[tuple[int, int]]) -> None:
    """Youngest first, none has more than its attempts, and none is lost while an older one has room."""
    taken = [0] * len(counted)
    for age, (_, completed) in enumerate(counted):
        for _ in range(completed):
            room = (old for old in range(age, len(counted)) if taken[old] < counted[old][0])
            place = next(room, None)
            if place is not None:
                taken[place] += 1
    expected = [Cohort(-age, attempts, taken[age]) for age, (attempts, _) in enumerate(counted) if attempts]
    assert list(layout.carry_late((-age, *pair) for age, pair in enumerate(counted))) == expected


#: Each decoder, with the size of what it takes.
ONE_RECORD: dict[str, tuple[Callable[[bytes], object], int]] = {
    "address": (address_layout.decode_address, address_layout.ADDRESS.size),
    "source key": (lambda raw: layout.decode_source_key(raw, 32, 64), address_layout.ADDRESS.size),
    "listener key": (layout.decode_listener_key, layout.LISTENER_KEY.size),
    "block key": (response_layout.decode_block_key, response_layout.BLOCK_KEY.size),
    "source": (lambda raw: layout.decode_source(raw, SOURCE, 0), layout.SOURCE_BYTES),
    "prefix": (lambda raw: layout.decode_prefix(raw, PREFIX, 0), layout.SOURCE_BYTES),
    "source's last": (layout.source_last_ns, layout.SOURCE_BYTES),
}
#: Those that take a multiple of it, a copy for each CPU.
ONE_FOR_EACH_CPU: dict[str, tuple[Callable[[bytes], object], int]] = {
    "totals": (layout.decode_totals, layout.TOTALS.size),
    "interfaces": (sight_layout.decode_interfaces, sight_layout.INTERFACES_BYTES),
    "flows": (lambda raw: sight_layout.decode_flows(raw, 3), sight_layout.FLOWS_BYTES),
    "listener": (lambda raw: layout.decode_listener(memoryview(raw), LISTENER, 0), layout.LISTENER_BYTES),
    "listener's last": (lambda raw: layout.listener_last_ns(memoryview(raw)), layout.LISTENER_BYTES),
}
REFUSED = r"\d+ bytes from the kernel, (and|no multiple of)"


@pytest.mark.parametrize("name", ONE_RECORD)
@given(size_bytes=st.integers(0, 5000))
@example(size_bytes=0)
def test_records_of_another_size_are_refused(name: str, size_bytes: int) -> None:
    """Bytes too few or too many are of another layout: nothing of them is believed."""
    decode, expected_bytes = ONE_RECORD[name]
    for wrong_bytes in {size_bytes, expected_bytes - 1, expected_bytes + 1, expected_bytes + 8} - {
        expected_bytes
    }:
        with pytest.raises(ValueError, match=REFUSED):
            decode(bytes(wrong_bytes))
    decode(bytes(expected_bytes))


@pytest.mark.parametrize("name", ONE_FOR_EACH_CPU)
@given(copies=st.integers(0, 4), rest_bytes=st.integers(1, 5000))
@example(copies=1, rest_bytes=8)
def test_copies_of_another_size_are_refused(name: str, copies: int, rest_bytes: int) -> None:
    """The same of what exists once for each CPU, and of nothing at all."""
    decode, copy_bytes = ONE_FOR_EACH_CPU[name]
    rest_bytes = rest_bytes % (copy_bytes - 1) + 1
    for wrong_bytes in (0, copies * copy_bytes + rest_bytes):
        with pytest.raises(ValueError, match=REFUSED):
            decode(bytes(wrong_bytes))
    decode(bytes(max(copies, 1) * copy_bytes))
