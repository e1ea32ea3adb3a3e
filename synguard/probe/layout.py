"""The byte layouts of ``bpf/layout.h`` and their decoding: the one place that knows them.

A test compiles the C header on the host and compares every size and offset below with it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Network

from synguard.endpoint import Listener, Network
from synguard.handshake import Answer
from synguard.model import Cohort, HandshakeCounts, ListenerReading, SourceReading
from synguard.probe import sketch
from synguard.probe.address_layout import decode_address, encode_address, require
from synguard.probe.response_layout import ANSWER, decode_answer

LISTENER_COHORT_SHIFT = 24
LISTENER_COHORTS = 256
SOURCE_COHORT_SHIFT = 26
SOURCE_COHORTS = 64
HANDSHAKE_TIME_BINS = 16
TTL_BINS = 32
SKETCH_REGISTERS = 256
SKETCH_EPOCH_SHIFT = 30
BLOCK_LENGTHS_MAX = 8

HANDSHAKE_COUNTERS = (
    "attempts",
    "syn_retransmits",
    "syn_duplicates",
    "answered",
    "completed",
    "aborted",
    "refused",
    "dropped_by_us",
)
#: Scanners' segments by kind, in all and of each source.
PROBE_COUNTERS = ("fin_probes", "null_probes", "xmas_probes")
#: What our own greylists and cookies did.
RESPONSE_COUNTERS = ("greylisted", "greylist_admitted", "cookies_sent", "cookies_valid", "cookies_connected")
#: Packets that the parser gave up on, by reason.
UNPARSED_REASONS = (
    "truncated_link",
    "vlan_depth",
    "truncated_ip",
    "bad_ip_header",
    "extension_depth",
    "fragment",
    "truncated_tcp",
    "bad_tcp_header",
)
#: What the probe could not keep, by what it is.
LOSSES = (
    "handshakes_overwritten",
    "sources_not_admitted",
    "prefixes_not_admitted",
    "entries_insert_failed",
    "candidates_lost",
    "listeners_full",
    "closed_buckets_full",
)
#: Those of the losses that mean that a table could not be written.
FAILED_UPDATES = ("entries_insert_failed", "listeners_full", "closed_buckets_full")
TOTAL_COUNTERS = (
    *HANDSHAKE_COUNTERS,
    "synack_retransmits",
    *PROBE_COUNTERS,
    "nonsense_flags",
    "ack_segments",
    "egress_tcp",
    *RESPONSE_COUNTERS,
    "not_ip",
    "not_tcp",
    *UNPARSED_REASONS,
    *LOSSES,
)

LISTENER_KEY = struct.Struct("=16s2s6x")
#: Where among the settings the number of prefix lengths of blocks comes, and then they.
SETTINGS_BLOCK_LENGTHS = 9
SETTINGS = struct.Struct(f"=QQQ8s8s8s4sIII{BLOCK_LENGTHS_MAX}III")
TOTALS = struct.Struct(f"={len(TOTAL_COUNTERS)}Q")

#: Sizes in bytes, and offsets of the fields that are read one by one.
SOURCE_BYTES = 688
SOURCE_LAST_NS = 72
SOURCE_MEMBERS = 80
SOURCE_COHORT_WORDS = 152
SOURCE_PROBES = 664
LISTENER_BYTES = 4912
LISTENER_LAST_NS = 64
LISTENER_BARE_ATTEMPTS = 72
LISTENER_BOGON_ATTEMPTS = 80
LISTENER_PATTERNED_ATTEMPTS = 88
LISTENER_RESPONSES = 96
LISTENER_ANSWER_NS = 144
LISTENER_ANSWER = 152
LISTENER_HANDSHAKE_TIME = 168
LISTENER_SYN_TTL = 296
LISTENER_COMPLETED_TTL = 552
LISTENER_SKETCH_EPOCH = 808
LISTENER_SKETCH = 816
LISTENER_COHORT_RECORDS = 1840

_COUNTS = struct.Struct(f"={len(HANDSHAKE_COUNTERS)}Q")
_PROBES = struct.Struct(f"={len(PROBE_COUNTERS)}Q")
_WORD_MASK = (1 << 64) - 1
_SLICE_COUNT_BITS = 20
_SLICE_COUNT_MASK = (1 << _SLICE_COUNT_BITS) - 1
_SLICE_EPOCH_MASK = (1 << 24) - 1
#: A listener's cohort epoch begins again after 2.28 years of uptime.
_COHORT_EPOCH_MASK = (1 << 32) - 1


def require_copies(what: str, raw: bytes | memoryview, size_bytes: int) -> None:
    """Refuse what is not one record or more, a copy for each CPU."""
    if not raw or len(raw) % size_bytes:
        raise ValueError(
            f"{what}: {len(raw)} bytes from the kernel, no multiple of this layout's {size_bytes}"
        )


def decode_source_key(raw: bytes, ipv4_length: int, ipv6_length: int) -> Network:
    """Return the source or prefix under that key, of the length that its IP version has."""
    address = decode_address(raw)
    if isinstance(address, IPv4Address):
        return IPv4Network((address, ipv4_length), strict=False)
    return IPv6Network((address, ipv6_length), strict=False)


def prefix_mask(length: int, bits: int) -> bytes:
    """Return a mask of ``bits`` bits in network order whose first ``length`` are set."""
    return ((1 << bits) - (1 << bits - length)).to_bytes(bits // 8, "big")


def encode_listener_key(listener: Listener) -> bytes:
    """Return the key under which the probe counts for a listener."""
    return encode_address(listener.address) + listener.port.to_bytes(2, "big") + bytes(6)


def decode_listener_key(raw: bytes) -> Listener:
    """Return the listener under that key."""
    require("key of a listener", raw, LISTENER_KEY.size)
    address, port = LISTENER_KEY.unpack(raw)
    return Listener(decode_address(address), int.from_bytes(port, "big"))


def carry_late(cohorts: Iterable[tuple[int, int, int]]) -> Iterator[Cohort]:
    """Give each cohort (start, attempts, completed), youngest first, no more completions than attempts.

    What is too much belongs to older ones: a cookie does not say when its attempt was.
    """
    late = 0
    for start_ns, attempts, completed in cohorts:
        late += completed
        taken = min(late, attempts)
        late -= taken
        if attempts:
            yield Cohort(start_ns, attempts, taken)


def add_copies(copies: Iterable[Iterable[int]]) -> list[int]:
    """Return the sums, place by place, over the CPUs' copies of a row of numbers."""
    return [sum(values) for values in zip(*copies, strict=True)]


