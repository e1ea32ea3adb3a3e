"""``synguard report``: what it takes, where it writes, and what it refuses."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from synguard.cli import cli
from synguard.history.runs import Run, write_run
from synguard.history.series import Second, write_seconds
from synguard.report.keeping import keep
from tests.unit.cli.conftest import ALERTS, STARTED_AT_S, write_history
from tests.unit.public import public_directory, python_as_nobody

from .parsed import Page
from .reading import step

Report = Callable[..., Result]
SINCE, UNTIL = ("--since", "2026-11-22T09:00Z"), ("--until", "2026-11-22T11:00Z")
_FIGURES = (
    "attempts", "answered", "completed", "aborted", "refused", "dropped_by_us", "syn_retransmits",
    "syn_duplicates", "fin_probes", "null_probes", "xmas_probes", "unparsed", "peak_attempts_per_s",
    "kernel_cookies", "kernel_drops", "accept_overflows",
)  # fmt: skip
_OF_LISTENER = (
    *_FIGURES[:6], "peak_attempts_per_s", "handshake_p50_ms", "handshake_p99_ms", "sources_estimated",
    "syn_queue", "syn_queue_limit", "accept_queue", "accept_queue_limit",
)  # fmt: skip


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """Return a history of three alerts, the first with figures of each of its seconds."""
    path = tmp_path / "synguard.db"
    write_history(path, *ALERTS)
    figures = step(0, attempts=50_000, completed=3, peak_attempts_per_s=50_000.0)
    second = {name: figures[name] for name in _FIGURES}
    listener = {"203.0.113.5:443": {name: figures[name] for name in _OF_LISTENER}}
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.row_factory = sqlite3.Row
        at_s = int(STARTED_AT_S)
        write_seconds(connection, [Second(at_s + n, second, listener) for n in range(72)])
        ended_s = STARTED_AT_S + 3600
        run = Run(
            STARTED_AT_S - 600, "0.1.0", "6.1.0", ("eth0",), "dry-run", "abc", ended_s, ended_s, "stopped"
        )
        write_run(connection, run)
    return path


@pytest.fixture
def report(history: Path) -> Report:
    """Return the command, which reads the test's history."""

    def run(*arguments: str) -> Result:
        words = ["report", *arguments, "--database", str(history)]
        return CliRunner().invoke(cli, words, prog_name="synguard")

    return run


def test_an_alert_is_written_to_a_file(report: Report, tmp_path: Path) -> None:
    """The file is a page with that alert's plots, for its owner and group, and nothing else is left."""
    path = tmp_path / "out" / "alert.html"
    path.parent.mkdir()
    os.umask(before := os.umask(0o022))
    result = report("23", "--output", str(path))
    assert (result.exit_code, result.output) == (0, "")
    page = Page.of(path.read_text(encoding="utf-8"))
    assert "Alert 23: syn-flood single-source" in page.text
    assert page.tags["svg"] == 2
    assert stat.S_IMODE(path.stat().st_mode) == 0o640 & ~before
    assert list(path.parent.iterdir()) == [path]


def test_a_period_is_written_to_standard_output(report: Report) -> None:
    """With - the page, and nothing but the page, goes to standard output."""
    result = report(*SINCE, *UNTIL, "--output", "-")
    assert result.exit_code == 0
    assert result.stdout.startswith("<!DOCTYPE html>")
    page = Page.of(result.stdout)
    assert "3 alerts: 2 high, 1 low." in page.text
    assert "2026-11-22 09:00:00 UTC to 2026-11-22 11:00:00 UTC (2 h 0 m)" in page.text
    assert page.tags["article"] == 3


