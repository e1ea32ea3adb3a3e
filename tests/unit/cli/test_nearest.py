"""Addresses, prefixes and listeners as people write them, and what a wrong one was meant to be."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synguard.cli.nearest import (
    did_you_mean,
    nearest_address,
    parse_listener,
    parse_silence_target,
    parse_source,
)
from synguard.errors import UsageError


@pytest.mark.parametrize(
    ("text", "means"),
    [
        (" 192.0.2.7 ", "192.0.2.7"),
        ("192.0.2.7/32", "192.0.2.7"),
        ("198.51.100.0/24", "198.51.100.0/24"),
        ("2001:DB8:0::/48", "2001:db8::/48"),
    ],
)
def test_a_source_is_an_address_or_a_prefix(text: str, means: str) -> None:
    """Sources come out as they are shown elsewhere."""
    assert parse_source(text) == means


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("10.0.0.300", "300 is more than 255"),
        ("10.0.0/8", "did you mean 10.0.0.0/8?"),
        ("10.0.0", "did you mean 10.0.0.0/24?"),
        ("10.0.0.*", "did you mean 10.0.0.0/24?"),
        ("10,0,0,1", "did you mean 10.0.0.1?"),
        ("010.0.0.1", "did you mean 10.0.0.1?"),
        ("10.1.2.3/8", "it has host bits set: did you mean 10.0.0.0/8?"),
        ("10.0.0.0/33", "/33 is more than the /32 of IPv4"),
        ("2001:db8:::1", "did you mean 2001:db8::1?"),
        ("2001:db8/32", "did you mean 2001:db8::/32?"),
        ("2001:db8::1/48", "it has host bits set: did you mean 2001:db8::/48?"),
        ("2001:db8::/129", "/129 is more than the /128 of IPv6"),
        ("fe80::1%eth0", "did you mean fe80::1?"),
        ("192.0.2.7:443", "a port does not belong here: did you mean 192.0.2.7?"),
        ("[2001:db8::5]:443", "a port does not belong here: did you mean 2001:db8::5?"),
        ("example.org", "names are not looked up; write 192.0.2.7"),
        ("10.0.0.1-10.0.0.5", "write 192.0.2.7, 198.51.100.0/24 or 2001:db8::/48"),
        ("", "write 192.0.2.7"),
        ("[", "write 192.0.2.7"),
    ],
)
def test_what_is_no_source(text: str, said: str) -> None:
    """A wrong source is refused with what is wrong about it and the nearest right form."""
    with pytest.raises(UsageError) as refused:
        parse_source(text)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("203.0.113.5:443", "203.0.113.5:443"),
        ("[2001:db8::5]:443", "[2001:db8::5]:443"),
        ("203.0.113.5", "203.0.113.5"),
        ("2001:db8::5", "2001:db8::5"),
        ("[2001:db8::5:443]", "2001:db8::5:443"),
    ],
)
def test_a_listener_is_an_address_with_or_without_a_port(text: str, means: str) -> None:
    """Listeners come out as they are shown elsewhere; brackets alone mean an address."""
    assert parse_listener(text) == means


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1.2.3.4:99999", "no port from 1 to 65535; for all ports of it write 1.2.3.4"),
        ("1.2.3.4:", "for all ports of it write 1.2.3.4"),
        ("1.2.3.4:http", "for all ports of it write 1.2.3.4"),
        ("[::1]:0", "for all ports of it write ::1"),
        ("[::1", "did you mean ::1, or [::1]:443?"),
        ("[::1]443", "did you mean [::1]:443?"),
        ("::1:443", "did you mean [::1]:443? All ports of that address are [::1:443]"),
        ("[2001:db8:::1]:443", "did you mean [2001:db8::1]:443?"),
        ("[fe80::1%eth0]:443", "did you mean [fe80::1]:443?"),
        ("web:80", "write ADDR:PORT, such as 192.0.2.7:443"),
        ("198.51.100.0/24:443", "write ADDR:PORT"),
        (":443", "write ADDR:PORT"),
        ("", "write ADDR:PORT"),
    ],
)
def test_what_is_no_listener(text: str, said: str) -> None:
    """A wrong listener is refused with the nearest right form, an ambiguous one with both that it may be."""
    with pytest.raises(UsageError) as refused:
        parse_listener(text)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("10.0.0/8", "did you mean 10.0.0.0/8?"),
        ("2001:db8:::1", "did you mean 2001:db8::1?"),
        ("2001:db8::5:443", "did you mean [2001:db8::5]:443?"),
    ],
)
def test_what_is_no_target_of_a_silence(text: str, said: str) -> None:
    """A wrong target is refused with the nearest right form: nobody silences what he does not mean."""
    with pytest.raises(UsageError) as refused:
        parse_silence_target(text)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("word", "said"),
    [("attemps", ": did you mean attempts?"), ("SPOFED", ": did you mean spoofed?"), ("x", "")],
)
def test_the_nearest_word(word: str, said: str) -> None:
    """Of several words the one that is like a misspelt one is named, and none where none is."""
    assert did_you_mean(word, ["attempts", "spoofed", "distributed"]) == said


TEXTS = st.text(alphabet="0123456789abcdef:./[]%*,g ", max_size=24)


@given(TEXTS)
def test_a_suggested_address_is_one(text: str) -> None:
    """Whatever is suggested instead of a wrong address is taken when written."""
    nearest = nearest_address(text)
    if nearest is not None:
        ip_network(nearest)


@pytest.mark.parametrize("parse", [parse_listener, parse_silence_target])
@given(text=TEXTS)
def test_any_text_is_read_or_refused(parse: Callable[[str], str], text: str) -> None:
    """No text crashes, and what is read is read the same when it is written that way again."""
    try:
        read = parse(text)
    except UsageError:
        return
    assert parse(f"[{read}]" if read.count(":") > 1 and "[" not in read and "/" not in read else read) == read
