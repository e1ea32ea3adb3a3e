"""Estimates stay within what is possible, whatever the sketches hold, and within their error."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterable
from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st

from synguard.endpoint import Listener
from synguard.probe import layout, sketch

REGISTER = st.one_of(st.just(0), st.integers(0, 2**16 - 1), st.integers(1, 40))
BANK = st.one_of(
    st.lists(REGISTER, min_size=layout.SKETCH_REGISTERS, max_size=layout.SKETCH_REGISTERS),
    st.dictionaries(st.integers(0, layout.SKETCH_REGISTERS - 1), REGISTER, max_size=20).map(
        lambda few: [few.get(index, 0) for index in range(layout.SKETCH_REGISTERS)]
    ),
)


@given(st.lists(BANK, max_size=3))
def test_any_registers_give_an_estimate(banks: list[list[int]]) -> None:
    """There are at least as many sources as registers with one; too few of them have no share."""
    sample = sketch.read_sample(banks)
    held = sum(max(copies) & 3 > 0 for copies in zip(*banks, strict=True))
    assert sample.distinct >= held
    assert (sample.distinct == 0) == (held == 0)
    assert (sample.once_share is None) == (held < 8)
    assert sample.once_share is None or 0 <= sample.once_share <= 1


@given(st.lists(BANK, min_size=1, max_size=3), st.randoms(use_true_random=False))
def test_the_order_of_banks_is_of_no_matter(banks: list[list[int]], shuffler: random.Random) -> None:
    """Which CPU saw a source changes nothing, nor does a CPU that saw nobody."""
    other = [*banks, [0] * layout.SKETCH_REGISTERS]
    shuffler.shuffle(other)
    assert sketch.read_sample(other) == sketch.read_sample(banks)


@given(BANK)
def test_sources_seen_on_two_cpus_are_counted_once(bank: list[int]) -> None:
    """The same registers twice are the same sources, and none of them came once."""
    sample = sketch.read_sample([bank, bank])
    assert sample.distinct == sketch.read_sample([bank]).distinct
    assert sample.once_share in {None, 0}


def rarity(word: int) -> int:
    """Return how rare a hash's word is: its trailing zeros, then the nine bits above them."""
    word |= 1 << 31
    zeros = (word & -word).bit_length() - 1
    return zeros << 9 | word >> zeros + 1 & 511


def write_registers(words: Iterable[int]) -> list[int]:
    """Return the registers of one CPU that has seen the sources with these hashes, in this order."""
    registers = [0] * layout.SKETCH_REGISTERS
    for word in words:
        place, rare = word % layout.SKETCH_REGISTERS, rarity(word >> 8) << 2
        held = registers[place]
        if rare > held or not held:
            registers[place] = rare | 1
        elif rare == held & ~3:
            registers[place] = min(held + 1, rare | 3)
    return registers


@given(st.integers(0, 2**32), st.sampled_from((1, 5, 30, 300, 3000)), st.integers(1, 3), st.floats(0, 1))
def test_estimates_are_within_their_error(seed: int, distinct: int, cpus: int, once: float) -> None:
    """Within five standard errors, of the number of sources and of the share that came once on any CPU."""
    generator = random.Random(seed)  # noqa: S311  a stream that is misjudged must come again
    hashes = [generator.getrandbits(40) for _ in range(distinct)]
    came_once = set(hashes[: round(once * distinct)])
    stream = hashes + [word for word in hashes if word not in came_once]
    generator.shuffle(stream)
    sample = sketch.read_sample([write_registers(stream[cpu::cpus]) for cpu in range(cpus)])
    assert abs(sample.distinct - distinct) <= max(5 * 0.063 * distinct, 1)
    if sample.once_share is not None:
        sampled = min(distinct, layout.SKETCH_REGISTERS) / 2
        assert abs(sample.once_share - len(came_once) / distinct) <= 5 * 0.5 / sampled**0.5


@given(st.integers(0, 2**62), st.tuples(st.integers(-1, 3), st.integers(-1, 3)), st.tuples(BANK, BANK))
def test_only_the_banks_of_the_last_two_seconds_count(
    now_ns: int, ages: tuple[int, int], banks: tuple[list[int], list[int]]
) -> None:
    """A bank is read where it lies, if its slice is the current one or the one before."""
    raw = bytearray(layout.LISTENER_BYTES)
    epochs = [(now_ns >> layout.SKETCH_EPOCH_SHIFT) - age for age in ages]
    struct.pack_into("=II", raw, layout.LISTENER_SKETCH_EPOCH, *(epoch % 2**32 for epoch in epochs))
    struct.pack_into(f"={2 * layout.SKETCH_REGISTERS}H", raw, layout.LISTENER_SKETCH, *banks[0], *banks[1])
    reading = layout.decode_listener(memoryview(raw), Listener(ip_address("192.0.2.1"), 443), now_ns)
    recent = [
        bank for bank, age, epoch in zip(banks, ages, epochs, strict=True) if age in {0, 1} and epoch >= 0
    ]
    expected = sketch.read_sample(recent)
    assert (reading.sources_estimated, reading.sources_once_share) == expected


@given(st.integers(1, 4096).flatmap(lambda size: st.tuples(st.integers(0, size), st.just(size))))
def test_any_bitmap_gives_an_estimate(bitmap: tuple[int, int]) -> None:
    """No bit set is nothing; else at least the bits set, and no more than a full one gives."""
    bits_set, size = bitmap
    estimate = sketch.linear_count(bits_set, size)
    assert sketch.linear_count(0, size) == 0 <= estimate <= sketch.linear_count(size, size)
    assert estimate >= bits_set
