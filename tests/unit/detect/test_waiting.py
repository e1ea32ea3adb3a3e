"""Clients whose server does not answer are waiting, not flooding: nobody is blamed for another's flood."""

from __future__ import annotations

from dataclasses import replace

import pytest

from synguard.detect import Detector, Thresholds
from synguard.endpoint import Network
from synguard.model import Alert, AlertClass
from tests.unit.detect.simulation import FLOODER, NAT, WEB, Stream, World, flood, single


def client(per_s: float, **more: object) -> Stream:
    """Return a watched client of the web server; its stack sends unanswered SYNs again."""
    return replace(Stream(WEB, per_s, rtt_ms=1, watched=NAT, retries=True), **more)  # type: ignore[arg-type]


def alerts_ever(played: World) -> list[Alert]:
    """Return every word about every alert."""
    return [action.alert for _, action in played.actions]


def blamed(played: World) -> set[Network | None]:
    """Return whom any alert ever named as its source."""
    return {alert.source for alert in alerts_ever(played)}


@pytest.mark.parametrize("per_s", [60, 75, 300])
def test_a_client_of_a_flooded_server_is_never_named(per_s: int) -> None:
    """A spoofed flood fills the queue, and for three seconds more a good client gets no answer."""
    streams = (client(per_s, silent_from_ms=1400), flood(50_000, 1000, 5000))
    played = World(Detector(Thresholds(close_after_s=1.0), 1), *streams).run(8000)
    assert blamed(played) == {None}
    assert {alert.alert_class for alert in alerts_ever(played)} == {AlertClass.SPOOFED}


@pytest.mark.parametrize("per_s", [60, 300, 1500])
@pytest.mark.parametrize("silent_from_ms", [0, 2000])
def test_a_proxy_before_a_hung_server_is_never_named(per_s: int, silent_from_ms: int) -> None:
    """Nothing of a proxy's is answered any more, or was since it was first seen: that is no flood of its."""
    played = World(Detector(Thresholds(), 1), client(per_s, silent_from_ms=silent_from_ms)).run(10_000)
    assert blamed(played) <= {None}


def test_a_flood_that_finds_the_queue_full_is_named_all_the_same() -> None:
    """A tool never sends a SYN again: who floods a server that cannot answer is found, and then named."""
    played = World(Detector(Thresholds(), 1), single(5000, 1000, silent_from_ms=0)).run(6000)
    assert played.opened()[0][0] <= 3000
    (alert,) = played.detector.open_alerts()
    assert alert.source == FLOODER


def test_a_client_that_turns_on_its_server_is_named() -> None:
    """What it completed ten seconds ago does not excuse attempts that are answered and never completed."""
    good = client(100, stop_ms=3000)
    bad = replace(single(2000, 3000), watched=NAT)
    assert NAT in blamed(World(Detector(Thresholds(), 1), good, bad).run(16_000))