def decode_totals(raw: bytes) -> dict[str, int]:
    """Return every total counter by name, summed over the CPUs' copies in ``raw``."""
    require_copies("totals", raw, TOTALS.size)
    return dict(zip(TOTAL_COUNTERS, add_copies(TOTALS.iter_unpack(raw)), strict=True))


def decode_source(raw: bytes, source: Network, now_ns: int) -> SourceReading:
    """Return a source's reading, with the cohorts that are still in its ring at ``now_ns``."""
    require("source", raw, SOURCE_BYTES)
    counts, cohorts = _source_counts(raw, now_ns)
    probes = zip(PROBE_COUNTERS, _PROBES.unpack_from(raw, SOURCE_PROBES), strict=True)
    return SourceReading(source, counts, cohorts, targets_estimated=_members(raw), **dict(probes))


def decode_prefix(raw: bytes, prefix: Network, now_ns: int) -> SourceReading:
    """Return a prefix's reading, with the cohorts that are still in its ring at ``now_ns``."""
    require("prefix", raw, SOURCE_BYTES)
    counts, cohorts = _source_counts(raw, now_ns)
    return SourceReading(prefix, counts, cohorts, sources_estimated=_members(raw))


def _members(raw: bytes) -> int:
    (members,) = struct.unpack_from("=Q", raw, SOURCE_MEMBERS)
    return sketch.linear_count(members.bit_count(), 64)


def _source_counts(raw: bytes, now_ns: int) -> tuple[HandshakeCounts, tuple[Cohort, ...]]:
    """Read counts and cohorts; what the record calls attempts lacks those of the slices in its ring."""
    now_epoch = now_ns >> SOURCE_COHORT_SHIFT
    attempts_in_all, *others = _COUNTS.unpack_from(raw)
    words = memoryview(raw)[SOURCE_COHORT_WORDS:SOURCE_PROBES].cast("Q").tolist()
    youngest = now_epoch % SOURCE_COHORTS + 1
    cohorts = []
    for epoch, word in enumerate(words[youngest:] + words[:youngest], now_epoch - SOURCE_COHORTS + 1):
        attempts = word >> _SLICE_COUNT_BITS & _SLICE_COUNT_MASK
        if attempts:
            attempts_in_all += attempts
            if word >> 2 * _SLICE_COUNT_BITS == epoch & _SLICE_EPOCH_MASK and epoch >= 0:
                completed = min(word & _SLICE_COUNT_MASK, attempts)
                cohorts.append(Cohort(epoch << SOURCE_COHORT_SHIFT, attempts, completed))
    # One that was booked anew was taken out of the record, which wraps.
    return HandshakeCounts(attempts_in_all & _WORD_MASK, *others), tuple(cohorts)


