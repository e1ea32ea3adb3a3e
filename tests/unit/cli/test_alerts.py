"""``synguard alerts``: which rows, in which form, and from whom."""

import csv
import io
import json
import re
import socket
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest

from synguard import client
from synguard.cli.alerts import TABLE_ROWS
from synguard.endpoint import Listener
from synguard.errors import SynguardError
from synguard.history.records import alert_to_json
from synguard.history.runs import Run
from synguard.history.store import HistoryStore
from synguard.model import AlertClass, AlertKind
from tests.unit.cli.conftest import (
    ALERTS,
    BLIND,
    FLOOD,
    SCAN,
    SPOOFED,
    STARTED_AT_S,
    Cli,
    FakeDaemon,
    followed_on_terminal,
    on_terminal,
    write_history,
)
from tests.unit.history.helpers import Events
from tests.unit.public import public_directory, python_as_nobody


def _ids(output: str) -> list[int]:
    return [alert["id"] for alert in json.loads(output)]


def test_json_is_a_list_of_whole_alerts(run_cli: Cli) -> None:
    """JSON without a daemon is the history file's alerts, newest first, in the promised shape."""
    result = run_cli("alerts", "--format", "json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == [alert_to_json(alert) for alert in (SCAN, SPOOFED, FLOOD)]


def test_jsonl_is_one_alert_a_line(run_cli: Cli) -> None:
    """JSON lines are the same alerts, one on each line."""
    lines = run_cli("alerts", "--format", "jsonl").stdout.splitlines()
    assert [json.loads(line) for line in lines] == [alert_to_json(alert) for alert in (SCAN, SPOOFED, FLOOD)]


def test_csv_has_a_header_and_flat_fields(run_cli: Cli) -> None:
    """CSV has one row for each alert; unknowns are empty and the action is in fields of its own."""
    rows = list(csv.DictReader(io.StringIO(run_cli("alerts", "--format", "csv").stdout)))
    assert [row["id"] for row in rows] == ["25", "24", "23"]
    assert rows[2]["listener"] == "203.0.113.5:443"
    assert (rows[2]["response"], rows[2]["response_mode"]) == ("drop", "dry-run")
    assert (rows[0]["listener"], rows[0]["half_open_ratio"], rows[0]["response"]) == ("", "", "")


def test_table_says_what_matters(run_cli: Cli) -> None:
    """A table's row says what, where, who, how much and what was done, on one line when piped."""
    lines = run_cli("alerts").stdout.splitlines()
    assert len(lines) == 1 + len(ALERTS)
    assert lines[0].split()[:3] == ["ID", "STARTED", "LASTED"]
    flood = lines[3]
    for said in (
        "23", "2026-11-22T10:00:00Z", "1m 12s", "high", "syn-flood single-source", "203.0.113.5:443",
        "198.51.100.7", "210,000", "98.8%", "51,23", "drop (dry-run)",
    ):  # fmt: skip
        assert said in flood
    assert "open" in lines[2]
    assert "~65,000 sources" in lines[2]


def test_blindness_names_its_cause_and_interface(run_cli: Cli, database: Path) -> None:
    """A row of what is not seen says why and where, and claims no counts; ``--kind`` finds it."""
    write_history(database, BLIND)
    _, line = run_cli("alerts", "--kind", "blind").stdout.splitlines()
    assert line.split() == [
        "26", "2026-11-22T10:00:00Z", "1m", "0s", "high", "blind", "detached", "eth1", *"------"
    ]  # fmt: skip
    (row,) = csv.DictReader(io.StringIO(run_cli("alerts", "--kind", "blind", "--format", "csv").stdout))
    assert (row["kind"], row["class"], row["listener"], row["source"]) == ("blind", "", "", "")


def test_table_says_whom_each_kind_is_about(run_cli: Cli, daemon: FakeDaemon) -> None:
    """Grouped listeners, a prefix with its sources, whom a reflection hits, and silence are in the row."""
    prefix = replace(
        FLOOD,
        alert_class=AlertClass.PREFIX,
        source=ip_network("198.51.100.0/22"),
        sources_estimated=97,
        listeners=tuple(Listener.parse(f"203.0.113.5:{port}") for port in (443, 80, 25, 53, 22)),
        silenced=True,
    )
    reflection = replace(
        prefix, kind=AlertKind.REFLECTION, alert_class=None, listeners=prefix.listeners[:1], response=None
    )
    daemon.answers["alerts"] = [alert_to_json(alert) for alert in (prefix, reflection)]
    _, of_prefix, of_reflection = run_cli("alerts").stdout.splitlines()
    assert "syn-flood prefix  203.0.113.5:443 +4  198.51.100.0/22 ~97 " in of_prefix
    assert of_prefix.endswith("drop (dry-run), silenced")
    assert "reflection        203.0.113.5:443     to 198.51.100.0/22 " in of_reflection
    assert of_reflection.endswith(" silenced")
    row, _ = csv.DictReader(io.StringIO(run_cli("alerts", "--format", "csv").stdout))
    assert row["listeners"].split() == [str(listener) for listener in prefix.listeners]
    assert row["silenced"] == "yes"


def test_piped_table_has_no_colours_and_no_padding(run_cli: Cli) -> None:
    """A table in a pipe has no escape sequences and no blanks at line ends."""
    output = run_cli("alerts").stdout
    assert "\x1b" not in output
    assert all(line == line.rstrip() for line in output.splitlines())


@pytest.mark.parametrize(("width", "spared"), [(200, 0), (120, 4), (60, 5)])
def test_table_fits_a_terminal(config_file: Path, width: int, spared: int) -> None:
    """On a terminal no line is wider than it; what is left out is said, and what is left is whole."""
    lines, errors = on_terminal(config_file, width, "alerts")
    plain = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in lines]
    assert max(map(len, plain)) <= width
    assert len(re.findall("HALF-OPEN|ATTEMPTS|LASTED|PEAK SYN/S|SEVERITY", errors)) == spared
    if width >= 120:
        assert any("203.0.113.5:443" in line and "198.51.100.7" in line for line in plain)
    assert any("\x1b" in line for line in lines)


