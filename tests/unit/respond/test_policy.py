"""The policy: who may be dropped, who never, and why."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synguard.endpoint import Listener
from synguard.model import (
    Alert,
    AlertClass,
    AlertKind,
    AlertState,
    Evidence,
    RespondMode,
    Severity,
    TopSource,
)
from synguard.respond.policy import Protected, Rules, decide, overlaps, protection

ALWAYS = Rules(RespondMode.ENFORCE, "always", 600.0, 4096)
NOW_S = 1_790_000_000.0


def flood(source: str | None = "198.51.100.7", alert_class: AlertClass = AlertClass.SINGLE_SOURCE) -> Alert:
    """Return an open SYN-flood alert."""
    return Alert(
        1,
        AlertKind.SYN_FLOOD,
        alert_class,
        Severity.HIGH,
        AlertState.OPEN,
        NOW_S,
        Listener.parse("203.0.113.5:443"),
        ip_network(source) if source else None,
    )


def alert_of(kind: AlertKind, alert_class: AlertClass | None = None) -> Alert:
    """Return an open alert of another kind that names a source, as a scan's does."""
    return replace(flood(), kind=kind, alert_class=alert_class)


def test_a_single_source_is_dropped_on_the_operators_word() -> None:
    """With drop = always a flooding address is blocked for the configured time."""
    response = decide(flood(), ALWAYS, (), 0, NOW_S).response
    assert response is not None
    assert (response.response, response.target, response.until_s) == ("drop", "198.51.100.7", NOW_S + 600)
    assert response.mode is RespondMode.ENFORCE


def test_dry_run_says_what_enforce_would_do() -> None:
    """Dry-run's response differs from enforce's in nothing but the mode."""
    dry = decide(flood(), replace(ALWAYS, mode=RespondMode.DRY_RUN), (), 0, NOW_S).response
    real = decide(flood(), ALWAYS, (), 0, NOW_S).response
    assert dry is not None
    assert real is not None
    assert dry == replace(real, mode=RespondMode.DRY_RUN)


@pytest.mark.parametrize(
    ("alert", "rules", "word"),
    [
        (flood(), replace(ALWAYS, mode=RespondMode.OFF), "off"),
        (flood(), replace(ALWAYS, drop="proven"), "not spoofed"),
        (flood(None, AlertClass.SPOOFED), ALWAYS, "may be other people's"),
        (flood(None, AlertClass.DISTRIBUTED), ALWAYS, "each of its many sources makes little of it"),
        (flood(None), ALWAYS, "it names no source"),
        (flood("198.51.100.0/24", AlertClass.PREFIX), ALWAYS, "198.51.100.0/24 would hit everybody in it"),
        (alert_of(AlertKind.SCAN, AlertClass.FIN), ALWAYS, "no response for scan alerts: a scan does"),
        (alert_of(AlertKind.SCAN, AlertClass.HALF_OPEN), ALWAYS, "its probes may bear anybody's address"),
        (alert_of(AlertKind.REFLECTION), ALWAYS, "no response for reflection alerts: the addresses"),
        (alert_of(AlertKind.OVERLOAD), ALWAYS, "no response for overload alerts: an overload is made by"),
        (alert_of(AlertKind.BLIND), ALWAYS, "no response for blind alerts: what is not seen"),
    ],
)
def test_nothing_is_done_and_the_reason_is_given(alert: Alert, rules: Rules, word: str) -> None:
    """Where nothing may be done, the decision says why in words."""
    decision = decide(alert, rules, (), 0, NOW_S)
    assert (decision.response, decision.undo) == (None, False)
    assert word in decision.reason


def test_a_source_that_completes_handshakes_is_not_dropped() -> None:
    """Real clients behind a flooding address are not cut off."""
    source = ip_network("198.51.100.7")
    alert = replace(flood(), top_sources=(TopSource(source, 5000, 3),))
    decision = decide(alert, ALWAYS, (), 0, NOW_S)
    assert decision.response is None
    assert "3 handshakes" in decision.reason
    assert decision.undo


def test_an_address_at_which_somebody_lives_is_left_alone() -> None:
    """A flood in the name of a live client is not answered, and the reason tells of the client."""
    alert = replace(flood(None, AlertClass.SPOOFED), evidence=(Evidence("live_client", 37, 0.5),))
    decision = decide(alert, ALWAYS, (), 0, NOW_S)
    assert decision.response is None
    assert "somebody completes handshakes (37 so far)" in decision.reason
    assert decision.undo


