"""What SYNs bear that tells whether their sources can be believed, and in whose name they may come."""

from __future__ import annotations

from dataclasses import replace

import pytest

from synguard.detect import Detector, Thresholds
from synguard.detect.counts import Marks
from synguard.detect.evidence import spoofing, ttl_unlike
from synguard.detect.listener_memory import Lately, ListenerMemory
from synguard.detect.windows import Window
from synguard.model import AlertClass, Evidence, HandshakeCounts, ListenerReading
from tests.unit.detect.simulation import FLOODER, NAT, WEB, Stream, World, crowd, flood, single

NEARBY = crowd(200, rtt_ms=1, sources=50, ttl=57)
#: A second in which 1,000 attempts are half-open.
SECOND = Window(0, 1_000_000_000, 1000, 1000, 60, 0, 1_000_000_000)


def memory(**fields: object) -> ListenerMemory:
    """Return what is remembered of a listener with such a reading."""
    return ListenerMemory(replace(ListenerReading(WEB, HandshakeCounts(), ()), **fields))  # type: ignore[arg-type]


def lately(attempts: int = 1000, *, answered: int = 0, aborted: int = 0, **marks: object) -> Lately:
    """Return what a listener's counts rose by."""
    counts = HandshakeCounts(attempts=attempts, answered=answered, aborted=aborted)
    return Lately(counts, Marks(**marks))  # type: ignore[arg-type]


def found(recent: Lately, **fields: object) -> dict[str, Evidence]:
    """Return by name what speaks for spoofed sources in a second with such marks."""
    return {item.name: item for item in spoofing(memory(**fields), SECOND, recent)}


def play(*streams: Stream, until_ms: int = 8000) -> World:
    """Return what a detector of default thresholds makes of these streams."""
    return World(Detector(Thresholds(), 1), *streams).run(until_ms)


def named_ever(played: World) -> set[object]:
    """Return whom any word about any alert named, as its source or among its top sources."""
    alerts = [action.alert for _, action in played.actions]
    return {alert.source for alert in alerts} | {top.source for alert in alerts for top in alert.top_sources}


@pytest.mark.parametrize(("bogon", "weight"), [(20, None), (60, None), (100, 0.5), (130, 0.5)])
def test_bogons_surely_above_two_percent_suffice(bogon: int, weight: float | None) -> None:
    """Six of a hundred might be chance; thirteen, as random addresses have, are not."""
    item = found(lately(bogon=bogon)).get("bogon_share")
    assert (item and item.weight) == weight
    assert item is None or item.value == bogon / 1000


@pytest.mark.parametrize(("name", "mark", "least"), [("bare_syn_share", "bare", 500)])
@pytest.mark.parametrize("below", [0, 1])
def test_half_of_the_syns_without_options_speak(name: str, mark: str, least: int, below: int) -> None:
    """Exactly half does, one less does not."""
    item = found(lately(**{mark: least - below})).get(name)
    assert (item is None) == bool(below)
    assert item is None or (item.value, item.weight) == (0.5, 0.20)


@pytest.mark.parametrize(("patterned", "speaks"), [(499, False), (500, True)])
def test_half_of_the_syns_in_a_pattern_speak(patterned: int, speaks: bool) -> None:
    """Those that repeat the sequence number or the port of the one before."""
    assert ("pattern_share" in found(lately(patterned=patterned))) is speaks


@pytest.mark.parametrize(("aborted", "speaks"), [(9, False), (10, True)])
def test_one_percent_of_answers_reset_speaks(aborted: int, speaks: bool) -> None:
    """Live hosts that asked nothing answer our SYN-ACKs with RST."""
    item = found(lately(answered=1000, aborted=aborted)).get("rst_share")
    assert (item is not None) is speaks
    assert item is None or (item.value, item.weight) == (0.01, 0.15)


