"""A listener's cookies from the canaries on, as the table of ``cookies.py`` has it."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from synguard.respond.cookies import CANARIES_MAX, EVERYBODY, LOOK_EVERY_S, CookieCourse, CookieFigures, Step

NOTHING = CookieFigures(sent=1000, valid=900, connected=800, kernel_received=5000)


class Course:
    """A course that is looked at as often as it wants to be, by figures that grow."""

    def __init__(self, *, kernel_tells: bool = True) -> None:
        self.now_s = 50.0
        self._figures = [1000, 900, 800, 5000]
        self._kernel_tells = kernel_tells
        self.course = CookieCourse(self._read(), self.now_s)
        self.step = Step(0)

    def _read(self) -> CookieFigures:
        sent, valid, connected, received = self._figures
        return CookieFigures(sent, valid, connected, received if self._kernel_tells else None)

    def see(
        self,
        sent: int = 0,
        valid: int = 0,
        connected: int = 0,
        received: int = 0,
        *,
        for_s: float = LOOK_EVERY_S,
    ) -> Step:
        """Add to the figures, and look again and again for a while."""
        for place, more in enumerate((sent, valid, connected, received)):
            self._figures[place] += more
        until_s = self.now_s + for_s
        while self.now_s < until_s:
            self.now_s += LOOK_EVERY_S
            self.step = self.course.look(self._read(), self.now_s)
        return self.step

    def reach_everybody(self) -> None:
        """Let the first canary live."""
        self.see()
        assert self.see(sent=1, valid=1, connected=1, received=1) == Step(EVERYBODY)


def test_canaries_are_few_and_wait_for_a_good_client() -> None:
    """At first two may be answered, and while nobody comes it stays at that for as long as it takes."""
    course = Course()
    assert course.see(for_s=600.0) == Step(2)


def test_unanswered_canaries_become_more() -> None:
    """A second after the canaries were used up there are twice as many, as long as fewer than four failed."""
    course = Course()
    course.see()
    assert course.see(sent=2) == Step(0)
    assert course.see(for_s=1.0) == Step(2)


def test_a_connection_opens_it_for_everybody() -> None:
    """One canary that got its connection is enough."""
    course = Course()
    course.see()
    assert course.step.canaries != EVERYBODY
    assert course.see(sent=2, valid=1, connected=1) == Step(EVERYBODY)


def test_a_silent_client_is_as_good() -> None:
    """A client that never says a word has come through when the kernel took its cookie."""
    course = Course()
    course.see()
    assert course.see(sent=1, valid=1, received=1) == Step(EVERYBODY)


def test_other_listeners_cookies_are_not_ours() -> None:
    """That the kernel took cookies of its own, while none of ours came back, opens nothing."""
    course = Course()
    course.see()
    assert course.see(sent=1, received=50).canaries != EVERYBODY


def test_four_canaries_without_an_ack_end_it() -> None:
    """Four answers that bring no ACK within three seconds end it, and say so; three do not."""
    course = Course()
    course.see()
    assert course.see(sent=3, for_s=20.0).withdrawn is None
    course.see(sent=1, for_s=2.5)
    assert course.step.withdrawn is None
    assert "none of 4 clients" in (course.see(for_s=1.0).withdrawn or "")


@pytest.mark.parametrize("kernel_tells", [True, False])
def test_canaries_without_a_connection_end_it(kernel_tells: bool) -> None:
    """A cookie that came back and brought no connection within three seconds ends it."""
    course = Course(kernel_tells=kernel_tells)
    course.see()
    assert course.see(sent=1, valid=1, for_s=2.5).withdrawn is None
    assert "none got a connection" in (course.see(for_s=1.0).withdrawn or "")


def test_it_ends_within_a_second_when_acks_stop_becoming_connections() -> None:
    """Of clients that came through a moment ago none does any more: within a second cookies are over."""
    course = Course()
    course.reach_everybody()
    course.see(sent=500, valid=50, connected=50, received=50, for_s=30.0)
    broken_at_s = course.now_s
    # What is seen first has the last that came through in it.
    course.see(sent=100, valid=8, connected=4)
    while course.step.withdrawn is None:
        course.see(sent=100, valid=4)
    assert course.now_s - broken_at_s <= 1.0
    assert "none got a connection" in course.step.withdrawn


def test_few_lost_clients_end_it_as_they_add_up() -> None:
    """One lost client every two seconds ends it at the fourth."""
    course = Course()
    course.reach_everybody()
    for _ in range(3):
        assert course.see(sent=1, valid=1, for_s=2.0).withdrawn is None
    assert course.see(sent=1, valid=1).withdrawn is not None


def test_an_attacker_who_stays_silent_ends_nothing() -> None:
    """Somebody who completes thousands of handshakes and says nothing does not make us withdraw."""
    course = Course()
    course.reach_everybody()
    for _ in range(40):
        assert course.see(sent=2000, valid=1000, received=990) == Step(EVERYBODY)


def test_cookies_of_other_listeners_hide_nothing_for_long() -> None:
    """What the kernel took before, of whomever, says nothing about the ACKs of now."""
    course = Course()
    course.reach_everybody()
    for _ in range(20):
        course.see(sent=10, received=1000)
    assert course.see(sent=10, valid=6, for_s=1.0).withdrawn is not None


def test_withdrawn_stays_withdrawn() -> None:
    """What ended does not begin again, whatever comes late."""
    course = Course()
    course.see()
    course.see(sent=4, for_s=5.0)
    reason = course.step.withdrawn
    assert reason is not None
    assert course.see(valid=4, connected=4) == Step(0, reason)


def test_figures_that_begin_anew() -> None:
    """A probe that counts from zero again does not make the canaries more than they are."""
    course = CookieCourse(NOTHING, 0.0)
    course.look(NOTHING, 0.1)
    course.look(CookieFigures(1002, 900, 800, 5000), 0.2)
    step = course.look(CookieFigures(0, 0, 0, 5000), 0.3)
    assert step == Step(0)


events = st.tuples(
    st.integers(0, 20),  # SYNs that the greylist admits before the rule is put, and after it
    st.integers(0, 20),
    st.floats(0.01, 2.0),
    st.booleans(),  # whether an ACK of one comes back
)


@given(st.lists(events, max_size=60), st.booleans())
@example([(0, 20, 0.1, False), *[(0, 20, 1.1, False)] * 2, (0, 0, 1.1, False), (20, 20, 0.1, False)], True)
@settings(max_examples=200, deadline=None)
def test_no_more_than_sixteen_before_the_first_connection(
    moments: list[tuple[int, int, float, bool]], kernel_tells: bool
) -> None:
    """Whatever the moments at which SYNs come, at most 16 are answered, and it ends."""
    received = 7 if kernel_tells else None
    course = CookieCourse(CookieFigures(0, 0, 0, received), 0.0)
    sent = valid = left = 0
    now_s = 0.0
    step = Step(0)
    for before, after, wait_s, comes_back in [*moments, *[(20, 20, 1.0, False)] * 40]:
        now_s += wait_s
        read = CookieFigures(sent, valid, 0, received)
        answered = min(before, left)
        step = course.look(read, now_s)
        left = step.canaries - (answered_late := min(after, step.canaries))
        sent += answered + answered_late
        valid += comes_back and valid < sent
        assert step.canaries != EVERYBODY
        assert sent <= CANARIES_MAX
    assert step.withdrawn is not None
