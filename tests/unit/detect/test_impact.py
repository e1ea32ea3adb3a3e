"""What queues and counters prove of an attack's impact, and what they do not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from synguard.detect.counts import Marks
from synguard.detect.impact import APART_NS, KEPT_NS, Impact, ImpactFinding
from synguard.detect.listener_memory import Lately
from synguard.endpoint import Listener
from synguard.model import HandshakeCounts
from synguard.server import ListenerQueues, ServerReading

WEB = Listener.parse("192.0.2.1:443")
MAIL = Listener.parse("192.0.2.1:25")
BEGAN_S = 100.0
IDLE = ListenerQueues(3, 128, 0, 128, 0.0, syn_queue_worst=3 / 129, drops=50)
FULL = replace(IDLE, syn_queue=129, syn_queue_worst=1.0)
STUCK = replace(IDLE, accept_queue=129, accept_queue_worst=1.0)


def reading(
    at_s: float,
    queues: ListenerQueues | None = IDLE,
    *,
    syncookies: int = 1,
    looked_s: float | None = None,
    **counters: int,
) -> ServerReading:
    """Return what is read at a moment, with queues looked at then, or at ``looked_s``."""
    return ServerReading(
        round(at_s * 1e9),
        counters,
        syncookies,
        {} if queues is None else {WEB: queues},
        round((at_s if looked_s is None else looked_s) * 1e9),
    )


def finding(
    *readings: ServerReading, unfinished: int | None = None, began_s: float = BEGAN_S
) -> ImpactFinding:
    """Return what is found after these readings, for an attack that began at 100 s."""
    impact = Impact()
    for one in readings:
        impact.take(one)
    return impact.of(WEB, round(began_s * 1e9), unfinished)


def figures(found: ImpactFinding) -> dict[str, float]:
    """Return the measured figures by name."""
    return {one.name: one.observed for one in found.measurements}


def dropped(queues: ListenerQueues, drops: int) -> ListenerQueues:
    """Return the queues of sockets that have dropped so many more."""
    return replace(queues, drops=(queues.drops or 0) + drops)


def test_without_a_reading_nothing_is_known() -> None:
    """Before the first reading, the impact is unknown and has no figures."""
    assert Impact().of(WEB, 0) == ImpactFinding("unknown")


def test_what_was_read_before_an_attack_says_nothing_of_it() -> None:
    """Where the stack cannot be read any more, the impact is unknown, and nothing fails."""
    assert finding(reading(BEGAN_S - 2, FULL)) == ImpactFinding("unknown")


def test_a_listener_without_socket_here_is_unknown() -> None:
    """A gateway's listener has no queue, whatever the counters do; those are others'."""
    found = finding(reading(100, None), reading(101, None, ListenDrops=900, ListenOverflows=900))
    assert (found.impact, found.overflows, found.accept_queue_full) == ("unknown", 0, False)


def test_calm_queues_have_no_impact() -> None:
    """Cookies and drops of the namespace are not laid to a listener whose queues have room."""
    found = finding(
        reading(100), reading(101, ListenDrops=90, ListenOverflows=40, TCPReqQFullDrop=9, SyncookiesSent=70)
    )
    assert found == ImpactFinding("none", found.measurements)
    assert figures(found)["listen_overflows_per_s"] == 40.0


@pytest.mark.parametrize(
    ("syncookies", "rise", "impact"),
    [(1, 500, "cookies"), (1, 0, "none"), (2, 500, "none"), (0, 0, "none")],
)
def test_cookies_are_sent_in_need_by_a_stack_whose_queue_is_full(
    syncookies: int, rise: int, impact: str
) -> None:
    """Forced cookies mean nothing; a full queue without a cookie has hurt nobody yet."""
    found = finding(
        reading(99, FULL, SyncookiesSent=7, syncookies=syncookies),
        reading(101, FULL, SyncookiesSent=7 + rise, TCPReqQFullDoCookies=rise, syncookies=syncookies),
    )
    assert (found.impact, found.syn_queue_full) == (impact, True)


def test_cookies_for_which_the_stack_is_not_to_blame_are_none() -> None:
    """Our own cookie program raises TCPReqQFullDoCookies alone."""
    found = finding(reading(99, FULL), reading(101, FULL, TCPReqQFullDoCookies=900))
    assert found.impact == "none"


@pytest.mark.parametrize(
    ("queues", "own", "dropping"),
    [(FULL, 40, True), (FULL, 0, False), (IDLE, 40, False)],
    ids=["its own drops", "another listener's drops", "dropped for another reason"],
)
def test_dropping_needs_a_full_queue_and_its_sockets_own_drops(
    queues: ListenerQueues, own: int, *, dropping: bool
) -> None:
    """Drops of the namespace are laid to a listener only with its own signs."""
    found = finding(
        reading(100, queues, syncookies=0),
        reading(101, dropped(queues, own), syncookies=0, ListenDrops=300, TCPReqQFullDrop=300),
    )
    assert found.impact == ("dropping" if dropping else "none")


def test_a_first_look_at_a_full_queue_is_believed() -> None:
    """With one look there is no telling what its sockets dropped since; its queue is sign enough."""
    found = finding(
        reading(100, FULL, syncookies=0),
        reading(100.5, FULL, syncookies=0, looked_s=100, ListenDrops=300),
    )
    assert found.impact == "dropping"


def test_with_cookies_on_a_full_syn_queue_drops_nothing() -> None:
    """Drops are another's then: a SYN that finds the queue full gets a cookie."""
    found = finding(reading(100, FULL), reading(101, dropped(FULL, 300), ListenDrops=300))
    assert found.impact == "none"


