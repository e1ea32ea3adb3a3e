"""The probe's keyed hashes, of many at once: they tell which ones it keeps in one place."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address

import numpy as np
import numpy.typing as npt

from synguard.endpoint import Address

Words = npt.NDArray[np.uint64]
Secret = tuple[int, int]

_ALL = 2**64 - 1


def _rotate(word: Words, bits: int) -> Words:
    return word << np.uint64(bits) | word >> np.uint64(64 - bits)


def _round(v: list[Words]) -> None:
    v[0] = v[0] + v[1]
    v[1] = _rotate(v[1], 13) ^ v[0]
    v[0] = _rotate(v[0], 32)
    v[2] = v[2] + v[3]
    v[3] = _rotate(v[3], 16) ^ v[2]
    v[0] = v[0] + v[3]
    v[3] = _rotate(v[3], 21) ^ v[0]
    v[2] = v[2] + v[1]
    v[1] = _rotate(v[1], 17) ^ v[2]
    v[2] = _rotate(v[2], 32)


def siphash(secret: Secret, words: Sequence[Words], length_bytes: int) -> Words:
    """Return SipHash-1-3 of messages, each word of which is an array; the last one is the short one."""
    starts = (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573)
    v = [np.array([start ^ secret[index % 2]], np.uint64) for index, start in enumerate(starts)]
    *whole, tail = words
    for word in (*whole, tail | np.uint64(length_bytes << 56 & _ALL)):
        v[3] = v[3] ^ word
        _round(v)
        v[0] = v[0] ^ word
    v[2] = v[2] ^ np.uint64(0xFF)
    for _ in range(3):
        _round(v)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def _halves(addresses: Sequence[IPv6Address]) -> list[Words]:
    """Return the upper and lower halves of addresses as this machine reads them from memory."""
    raw = b"".join(address.packed for address in addresses)
    return list(np.frombuffer(raw, np.uint64).reshape(-1, 2).T)


def _ipv4_words(addresses: Sequence[IPv4Address]) -> Words:
    return np.frombuffer(b"".join(address.packed for address in addresses), np.uint32).astype(np.uint64)


def _port_words(ports: npt.NDArray[np.uint16]) -> Words:
    return ports.byteswap().astype(np.uint64)


def tuple_hashes(
    secret: Secret, clients: Sequence[Address], server: Address, ports: Sequence[int], server_port: int
) -> Words:
    """Return the hash of each client's tuple with each port: a row for each client."""
    client_ports = _port_words(np.array(ports, np.uint16))[np.newaxis, :]
    tail = client_ports << np.uint64(16) | _port_words(np.array([server_port], np.uint16))
    if isinstance(server, IPv4Address):
        own = [client for client in clients if isinstance(client, IPv4Address)]
        words = _ipv4_words(own)[:, np.newaxis] << np.uint64(32) | _ipv4_words([server])
        return siphash(secret, [words, tail], 12)
    theirs = [client for client in clients if isinstance(client, IPv6Address)]
    words_of_clients = [half[:, np.newaxis] for half in _halves(theirs)]
    return siphash(secret, [*words_of_clients, *_halves([server]), tail], 36)


def source_hashes(secret: Secret, sources: Sequence[Address]) -> Words:
    """Return the hash of each source or prefix, given by its first address; an IPv6 one ends before /65."""
    if isinstance(sources[0], IPv4Address):
        return siphash(secret, [_ipv4_words([one for one in sources if isinstance(one, IPv4Address)])], 4)
    upper, lower = _halves([one for one in sources if isinstance(one, IPv6Address)])
    assert not lower.any()
    return siphash(secret, [upper, lower], 16)
