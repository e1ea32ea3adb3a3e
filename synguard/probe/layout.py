"""The byte layouts of ``bpf/layout.h`` and their decoding: the one place that knows them.

A test compiles the C header on the host and compares every size and offset below with it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from synguard.model import Address, Cohort, HandshakeCounts, Listener, ListenerReading, Network, SourceReading
from synguard.probe import sketch

LISTENER_COHORT_SHIFT = 24
LISTENER_COHORTS = 256
SOURCE_COHORT_SHIFT = 26
SOURCE_COHORTS = 64
HANDSHAKE_TIME_BINS = 16
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
    "candidates_lost",
    "listeners_full",
    "closed_buckets_full",
)
TOTAL_COUNTERS = (
    *HANDSHAKE_COUNTERS,
    "synack_retransmits",
    "fin_probes",
    "null_probes",
    "xmas_probes",
    "nonsense_flags",
    "packets",
    "egress_packets",
    "not_ip",
    "not_tcp",
    *UNPARSED_REASONS,
    *LOSSES,
)

ADDRESS = struct.Struct("16s")
LISTENER_KEY = struct.Struct("=16s2s2x")
BLOCK_KEY = struct.Struct("=16sI")
BLOCK = struct.Struct("=QQ")
SETTINGS = struct.Struct(f"=QQQII{BLOCK_LENGTHS_MAX}I")
TOTALS = struct.Struct(f"={len(TOTAL_COUNTERS)}Q")

#: Sizes in bytes, and offsets of the fields that are read one by one.
SOURCE_BYTES = 616
SOURCE_LAST_NS = 72
SOURCE_TARGETS = 80
SOURCE_COHORT_WORDS = 104
LISTENER_BYTES = 3800
LISTENER_LAST_NS = 64
LISTENER_BARE_ATTEMPTS = 72
LISTENER_HANDSHAKE_TIME = 80
LISTENER_SKETCH_EPOCH = 208
LISTENER_SKETCH = 216
LISTENER_COHORT_RECORDS = 728

_COUNTS = struct.Struct(f"={len(HANDSHAKE_COUNTERS)}Q")
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


def _require_copies(what: str, raw: bytes | memoryview, size_bytes: int) -> None:
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


def decode_source_key(raw: bytes, ipv6_prefix_length: int) -> Network:
    """Return the source under that key: an IPv4 address, or an IPv6 prefix of the given length."""
    address = decode_address(raw)
    if isinstance(address, IPv4Address):
        return IPv4Network(address)
    return IPv6Network((address, ipv6_prefix_length), strict=False)


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


def decode_listener_key(raw: bytes) -> Listener:
    """Return the listener under that key."""
    _require("key of a listener", raw, LISTENER_KEY.size)
    address, port = LISTENER_KEY.unpack(raw)
    return Listener(decode_address(address), int.from_bytes(port, "big"))


def _add(copies: Iterable[Iterable[int]]) -> list[int]:
    return [sum(values) for values in zip(*copies, strict=True)]


def decode_totals(raw: bytes) -> dict[str, int]:
    """Return every total counter by name, summed over the CPUs' copies in ``raw``."""
    _require_copies("totals", raw, TOTALS.size)
    return dict(zip(TOTAL_COUNTERS, _add(TOTALS.iter_unpack(raw)), strict=True))


def decode_source(raw: bytes, source: Network, now_ns: int) -> SourceReading:
    """Return a source's reading, with the cohorts that are still in its ring at ``now_ns``."""
    _require("source", raw, SOURCE_BYTES)
    now_epoch = now_ns >> SOURCE_COHORT_SHIFT
    words = memoryview(raw)[SOURCE_COHORT_WORDS:SOURCE_BYTES].cast("Q").tolist()
    cohorts = []
    for word in words:
        age = ((now_epoch & _SLICE_EPOCH_MASK) - (word >> 2 * _SLICE_COUNT_BITS)) & _SLICE_EPOCH_MASK
        attempts = word >> _SLICE_COUNT_BITS & _SLICE_COUNT_MASK
        if attempts and age < SOURCE_COHORTS and age <= now_epoch:
            start_ns = now_epoch - age << SOURCE_COHORT_SHIFT
            cohorts.append(Cohort(start_ns, attempts, min(word & _SLICE_COUNT_MASK, attempts)))
    (targets,) = struct.unpack_from("=Q", raw, SOURCE_TARGETS)
    counts = HandshakeCounts(*_COUNTS.unpack_from(raw))
    return SourceReading(source, counts, tuple(sorted(cohorts)), sketch.linear_count(targets.bit_count(), 64))


def source_last_ns(raw: bytes) -> int:
    """Return when the source's last attempt came, by the monotonic clock."""
    _require("source", raw, SOURCE_BYTES)
    return int(struct.unpack_from("=Q", raw, SOURCE_LAST_NS)[0])


def listener_last_ns(raw: memoryview) -> int:
    """Return when the listener's last attempt came on any CPU, by the monotonic clock."""
    _require_copies("listener", raw, LISTENER_BYTES)
    offsets = range(LISTENER_LAST_NS, len(raw), LISTENER_BYTES)
    return max(int(struct.unpack_from("=Q", raw, offset)[0]) for offset in offsets)


def decode_listener(raw: memoryview, listener: Listener, now_ns: int) -> ListenerReading:
    """Return a listener's reading, summed over the CPUs' copies in ``raw``."""
    _require_copies("listener", raw, LISTENER_BYTES)
    copies = [raw[start : start + LISTENER_BYTES] for start in range(0, len(raw), LISTENER_BYTES)]
    counts = _add(_COUNTS.unpack_from(copy) for copy in copies)
    times = _add(copy[LISTENER_HANDSHAKE_TIME:LISTENER_SKETCH_EPOCH].cast("Q") for copy in copies)
    bare = sum(struct.unpack_from("=Q", copy, LISTENER_BARE_ATTEMPTS)[0] for copy in copies)
    return ListenerReading(
        listener,
        HandshakeCounts(*counts),
        _listener_cohorts(copies, now_ns >> LISTENER_COHORT_SHIFT),
        bare,
        _distinct_sources(copies, now_ns >> SKETCH_EPOCH_SHIFT),
        tuple(times),
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


def _distinct_sources(copies: list[memoryview], now_epoch: int) -> int:
    """Estimate the distinct sources of the current and the previous sketch epoch."""
    banks: list[memoryview] = []
    bank_bytes = (LISTENER_COHORT_RECORDS - LISTENER_SKETCH) // 2
    for copy in copies:
        epochs = struct.unpack_from("=II", copy, LISTENER_SKETCH_EPOCH)
        for bank, epoch in enumerate(epochs):
            if 0 <= now_epoch - epoch <= 1:
                start = LISTENER_SKETCH + bank * bank_bytes
                banks.append(copy[start : start + bank_bytes])
    return sketch.distinct_count(banks)