@pytest.mark.parametrize("width", [40, 80])
def test_narrow_table_folds_what_can_be_folded(config_file: Path, database: Path, width: int) -> None:
    """On a narrow terminal ids and times stay whole or are left out, and long cells lose no letter."""
    listener = "[2001:db8:1234:5678:9abc:def0:1234:5678]:65535"
    write_history(database, replace(FLOOD, id=4711, listener=Listener.parse(listener), attempts=10**12))
    lines, errors = on_terminal(config_file, width, "alerts", "--listener", listener)
    plain = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in lines]
    assert max(map(len, plain)) <= width
    assert plain[1].startswith("4711  ")
    assert ("2026-11-22T10:00:00Z" in plain[1]) == ("STARTED" not in errors) == (width == 80)
    at = plain[0].index("LISTENER")
    end = plain[0].index("SOURCE") - 2
    assert "".join(line[at:end].strip() for line in plain[1:]) == listener


@pytest.mark.parametrize(
    ("environment", "colours"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)]
)
@pytest.mark.parametrize("command", ["alerts", "follow"])
def test_colours_are_for_terminals_that_want_them(
    config_file: Path, command: str, environment: dict[str, str], *, colours: bool
) -> None:
    """A severity has its colour on a terminal, but for NO_COLOR and a dumb one, whose width is used."""
    if command == "follow":
        lines = followed_on_terminal(config_file, 200, len(ALERTS), **environment)
    else:
        lines, _ = on_terminal(config_file, 200, "alerts", **environment)
    (flood,) = [line for line in lines if "203.0.113.5:443" in line]
    assert ("\x1b[31mhigh" in flood) == colours
    assert any("\x1b[3" in line for line in lines) == colours
    assert "TERM" not in environment or not any("\x1b" in line for line in lines)
    assert "drop (dry-run)" in flood


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--kind", "scan"], [25]),
        (["--source", "2001:db8::/32"], [25]),
        (["--source", "2001:db8:7:0:1:2:3:4"], [25]),
        (["--listener", "[2001:db8::5]:443"], [24]),
        (["--listener", "2001:db8::5"], [24]),
        (["--kind", "syn-flood", "--state", "closed", "--until", "2026-11-22T12:00+01:00"], [23]),
        (["--class", "spoofed"], [24]),
        (["--state", "open"], [24]),
        (["--source", "198.51.100.0/24"], [23]),
        (["--listener", "203.0.113.5:443"], [23]),
        (["--since", "2026-11-22T10:05Z"], [25, 24]),
        (["--until", "2026-11-22T10:05Z"], [23]),
        (["--sort", "id"], [23, 24, 25]),
        (["--limit", "1"], [25]),
        (["--since", "2026-11-23", "--state", "closed"], []),
    ],
)
def test_filters(run_cli: Cli, options: list[str], expected: list[int]) -> None:
    """Each option restricts, orders or limits; no rows is no failure."""
    result = run_cli("alerts", "--format", "json", *options)
    assert result.exit_code == 0
    assert _ids(result.stdout) == expected


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--since", "yesterday"], "1h, 2d"),
        (["--source", "300.0.0.1"], "300.0.0.1"),
        (["--listener", "web:80"], "ADDR:PORT"),
        (["--kind", "flood"], "syn-flood"),
        (["--state", "ended"], "open"),
        (["--sort", "colour"], "started_at"),
        (["--limit", "0"], "1 or more"),
        (["--limit", "many"], "integer"),
        (["--format", "xml"], "jsonl"),
        (["--follow", "--format", "json"], "--format jsonl"),
    ],
)
def test_bad_options_say_what_is_allowed(run_cli: Cli, options: list[str], said: str) -> None:
    """Bad input is exit 2 with what is allowed."""
    result = run_cli("alerts", *options)
    assert result.exit_code == 2
    assert said in result.stderr


def test_no_alerts(run_cli: Cli) -> None:
    """An empty table says so beside standard output, and exits 0."""
    result = run_cli("alerts", "--kind", "reflection")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "no alerts" in result.stderr