@pytest.mark.parametrize(
    ("completed", "unlike", "share"), [(49, 900, 0.0), (50, 900, 0.9), (5000, 499, 0.499)]
)
def test_ttls_are_held_against_those_of_handshakes(completed: int, unlike: int, share: float) -> None:
    """Once fifty have completed; a TTL with which two in a hundred did is a client's."""
    ttls = tuple(completed if bin_ == 7 else 0 for bin_ in range(32))
    syns = tuple({7: 1000 - unlike, 30: unlike}.get(bin_, 0) for bin_ in range(32))
    listener = memory(completed_ttl_histogram=ttls)
    assert ttl_unlike(listener, lately(syn_ttl=syns)) == share
    item = found(lately(syn_ttl=syns), completed_ttl_histogram=ttls).get("ttl_unlike")
    assert (item and item.weight) == (0.25 if share >= 0.5 else None)


@pytest.mark.parametrize(("rare", "share"), [(19, 1.0), (21, 0.0)])
def test_a_ttl_of_a_few_clients_is_a_clients(rare: int, share: float) -> None:
    """Rare is what less than one in fifty of the completed handshakes has."""
    ttls = tuple({7: 1000 - rare, 15: rare}.get(bin_, 0) for bin_ in range(32))
    syns = tuple(1000 if bin_ == 15 else 0 for bin_ in range(32))
    assert ttl_unlike(memory(completed_ttl_histogram=ttls), lately(syn_ttl=syns)) == share


@pytest.mark.parametrize(("sources", "speaks"), [(500, False), (501, True)])
def test_fewer_than_two_syns_per_source_speak(sources: int, speaks: bool) -> None:
    """1,000 half-open attempts of 501 sources; who asks twice each may be somebody."""
    assert ("syns_per_source" in found(lately(), sources_estimated=sources)) is speaks


def test_what_speaks_is_told_with_its_weight_the_heaviest_first() -> None:
    """So that a reader sees the reason first."""
    items = spoofing(
        memory(sources_estimated=900), SECOND, lately(bogon=130, bare=900, answered=1000, aborted=20)
    )
    assert items[0].name == "bogon_share"
    weights = [item.weight for item in items]
    assert weights == sorted(weights, reverse=True)


def test_a_ttl_is_no_early_sign() -> None:
    """A crowd from afar has other TTLs than the neighbours before it."""
    far = crowd(5000, 400, start_ms=3000, stop_ms=5000, ttl=44)
    assert play(NEARBY, far).actions == []


@pytest.mark.parametrize("offset_ms", range(0, 50, 16))
@pytest.mark.parametrize("marks", [{"bogon": 0.13}, {"patterned": 1.0}, {"bare": True}])
def test_a_flood_with_an_early_sign_is_found_within_200_ms(marks: dict[str, float], offset_ms: int) -> None:
    """10,000 SYN/s of random sources at a listener that learned 1 ms; without a sign it takes a second."""
    start_ms = 4000 + offset_ms
    ((at_ms, _),) = play(NEARBY, replace(flood(10_000, start_ms), **marks)).opened()  # type: ignore[arg-type]
    assert at_ms - start_ms <= 200
    ((later_ms, _),) = play(NEARBY, flood(3000, start_ms)).opened()
    assert later_ms - start_ms >= 1000


def test_bogons_alone_make_a_flood_of_few_sources_spoofed() -> None:
    """2,000 SYN/s of forty addresses are believed, unless one in eight is none that a router carries."""
    believed = play(flood(2000, 1000, sources=40)).detector.open_alerts()[0]
    assert believed.alert_class is AlertClass.DISTRIBUTED
    spoofed = play(flood(2000, 1000, sources=40, bogon=0.125)).detector.open_alerts()[0]
    assert spoofed.alert_class is AlertClass.SPOOFED
    assert "bogon_share" in {item.name for item in spoofed.evidence}


