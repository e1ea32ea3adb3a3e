"""A probe that is attached and sees nothing: what of packet counts means that, and what does not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from synguard.sight import InterfaceReading, Sight
from tests.unit.detect.gaze import Gaze, at, told


def busy(ms: int) -> int:
    """Count 100 packets a second."""
    return ms // 10


def seen_until(stop_ms: int, again_ms: int = 1_000_000) -> object:
    """Return a count of half the packets until a moment, of none until another, then again."""
    return lambda ms: busy(min(ms, stop_ms) + max(0, ms - again_ms)) // 2


@pytest.mark.parametrize("stop_ms", [0, 4000, 4999, 5000, 5001, 5500])
def test_an_interface_that_receives_what_the_probe_does_not_see_is_stalled(stop_ms: int) -> None:
    """The alert comes within five seconds of the first unseen packet, and closes once the probe counts."""
    gaze = Gaze().counted(30_000, busy, seen_until(stop_ms, again_ms=20_000))  # type: ignore[arg-type]
    ((opened_ms, alert),) = gaze.opened()
    assert stop_ms + 2000 <= opened_ms <= stop_ms + 5000
    assert told(alert)["cause"] == "stalled"
    assert told(alert)["interface"] == "net0"
    assert "net0: everything that comes in" in str(told(alert)["not_seen"])
    assert alert.measurements[0].observed >= 10
    ((closed_ms, _),) = gaze.closed()
    assert 25_000 <= closed_ms <= 27_000


@pytest.mark.parametrize(
    ("received", "probed"),
    [
        (lambda _ms: 0, lambda _ms: 0),
        (lambda _ms: 500, lambda _ms: 0),
        (busy, lambda ms: ms // 1000),
        (busy, lambda ms: ms // 2000),
        (lambda ms: 0 if ms < 2000 else 9 if ms < 5000 else 10, lambda _ms: 0),
        (lambda ms: 5000 if ms > 5000 else 0, lambda _ms: 0),
        (lambda ms: busy(ms) % 300, lambda _ms: 0),
        (lambda ms: ms // 4000, lambda _ms: 0),
    ],
    ids=[
        "quiet",
        "quiet, counted before",
        "merged",
        "merged, and little",
        "nine packets, and a tenth",
        "one burst between two readings",
        "an interface's count that begins anew",
        "hardly anything",
    ],
)
def test_other_differences_of_counts_are_no_stall(received: object, probed: object) -> None:
    """Merged segments, a quiet line, a burst between two readings and stray packets raise nothing."""
    assert Gaze().counted(30_000, received, probed).actions == []  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "received",
    [
        lambda ms: ms // 1150,
        lambda ms: 10 * (ms // 300_000) + ms // 50_000,
        lambda ms: 20 if ms > 60_000 else 0 if ms < 30_000 else 10,
    ],
    ids=["nine in ten seconds", "ten at once in five minutes, one in one", "ten, and ten more after 30 s"],
)
def test_frames_that_an_interface_keeps_to_itself_are_no_stall(received: Callable[[int], int]) -> None:
    """However many they become in hours: ten within ten seconds, and one soon after, make a stall."""
    assert Gaze().counted(1_000_000, received, lambda _ms: 0).actions == []


def test_a_stall_after_hours_of_such_frames_is_found_in_time() -> None:
    """What was kept from the probe before neither hides nor hastens it."""
    gaze = Gaze().counted(640_000, lambda ms: ms // 2000 + busy(max(0, ms - 600_000)), lambda _ms: 0)
    ((opened_ms, alert),) = gaze.opened()
    assert 602_000 <= opened_ms <= 605_000
    assert alert.measurements[0].observed < 500


def test_a_stall_lasts_while_the_line_is_quiet() -> None:
    """That nothing comes in any more does not mend what was not seen."""
    gaze = Gaze().counted(120_000, lambda ms: busy(min(ms, 9000)), lambda _ms: 0)
    assert len(gaze.opened()) == 1
    assert gaze.closed() == []


def test_a_probe_that_is_put_back_is_no_longer_stalled() -> None:
    """While the probe is off an interface, or its counts are not known, no counts are compared."""
    gaze = Gaze().counted(10_000, busy, lambda _ms: 0)
    gaze.run(30_000, Sight(interfaces=(InterfaceReading("net0", at(10_000), None, None, 5000, None),)))
    assert (len(gaze.opened()), len(gaze.closed())) == (1, 1)


def test_a_stalled_filter_and_a_stalled_xdp_program_have_different_remedies() -> None:
    """From tc, an earlier program or filter is to be looked for; from XDP, another mode is to be tried."""
    for ingress, remedy in (
        ("tc-ingress", "tc filter show dev net0 ingress"),
        ("xdp-native", "probe.xdp_mode"),
    ):
        gaze = Gaze()

        def sight(ms: int, ingress: str = ingress) -> Sight:
            return Sight(interfaces=(InterfaceReading("net0", at(ms), None, ingress, busy(ms), 7),))

        ((_, alert),) = gaze.run(6000, sight).opened()
        assert remedy in str(told(alert)["to_do"])
