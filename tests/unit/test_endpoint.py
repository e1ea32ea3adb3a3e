"""How people write listeners and patterns of them."""

from __future__ import annotations

import pytest

from synguard.endpoint import Listener, ListenerPattern, patterns_of


@pytest.mark.parametrize(
    "text", ["203.0.113.5:443", "[2001:db8::5]:443", "203.0.113.5", "2001:db8::5", "*:443"]
)
def test_a_pattern_reads_what_it_writes(text: str) -> None:
    """A pattern's text means the same pattern."""
    assert str(ListenerPattern.parse(text)) == text


@pytest.mark.parametrize(
    ("listener", "patterns"),
    [
        ("203.0.113.5:443", ["203.0.113.5", "*:443", "203.0.113.5:443"]),
        ("[2001:db8::5]:443", ["2001:db8::5", "*:443", "[2001:db8::5]:443"]),
        ("203.0.113.5", ["203.0.113.5"]),
    ],
)
def test_patterns_of_a_listener(listener: str, patterns: list[str]) -> None:
    """A listener is meant by its address, its port anywhere, and itself; closed ports by the address."""
    assert [str(pattern) for pattern in patterns_of(Listener.parse(listener))] == patterns


@pytest.mark.parametrize("text", ["[2001:db8::5", "[2001:db8::5:443", "203.0.113.5:", "203.0.113.5:x", "web"])
def test_what_is_no_listener(text: str) -> None:
    """Half a bracket, half a port or a name is refused, not guessed at."""
    with pytest.raises(ValueError, match=r"ADDR:PORT|does not appear"):
        Listener.parse(text)