def test_long_table_says_that_there_is_more(run_cli: Cli, database: Path) -> None:
    """Without a limit a table stops after some rows and says so."""
    write_history(database, *(replace(FLOOD, id=100 + number) for number in range(TABLE_ROWS)))
    result = run_cli("alerts")
    assert len(result.stdout.splitlines()) == 1 + TABLE_ROWS
    assert "--limit" in result.stderr
    assert len(run_cli("alerts", "--limit", "60").stdout.splitlines()) == 1 + TABLE_ROWS + len(ALERTS)


def test_daemon_is_asked_when_it_runs(run_cli: Cli, daemon: FakeDaemon) -> None:
    """With a daemon its answer counts, and it gets the filter."""
    result = run_cli("alerts", "--kind", "syn-flood", "--limit", "5", "--format", "json")
    assert json.loads(result.stdout) == [alert_to_json(FLOOD)]
    command, arguments = daemon.asked[0]
    assert command == "alerts"
    assert arguments["filter"] == {"kind": "syn-flood", "limit": 5, "sort": "-started_at"}


def test_offline_reads_the_file(run_cli: Cli, daemon: FakeDaemon) -> None:
    """``--offline`` leaves a running daemon alone."""
    assert _ids(run_cli("alerts", "--offline", "--format", "json").stdout) == [25, 24, 23]
    assert not daemon.asked


def test_named_database_is_read(run_cli: Cli, daemon: FakeDaemon, tmp_path: Path) -> None:
    """A history file named by hand is read, whatever runs."""
    other = tmp_path / "other.db"
    write_history(other, FLOOD, SCAN)
    assert _ids(run_cli("alerts", "--database", str(other), "--format", "json").stdout) == [25, 23]
    assert not daemon.asked


def test_daemons_refusal_is_the_commands(run_cli: Cli, daemon: FakeDaemon) -> None:
    """What the daemon refuses is said, not covered by the file's answer."""
    daemon.answers["alerts"] = SynguardError("the history is being moved")
    result = run_cli("alerts")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "synguard: error: the history is being moved" in result.stderr


def test_hanging_daemon_is_said_and_the_file_read(
    run_cli: Cli, socket_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A daemon that does not answer costs a warning, not the answer."""
    monkeypatch.setattr(client, "TIMEOUT_S", 0.05)
    socket_path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as hanging:
        hanging.bind(str(socket_path))
        hanging.listen()
        result = run_cli("alerts", "--format", "json")
    assert result.exit_code == 0
    assert _ids(result.stdout) == [25, 24, 23]
    assert "did not answer" in result.stderr


def test_no_history_yet(run_cli: Cli, database: Path) -> None:
    """Without daemon and file the message says when there will be one."""
    database.unlink()
    result = run_cli("alerts")
    assert result.exit_code == 1
    assert "no history" in result.stderr


def test_hostile_text_moves_no_cursor(run_cli: Cli, daemon: FakeDaemon) -> None:
    """Control characters in an alert are spelled out in a table."""
    daemon.answers["alerts"] = [{**alert_to_json(FLOOD), "listener": "\x1b[2Jgone"}]
    output = run_cli("alerts").stdout
    assert "\x1b" not in output
    assert r"\x1b[2Jgone" in output


@pytest.mark.root
def test_without_permission_nobody_learns_anything() -> None:
    """A user who may read neither socket nor file is told what to do, with exit code 3."""
    with public_directory() as directory:
        database = directory / "state" / "synguard.db"
        write_history(database, *ALERTS)
        database.parent.chmod(0o750)
        result = python_as_nobody("-m", "synguard", "alerts", "--offline", "--database", str(database))
    assert (result.returncode, result.stdout) == (3, "")
    assert "sudo" in result.stderr


def test_a_named_daemon_that_does_not_answer_is_told_of(run_cli: Cli, tmp_path: Path) -> None:
    """Who names a socket learns that the answer is the file's; who names none is not bothered."""
    named = run_cli("alerts", "--format", "json", "--socket", str(tmp_path / "no.sock"))
    assert (named.exit_code, _ids(named.stdout)) == (0, _ids(run_cli("alerts", "--format", "json").stdout))
    assert "no daemon answers on" in named.stderr
    assert "reading the history file instead" in named.stderr
    assert run_cli("alerts", "--format", "json").stderr == ""


def test_what_a_dead_daemon_left_open_is_told_with_a_warning(run_cli: Cli, database: Path) -> None:
    """Nobody closes an alert of a daemon that is gone: until when it was open is said beside the answer."""
    store = HistoryStore(database, log=Events())
    store.start()
    store.begin_run(Run(1.0, "0.1.0", "6.1", ("eth0",), "dry-run", "0", STARTED_AT_S - 3600.0))
    assert store.close()
    for arguments in (("alerts",), ("explain", str(SPOOFED.id))):
        warning = run_cli(*arguments).stderr
        assert "no daemon was heard of since 2026-11-22T09:00:00" in warning
    assert "no daemon was heard of" not in run_cli("alerts", "--state", "closed").stderr
