"""Which alerts a silence covers, how many there may be, and what is kept of them."""

from __future__ import annotations

import time
from dataclasses import replace
from ipaddress import ip_network

import pytest

from synguard.daemon.silences import MAX_SILENCES
from synguard.endpoint import Listener, parse_target, target_text
from synguard.errors import SynguardError, UsageError
from synguard.model import Alert, AlertClass
from tests.unit.daemon.staging import FLOOD, Stage, silence


def alert(source: str | None, *listeners: str) -> Alert:
    """Return an alert of a source on listeners; without a source its addresses are spoofed."""
    parsed = tuple(map(Listener.parse, listeners))
    return replace(
        FLOOD,
        alert_class=AlertClass.SINGLE_SOURCE if source else AlertClass.SPOOFED,
        source=ip_network(source) if source else None,
        listener=parsed[0] if parsed else None,
        listeners=parsed if len(parsed) > 1 else (),
    )


WEB, MAIL, WEB6 = "203.0.113.5:443", "203.0.113.5:25", "[2001:db8::5]:443"


@pytest.mark.parametrize(
    ("targets", "silenced", "heard"),
    [
        ([WEB], [alert(None, WEB), alert("198.51.100.7", WEB)], [alert(None, MAIL), alert(None, WEB, MAIL)]),
        ([WEB, MAIL], [alert(None, WEB, MAIL)], [alert(None, WEB, MAIL, WEB6)]),
        (["203.0.113.5"], [alert(None, WEB, MAIL), alert(None, "203.0.113.5")], [alert(None, WEB, WEB6)]),
        ([WEB6, "203.0.113.5"], [alert(None, WEB6, WEB, MAIL)], [alert(None, "2001:db8::5")]),
        (["198.51.100.7"], [alert("198.51.100.7", WEB), alert("198.51.100.7")], [alert("198.51.100.8", WEB)]),
        (
            ["198.51.100.0/24"],
            [alert("198.51.100.7", WEB), alert("198.51.100.128/25"), alert("198.51.100.0/24")],
            [alert("198.51.0.0/16"), alert("198.51.101.7"), alert(None, "198.51.100.7:443")],
        ),
        (["0.0.0.0/0"], [alert("198.51.100.7", WEB)], [alert("2001:db8:1::/64", WEB6), alert(None, WEB)]),
        (
            ["2001:db8:1::77"],
            [alert("2001:db8:1::/64", WEB6)],
            [alert("2001:db8:2::/64", WEB6), alert("2001:db8::/32", WEB6), alert("198.51.100.7", WEB)],
        ),
        (["2001:db8::/32"], [alert("2001:db8:1::/64"), alert("2001:db8:1::/48")], [alert("2001:db9::/64")]),
        ([], [], [alert("198.51.100.7", WEB), alert(None)]),
    ],
)
def test_what_is_covered(targets: list[str], silenced: list[Alert], heard: list[Alert]) -> None:
    """A source by what it lies in; listeners only when all of them are, each by itself or its address."""
    silences = Stage().silences
    for target in targets:
        silences.add(silence(target))
    now_s = time.time()
    assert all(silences.on(one, now_s) for one in silenced)
    assert not any(silences.on(one, now_s) for one in heard)


def test_the_silence_that_is_named_is_the_one_that_decides_the_end() -> None:
    """Of several that cover one thing the longest counts, of several listeners the one that ends first."""
    silences = Stage().silences
    for target, lasts_s in ((WEB, 60.0), ("203.0.113.5", 600.0), (WEB6, 300.0)):
        silences.add(silence(target, lasts_s))
    now_s = time.time()
    named = [silences.on(alert(None, *listeners), now_s) for listeners in ([WEB], [WEB, WEB6])]
    assert [one and target_text(one.target) for one in named] == ["203.0.113.5", WEB6]
    assert silences.on(alert(None, WEB6), now_s + 301) is None


def test_there_are_at_most_a_thousand() -> None:
    """One more is refused with what to do; new terms for one that is there are not."""
    silences = Stage().silences
    for number in range(MAX_SILENCES):
        silences.add(silence(f"10.0.{number // 256}.{number % 256}"))
    with pytest.raises(SynguardError, match="synguard silence remove"):
        silences.add(silence("192.0.2.1"))
    silences.add(silence("10.0.0.1", reason="another"))
    assert len(silences) == MAX_SILENCES


def test_what_is_asked_for_is_kept_and_what_is_over_is_not() -> None:
    """The history hears of each silence and of its end; a restored one is in force without another word."""
    stage = Stage()
    one = silence(WEB, 60.0)
    stage.silences.restore([silence("198.51.100.0/24")])
    stage.silences.add(one)
    assert [target_text(held.target) for held in stage.silences.held(time.time())] == ["198.51.100.0/24", WEB]
    assert stage.silences.on(alert("198.51.100.7"), time.time()) is not None
    stage.silences.tidy(one.until_s)
    assert not stage.silences.remove(one.target, "by hand")
    assert stage.kept == [one, one.target]
    assert len(stage.silences) == 1


@pytest.mark.parametrize(
    "text", ["203.0.113.5:443", "[2001:db8::5]:443", "198.51.100.7", "198.51.100.0/24", "2001:db8::/48"]
)
def test_targets_are_written_as_they_are_read(text: str) -> None:
    """Every form of a target comes back from its text as itself."""
    assert target_text(parse_target(text)) == text


@pytest.mark.parametrize(
    "text", ["", "web:443", "203.0.113.5:0", "203.0.113.0/24:80", "::1%eth0", "1.2.3.4/33"]
)
def test_what_is_no_target_is_refused(text: str) -> None:
    """Nothing but listeners, addresses and prefixes can be silenced."""
    with pytest.raises(UsageError, match="is no target"):
        parse_target(text)