def test_a_full_accept_queue_outweighs_all() -> None:
    """Nobody is served any more, with or without cookies; overflows are its own."""
    stuck = replace(STUCK, syn_queue=129, syn_queue_worst=1.0)
    found = finding(
        reading(100, stuck),
        reading(101, dropped(stuck, 25), ListenDrops=40, ListenOverflows=40, SyncookiesSent=9),
    )
    assert found.impact == "accept-queue-full"
    assert (found.accept_queue_full, found.overflows, found.syn_queue_full) == (True, 25, True)


@pytest.mark.parametrize(("fill", "full"), [(0.6, True), (0.4, False)])
def test_a_queue_that_overflows_between_looks_was_full(fill: float, *, full: bool) -> None:
    """An accept queue half full, whose sockets dropped while queues overflowed, was full meanwhile."""
    queues = replace(IDLE, accept_queue=round(129 * fill), accept_queue_worst=fill)
    found = finding(reading(100, queues), reading(101, dropped(queues, 5), ListenDrops=5, ListenOverflows=5))
    assert found.accept_queue_full is full
    assert found.impact == ("accept-queue-full" if full else "none")


def test_another_listeners_overflows_are_not_ours() -> None:
    """A half-full queue whose sockets dropped nothing has not overflowed."""
    queues = replace(IDLE, accept_queue=100, accept_queue_worst=100 / 129)
    found = finding(reading(100, queues), reading(101, queues, ListenDrops=500, ListenOverflows=500))
    assert (found.accept_queue_full, found.overflows) == (False, 0)


def test_sockets_that_came_or_went_tell_no_drops() -> None:
    """A restarted server's sockets begin at zero: what they dropped between looks is not known."""
    found = finding(
        reading(100, STUCK),
        reading(101, replace(STUCK, drops=2, sockets=2), ListenDrops=30, ListenOverflows=30),
    )
    assert found.overflows == 30


def test_what_rose_before_the_attack_is_not_counted() -> None:
    """Counters are compared with the last reading before the attack began, not an earlier one."""
    found = finding(
        reading(98, FULL, SyncookiesSent=0),
        reading(99.9, FULL, SyncookiesSent=500),
        reading(100.9, FULL, SyncookiesSent=500),
    )
    assert found.impact == "none"


def test_what_rose_while_nothing_was_read_is_not_counted() -> None:
    """A reading long before the attack tells not when its counters rose."""
    found = finding(reading(92, IDLE), reading(100.1, FULL, SyncookiesSent=500))
    assert found.impact == "none"
    assert figures(found)["listen_overflows_per_s"] == 0.0


def test_an_impact_that_is_over_is_forgotten() -> None:
    """After five quiet seconds the queues' impact is none again."""
    readings = [reading(100, FULL), reading(101, FULL, SyncookiesSent=90)]
    readings += [reading(102 + second, SyncookiesSent=90) for second in range(6)]
    assert finding(*readings[:3]).impact == "cookies"
    assert finding(*readings).impact == "none"


def test_queues_that_were_not_looked_at_for_long_say_nothing() -> None:
    """A dump of sockets that does not return leaves the impact unknown, not as it was."""
    readings = [reading(100 + second, FULL, looked_s=100, SyncookiesSent=second) for second in range(5)]
    assert finding(*readings[:3]).impact == "cookies"
    assert finding(*readings).impact == "unknown"


@pytest.mark.parametrize(
    ("unfinished", "queues", "cookies", "impact"),
    [
        (200, replace(IDLE, syn_queue=0, syn_queue_worst=0.0), 0, "unknown"),
        (200, IDLE, 0, "none"),
        (200, replace(IDLE, syn_queue=0, syn_queue_worst=0.0), 200, "none"),
        (3, replace(IDLE, syn_queue=0, syn_queue_worst=0.0), 0, "none"),
        (None, replace(IDLE, syn_queue=0, syn_queue_worst=0.0), 0, "none"),
    ],
    ids=["nobody here holds them", "its queue does", "cookies do", "too few", "not told"],
)
def test_handshakes_that_no_socket_here_holds_are_somebody_elses(
    unfinished: int | None, queues: ListenerQueues, cookies: int, impact: str
) -> None:
    """A container's port, whose proxy listens here and gets nothing, is unknown, not unharmed."""
    readings = (reading(100, queues), reading(101.5, queues, SyncookiesSent=cookies))
    assert finding(*readings, unfinished=unfinished).impact == impact
    young = finding(*readings, unfinished=unfinished, began_s=101)
    assert young.impact == "none"


