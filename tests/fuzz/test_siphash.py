"""The probe hashes by SipHash-1-3 over all that tells keys apart; CPython hashes bytes so since 3.11."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys

import pytest

from tests.fuzz.build import HostParser, build_library
from tests.fuzz.packets import PacketMaker

#: Run by a Python with a hash secret that is known; prints the algorithm and the hashes of what it is given.
WITNESS = """
import json, sys
print(json.dumps([sys.hash_info.algorithm, [hash(bytes.fromhex(one)) for one in json.load(sys.stdin)]]))
"""
SEED = 23


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> HostParser:
    """Return the host's build."""
    return build_library(tmp_path_factory.mktemp("library"))


def python_secret(seed: int) -> bytes:
    """Return the secret that PYTHONHASHSEED gives: bootstrap_hash.c's generator; 0 stands for no secret."""
    state, secret = seed, bytearray()
    for _ in range(16 if seed else 0):
        state = (state * 214013 + 2531011) % 2**32
        secret.append(state >> 16 & 0xFF)
    return bytes(secret) if seed else bytes(16)


def python_hashes(seed: int, messages: list[bytes]) -> list[int]:
    """Return what Python's own SipHash-1-3 makes of messages that are not empty."""
    witness = subprocess.run(
        [sys.executable, "-c", WITNESS],
        env=os.environ | {"PYTHONHASHSEED": str(seed)},
        input=json.dumps([one.hex() for one in messages]),
        capture_output=True,
        text=True,
        check=True,
    )
    algorithm, hashes = json.loads(witness.stdout)
    assert algorithm == "siphash13"
    return [number % 2**64 for number in hashes]


@pytest.mark.parametrize("seed", [0, 1, 23, 4294967295])
def test_it_is_siphash_1_3(seed: int, host: HostParser) -> None:
    """Messages of every length up to 64 bytes hash as Python hashes them under the same secret."""
    generator = random.Random(seed)  # noqa: S311  a message that hashes otherwise must come again
    messages = [generator.randbytes(length) for length in range(1, 65) for _ in range(8)]
    secret = python_secret(seed)
    assert [host.siphash(secret, one) for one in messages] == python_hashes(seed, messages)


@pytest.fixture(scope="module")
def segments(host: HostParser) -> list[bytes]:
    """Return the answers for generated segments of both IP versions."""
    answers = [host.parse(frame) for frame in PacketMaker(SEED).frames(5000)]
    parsed = [answer for answer in answers if answer[0] == 0]
    assert len({host.field("ipv6", answer) for answer in parsed}) == 2
    return parsed


def addresses(host: HostParser, answer: bytes) -> tuple[bytes, bytes]:
    """Return a segment's addresses, of 4 or 16 bytes."""
    first = 0 if host.field("ipv6", answer)[0] else 12
    return host.field("source", answer)[first:], host.field("destination", answer)[first:]


def test_a_handshake_is_found_by_its_whole_four_tuple(host: HostParser, segments: list[bytes]) -> None:
    """Every bit of both addresses and both ports goes through SipHash, and nothing is folded before."""
    messages = []
    for answer in segments:
        source, destination = addresses(host, answer)
        ports = host.field("destination_port", answer) + host.field("source_port", answer)
        both = source + destination if len(source) == 16 else destination + source
        messages.append(both + ports)
    secret = python_secret(SEED)
    assert [host.tuple_hash(secret, one) for one in segments] == python_hashes(SEED, messages)


def test_a_source_is_found_by_its_whole_address(host: HostParser, segments: list[bytes]) -> None:
    """The same of a source's address, of which IPv6 has 16 bytes and IPv4 four."""
    messages = [addresses(host, answer)[0] for answer in segments]
    secret = python_secret(SEED)
    assert [host.source_hash(secret, one) for one in segments] == python_hashes(SEED, messages)
