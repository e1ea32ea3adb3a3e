"""One guarded interface: what counts as a trouble, when it is over, and what status says of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from synguard.daemon.guarded import GONE, GuardedInterface
from synguard.daemon.lookout import Lookout
from synguard.endpoint import Listener
from synguard.model import Snapshot
from synguard.probe import layout
from synguard.probe.attach import Attachment
from synguard.probe.interfaces import Interface
from synguard.probe.presence import Presence
from synguard.server import ServerReading
from synguard.sight import BlindCause

NET0 = Interface("net0", 7, 1, "veth", frozenset(), "native", 11)
NATIVE = Attachment(NET0, "xdp-native", "tc-clsact")
#: Somebody else's XDP program is on the interface.
OBSERVING = Attachment(NET0, "tc-ingress", "tc-clsact", "tc only observes")
#: The driver has no XDP at all.
WITHOUT_XDP = Attachment(
    Interface("net0", 7, 1, "veth", frozenset(), None, None),
    "tc-ingress",
    "tc-clsact",
    "native XDP is refused",
)


def guarded(attachment: Attachment | None = NATIVE) -> GuardedInterface:
    """Return an interface that the probe sits on."""
    claim: Any = SimpleNamespace()
    return GuardedInterface("net0", claim, attachment)


def found(*missing: str, other_xdp: str | None = None) -> Presence:
    """Return what a look at the interface tells."""
    return Presence(True, 1000, frozenset(missing), other_xdp)


@pytest.mark.parametrize(
    ("presence", "cause", "words"),
    [
        (found("xdp"), BlindCause.DETACHED, "took the XDP program off"),
        (found("egress"), BlindCause.DETACHED, "removed the tc egress filter"),
        (found("ingress", "egress"), BlindCause.DETACHED, "egress filter; what comes in: somebody removed"),
        (found("xdp", other_xdp="theirs, id 5"), BlindCause.REPLACED, "another XDP program (theirs, id 5)"),
        (found("egress", other_xdp="theirs, id 5"), BlindCause.DETACHED, "removed the tc egress filter"),
    ],
)
def test_what_is_missing_says_who_did_what(presence: Presence, cause: BlindCause, words: str) -> None:
    """A program in our place is another matter than a place left empty."""
    one = guarded()
    one.lose_to(presence)
    assert one.attachment is None
    assert one.trouble is not None
    assert one.trouble.cause is cause
    assert words in one.trouble.found
    assert one.trouble.until_ns is None


def test_a_trouble_ends_when_the_probe_sits_again() -> None:
    """It keeps when it began, gets its end, and status says that there was one."""
    one = guarded()
    one.lose_to(found("xdp"))
    began = one.trouble
    one.mend(NATIVE)
    assert began is not None
    assert one.trouble is not None
    assert one.trouble.since_ns == began.since_ns
    assert one.trouble.until_ns is not None
    assert one.trouble.until_ns >= one.trouble.since_ns
    assert one.trouble.outcome == "put back as xdp-native"
    assert "took the XDP program off" in str(one.describe()["note"])


def test_a_first_attachment_is_no_mending() -> None:
    """An interface that the probe was never taken from has nothing to tell."""
    one = guarded(None)
    one.mend(NATIVE)
    assert one.trouble is None
    assert one.describe()["note"] is None


def test_whoever_displaced_us_is_told_of_in_the_outcome() -> None:
    """Observing from tc is no blindness, but nothing is dropped any more."""
    one = guarded()
    one.lose_to(found("xdp", other_xdp="theirs, id 5"))
    one.mend(OBSERVING)
    assert one.trouble is not None
    assert "blocks are not enforced on net0" in one.trouble.outcome
    assert one.displaced
    assert "tc only observes" in str(one.describe()["note"])


def test_an_interface_without_xdp_is_not_displaced() -> None:
    """Nobody is in our place there, so there is nothing to come back to."""
    assert not guarded(WITHOUT_XDP).displaced
    assert not guarded(NATIVE).displaced
    assert not guarded(None).displaced


def test_one_failure_to_attach_is_no_trouble_and_two_are() -> None:
    """A device that just came may refuse once; what goes on refusing is not seen."""
    one = guarded(None)
    one.fail("net0: busy")
    assert not one.in_trouble
    assert one.describe()["note"] == "net0: busy"
    one.fail("net0: busy")
    assert one.trouble is not None
    assert (one.trouble.cause, one.trouble.outcome) == (BlindCause.DETACHED, "net0: busy")
    one.mend(NATIVE)
    assert one.trouble.until_ns is not None


def test_failures_count_only_in_a_row() -> None:
    """What could be attached in between has not failed twice."""
    one = guarded(None)
    for _ in range(2):
        one.fail("net0: busy")
        assert not one.in_trouble
        one.mend(NATIVE)


def test_a_better_place_is_no_second_mending() -> None:
    """That the probe returns from tc to XDP changes nothing of the trouble before it."""
    one = guarded()
    one.lose_to(found("xdp", other_xdp="theirs, id 5"))
    one.mend(OBSERVING)
    over = one.trouble
    one.mend(NATIVE)
    assert one.trouble == over
    assert not one.displaced


def test_a_failure_is_told_in_the_trouble_that_goes_on() -> None:
    """The reason why the probe cannot be put back is the latest one."""
    one = guarded()
    one.lose(BlindCause.MISSING, GONE)
    began = one.trouble
    for why in ("net0: busy", "net0: no memory"):
        one.fail(why)
        assert one.trouble is not None
        assert (one.trouble.cause, one.trouble.outcome) == (BlindCause.MISSING, why)
    assert began is not None
    assert one.trouble is not None
    assert one.trouble.since_ns == began.since_ns


def test_another_trouble_takes_the_place_of_one_that_goes_on() -> None:
    """An interface that vanishes while the probe is displaced is missing from then on."""
    one = guarded()
    one.lose_to(found("xdp", other_xdp="theirs, id 5"))
    one.lose(BlindCause.MISSING, GONE)
    assert one.trouble is not None
    assert one.trouble.cause is BlindCause.MISSING


def test_counts_are_read_only_where_the_probe_sits() -> None:
    """Without the probe, or without a look at the interface, there is nothing to compare."""
    one = guarded()
    reading = one.reading(found(), 900)
    assert (reading.received_packets, reading.probed_packets, reading.ingress) == (1000, 900, "xdp-native")
    assert one.reading(None, 900).received_packets is None
    one.lose_to(found("xdp"))
    assert one.reading(found(), 900).probed_packets is None


def test_an_interface_that_is_down_says_so_before_anything_else() -> None:
    """Nothing passes there, whatever else there is to note."""
    one = guarded(OBSERVING)
    one.is_up = False
    assert one.describe()["note"] == "the interface is down: nothing passes; tc only observes"


def test_reads_are_late_by_what_they_take_beyond_their_pause() -> None:
    """The first read is never late; a later one by its distance, less the pause that was meant."""
    guard: Any = SimpleNamespace(readings=tuple)
    reader: Any = SimpleNamespace(losses=SimpleNamespace(late_reads=3), active=False)
    egress: Any = SimpleNamespace(look=lambda *_: None, flows=None, in_doubt=False, one_way=True)
    totals = dict.fromkeys(layout.FAILED_UPDATES, 5)
    server: Any = SimpleNamespace()
    lookout = Lookout(guard, reader, egress, server)
    late_s = [
        lookout.complete(Snapshot(round(at_s * 1e9), 0.0, 1, 1, totals=totals), pause_s, ()).sight.read_late_s
        for at_s, pause_s in ((50.0, 0.0), (50.1, 0.1), (52.6, 0.1), (52.65, 0.1))
    ]
    assert late_s == pytest.approx([0.0, 0.0, 2.4, 0.0], abs=1e-6)


def test_the_stack_is_asked_where_handshakes_move_or_someone_suspects() -> None:
    """An idle host's counters stay unread; a suspicion outlasts the traffic that raised it."""
    asked: list[Any] = []
    guard: Any = SimpleNamespace(readings=tuple)
    reader: Any = SimpleNamespace(losses=SimpleNamespace(late_reads=0), active=False)
    egress: Any = SimpleNamespace(look=lambda *_: None, flows=None, in_doubt=False, one_way=False)

    def read(now_ns: int, wanted: frozenset[Listener]) -> ServerReading:
        asked.append((now_ns, wanted))
        return ServerReading(now_ns, {}, 1)

    server: Any = SimpleNamespace(read=read)
    lookout = Lookout(guard, reader, egress, server)
    snapshot = Snapshot(10**9, 0.0, 1, 1, totals=dict.fromkeys(layout.FAILED_UPDATES, 0))
    suspects = frozenset({Listener.parse("192.0.2.1:443")})
    assert lookout.complete(snapshot, 0.0, frozenset()).server is None
    assert lookout.complete(snapshot, 0.0, suspects).server is not None
    reader.active = True
    assert lookout.complete(snapshot, 0.0, frozenset()).server is not None
    assert asked == [(10**9, suspects), (10**9, frozenset())]
