"""The live view on a real terminal: the command as it is typed, its keys, and what its screen shows."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from synguard.daemon.control import Handler
from tests.unit.cli.looks import ALERT, answering, listener
from tests.unit.cli.screen import Screen, synguard
from tests.unit.serving import serving

INTERRUPTED = 130


class Daemon:
    """Answers what top and explain ask, and remembers what top asked."""

    def __init__(self, **differing: Any) -> None:
        self.told = answering(**differing)
        self.asked: list[Mapping[str, Any]] = []
        self.came = threading.Condition()

    def handlers(self) -> dict[str, Handler]:
        """Return a handler for each command."""
        names = ("totals_series", "listener_series", "responses", "runs")
        empty: dict[str, Handler] = {name: lambda _arguments, _peer: [] for name in names}
        return {"top": self._top, "alert": lambda _arguments, _peer: ALERT, **empty}

    def _top(self, arguments: Mapping[str, Any], _peer: object) -> dict[str, Any]:
        with self.came:
            self.asked.append(arguments)
            self.came.notify()
        return self.told(arguments)

    def wait_for(self, argument: str, value: object) -> None:
        """Wait until a question has an argument of that value."""
        with self.came:
            assert self.came.wait_for(lambda: self.asked[-1][argument] == value, 30), self.asked[-1]

    def wait_for_more(self, questions: int) -> None:
        """Wait until so many further questions have come."""
        with self.came:
            wanted = len(self.asked) + questions
            assert self.came.wait_for(lambda: len(self.asked) >= wanted, 30)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the daemon's socket is."""
    return tmp_path / "control.sock"


@pytest.fixture
def daemon(path: Path) -> Iterator[Daemon]:
    """Return a daemon of which only the socket is real; it knows 512 listeners."""
    fake = Daemon()
    with serving(path, fake.handlers()):
        yield fake


def top(
    path: Path, columns: int = 120, lines: int = 30, environment: Mapping[str, str] | None = None
) -> Screen:
    """Return a terminal on which the view starts."""
    return Screen(synguard("top", "--socket", str(path)), columns, lines, environment)


def test_everything_is_in_view_and_q_ends_it(path: Path, daemon: Daemon) -> None:
    """Rates, the worst alert, the tables, the first of them with its figures, and the keys."""
    with top(path) as screen:
        screen.wait_for("a second: attempts 1,000")
        text = screen.wait_for("Explain")
        for said in (
            "responding: enforce", "eth0 xdp-native", "alert 24: syn-flood spoofed [2001:db8::5]:443",
            "Listeners 512", "Sources 2", "Prefixes 1", "Alerts 1", "Responses 1", "ATTEMPTS/S▼",
            "cookies", "q Quit",
        ):  # fmt: skip
            assert said in text
        assert daemon.asked[0] == {"sort": "-attempts_per_s", "rows": 64}
        screen.press("q")
        assert screen.end() == 0
        assert screen.is_restored()


@pytest.mark.usefixtures("daemon")
def test_keys_lead_through_the_tables(path: Path) -> None:
    """Tab shows one after the other and begins again; Shift+Tab goes back; untrusted text stays text."""
    with top(path) as screen:
        screen.wait_for("ACCEPT QUEUE")
        for heading in ("TARGETS", "PREFIX", "PEAK SYN/S", "SYNS CAUGHT", "ACCEPT QUEUE"):
            screen.press("\t")
            screen.wait_for(heading)
        screen.press("\x1b[Z")
        screen.wait_for("4,321")
        assert b"\x1b]0;hand" not in screen.received


def test_keys_sort(path: Path, daemon: Daemon) -> None:
    """By the next column, the other way, and back; the daemon is asked for the rows in that order."""
    with top(path) as screen:
        screen.wait_for("ATTEMPTS/S▼")
        for key, sort, mark in (
            ("s", "-half_open", "HALF-OPEN▼"),
            ("r", "half_open", "HALF-OPEN▲"),
            ("S", "-attempts_per_s", "ATTEMPTS/S▼"),
        ):
            screen.press(key)
            screen.wait_for(mark)
            daemon.wait_for("sort", sort)


def test_what_is_paused_stands_still(path: Path, daemon: Daemon) -> None:
    """Nothing moves while it is held, though it is asked on; then it goes on."""
    told = answering()

    def moving(arguments: Mapping[str, Any]) -> dict[str, Any]:
        one = told(arguments)
        return {
            **one,
            "listeners": [listener(1, attempts=len(daemon.asked))],
            "uptime_s": len(daemon.asked) * 60,
        }

    daemon.told = moving
    with top(path) as screen:
        screen.wait_for("Explain")
        screen.press("p")
        held = screen.wait_for("PAUSED at 2026-11-22T10:10:05Z")
        daemon.wait_for_more(3)
        assert screen.text() == held
        screen.press("p")
        screen.wait_for(lambda text: "PAUSED" not in text and "a second" in text)


def test_a_filter_shows_only_what_contains_it(path: Path, daemon: Daemon) -> None:
    """All rows are asked for then, so that none is missed; Esc shows all again."""
    with top(path) as screen:
        screen.wait_for("203.0.113.5:1 ")
        screen.press("/")
        screen.wait_for("only rows that contain")
        screen.press(":510")
        text = screen.wait_for(":510 ")
        assert "only ':510'" in text
        assert "203.0.113.5:1 " not in text
        daemon.wait_for("rows", 512)
        screen.press("\r")
        screen.press("\x1b")
        screen.wait_for("203.0.113.5:1 ")
        daemon.wait_for("rows", 64)


