"""The detector's thresholds: those of one listener, and the sources that are trusted."""

from __future__ import annotations

from dataclasses import fields
from ipaddress import ip_network

import pytest

from synguard.detect import Thresholds, thresholds
from synguard.endpoint import Listener, ListenerPattern

WEB = Listener.parse("203.0.113.5:443")


def with_overrides(**by_name: dict[str, float]) -> Thresholds:
    """Return thresholds with overrides by the names of patterns, ``_`` standing for ``:``."""
    named = {"one": "203.0.113.5:443", "port": "*:443", "address": "203.0.113.5"}
    return Thresholds(overrides={ListenerPattern.parse(named[name]): v for name, v in by_name.items()})


def test_without_overrides_all_listeners_have_the_same() -> None:
    """Where nothing is set for a listener, it is judged by the common thresholds themselves."""
    common = Thresholds(half_open_per_s=7.0)
    assert common.for_listener(WEB) is common
    others = with_overrides(one={"min_attempts": 3})
    assert others.for_listener(Listener.parse("203.0.113.5:80")) is others


def test_the_more_exact_wins_field_by_field() -> None:
    """Each table sets what it names; of those that name the same field the most exact one counts."""
    found = with_overrides(
        one={"half_open_per_s": 1.0},
        port={"half_open_per_s": 2.0, "min_attempts": 2},
        address={"half_open_per_s": 3.0, "min_attempts": 3, "slow_floods": False},
    ).for_listener(WEB)
    assert (found.half_open_per_s, found.min_attempts, found.slow_floods) == (1.0, 2, False)
    assert found.half_open_ratio == Thresholds().half_open_ratio


@pytest.mark.parametrize(
    ("listener", "expected"),
    [
        ("203.0.113.5:443", 2.0),
        ("[2001:db8::5]:443", 2.0),
        ("203.0.113.5:80", 3.0),
        ("203.0.113.5", 3.0),
        ("203.0.113.6", 50.0),
        ("203.0.113.6:80", 50.0),
    ],
)
def test_whom_a_port_and_an_address_mean(listener: str, expected: float) -> None:
    """``*:PORT`` is that port anywhere; an address is all its ports, the closed ones with them."""
    common = with_overrides(port={"half_open_per_s": 2.0}, address={"half_open_per_s": 3.0})
    assert common.for_listener(Listener.parse(listener)).half_open_per_s == expected


def test_a_listeners_thresholds_keep_the_rest() -> None:
    """What one listener has otherwise changes neither whom it trusts nor what is set for all."""
    trusted = ip_network("198.51.100.0/24")
    common = Thresholds(
        overrides={ListenerPattern.parse("*:443"): {"min_attempts": 3}}, trusted=(trusted,), close_after_s=2.0
    )
    found = common.for_listener(WEB)
    assert (found.min_attempts, found.close_after_s, found.trusts(trusted)) == (3, 2.0, True)
    assert found.for_listener(WEB) is found


def test_thresholds_of_a_listener_are_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking again gives the same object, and however many are asked for, few are remembered."""
    monkeypatch.setattr(thresholds, "REMEMBERED_LISTENERS", 4)
    common = with_overrides(port={"min_attempts": 3})
    assert common.for_listener(WEB) is common.for_listener(WEB)
    addresses = [Listener(address, 443) for address in ip_network("192.0.2.0/28")]
    assert all(common.for_listener(listener).min_attempts == 3 for listener in addresses)
    assert len(common._listeners) <= 4
    assert common.for_listener(WEB).min_attempts == 3


@pytest.mark.parametrize(
    ("source", "trusted"),
    [
        ("198.51.100.7/32", True),
        ("198.51.100.0/24", True),
        ("198.51.100.0/23", False),
        ("198.51.101.0/32", False),
        ("192.0.2.9/32", True),
        ("192.0.2.8/32", False),
        ("192.0.2.0/24", False),
        ("2001:db8:7::/64", True),
        ("2001:db8::/32", True),
        ("2001:db8::/31", False),
        ("2001:db9::/64", False),
        ("0.0.0.0/0", False),
        ("::/0", False),
        # The leading bits of 198.51.100.0/24 as an IPv6 address has them.
        ("c633:6400::/24", False),
    ],
)
def test_who_is_trusted(source: str, trusted: bool) -> None:
    """A source is trusted if it lies wholly in a trusted network of its own family."""
    networks = tuple(map(ip_network, ("198.51.100.0/24", "192.0.2.9/32", "2001:db8::/32")))
    assert Thresholds(trusted=networks).trusts(ip_network(source)) is trusted
    assert not Thresholds().trusts(ip_network(source))


def test_all_of_a_family_can_be_trusted() -> None:
    """``0.0.0.0/0`` trusts every IPv4 source, and no IPv6 one."""
    everybody = Thresholds(trusted=(ip_network("0.0.0.0/0"),))
    assert everybody.trusts(ip_network("203.0.113.9/32"))
    assert not everybody.trusts(ip_network("2001:db8::/64"))


def test_thresholds_are_values() -> None:
    """Equal thresholds are equal and hash alike, whatever they have been asked before."""
    one, other = (with_overrides(port={"min_attempts": 3}) for _ in range(2))
    one.for_listener(WEB)
    assert one == other
    assert hash(one) == hash(other)
    assert one != with_overrides(port={"min_attempts": 4})
    with pytest.raises(AttributeError):
        one.min_attempts = 1  # type: ignore[misc]
    assert all(field.name in repr(one) for field in fields(one) if not field.name.startswith("_"))
