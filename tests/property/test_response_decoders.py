"""What the probe is told to do, and what it learns to that end, decodes whatever bytes the maps hold."""

from __future__ import annotations

import struct
from ipaddress import IPv4Network, IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synguard.handshake import Answer
from synguard.probe import layout, response_layout
from tests.property.test_layout_decoders import ADDRESS, WORD, sources


@given(st.integers(0, 2**32 - 1), st.integers(0, 32))
def test_ipv4_block_keys_survive_the_round_trip(number: int, length: int) -> None:
    """A block is read back as it was written."""
    network = IPv4Network((number, length), strict=False)
    assert response_layout.decode_block_key(response_layout.encode_block_key(network)) == network


@given(st.integers(0, 2**128 - 1), st.integers(0, 128))
def test_ipv6_block_keys_survive_the_round_trip(number: int, length: int) -> None:
    """As in IPv4; prefixes of mapped addresses apart, which stand for IPv4."""
    network = IPv6Network((number, length), strict=False)
    decoded = response_layout.decode_block_key(response_layout.encode_block_key(network))
    mapped = network.network_address.ipv4_mapped
    if mapped is not None and length >= 96:
        assert decoded == IPv4Network((mapped, length - 96))
    else:
        assert decoded == network


@given(ADDRESS, st.one_of(st.integers(0, 130), st.integers(0, 2**32 - 1)))
def test_any_block_key_is_a_prefix_or_refused(address: bytes, length: int) -> None:
    """What decodes is the prefix of that key; bits behind the prefix or too long a one are refused."""
    raw = response_layout.BLOCK_KEY.pack(address, length)
    fits = length <= 128 and not int.from_bytes(address, "big") & (2 ** (128 - length) - 1)
    if fits:
        assert response_layout.encode_block_key(response_layout.decode_block_key(raw)) == raw
    else:
        with pytest.raises(ValueError, match=r"host bits|netmask"):
            response_layout.decode_block_key(raw)


@given(st.binary(min_size=8, max_size=8))
def test_any_answer_survives_the_round_trip(raw: bytes) -> None:
    """A listener's answer is read from any bytes, and what the kernel is given of it means the same."""
    answer = response_layout.decode_answer(raw, 3, 5)
    assert 0 <= answer.mss < 2**16
    assert answer.window_scale is None or answer.window_scale < response_layout.NO_WINDOW_SCALE
    assert (answer.local, answer.foreign) == (3, 5)
    assert response_layout.decode_answer(response_layout.encode_answer(answer), 3, 5) == answer


def test_no_answer_is_one_that_nothing_is_known_of() -> None:
    """Zero bytes: no MSS, a window of nothing."""
    assert response_layout.decode_answer(response_layout.encode_answer(None)) == Answer(
        0, 0, 0, sack=False, timestamps=False, ttl=0, local=0, foreign=0
    )


@given(sources())
def test_any_clock_decodes(source: tuple[bytes, int]) -> None:
    """Without a moment there is no clock; its age and its figures are never negative."""
    raw, now_ns = source
    proof = response_layout.decode_clock(raw, now_ns)
    began_ns = int.from_bytes(raw[128:136], "little")
    assert (proof is None) == (began_ns == 0)
    if proof is not None:
        assert proof.seconds_old == max(now_ns - began_ns, 0) / 1e9
        assert min(proof.matched, proof.missed, proof.others) >= 0


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), WORD, st.integers(1, 2**62))
def test_each_figure_of_a_clock_is_read_from_its_place(
    missed: int, matched: int, others: int, began_ns: int
) -> None:
    """Behind the source's other words, as bpf/layout.h has them."""
    raw = bytearray(layout.SOURCE_BYTES)
    struct.pack_into("=QIIQ", raw, response_layout.SOURCE_CLOCK_NS, began_ns, matched, missed, others)
    proof = response_layout.decode_clock(bytes(raw), began_ns + 10**9)
    assert proof is not None
    assert (proof.matched, proof.missed, proof.others, proof.seconds_old) == (matched, missed, others, 1.0)


@given(
    st.one_of(st.integers(0, 2**128 - 1), st.integers(0xFFFF << 32, 0xFFFF << 32 | 0xFFFFFFFF)),
    st.integers(0, 128),
    st.booleans(),
)
def test_spared_networks_have_keys_of_their_own(number: int, length: int, ipv4: bool) -> None:
    """The trie's key is the network as a block's is, with its version beside it, a mapped one's being 4."""
    network = (
        IPv4Network((number % 2**32, length % 33), strict=False)
        if ipv4
        else IPv6Network((number, length), strict=False)
    )
    key, value = response_layout.encode_spared(network)
    found = response_layout.decode_block_key(
        response_layout.BLOCK_KEY.pack(key[4:], int.from_bytes(key[:4], "little"))
    )
    mapped = None if network.version == 4 else network.network_address.ipv4_mapped
    assert (found == network) == (mapped is None or network.prefixlen < 96)
    assert int.from_bytes(value, "little") == found.version