@pytest.mark.usefixtures("daemon")
def test_an_alert_is_explained_and_the_keys_are(path: Path) -> None:
    """Enter on a listener that has an alert, or on the alert, tells its reasons; h tells of the keys."""
    with top(path) as screen:
        screen.wait_for("203.0.113.5:443")
        screen.press("\r")
        screen.wait_for("whose sources cannot be believed")
        screen.press("\x1b")
        screen.wait_for("ACCEPT QUEUE")
        screen.press("\x1b[B")
        screen.press("e")
        screen.wait_for("This row has no alert.")
        screen.press("h")
        screen.wait_for("why the alert was raised")
        screen.press("q")
        assert screen.end() == 0


@pytest.mark.usefixtures("daemon")
@pytest.mark.parametrize(
    ("ending", "code"), [("\x03", INTERRUPTED), (signal.SIGINT, INTERRUPTED), (signal.SIGTERM, 143)]
)
def test_whoever_ends_it_gets_the_terminal_back(path: Path, ending: str | signal.Signals, code: int) -> None:
    """By the key, or from another terminal; the exit code says how it ended."""
    with top(path) as screen:
        screen.wait_for("Explain")
        if isinstance(ending, str):
            screen.press(ending)
        else:
            screen.process.send_signal(ending)
        assert screen.end() == code
        assert screen.is_restored()
        assert "Traceback" not in screen.text()


def test_a_daemon_that_is_away_is_told_and_waited_for(path: Path) -> None:
    """What was seen last stays in view; once a daemon answers again it goes on by itself."""
    with serving(path, Daemon().handlers()):
        screen = top(path)
        screen.wait_for("a second")
    with screen:
        text = screen.wait_for("not answering since")
        assert "203.0.113.5:443" in text
        with serving(path, Daemon(started_at="2026-11-22T10:10:00.000Z").handlers()):
            screen.wait_for(lambda text: "not answering" not in text and "a second" in text)
            screen.press("q")
            assert screen.end() == 0


def test_a_daemon_that_hangs_does_not_keep_anybody(path: Path, daemon: Daemon) -> None:
    """Whoever wants to leave leaves at once, while an answer is waited for."""
    hangs = threading.Event()
    patient = (
        "import synguard.client\n"
        "synguard.client.TIMEOUT_S = 3600.0\n"  # none of its own patience helps it out
        "from synguard.cli import main\n"
        "main()\n"
    )
    with Screen([sys.executable, "-c", patient, "top", "--socket", str(path)]) as screen:
        screen.wait_for("a second")
        daemon.told = lambda _arguments: (hangs.wait(60) and {}) or {}
        with daemon.came:
            daemon.came.wait(30)
        screen.press("q")
        code = screen.end()
        hangs.set()
        assert code == 0


@pytest.mark.usefixtures("daemon")
@pytest.mark.parametrize(("columns", "lines"), [(40, 10), (80, 24), (200, 60)])
def test_every_size_shows_who_and_how_much(path: Path, columns: int, lines: int) -> None:
    """From the smallest window to a wall, after it was made so while it ran: who, and how fast."""
    with top(path, 100, 30) as screen:
        screen.wait_for("Explain")
        screen.resize(columns, lines)
        seen = ["203.0.113.5:443", "557", "Table", *(["P50", "ALERT"] if columns == 200 else [])]
        text = screen.wait_for(lambda text: all(words in text for words in seen))
        assert max(map(len, text.splitlines())) <= columns
        assert ("P50" in text) == (columns == 200)
        screen.press("\x1b[F")
        screen.wait_for("203.0.113.5:63 ")


@pytest.mark.usefixtures("daemon")
@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "vt100", "NO_COLOR": "1"}])
def test_without_colours_there_are_none(path: Path, environment: dict[str, str]) -> None:
    """Who wants no colours gets the terminal's own alone, and everything is there."""
    with top(path, environment=environment) as screen:
        screen.wait_for("Explain")
        screen.wait_for("alert 24")
        assert screen.colours() == set()
    with top(path) as screen:
        screen.wait_for("Explain")
        assert screen.colours() != set()


def test_a_dumb_terminal_gets_text(path: Path, daemon: Daemon) -> None:
    """One picture after the other, and nothing that such a terminal does not understand."""
    with top(path, environment={"TERM": "dumb"}) as screen:
        screen.wait_for("Responses")
        daemon.wait_for_more(1)
        assert b"\x1b" not in screen.received
        screen.process.send_signal(signal.SIGINT)
        assert screen.end() == INTERRUPTED


@pytest.mark.usefixtures("daemon")
def test_a_failure_leaves_the_terminal_as_it_was(path: Path) -> None:
    """A bug of ours ends with its traceback on a terminal that works, and exit code 1."""
    code = (
        "import synguard.cli.top.view as view\n"
        "def fail(*_): raise RuntimeError('made to fail')\n"
        "view.Top._draw_table = fail\n"
        "from synguard.cli import main\n"
        "main()\n"
    )
    with Screen([sys.executable, "-c", code, "top", "--socket", str(path)], 120, 30, {}) as screen:
        assert screen.end() == 1
        assert screen.is_restored()
        assert "made to fail" in screen.text()


def test_nobody_to_ask_is_said_on_the_terminal_as_it_is(path: Path) -> None:
    """Before the view begins: there is nothing to show yet."""
    with top(path) as screen:
        assert screen.end() == 1
        assert "no daemon answers" in screen.text()
        assert b"\x1b[?1049h" not in screen.received