@pytest.mark.parametrize(
    ("marks", "expected"),
    [
        ({}, AlertClass.DISTRIBUTED),
        ({"bare": True}, AlertClass.DISTRIBUTED),
        ({"ttl": 57}, AlertClass.DISTRIBUTED),
        ({"ttl": 250}, AlertClass.SPOOFED),
        ({"patterned": 1.0, "bare": True}, AlertClass.SPOOFED),
    ],
)
def test_a_sign_beside_the_silence_of_the_sources(marks: dict[str, float], expected: AlertClass) -> None:
    """Of 400 sources that complete nothing: TTLs that no client has are enough, missing options are not."""
    clients = crowd(60, sources=50, ttl=57)
    silent = replace(flood(2000, 8000, sources=400), **marks)  # type: ignore[arg-type]
    (alert,) = play(clients, silent, until_ms=12_000).detector.open_alerts()
    assert "silent_sources" in {item.name for item in alert.evidence}
    assert alert.alert_class is expected


def user(per_s: float, **more: object) -> Stream:
    """Return somebody who lives at the address that a flood claims."""
    kind: dict[str, object] = {"watched": FLOODER, "sources": 1} | more
    return replace(crowd(per_s, rtt_ms=30), **kind)  # type: ignore[arg-type]


@pytest.mark.parametrize("flood_per_s", [60, 300, 10_000])
@pytest.mark.parametrize("user_per_s", [0.5, 2, 40])
def test_a_flood_in_a_live_users_name_never_names_the_user(flood_per_s: int, user_per_s: float) -> None:
    """As its source or a top source, from its first word to its last; it is called spoofed."""
    streams = NEARBY, user(user_per_s), single(flood_per_s, 12_000, 18_000)
    played = play(*streams, until_ms=40_000)
    assert len(played.opened()) == len(played.closed()) == 1
    assert named_ever(played) == {None}
    assert {action.alert.alert_class for _, action in played.actions} == {AlertClass.SPOOFED}
    told = {item.name: item for item in played.opened()[0][1].evidence}
    assert told["live_client"].weight == 0.5
    assert float(told["live_client"].value) >= max(2, 12 * user_per_s - 2)


def test_a_live_user_whom_a_busy_listener_hides_is_not_named_either() -> None:
    """500 SYN/s in his name beside 20,000 good ones a second, where the source alone shows the flood."""
    played = play(crowd(20_000, sources=900), user(2), single(500, 6000, 9000), until_ms=24_000)
    assert len(played.opened()) == 1
    assert named_ever(played) == {None}


def test_a_user_who_comes_while_the_flood_lasts_is_spared_from_then_on() -> None:
    """Nobody could know of him before; his second handshake takes his name out of the alert at once."""
    played = play(NEARBY, user(2, start_ms=9000), single(2000, 4000, 15_000), until_ms=30_000)
    assert len(played.opened()) == 1
    before = {action.alert.source for at_ms, action in played.actions if at_ms < 9400}
    after = [action.alert for at_ms, action in played.actions if at_ms >= 9700]
    assert before == {FLOODER}
    assert {alert.source for alert in after} == {None}
    assert {top.source for alert in after for top in alert.top_sources} <= {NAT}
    changes = [(change.what, change.before, change.after) for change in after[-1].timeline]
    assert ("class", "single-source", "spoofed") in changes
    assert ("source", "198.51.100.7", None) in changes or ("source", "198.51.100.7/32", None) in changes


def test_a_user_who_pauses_while_the_flood_lasts_stays_spared() -> None:
    """Who completed handshakes during an alert is not named by it when he reads a page for 15 seconds."""
    visits = [user(10, start_ms=s * 1000, stop_ms=s * 1000 + 1000) for s in (8, 16, 32, 48, 64)]
    played = play(NEARBY, *visits, single(2000, 12_000, 70_000), until_ms=75_000)
    assert named_ever(played) == {None}


def test_live_neighbours_do_not_make_a_single_source_spoofed() -> None:
    """Others who complete handshakes say nothing of the one who floods."""
    others = crowd(50, watched=NAT)
    played = play(NEARBY, others, single(2000, 4000))
    assert named_ever(played) == {FLOODER}
    assert {action.alert.alert_class for _, action in played.actions} == {AlertClass.SINGLE_SOURCE}
