"""Who has an entry is found in a crowd: each cell of the doorkeeper hints at two, the newest."""

from __future__ import annotations

import functools
import itertools
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from zlib import crc32

import pytest

from synguard.endpoint import Address
from tests.kernel.clients import Clients
from tests.kernel.conftest import SECRET
from tests.kernel.hashing import source_hashes
from tests.kernel.strangers import Strangers
from tests.kernel.test_prefixes import known_prefix
from tests.kernel.wire import Wire

pytestmark = [pytest.mark.root, pytest.mark.kernel, pytest.mark.usefixtures("one_cpu")]

EPOCH_NS = 1 << 28
#: So many strangers an epoch and CPU get an entry without having to knock.
FREE = 64
#: Of a small crowd everybody must knock so often.
KNOCKS = 4
CROWD = 1000
PRIME = 23
#: By the table's name: cells of its doorkeeper.
CELLS = {"sources": 1 << 18, "prefixes": 1 << 16}
#: From one key to the next, by IP version.
STEPS = {"sources": {4: 1, 6: 1 << 64}, "prefixes": {4: 1 << 8, 6: 1 << 80}}
FIRST: dict[int, Address] = {4: IPv4Address("40.0.0.0"), 6: IPv6Address("2003::")}


@dataclass(slots=True)
class Doorkeeper:
    """Keys of one cell, and what gives each of them another attempt."""

    wire: Wire
    strangers: Strangers
    table: str
    keys: list[Address]
    attempt: Callable[[Address], None]

    def next_epoch(self) -> None:
        """Let the next epoch begin, in which nobody has knocked."""
        self.wire.at((self.wire.now_ns // EPOCH_NS + 1) * EPOCH_NS)

    def crowd(self) -> None:
        """Let the next epoch begin with a crowd, so that nobody is admitted freely any more."""
        self.next_epoch()
        self.strangers.come(4 if self.wire.version == 4 else 6, CROWD)

    def counted(self, key: Address) -> int:
        """Return the attempts of one of the keys."""
        if self.table == "prefixes":
            return known_prefix(self.wire, key).counts.attempts
        return self.wire.known_source(key).counts.attempts

    def not_admitted(self) -> int:
        """Return how many attempts were booked to no entry of the table."""
        return self.wire.reader.totals()[f"{self.table}_not_admitted"]


@functools.cache
def crowded_cells(version: int, table: str) -> list[list[Address]]:
    """Return sources, or prefixes, in threes: each three have one cell, and no two the same hint."""
    number = CELLS[table]
    step = STEPS[table][version]
    first = FIRST[version]
    candidates = [first + index * step for index in range(number)]
    cells: defaultdict[int, dict[int, Address]] = defaultdict(dict)
    for candidate, word in zip(candidates, source_hashes(SECRET, candidates).tolist(), strict=True):
        cells[word % number][word >> 48 | 1] = candidate
    return [list(found.values())[:3] for found in cells.values() if len(found) >= 3]


@pytest.fixture(params=list(CELLS))
def doorkeeper(xdp_wire: Wire, strangers: Strangers, request: pytest.FixtureRequest) -> Doorkeeper:
    """Return the doorkeeper of the sources and that of the prefixes, each with keys that nobody knows yet."""
    table, clients, numbers = request.param, Clients(xdp_wire), itertools.count(1)

    def attempt(key: Address) -> None:
        number = next(numbers)
        # A prefix has another source each time: a known one's attempts would come later, all at once.
        source = key + number * STEPS["sources"][key.version] if table == "prefixes" else key
        clients.syn(source, number)

    strangers.known_by(request.node.name)
    cells = crowded_cells(xdp_wire.version, table)
    keys = cells[crc32(request.node.name.encode()) % len(cells)]
    doorkeeper = Doorkeeper(xdp_wire, strangers, table, keys, attempt)
    doorkeeper.next_epoch()
    return doorkeeper


def test_two_known_ones_of_a_cell_are_both_found(doorkeeper: Doorkeeper) -> None:
    """Crowd after crowd, every attempt of theirs is booked; the third one's are not."""
    first, second, third = doorkeeper.keys
    for key in (first, second):
        doorkeeper.attempt(key)
    for turn in range(1, 4):
        doorkeeper.crowd()
        before = doorkeeper.not_admitted()
        for _ in range(PRIME):
            doorkeeper.attempt(first)
            doorkeeper.attempt(second)
        assert doorkeeper.not_admitted() == before
        doorkeeper.attempt(third)
        assert doorkeeper.not_admitted() == before + 1
        assert [doorkeeper.counted(key) for key in (first, second)] == [1 + turn * PRIME] * 2


def test_in_quiet_times_all_of_a_cell_are_found(doorkeeper: Doorkeeper) -> None:
    """Without a crowd the table is asked for everybody, hint or not."""
    before = doorkeeper.not_admitted()
    for _ in range(PRIME):
        for key in doorkeeper.keys:
            doorkeeper.attempt(key)
    assert [doorkeeper.counted(key) for key in doorkeeper.keys] == [PRIME] * 3
    assert doorkeeper.not_admitted() == before


def test_the_oldest_of_three_knocks_and_comes_back(doorkeeper: Doorkeeper) -> None:
    """It loses what it knocks with, and goes on in its old entry; the newest two lose nothing meanwhile."""
    oldest, *others = doorkeeper.keys
    for key in doorkeeper.keys:
        doorkeeper.attempt(key)
    doorkeeper.crowd()
    before = doorkeeper.not_admitted()
    for key in others:
        for _ in range(PRIME):
            doorkeeper.attempt(key)
    assert [doorkeeper.counted(key) for key in others] == [1 + PRIME] * 2
    for knocked in range(1, KNOCKS):
        doorkeeper.attempt(oldest)
        assert doorkeeper.not_admitted() == before + knocked
    for _ in range(PRIME):
        doorkeeper.attempt(oldest)
    assert doorkeeper.counted(oldest) == 1 + PRIME
    assert doorkeeper.not_admitted() == before + KNOCKS - 1


def test_knocks_of_another_epoch_do_not_count(doorkeeper: Doorkeeper) -> None:
    """Who comes three times an epoch is nobody; who comes a fourth time is known from then on."""
    stranger, *_ = doorkeeper.keys
    for _ in range(3):
        doorkeeper.crowd()
        before = doorkeeper.not_admitted()
        for _ in range(KNOCKS - 1):
            doorkeeper.attempt(stranger)
        assert doorkeeper.not_admitted() == before + KNOCKS - 1
    doorkeeper.attempt(stranger)
    doorkeeper.attempt(stranger)
    assert doorkeeper.counted(stranger) == 2


def test_whoever_is_not_admitted_is_counted(doorkeeper: Doorkeeper) -> None:
    """Of a thousand who come once, in an epoch that has just begun, all but those who are free."""
    before = doorkeeper.not_admitted()
    doorkeeper.strangers.come(4 if doorkeeper.wire.version == 4 else 6, CROWD)
    assert doorkeeper.not_admitted() - before == CROWD - FREE
