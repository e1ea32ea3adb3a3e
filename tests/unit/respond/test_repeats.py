"""Repeaters: how often a source was blocked lately, and how that is forgotten."""

from __future__ import annotations

from ipaddress import ip_network

from synguard.respond.repeats import HALVED_AFTER_S, MOST_BLOCKS, Repeats

SOURCE, OTHER = ip_network("198.51.100.7"), ip_network("2001:db8::/64")
NOW_S = 1_790_000_000.0


def blocked(times: int, lasting_s: float = 600.0) -> Repeats:
    """Return the memory of a source that was blocked so often, each time anew at its end, until now."""
    repeats = Repeats()
    for number in range(times, 0, -1):
        began_s = NOW_S - number * lasting_s
        repeats.blocked(SOURCE, began_s, began_s + lasting_s)
    return repeats


def test_blocks_of_a_source_are_counted() -> None:
    """Each block counts for its own source and for no other."""
    repeats = blocked(3)
    assert (repeats.count(SOURCE, NOW_S), repeats.count(OTHER, NOW_S)) == (3, 0)


def test_a_count_is_halved_for_every_day_of_quiet() -> None:
    """Seven blocks are three after a day, one after two and none after three."""
    repeats = blocked(7)
    days = [repeats.count(SOURCE, NOW_S + day * HALVED_AFTER_S) for day in range(5)]
    assert days == [7, 3, 1, 0, 0]
    assert repeats.count(SOURCE, NOW_S + HALVED_AFTER_S - 1.0) == 7


def test_the_time_under_a_block_is_not_quiet() -> None:
    """A block of a day that has just ended leaves its source with the count that it had."""
    repeats = Repeats()
    repeats.blocked(SOURCE, NOW_S, NOW_S + HALVED_AFTER_S)
    assert repeats.count(SOURCE, NOW_S + HALVED_AFTER_S) == 1
    assert repeats.count(SOURCE, NOW_S + 2 * HALVED_AFTER_S) == 0


def test_a_new_block_counts_from_what_was_not_forgiven() -> None:
    """Who comes back after a quiet day begins at half of its count, not at nothing."""
    repeats = blocked(6)
    later_s = NOW_S + HALVED_AFTER_S
    repeats.blocked(SOURCE, later_s, later_s + 600.0)
    assert repeats.count(SOURCE, later_s + 600.0) == 4


def test_a_count_ends_at_its_most() -> None:
    """A source that never stops is forgiven after as many quiet days as another that went on half as long."""
    assert blocked(500).count(SOURCE, NOW_S) == MOST_BLOCKS


def test_a_clock_that_is_set_back_forgives_nothing() -> None:
    """Before the time of its last block a source has the count that it had."""
    assert blocked(3).count(SOURCE, NOW_S - 1e9) == 3


def test_blocks_that_were_undone_do_not_count() -> None:
    """A source that was blocked though somebody real is there is no repeater."""
    repeats = blocked(3)
    repeats.forgive(ip_network("::ffff:198.51.100.7"))
    assert repeats.count(SOURCE, NOW_S) == 0


def test_ipv4_written_as_ipv6_is_the_same_source() -> None:
    """What the probe takes for an IPv4 address is counted as one."""
    repeats, mapped = blocked(2), ip_network("::ffff:198.51.100.7")
    assert repeats.count(mapped, NOW_S) == 2
    repeats.blocked(mapped, NOW_S, NOW_S + 600.0)
    assert repeats.count(SOURCE, NOW_S) == 3


def test_the_memory_is_bounded() -> None:
    """Of more sources than fit, those that were blocked longest ago are forgotten."""
    repeats = Repeats(most_sources=2)
    first, second, third = (ip_network(f"192.0.2.{number}") for number in range(3))
    for source in (first, second, first, third):
        repeats.blocked(source, NOW_S, NOW_S + 600.0)
    assert len(repeats) == 2
    assert [repeats.count(source, NOW_S) for source in (first, second, third)] == [2, 0, 1]
