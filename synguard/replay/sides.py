"""Says which side of a capture is ours: by the operator's word, else by what the first pass found.

The first of these that applies; all are guesses but the first, so the output says which it was:

1. ``--protect``.
2. The capture's own word on directions (cooked packet types, pcapng flags): who sends what leaves and gets
   what comes in.
3. The fewest addresses, at most four, that take part in nearly all TCP packets: a host's own. One that mostly
   asks and is not answered is no host of ours but a flooder, a scanner or a client of somebody dead.
4. Those who send SYN-ACKs, if they are part of most packets, and the targets beside them.
5. The destinations of most SYNs, if they are few.

From the third on IPv4 and IPv6 are looked at apart, for one of them may be rare; and ours are then also the
other addresses behind the same link address, if it has few.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from ipaddress import ip_network

from synguard.endpoint import Network, source_text
from synguard.replay.survey import Sampled, Survey

#: Part of something that counts as nearly all of it.
NEARLY_ALL = 0.9
#: Addresses of one host, at most, and of a network's servers before their prefixes stand for them.
HOST_ADDRESSES_MAX = 4
SERVERS_MAX = 8
#: Destinations, or else their prefixes, that are few.
TARGETS_MAX = 64
#: So many SYNs make whoever sends them, and is answered by less than half, no host of ours.
UNANSWERED_SYNS = 10
_PREFIX_LENGTHS = {4: 24, 16: 64}
#: Each address of a host takes part in so much of its traffic.
HOST_SHARE = 0.05
#: Servers of a network, with the targets beside them, at most.
ANSWERING_MAX = 256
#: Addresses behind the link addresses of a host, at most.
BEHIND_MAX = 16
_NO_LINK = bytes(6)


@dataclass(frozen=True, slots=True)
class Ours:
    """Which addresses are taken as ours, and why."""

    networks: tuple[Network, ...]
    #: ``because`` these words; None where the operator said so.
    inferred_because: str | None

    def __str__(self) -> str:
        """Return the networks as people write them."""
        return ", ".join(map(source_text, self.networks)) or "nothing"


class Members:
    """Tells whether packed addresses lie in networks, by as many look-ups as there are prefix lengths."""

    def __init__(self, networks: Iterable[Network]) -> None:
        starts: dict[int, dict[int, set[int]]] = {4: {}, 16: {}}
        hosts = set()
        for network in networks:
            size = network.max_prefixlen // 8
            rest_bits = network.max_prefixlen - network.prefixlen
            starts[size].setdefault(rest_bits, set()).add(int(network.network_address) >> rest_bits)
            hosts.add(network.network_address.packed if not rest_bits else b"")
        self._starts = {size: tuple(by_rest.items()) for size, by_rest in starts.items()}
        #: Tells of one packed address; where all are single hosts, without any code of ours.
        self.holds: Callable[[bytes], bool] = hosts.__contains__ if b"" not in hosts else self._lies_in

    def _lies_in(self, address: bytes) -> bool:
        number = int.from_bytes(address, "big")
        return any(number >> rest_bits in known for rest_bits, known in self._starts[len(address)])

    def of(self, addresses: Iterable[bytes]) -> Iterator[bytes]:
        """Yield those of the addresses that lie in them."""
        return filter(self.holds, addresses)


def infer(survey: Survey) -> Ours:
    """Return the side that is probably ours; no networks where nothing tells."""
    marked = _by_marks(survey)
    if marked:
        return Ours(_networks(marked), "the capture says which packets came in and which left")
    ours: set[bytes] = set()
    reasons: dict[str, None] = {}
    for size in survey.samples:
        for way, because in _WAYS:
            found = way(survey, size)
            if found:
                ours.update(found)
                reasons[because] = None
                break
    beside = _behind_one_link(survey, ours)
    if beside:
        reasons["it shares a link address with one of those"] = None
    return Ours(_networks(ours | beside), "; ".join(reasons) or "no address stands out")


def _networks(found: Collection[bytes]) -> tuple[Network, ...]:
    """Return the addresses as networks: each one, or of many the prefixes that they lie in."""
    are_few = len(found) <= SERVERS_MAX
    networks: set[Network] = {
        ip_network((address, 8 * len(address) if are_few else _PREFIX_LENGTHS[len(address)]), strict=False)
        for address in found
    }
    return tuple(sorted(networks, key=lambda network: (network.version, network)))


def _by_marks(survey: Survey) -> Collection[bytes]:
    """Return whose packets are marked as ours, if those of nobody else are."""
    ours = {*survey.marked_in, *survey.marked_out}
    if not ours:
        return ()
    # Of a spoofed flood each source sends once; of what a router passes on, both ends are marked.
    own = {one for one in ours if not _is_group(one) and _marked(survey, one) >= _share(survey, one)}
    marked = survey.marked_in.of(own) + survey.marked_out.of(own)
    everything = sum(survey.marked_in.values()) + sum(survey.marked_out.values())
    return own if marked >= NEARLY_ALL * everything and len(own) <= TARGETS_MAX else ()


def _is_group(address: bytes) -> bool:
    """Tell whether it is a multicast or broadcast address."""
    return address[0] == 0xFF if len(address) == 16 else address[0] >= 224


def _marked(survey: Survey, address: bytes) -> int:
    return survey.marked_in.get(address, 0) + survey.marked_out.get(address, 0)


def _share(survey: Survey, address: bytes) -> float:
    """Return how many of an address's packets must be marked as its own, for it to be ours."""
    return NEARLY_ALL * (survey.sent.get(address, 0) + survey.received.get(address, 0))