def test_figures_come_with_their_bounds() -> None:
    """Fills are ratios, rates are per second of the window, and conntrack shows where it is in use."""
    last = replace(
        reading(102, FULL, ListenOverflows=4, ListenDrops=10, TCPReqQFullDoCookies=300),
        conntrack_entries=6000,
        conntrack_limit=8000,
    )
    found = finding(reading(100), last)
    assert [(one.name, one.observed, one.threshold, one.unit) for one in found.measurements] == [
        ("syn_queue_fill", 1.0, 0.9, "ratio"),
        ("accept_queue_fill", 0.0, 1.0, "ratio"),
        ("listen_overflows_per_s", 2.0, 0.0, "1/s"),
        ("syn_drops_per_s", 3.0, None, "1/s"),
        ("full_queue_cookies_per_s", 150.0, None, "1/s"),
        ("conntrack_fill", 0.75, 0.9, "ratio"),
    ]


def test_memory_is_bounded_however_often_it_is_read() -> None:
    """A thousand readings a second are kept as ten, for ten seconds; the last one always counts."""
    impact = Impact()
    for number in range(20_000):
        impact.take(reading(number / 1000, SyncookiesSent=number))
    assert len(impact._readings) <= KEPT_NS // APART_NS + 2
    assert impact._readings[-1].counters["SyncookiesSent"] == 19_999


def test_another_clock_begins_anew() -> None:
    """A reading older than the last one leaves nothing of before."""
    impact = Impact()
    for one in (reading(100, FULL), reading(101, FULL, SyncookiesSent=90), reading(5, None)):
        impact.take(one)
    assert impact.of(WEB, 0).impact == "unknown"
    assert len(impact._readings) == 1


def test_listeners_are_judged_each_by_their_own_queues() -> None:
    """Of two listeners in one namespace, only the one whose queue is full is hurt."""
    both = [
        replace(one, queues={WEB: FULL, MAIL: IDLE})
        for one in (reading(100), reading(101, SyncookiesSent=90))
    ]
    impact = Impact()
    for one in both:
        impact.take(one)
    assert [impact.of(each, 100 * 10**9).impact for each in (WEB, MAIL)] == ["cookies", "none"]


@pytest.mark.parametrize(
    ("syncookies", "rose", "strained"),
    [
        (1, "ListenDrops", True),
        (2, "ListenDrops", True),
        (1, "SyncookiesSent", True),
        (2, "SyncookiesSent", False),
        (1, "TCPReqQFullDoCookies", False),
    ],
)
def test_a_full_queue_somewhere_is_a_reason_to_look(syncookies: int, rose: str, *, strained: bool) -> None:
    """Drops, and cookies that are not forced and the stack's own, say that some queue was full."""
    impact = Impact()
    assert not impact.strained
    impact.take(reading(100, None, syncookies=syncookies, **{rose: 7}))
    assert not impact.strained
    impact.take(reading(101, None, syncookies=syncookies, **{rose: 8}))
    assert impact.strained is strained
    for second in range(7):
        impact.take(reading(102 + second, None, syncookies=syncookies, **{rose: 8}))
    assert not impact.strained


@pytest.mark.parametrize(
    ("counts", "held"),
    [
        (HandshakeCounts(attempts=900, answered=800, completed=100), 700),
        (HandshakeCounts(attempts=900, answered=800, completed=100, aborted=690), 10),
        (HandshakeCounts(attempts=10, answered=10, completed=9, aborted=4), 0),
    ],
)
def test_who_answers_holds_what_is_neither_completed_nor_reset(counts: HandshakeCounts, held: int) -> None:
    """A flood in the name of a live host is reset as fast as it comes, and no queue has to hold it."""
    assert Lately(counts, Marks()).held == held


def test_cookies_of_our_own_are_not_the_kernels() -> None:
    """What our program had the stack count is left out of the cookies that it sent for want of room."""
    impact = Impact()
    impact.take(reading(99, FULL, TCPReqQFullDoCookies=7000), own_cookies=5000)
    impact.take(reading(101, FULL, TCPReqQFullDoCookies=7960), own_cookies=5900)
    found = impact.of(WEB, round(BEGAN_S * 1e9))
    assert figures(found)["full_queue_cookies_per_s"] == 30.0
    assert found.impact == "none"


def test_handshakes_that_our_cookies_answer_are_held_by_nobody() -> None:
    """Unfinished handshakes of others' are those answered, less our cookies, and less their completions."""
    counts = HandshakeCounts(attempts=1000, answered=1000, completed=300)
    assert Lately(counts, Marks(cookies_sent=900, cookies_valid=250)).held == 50
