"""What clients are made of, without a network: the pace, what is said, and the records."""

from __future__ import annotations

import pytest

from bench.peers.messages import Connection, Outcome, attempts, breaks, pack
from bench.peers.pace import STRETCH, Pace
from bench.peers.speech import Echo, Http

S = 1_000_000_000
HEAD = b"HTTP/1.1 200 OK\r\nServer: any\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n"


def taken(pace: Pace, now_ns: int) -> int:
    """Return all that is due at that moment, stretch by stretch."""
    total = 0
    while attempts_now := pace.take(now_ns):
        assert 0 < attempts_now <= STRETCH
        total += attempts_now
    return total


def test_the_first_attempt_is_due_at_once_and_the_next_in_its_time() -> None:
    """Ten a second are due at 0, 100, 200 ms and so on, and not earlier."""
    pace = Pace(10, start_ns=5 * S)
    assert taken(pace, 5 * S) == 1
    assert pace.next_ns() == 5 * S + S // 10
    assert taken(pace, pace.next_ns() - 1_000) == 0
    assert taken(pace, pace.next_ns() + 1_000) == 1


def test_a_late_client_catches_up() -> None:
    """Whoever looks up only every 300 ms still begins as many as the schedule says."""
    pace = Pace(2_000, start_ns=0)
    assert sum(taken(pace, turn * 3 * S // 10) for turn in range(11)) == 6_001
    assert pace.skipped == 0


def test_catching_up_has_a_bound() -> None:
    """After ten seconds without a CPU one second's attempts are begun; the rest is told, not made up for."""
    pace = Pace(100, start_ns=0)
    assert taken(pace, 10 * S) == 100
    assert pace.skipped == 901
    assert taken(pace, 11 * S) == 100
    slow = Pace(10, start_ns=0)
    assert taken(slow, 10 * S) == 10


def test_the_slowest_client_skips_nothing() -> None:
    """An attempt every ten seconds is begun every ten seconds."""
    pace = Pace(0.1, start_ns=0)
    assert [taken(pace, turn * 10 * S + 1) for turn in range(4)] == [1, 1, 1, 1]
    assert pace.skipped == 0


def test_an_echo_is_complete_with_its_last_byte() -> None:
    """Part of the line is no answer yet, the line is one, and what follows is the next one's."""
    echo = Echo()
    assert echo.answer_bytes(b"are you") == 0
    assert echo.answer_bytes(echo.request) == len(echo.request)
    assert echo.answer_bytes(echo.request * 2) == len(echo.request)


@pytest.mark.parametrize("body", [b"", b"here", b"here\n", b"here\nHTTP/1.1 200 "])
def test_an_http_answer_is_complete_with_its_body(body: bytes) -> None:
    """The answer ends where Content-Length says, whatever comes behind it."""
    expected = len(HEAD) + 5 if len(body) >= 5 else 0
    assert Http().answer_bytes(HEAD + body) == expected


def test_half_an_http_head_is_no_answer_yet() -> None:
    """Every shorter part of the answer is waited for."""
    answer = HEAD + b"here\n"
    assert {Http().answer_bytes(answer[:length]) for length in range(len(answer))} == {0}


@pytest.mark.parametrize(
    ("speech", "heard"),
    [
        (Echo(), b"are they there?\n"),
        (Http(), b"HTTP/1.1 503 Service Unavailable\r\n\r\n"),
        (Http(), b"HTTP/1.1 200 OK\r\nServer: any\r\n\r\n"),
    ],
)
def test_another_answer_is_refused(speech: Echo | Http, heard: bytes) -> None:
    """What is not the answer is told from an answer that is not all there."""
    with pytest.raises(ValueError, match=r".*"):
        speech.answer_bytes(heard)


def test_records_come_back_as_they_were_packed() -> None:
    """Attempts keep time, connect time and failure; breaks are no attempts."""
    first = pack(7, 1_500_000, Outcome.SUCCEEDED) + pack(8, None, Outcome.BROKEN)
    second = pack(9, None, Outcome.NOT_CONNECTED) + pack(10, 20, Outcome.NO_ANSWER)
    assert list(attempts([first, second])) == [
        Connection(7, True, 1.5),
        Connection(9, False, None, "not connected"),
        Connection(10, False, 0.00002, "no answer"),
    ]
    assert list(breaks([first, second])) == [8]