def source_last_ns(raw: bytes) -> int:
    """Return when the source's last attempt or probe came, by the monotonic clock."""
    require("source", raw, SOURCE_BYTES)
    return int(struct.unpack_from("=Q", raw, SOURCE_LAST_NS)[0])


def listener_last_ns(raw: memoryview) -> int:
    """Return when the listener's last attempt came on any CPU, by the monotonic clock."""
    require_copies("listener", raw, LISTENER_BYTES)
    offsets = range(LISTENER_LAST_NS, len(raw), LISTENER_BYTES)
    return max(int(struct.unpack_from("=Q", raw, offset)[0]) for offset in offsets)


def listener_completed(raw: memoryview) -> int:
    """Return how many handshakes a listener completed on all CPUs."""
    offset = HANDSHAKE_COUNTERS.index("completed") * 8
    offsets = range(offset, len(raw), LISTENER_BYTES)
    return sum(int(struct.unpack_from("=Q", raw, at)[0]) for at in offsets)


def decode_listener(raw: memoryview, listener: Listener, now_ns: int) -> ListenerReading:
    """Return a listener's reading, summed over the CPUs' copies in ``raw``."""
    require_copies("listener", raw, LISTENER_BYTES)
    copies = [raw[start : start + LISTENER_BYTES] for start in range(0, len(raw), LISTENER_BYTES)]
    words = add_copies(copy[:LISTENER_SKETCH_EPOCH].cast("Q") for copy in copies)
    sample = _sampled_sources(copies, now_ns >> SKETCH_EPOCH_SHIFT)
    greylisted, sent, valid, connected, local, foreign = words[
        LISTENER_RESPONSES // 8 : LISTENER_ANSWER_NS // 8
    ]
    return ListenerReading(
        listener,
        HandshakeCounts(*words[: len(HANDSHAKE_COUNTERS)]),
        _listener_cohorts(copies, now_ns >> LISTENER_COHORT_SHIFT),
        words[LISTENER_BARE_ATTEMPTS // 8],
        sample.distinct,
        tuple(words[LISTENER_HANDSHAKE_TIME // 8 : LISTENER_SYN_TTL // 8]),
        sample.once_share,
        tuple(words[LISTENER_SYN_TTL // 8 : LISTENER_COMPLETED_TTL // 8]),
        tuple(words[LISTENER_COMPLETED_TTL // 8 :]),
        words[LISTENER_BOGON_ATTEMPTS // 8],
        words[LISTENER_PATTERNED_ATTEMPTS // 8],
        greylisted,
        sent,
        valid,
        connected,
        _latest_answer(copies, local, foreign),
    )


def _latest_answer(copies: list[memoryview], local: int, foreign: int) -> Answer | None:
    """Return what the SYN-ACK seen last looks like, on whichever CPU that was."""
    if not local and not foreign:
        return None
    latest = max(copies, key=lambda copy: int(struct.unpack_from("=Q", copy, LISTENER_ANSWER_NS)[0]))
    return decode_answer(bytes(latest[LISTENER_ANSWER : LISTENER_ANSWER + ANSWER.size]), local, foreign)


def _listener_cohorts(copies: list[memoryview], now_epoch: int) -> tuple[Cohort, ...]:
    """Add up the CPUs' cohorts: one may hold the attempt and another its completion."""
    sums: dict[int, tuple[int, int]] = {}
    for copy in copies:
        words = copy[LISTENER_COHORT_RECORDS:].cast("I").tolist()
        for epoch, attempts, completed in zip(words[0::3], words[1::3], words[2::3], strict=True):
            age = now_epoch - epoch & _COHORT_EPOCH_MASK
            if age < LISTENER_COHORTS and age <= now_epoch:
                before = sums.get(age, (0, 0))
                sums[age] = (before[0] + attempts, before[1] + completed)
    youngest_first = (
        (now_epoch - age << LISTENER_COHORT_SHIFT, *counted) for age, counted in sorted(sums.items())
    )
    return tuple(carry_late(youngest_first))[::-1]


def _sampled_sources(copies: list[memoryview], now_epoch: int) -> sketch.Sample:
    """Read the sample of the sources of the current and the previous sketch epoch."""
    banks: list[memoryview] = []
    bank_bytes = 2 * SKETCH_REGISTERS
    for copy in copies:
        epochs = struct.unpack_from("=II", copy, LISTENER_SKETCH_EPOCH)
        for bank, epoch in enumerate(epochs):
            if 0 <= now_epoch - epoch <= 1:
                start = LISTENER_SKETCH + bank * bank_bytes
                banks.append(copy[start : start + bank_bytes].cast("H"))
    return sketch.read_sample(banks)
