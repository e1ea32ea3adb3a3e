"""The byte layouts of ``bpf/layout.h`` and their decoding: the one place that knows them.

A test compiles the C header on the host and compares every size and offset below with it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from synguard.endpoint import Address, Listener, Network
from synguard.model import Cohort, HandshakeCounts, ListenerReading, SourceReading
from synguard.probe import sketch

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
    "not_ip",
    "not_tcp",
    *UNPARSED_REASONS,
    *LOSSES,
)

ADDRESS = struct.Struct("16s")
LISTENER_KEY = struct.Struct("=16s2s6x")
BLOCK_KEY = struct.Struct("=16sI4x")
BLOCK = struct.Struct("=QQ")
#: Where among the settings the number of prefix lengths of blocks comes, and then they.
SETTINGS_BLOCK_LENGTHS = 9
SETTINGS = struct.Struct(f"=QQQ8s8s8s4sIII{BLOCK_LENGTHS_MAX}I")
TOTALS = struct.Struct(f"={len(TOTAL_COUNTERS)}Q")

#: Sizes in bytes, and offsets of the fields that are read one by one.
SOURCE_BYTES = 648
SOURCE_LAST_NS = 72
SOURCE_MEMBERS = 80
SOURCE_COHORT_WORDS = 112
SOURCE_PROBES = 624
LISTENER_BYTES = 4848
LISTENER_LAST_NS = 64
LISTENER_BARE_ATTEMPTS = 72
LISTENER_BOGON_ATTEMPTS = 80
LISTENER_PATTERNED_ATTEMPTS = 88
LISTENER_HANDSHAKE_TIME = 104
LISTENER_SYN_TTL = 232
LISTENER_COMPLETED_TTL = 488
LISTENER_SKETCH_EPOCH = 744
LISTENER_SKETCH = 752
LISTENER_COHORT_RECORDS = 1776

_COUNTS = struct.Struct(f"={len(HANDSHAKE_COUNTERS)}Q")
_PROBES = struct.Struct(f"={len(PROBE_COUNTERS)}Q")
_SLICE_COUNT_BITS = 20
_SLICE_COUNT_MASK = (1 << _SLICE_COUNT_BITS) - 1
_SLICE_EPOCH_MASK = (1 << 24) - 1
#: A listener's cohort epoch begins again after 2.28 years of uptime.
_COHORT_EPOCH_MASK = (1 << 32) - 1
_MAPPED_PREFIX = bytes(10) + b"\xff\xff"


def _require(what: str, raw: bytes | memoryview, size_bytes: int) -> None:
    """Refuse what is not one record: kernel and daemon would then speak of different layouts."""
    if len(raw) != size_bytes:
        raise ValueError(f"{what}: {len(raw)} bytes from the kernel, and {size_bytes} in this layout")


def require_copies(what: str, raw: bytes | memoryview, size_bytes: int) -> None:
    """Refuse what is not one record or more, a copy for each CPU."""
    if not raw or len(raw) % size_bytes:
        raise ValueError(
            f"{what}: {len(raw)} bytes from the kernel, no multiple of this layout's {size_bytes}"
        )


def encode_address(address: Address) -> bytes:
    """Return the 16 bytes of a ``struct address``."""
    return _MAPPED_PREFIX + address.packed if isinstance(address, IPv4Address) else address.packed


def decode_address(raw: bytes) -> Address:
    """Return the address that a ``struct address`` holds."""
    _require("address", raw, ADDRESS.size)
    if raw[:12] == _MAPPED_PREFIX:
        return IPv4Address(raw[12:])
    return IPv6Address(raw)


def decode_source_key(raw: bytes, ipv4_length: int, ipv6_length: int) -> Network:
    """Return the source or prefix under that key, of the length that its IP version has."""
    address = decode_address(raw)
    if isinstance(address, IPv4Address):
        return IPv4Network((address, ipv4_length), strict=False)
    return IPv6Network((address, ipv6_length), strict=False)


def prefix_mask(length: int, bits: int) -> bytes:
    """Return a mask of ``bits`` bits in network order whose first ``length`` are set."""
    return ((1 << bits) - (1 << bits - length)).to_bytes(bits // 8, "big")


def encode_block_key(target: Network) -> bytes:
    """Return the key of a blocked prefix: IPv4 lengths count from the mapped address's 96th bit."""
    offset = 96 if target.version == 4 else 0
    return BLOCK_KEY.pack(encode_address(target.network_address), target.prefixlen + offset)


def decode_block_key(raw: bytes) -> Network:
    """Return the prefix that ``encode_block_key`` was given; ValueError for what is no prefix."""
    _require("key of a block", raw, BLOCK_KEY.size)
    address, length = BLOCK_KEY.unpack(raw)
    if length >= 96 and address[:12] == _MAPPED_PREFIX:
        return IPv4Network((address[12:], length - 96))
    return IPv6Network((address, length))


def encode_listener_key(listener: Listener) -> bytes:
    """Return the key under which the probe counts for a listener."""
    return encode_address(listener.address) + listener.port.to_bytes(2, "big") + bytes(6)


def decode_listener_key(raw: bytes) -> Listener:
    """Return the listener under that key."""
    _require("key of a listener", raw, LISTENER_KEY.size)
    address, port = LISTENER_KEY.unpack(raw)
    return Listener(decode_address(address), int.from_bytes(port, "big"))


def add_copies(copies: Iterable[Iterable[int]]) -> list[int]:
    """Return the sums, place by place, over the CPUs' copies of a row of numbers."""
    return [sum(values) for values in zip(*copies, strict=True)]


def decode_totals(raw: bytes) -> dict[str, int]:
    """Return every total counter by name, summed over the CPUs' copies in ``raw``."""
    require_copies("totals", raw, TOTALS.size)
    return dict(zip(TOTAL_COUNTERS, add_copies(TOTALS.iter_unpack(raw)), strict=True))


def decode_source(raw: bytes, source: Network, now_ns: int) -> SourceReading:
    """Return a source's reading, with the cohorts that are still in its ring at ``now_ns``."""
    _require("source", raw, SOURCE_BYTES)
    counts, cohorts = _source_counts(raw, now_ns)
    probes = zip(PROBE_COUNTERS, _PROBES.unpack_from(raw, SOURCE_PROBES), strict=True)
    return SourceReading(source, counts, cohorts, targets_estimated=_members(raw), **dict(probes))


def decode_prefix(raw: bytes, prefix: Network, now_ns: int) -> SourceReading:
    """Return a prefix's reading, with the cohorts that are still in its ring at ``now_ns``."""
    _require("prefix", raw, SOURCE_BYTES)
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
    return HandshakeCounts(attempts_in_all, *others), tuple(cohorts)


def source_last_ns(raw: bytes) -> int:
    """Return when the source's last attempt or probe came, by the monotonic clock."""
    _require("source", raw, SOURCE_BYTES)
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
    )


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
    return tuple(
        Cohort(now_epoch - age << LISTENER_COHORT_SHIFT, attempts, min(completed, attempts))
        for age, (attempts, completed) in sorted(sums.items(), reverse=True)
        if attempts
    )


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