def test_until_leaves_out_what_came_later(report: Report) -> None:
    """Alerts that began after the end are not in it."""
    result = report(*SINCE, "--until", "2026-11-22T10:05Z", "--output", "-")
    assert "1 alert: 1 high." in Page.of(result.stdout).text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "an alert's ID, or a time"),
        (["23", *SINCE], "leave out one"),
        (["23", *UNTIL], "leave out one"),
        ([*UNTIL], "an alert's ID, or a time"),
        (["0"], "0"),
        (["--since", "2026-11-22T10:00Z", "--until", "2026-11-22T10:00Z"], "same moment"),
        (["--since", "2026-11-22T10:00Z", "--until", "2026-11-22T09:00Z"], "--until"),
    ],
)
def test_what_makes_no_sense_is_refused(report: Report, arguments: list[str], said: str) -> None:
    """Neither, both, or a time that ends before it begins is exit 2, in words."""
    result = report(*arguments, "--output", "-")
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr


def test_it_has_to_be_told_where(report: Report) -> None:
    """A page is never poured onto a terminal unasked."""
    result = report("23")
    assert result.exit_code == 2
    assert "--output" in result.stderr


def test_an_unknown_alert_is_said(report: Report, tmp_path: Path) -> None:
    """An id that there is not is exit 1, and leaves no file."""
    result = report("99", "--output", str(tmp_path / "a.html"))
    assert result.exit_code == 1
    assert "there is no alert 99" in result.stderr
    assert not (tmp_path / "a.html").exists()


@pytest.mark.parametrize("place", ["none/a.html", ".", "synguard.db/a.html"])
def test_a_place_that_cannot_be_written_is_said(report: Report, tmp_path: Path, place: str) -> None:
    """Exit 1 with the place and the reason, and no half of a file."""
    before = sorted(tmp_path.iterdir())
    result = report("23", "--output", str(tmp_path / place))
    assert result.exit_code == 1
    assert f"cannot write the report to {tmp_path / place}" in result.stderr.replace("\n", "")
    assert sorted(tmp_path.iterdir()) == before


def test_an_older_report_is_replaced_at_once(tmp_path: Path) -> None:
    """Whoever has the older one open reads it to its end; a link stays one, and the mode stays."""
    path, link = tmp_path / "report.html", tmp_path / "latest.html"
    path.write_text("older")
    path.chmod(0o604)
    link.symlink_to(path)
    with path.open() as older:
        keep("newer", link)
        assert older.read() == "older"
    assert link.is_symlink()
    assert path.read_text() == "newer"
    assert stat.S_IMODE(path.stat().st_mode) == 0o604
    assert len(list(tmp_path.iterdir())) == 2


def test_what_finds_no_room_leaves_the_older_report(tmp_path: Path) -> None:
    """A page that cannot be written whole is neither put in the place of the older nor left beside it."""
    path = tmp_path / "report.html"
    path.write_text("older")
    code = (
        "import resource\nfrom pathlib import Path\nfrom synguard.report.keeping import keep\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        f"keep('newer' * 2000, Path({str(path)!r}))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert f"SynguardError: cannot write the report to {path}: File too large" in result.stderr
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("report.html", "older")]


def test_what_is_no_file_is_written_to(tmp_path: Path) -> None:
    """A pipe gets the page and stays a pipe, as /dev/null would."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with ThreadPoolExecutor(1) as reading:
        read = reading.submit(path.read_text)
        keep("page", path)
        assert read.result(10) == "page"
    assert path.is_fifo()


@pytest.mark.root
def test_somebody_elses_folder_is_refused() -> None:
    """Whoever may not write there is told so."""
    with public_directory() as folder:
        modules = "from pathlib import Path\nfrom synguard.report.keeping import keep\n"
        code = f"{modules}keep('', Path('{folder}/a'))"
        said = python_as_nobody("-c", code).stderr
    assert f"SynguardError: cannot write the report to {folder}/a: Permission denied" in said


def test_whoever_asks_for_help_waits_for_no_plots() -> None:
    """Neither matplotlib nor jinja2 is loaded before there is something to draw."""
    code = (
        "import sys\nfrom synguard.cli import report\n"
        "print([name for name in ('matplotlib', 'jinja2', 'synguard.report') if name in sys.modules])"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert loaded == "[]\n"


def test_a_reader_that_has_seen_enough_is_no_error(history: Path) -> None:
    """``| head`` ends it quietly."""
    line = f"{sys.executable} -m synguard report 23 --output - --database {history} | head -1"
    result = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line], capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "<!DOCTYPE html>\n", "")