@pytest.mark.parametrize("kind", AlertKind)
@pytest.mark.parametrize("alert_class", [None, *AlertClass])
@pytest.mark.parametrize("source", [None, "198.51.100.7", "198.51.100.0/24"])
def test_only_a_flood_called_after_one_source_is_answered(
    kind: AlertKind, alert_class: AlertClass | None, source: str | None
) -> None:
    """Of all kinds and classes, named source or not, one is dropped; the others each have a reason."""
    alert = replace(flood(source), kind=kind, alert_class=alert_class)
    decision = decide(alert, ALWAYS, (), 0, NOW_S)
    floods = (kind, alert_class) == (AlertKind.SYN_FLOOD, AlertClass.SINGLE_SOURCE)
    assert (decision.response is not None) == (floods and source is not None)
    assert len(decision.reason) > 20


def test_protected_addresses_are_spared_also_inside_a_prefix() -> None:
    """A source prefix that merely contains a protected address is not blocked."""
    gateway = Protected(ip_network("2001:db8::1"), "it is a gateway of this machine")
    decision = decide(flood("2001:db8::/64"), ALWAYS, (gateway,), 0, NOW_S)
    assert decision.response is None
    assert "gateway" in decision.reason


def test_the_cap_on_blocks_is_kept() -> None:
    """One block more than allowed is not set."""
    assert decide(flood(), ALWAYS, (), 4095, NOW_S).response is not None
    refused = decide(flood(), ALWAYS, (), 4096, NOW_S)
    assert (refused.response, refused.retry) == (None, True)


def test_families_do_not_overlap() -> None:
    """An IPv6 network never protects an IPv4 address."""
    everything = Protected(ip_network("::/0"), "it is on the allow list")
    assert not overlaps(ip_network("10.0.0.1"), everything.network)
    assert protection(ip_network("10.0.0.1"), (everything,)) is None
    assert protection(ip_network("2001:db8::1"), (everything,)) is not None


@pytest.mark.parametrize("mapped", ["::ffff:198.51.100.7", "::ffff:198.51.100.0/120", "::ffff:0:0/96"])
def test_ipv4_written_as_ipv6_is_the_same_address(mapped: str) -> None:
    """What the probe takes for an IPv4 address is protected as one, whichever side writes it otherwise."""
    plain, other = ip_network("198.51.100.7"), ip_network(mapped)
    assert protection(other, (Protected(plain, "it is a gateway of this machine"),)) is not None
    assert protection(plain, (Protected(other, "it is on the allow list"),)) is not None


networks = st.one_of(
    st.builds(
        lambda number, length: ip_network((number, length), strict=False),
        st.integers(0, 2**32 - 1),
        st.integers(0, 32),
    ),
    st.builds(
        lambda number, length: ip_network((number, length), strict=False),
        st.integers(2**96, 2**128 - 1),
        st.integers(0, 128),
    ),
)


@given(
    source=networks,
    allowed=st.lists(networks, max_size=5),
    mode=st.sampled_from(RespondMode),
    drop=st.sampled_from(["proven", "always"]),
    held=st.integers(0, 20),
    kind=st.sampled_from(AlertKind),
    alert_class=st.sampled_from(AlertClass),
)
def test_no_decision_touches_the_protected_or_goes_beyond_the_caps(
    source: object,
    allowed: list[object],
    mode: RespondMode,
    drop: str,
    held: int,
    kind: AlertKind,
    alert_class: AlertClass,
) -> None:
    """Whatever the alert, a response has an end, keeps the cap, and spares whom it must."""
    alert = replace(flood(), source=source, kind=kind, alert_class=alert_class)  # type: ignore[arg-type]
    protected = [Protected(network, "it is on the allow list") for network in allowed]  # type: ignore[arg-type]
    decision = decide(alert, Rules(mode, drop, 60.0, 10), protected, held, NOW_S)
    assert decision.reason
    if decision.response is None:
        return
    assert (kind, alert_class) == (AlertKind.SYN_FLOOD, AlertClass.SINGLE_SOURCE)
    assert mode is not RespondMode.OFF
    assert drop == "always"
    assert held < 10
    assert decision.response.until_s == NOW_S + 60
    assert not any(overlaps(ip_network(decision.response.target), entry.network) for entry in protected)
