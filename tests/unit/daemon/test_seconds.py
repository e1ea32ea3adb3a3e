"""What each second brought, drawn from snapshots."""

from __future__ import annotations

from dataclasses import replace

from synguard.daemon.seconds import Seconds
from synguard.endpoint import Listener
from synguard.model import HandshakeCounts, ListenerReading, Snapshot
from synguard.probe import layout
from synguard.server import ListenerQueues, ServerReading

WEB, MAIL = Listener.parse("203.0.113.5:443"), Listener.parse("[2001:db8::5]:25")
CLOSED = Listener.parse("203.0.113.5")
ZEROS = dict.fromkeys((*layout.HANDSHAKE_COUNTERS, *layout.PROBE_COUNTERS, *layout.UNPARSED_REASONS), 0)


def reading(listener: Listener, attempts: int, completed: int = 0, **others: int) -> ListenerReading:
    """Return what a listener has counted so far."""
    counts = HandshakeCounts(attempts=attempts, answered=attempts, completed=completed)
    return ListenerReading(listener, replace(counts, **others), ())


def snapshot(wall_s: float, *readings: ListenerReading, **totals: int) -> Snapshot:
    """Return a snapshot in which the totals are the listeners' attempts unless said otherwise."""
    attempts = sum(one.counts.attempts for one in readings)
    return Snapshot(
        int(wall_s * 1e9), wall_s, 1, 1, readings, totals={**ZEROS, "attempts": attempts, **totals}
    )


def begun(*readings: ListenerReading, most_listeners: int = 64) -> Seconds:
    """Return what has seen its first snapshot, in which the probe knew these listeners."""
    seconds = Seconds(lambda: readings, most_listeners)
    assert seconds.take(snapshot(100.2, *readings)) is None
    return seconds


def test_a_second_holds_what_was_counted_since_the_last() -> None:
    """What was counted before the daemon came is nobody's; a second is told once it is over."""
    seconds = begun(reading(WEB, 1_000_000, 999_000))
    assert seconds.take(snapshot(100.9, reading(WEB, 1_000_020, 999_003))) is None
    second = seconds.take(snapshot(101.1, reading(WEB, 1_000_030, 999_005)))
    assert second is not None
    assert (second.at_s, second.totals["attempts"]) == (100, 30)
    web = second.listeners["203.0.113.5:443"]
    assert (web["attempts"], web["completed"], web["syn_queue"]) == (30, 5, None)
    assert seconds.take(snapshot(102.0, reading(WEB, 1_000_030, 999_005))) is None


def test_the_last_second_is_told_though_it_is_not_over() -> None:
    """What came just before the daemon ends is not lost."""
    seconds = begun()
    second = seconds.take(snapshot(100.4, reading(WEB, 7)), last=True)
    assert second is not None
    assert second.totals["attempts"] == 7


def test_a_new_listener_counts_from_zero_and_a_forgotten_one_anew() -> None:
    """A probe that forgot a listener and met it again counts it from the start."""
    seconds = begun(reading(MAIL, 500))
    second = seconds.take(snapshot(101.0, reading(WEB, 9), reading(MAIL, 4), attempts=13))
    assert second is not None
    assert {name: figures["attempts"] for name, figures in second.listeners.items()} == {
        "203.0.113.5:443": 9,
        "[2001:db8::5]:25": 4,
    }


def test_the_unknown_stays_unknown() -> None:
    """Where answers cannot be seen, answered and completed are unknown, and so is what no kernel told."""
    seconds = begun()
    second = seconds.take(replace(snapshot(101.0, reading(WEB, 9, 3)), one_way=True))
    assert second is not None
    web = second.listeners["203.0.113.5:443"]
    assert (web["answered"], web["completed"], second.totals["completed"]) == (None, None, None)
    assert second.totals["kernel_drops"] is None


def test_the_kernels_own_counters_are_told_by_the_second() -> None:
    """Cookies and drops count from the first reading of them on, over seconds in which nobody asked."""
    counters = {"SyncookiesSent": 1000, "ListenDrops": 50, "ListenOverflows": 1}
    queues = {WEB: ListenerQueues(120, 128, 3, 128, 0.02)}
    seconds = begun()
    for wall_s, attempts, server in (
        (101.0, 10, ServerReading(1, counters, 1)),
        (102.0, 20, None),
        (103.0, 30, ServerReading(2, {**counters, "SyncookiesSent": 1007}, 1, queues)),
    ):
        second = seconds.take(replace(snapshot(wall_s, reading(WEB, attempts)), server=server))
    assert second is not None
    assert (second.totals["kernel_cookies"], second.totals["kernel_drops"]) == (7, 0)
    web = second.listeners["203.0.113.5:443"]
    assert (web["syn_queue"], web["syn_queue_limit"], web["accept_queue"]) == (120, 128, 3)


def test_those_under_suspicion_and_the_busiest_are_told() -> None:
    """Where more listeners are busy than figures are kept of, a suspected one is not left out."""
    many = [replace(reading(WEB, 100 + port), listener=Listener(WEB.address, port)) for port in range(1, 50)]
    seconds = begun(most_listeners=3)
    second = seconds.take(snapshot(101.0, *many, reading(MAIL, 2)), wanted={MAIL})
    assert second is not None
    assert set(second.listeners) == {"[2001:db8::5]:25", "203.0.113.5:49", "203.0.113.5:48"}


def test_handshake_times_are_those_of_the_second() -> None:
    """The median is the upper edge of the bin in which it lies, of what completed in this second alone."""
    slow = replace(reading(WEB, 1000, 1000), handshake_ms_histogram=(0, 0, 0, 1000))
    seconds = begun(slow)
    fast = replace(reading(WEB, 1100, 1100), handshake_ms_histogram=(90, 0, 0, 1000, 10))
    second = seconds.take(snapshot(101.0, fast))
    assert second is not None
    web = second.listeners["203.0.113.5:443"]
    assert (web["handshake_p50_ms"], web["handshake_p99_ms"]) == (2**20 / 1e6, 2**24 / 1e6)


def test_closed_ports_count_what_stayed_closed() -> None:
    """What a closed bucket calls answered moved to its listener, and is no news of its own."""
    seconds = begun()
    second = seconds.take(snapshot(101.0, reading(CLOSED, 10, answered=4), attempts=10))
    assert second is not None
    closed = second.listeners["203.0.113.5"]
    assert (closed["attempts"], closed["answered"]) == (6, 0)
    second = seconds.take(snapshot(102.0, reading(CLOSED, 11, answered=5), attempts=11))
    assert second is not None
    assert second.listeners == {}


def test_a_late_read_gives_the_rate_of_all_its_seconds() -> None:
    """Four seconds in one are told with the rate that they had."""
    second = begun().take(snapshot(104.2, reading(WEB, 400)))
    assert second is not None
    assert (second.at_s, second.totals["attempts"], second.totals["peak_attempts_per_s"]) == (100, 400, 100.0)
