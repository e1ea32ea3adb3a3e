"""The probe's hash is SipHash-1-3: CPython has hashed text and bytes with the same since 3.11."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys

import pytest

from tests.fuzz.build import HostParser, build_library

#: Run by a Python with a hash secret that is known; prints the algorithm and the hashes of what it is given.
WITNESS = """
import json, sys
print(json.dumps([sys.hash_info.algorithm, [hash(bytes.fromhex(one)) for one in json.load(sys.stdin)]]))
"""


def python_secret(seed: int) -> bytes:
    """Return the secret that PYTHONHASHSEED gives: bootstrap_hash.c's generator; 0 stands for no secret."""
    state, secret = seed, bytearray()
    for _ in range(16 if seed else 0):
        state = (state * 214013 + 2531011) % 2**32
        secret.append(state >> 16 & 0xFF)
    return bytes(secret) if seed else bytes(16)


@pytest.mark.parametrize("seed", [0, 1, 23, 4294967295])
def test_it_is_siphash_1_3(seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Messages of every length up to 64 bytes hash as Python hashes them under the same secret."""
    host: HostParser = build_library(tmp_path_factory.mktemp("library"))
    generator = random.Random(seed)  # noqa: S311  a message that hashes otherwise must come again
    messages = [generator.randbytes(length) for length in range(1, 65) for _ in range(8)]
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
    secret = python_secret(seed)
    assert [host.siphash(secret, one) for one in messages] == [number % 2**64 for number in hashes]