def _by_host(survey: Survey, size: int) -> Collection[bytes]:
    """Return the fewest addresses that take part in nearly all packets of the sample."""
    chosen: list[bytes] = []
    everything = survey.samples[size].packets
    left = everything
    enough = (1 - NEARLY_ALL) * len(everything)
    while len(left) > enough and len(chosen) < HOST_ADDRESSES_MAX:
        best, count = _most_common(survey, left)
        if count < HOST_SHARE * len(everything):
            return ()
        chosen.append(best)
        left = [one for one in left if best not in one]
    return chosen if len(left) <= enough else ()


def _most_common(survey: Survey, packets: Iterable[Sampled]) -> tuple[bytes, int]:
    """Return who may be ours and takes part in most of the packets, and in how many."""
    counts = Counter(end for one in packets for end in {one.source, one.destination})
    for address in [one for one in counts if _asks_in_vain(survey, one)]:
        del counts[address]
    if not counts:
        return b"", 0
    most = max(counts.values())
    # What differs by less than one in fifty is a tie: both ends of one conversation.
    tied = (one for one in counts if counts[one] >= 0.98 * most)
    best = max(tied, key=lambda one: (_role(survey, one), one))
    return best, counts[best]


def _role(survey: Survey, address: bytes) -> int:
    """Return by how much it is asked and answers more than it asks and is answered."""
    server = survey.asked.get(address, 0) + survey.answering.get(address, 0)
    return server - survey.asking.get(address, 0) - survey.answered.get(address, 0)


def _asks_in_vain(survey: Survey, address: bytes) -> bool:
    asking = survey.asking.get(address, 0)
    unanswered = asking - survey.answered.get(address, 0)
    return asking >= UNANSWERED_SYNS and 2 * unanswered > asking > survey.asked.get(address, 0)


def _by_answers(survey: Survey, size: int) -> Collection[bytes]:
    """Return who sends SYN-ACKs, with the other targets in their prefixes, if most packets are theirs."""
    packets = survey.samples[size].packets
    servers = {one for one in survey.answering if len(one) == size and _role(survey, one) > 0}
    beside = {_prefix(one) for one in servers}
    servers |= {one for one in survey.asked if _prefix(one) in beside and not survey.asking.get(one)}
    part = sum(1 for one in packets if not servers.isdisjoint(one))
    return servers if len(servers) <= ANSWERING_MAX and 2 * part >= len(packets) else ()


def _prefix(address: bytes) -> bytes:
    return address[: _PREFIX_LENGTHS[len(address)] // 8]


def _by_targets(survey: Survey, size: int) -> Collection[bytes]:
    """Return the destinations of most SYNs, if they, or their prefixes, are few."""
    asked = {address: count for address, count in survey.asked.items() if len(address) == size}
    prefixes: Counter[bytes] = Counter()
    for address, count in asked.items():
        prefixes[_prefix(address)] += count
    chosen = dict(prefixes.most_common(TARGETS_MAX))
    if not chosen or sum(chosen.values()) < NEARLY_ALL * sum(asked.values()):
        return ()
    return {address for address in asked if _prefix(address) in chosen}


_WAYS: tuple[tuple[Callable[[Survey, int], Collection[bytes]], str], ...] = (
    (_by_host, "it takes part in nearly all packets"),
    (_by_answers, "it answers connections"),
    (_by_targets, "most SYNs are for it"),
)


def _behind_one_link(survey: Survey, ours: Collection[bytes]) -> set[bytes]:
    """Return the other addresses behind the link addresses of ours; a router has too many to be one of us."""
    packets = [one for sample in survey.samples.values() for one in sample.packets]
    own, others = {_NO_LINK}, {_NO_LINK}
    for one in packets:
        if one.source in ours:
            own.add(one.link_source)
            others.add(one.link_destination)
        if one.destination in ours:
            own.add(one.link_destination)
            others.add(one.link_source)
    own -= others
    found = {one.source for one in packets if one.link_source in own}
    found |= {one.destination for one in packets if one.link_destination in own}
    return found.difference(ours) if len(found) <= BEHIND_MAX else set()
