"""The scorecard: everything that was found, and nothing that is no result."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from click.testing import Result as Outcome

from bench.cli import cli
from bench.report.markdown import table
from bench.report.scorecard import scorecard
from bench.report.tables import scenario_tables
from bench.report.words import number, percent, rate, shown_spread
from bench.results.cells import cells_of
from bench.results.model import Label, Result, Trial, Verdict
from bench.results.schema import json_schema
from bench.results.store import ResultFile
from tests.bench.made_results import realistic, result, scenario, trial, trials


def card(*made: Trial, kind: str = "flood") -> str:
    """Return the scorecard of one scenario."""
    return scorecard(result(scenario(made, kind=kind)), {})


def rows(text: str, first: str) -> list[list[str]]:
    """Return the table rows that begin with a cell of this text."""
    found = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    return [row for row in found if row[0] == first]


def test_the_machine_comes_first_and_then_what_is_no_result() -> None:
    """A reader meets the machine with its versions, then invalid trials and why, then the results."""
    text = scorecard(realistic(), {})
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    assert titles[1:6] == [
        "What is no result",
        "Promises",
        "What floods were called",
        "False alarms",
        "The generator's proof",
    ]
    assert text.index("Example CPU 3000") < text.index("What is no result")
    assert rows(text, "nmap") == [["nmap", "missing"]]
    assert ["distant", "rtt_ms 500", "3 of 3", "clients-up: 'far' never got through (×3)"] in rows(
        text, "distant"
    )
    assert "`interrupted` was interrupted after 7 trials" in text


def test_an_invalid_trial_is_nowhere_else() -> None:
    """The figures, facts and classes of an invalid trial appear in no table but that of invalid ones."""
    facts = {"expected_class": "spoofed", "class": "distributed"}
    text = card(
        trial({"defence": "none"}, facts=facts, invalid=["accounted: no"], connect_p50_ms=777.0, missed=1),
        trial({"defence": "none", "shape": "bare"}, invalid=["rate-held: no"], offered_syn_per_s=555.0),
    )
    assert "777" not in text
    assert "555" not in text
    assert "The generator's proof" not in text
    assert "distributed" not in text
    assert "No trial was valid" in text
    assert "What floods were called" not in text


def test_defences_stand_side_by_side() -> None:
    """Each cell has a row: pooled success, its interval, each repetition's, medians, the bottleneck."""
    made = trials(
        {"defence": "cookies"},
        good_succeeded=[81, 0, None],
        good_attempted=[100, 163, None],
        connect_p50_ms=[2.0, 3.0, None],
        map_bytes=[1 << 20] * 3,
        alerts=[None, None, 2],
    )
    for one in made:
        one.facts["bottleneck"] = "receiver"
    seen, cost = rows(card(*made), "cookies")
    assert seen == [
        "cookies",
        "3",
        "30.8 % [25.5 to 36.6], each 0 to 81 %",
        "2.5 [2 to 3] (2 of 3)",
        "2 (1 of 3)",
    ]
    assert cost == ["cookies", "3", "receiver", "1"]


def test_repetitions_of_clients_that_fail_together_stand_beside_the_interval() -> None:
    """All served in one flood and none in the next is not 50 % give or take 3."""
    apart = trials({"defence": "a"}, good_succeeded=[500, 0], good_attempted=[500, 500])
    once = trials({"defence": "b"}, good_succeeded=[250], good_attempted=[500])
    text = card(*apart, *once)
    assert rows(text, "a") == [["a", "2", "50 % [46.9 to 53.1], each 0 to 100 %"]]
    assert rows(text, "b") == [["b", "1", "50 % [45.6 to 54.4]"]]
    assert "Connections of one trial are not independent" in text


def test_exchanges_and_capacity_are_shown() -> None:
    """Kept-alive clients' exchanges stand beside the connections, capacity and good frames in the load."""
    made = trial(
        {"defence": "a"},
        exchange_success=0.5,
        exchanges_attempted=40,
        receiver_capacity_per_s=500_000,
        other_frames_lost=3,
    )
    seen, loaded = scenario_tables(scenario([made]))
    assert seen.splitlines()[0] == "| defence | n | exchanges answered, % | of exchanges, exchanges |"
    assert rows(seen, "a") == [["a", "1", "50", "40"]]
    assert "receiver's capacity, 1/s | others' frames lost, frames" in loaded
    assert rows(loaded, "a") == [["a", "1", "500 k", "3"]]


def test_a_cell_without_a_valid_trial_has_no_row() -> None:
    """Beside cells that are results, one whose trials were all invalid is left out."""
    good, bad = trial({"defence": "a"}, missed=0), trial({"defence": "b"}, invalid=["no"], missed=0)
    [text] = scenario_tables(scenario([good, bad]))
    assert rows(text, "a")
    assert not rows(text, "b")


def test_columns_that_nobody_filled_are_left_out() -> None:
    """A figure that no cell has makes no column, and an unknown one is a dash, not zero."""
    first, second = trial({"defence": "a"}, missed=0), trial({"defence": "b"}, alerts=0)
    [text] = scenario_tables(scenario([first, second]))
    assert text.splitlines()[0] == "| defence | n | alerts | missed |"
    assert rows(text, "a") == [["a", "1", "–", "0"]]
    assert rows(text, "b") == [["b", "1", "0", "–"]]


def test_the_ladder_has_hot_and_cold_apart() -> None:
    """A program and packet have one row, in which hot and cold are columns; a missing one is a dash."""
    labels = {"program": "full", "packet": "ack"}
    made = [
        *trials(labels | {"temperature": "hot"}, ns_per_packet=[50, 60, 55], ns_over_empty=[25, 35, 30]),
        *trials(labels | {"temperature": "cold"}, ns_per_packet=[200], ns_over_empty=[170]),
        *trials({"program": "empty", "packet": "ack", "temperature": "hot"}, ns_per_packet=[25]),
    ]
    text = card(*made, kind="cost")
    assert rows(text, "full") == [["full", "ack", "55 [50 to 60]", "30 [25 to 35]", "200", "170"]]
    assert rows(text, "empty") == [["empty", "ack", "25", "–", "–", "–"]]


def test_classes_are_confused_by_detector() -> None:
    """Rows are what was expected, columns what was said; trials that nobody judges are in no row."""
    facts = [("spoofed", "spoofed"), ("spoofed", "distributed"), ("(none)", "(none)"), ("spoofed", None)]
    made = [
        trial({"defence": "synguard-off"}, n, {"expected_class": wanted, "class": said})
        for n, (wanted, said) in enumerate(facts)
    ]
    made.append(trial({"defence": "synguard-off"}, 9, {"expected_class": None, "class": "prefix"}))
    other = trial({"defence": "naive"}, 1, {"expected_class": "spoofed", "class": "prefix"})
    text = scorecard(result(scenario(made[:2], "one"), scenario([*made[2:], other], "two")), {})
    assert "**synguard-off**: 2 of 4 trials were called what they were." in text
    assert "**naive**: 0 of 1 trials" in text
    assert "| expected ↓ · called → | (none) | distributed | spoofed | – |" in text
    assert rows(text, "spoofed")[0] == ["spoofed", "0", "1", "1", "1"]


def test_false_alarms_are_totals() -> None:
    """False alarms are added up over the trials in which they were counted."""
    made = [*trials({"defence": "x"}, false_alarms=[1, 0, 2], missed=[0, 0, 0]), trial({"defence": "y"})]
    assert rows(card(*made).split("## False alarms")[1], "x")[0] == ["x", "flooded", "3", "3", "0", "–", "–"]
    assert not rows(card(*made).split("## False alarms")[1].split("##")[0], "y")


def test_the_generator_proves_its_rates() -> None:
    """The reached share of what was asked; where all was asked for what came, not what was refused."""
    labels: dict[str, Label] = {"shape": "bare", "family": 6}
    reached = [990.0, 1000.0, 1001.0]
    fastest = {"offered_syn_per_s": [1.4e6], "received_syn_per_s": [0.7e6]}
    made = [
        *trials(labels | {"syn_per_s": "max"}, asked_syn_per_s=[None], **fastest),
        *trials(labels | {"syn_per_s": 1000}, asked_syn_per_s=[1000] * 3, offered_syn_per_s=reached),
    ]
    text = card(*made).split("The generator's proof")[1]
    assert "| shape | family | 1 k/s | as fast as can be |" in text
    assert rows(text, "bare")[0] == [
        "bare",
        "6",
        "100 % [99 to 100.1]",
        "700 k/s [700 k to 700 k], 50 % refused",
    ]


def test_promises_that_broke_come_first() -> None:
    """Promises are counted, and those that did not hold, or could not be told, stand at the top."""
    verdicts = [
        Verdict(promise="p", held=True, observed="1"),
        Verdict(promise="q | r", held=None, observed="2"),
        Verdict(promise="s", held=False, observed="3"),
    ]
    text = scorecard(result(scenario([trial()], verdicts=verdicts)), {})
    assert "1 held, 1 cannot be told, 1 BROKEN." in text
    outcomes = [row[1] for row in rows(text.split("## Promises")[1].split("##")[0], "flooded")]
    assert outcomes == ["cannot be told", "BROKEN", "held"]
    assert "q \\| r" in text


def test_a_quick_run_says_that_it_is_one() -> None:
    """Nobody takes the figures of a quick run for measurements."""
    assert "A quick run" in scorecard(result(scenario([trial()], quick=True)), {})
    assert "A quick run" not in scorecard(result(scenario([trial()])), {})


def test_an_empty_result_has_a_scorecard() -> None:
    """A run that was interrupted at once says so without falling over."""
    text = scorecard(result(scenario([], complete=False)), {})
    assert "interrupted after 0 trials" in text
    assert "No promise was judged." in scorecard(result(), {})


def test_numbers_keep_what_matters() -> None:
    """Numbers have three digits, and a share that is not all or nothing never looks like it."""
    values = (0, 0.01234, 12.34, 99.96, 1234.5)
    assert [number(one) for one in values] == ["0", "0.0123", "12.3", "100", "1,234"]
    assert [percent(one) for one in (0, 1e-5, 0.5, 0.9999, 1, 1.004)] == [
        "0 %",
        "<0.1 %",
        "50 %",
        ">99.9 %",
        "100 %",
        "100.4 %",
    ]
    assert [rate(one) for one in (0, 999.6, 60_000, 999_999)] == ["0", "1 k", "60 k", "1 M"]


def test_a_spread_tells_in_how_many_trials_it_is_known() -> None:
    """One number alone stands for values that are all equal; missing ones are counted."""
    [cell] = cells_of(trials({}, connect_p50_ms=[1, 1, None]))
    assert shown_spread("connect_p50_ms", cell.spread("connect_p50_ms"), 3) == "1 (2 of 3)"


def test_text_cannot_break_a_table() -> None:
    """Bars, angle brackets and line ends in words stay within their cell."""
    assert table(["a"], [["x|y\nz <b>"]]).splitlines()[2] == "| x\\|y z &lt;b> |"


def ask(*arguments: str) -> Outcome:
    """Run a command of the bench."""
    return CliRunner().invoke(cli, arguments)


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """Return a file with a result."""
    file = ResultFile(tmp_path / "made.json")
    file.write(realistic())
    return file.path


def test_report_writes_a_scorecard_with_its_plots(kept: Path) -> None:
    """The command writes beside the result, names the scorecard, and every image it shows is there."""
    outcome = ask("report", str(kept))
    assert outcome.exit_code == 0, outcome.output
    written = Path(outcome.stdout.strip())
    assert written == kept.with_suffix("") / "scorecard.md"
    images = re.findall(r"!\[[\w-]+\]\(([\w.-]+)\)", written.read_text(encoding="utf-8"))
    assert len(images) == 5
    assert all((written.parent / image).stat().st_size > 5000 for image in images)


def test_report_goes_where_it_is_sent(kept: Path, tmp_path: Path) -> None:
    """With --output the folder is made; where it cannot be, that is an error in words."""
    ResultFile(kept).write(result(scenario([trial(missed=0)])))
    outcome = ask("report", str(kept), "--output", str(tmp_path / "a" / "b"))
    assert (tmp_path / "a" / "b" / "scorecard.md").exists()
    assert "report: drawing plots" in outcome.stderr
    refused = ask("report", str(kept), "--output", str(kept / "inside"))
    assert refused.exit_code == 1
    assert "cannot write the report" in refused.stderr


@pytest.mark.parametrize("command", [("report",), ("compare", "other.json")])
def test_what_is_no_result_ends_with_2(command: tuple[str, ...], tmp_path: Path) -> None:
    """A file that is no result is wrong usage: exit code 2 and no traceback."""
    wrong = tmp_path / "wrong.json"
    wrong.write_text("{}", encoding="utf-8")
    outcome = ask(command[0], str(wrong), *command[1:])
    assert outcome.exit_code == 2
    assert "not a result of the bench" in outcome.stderr


def test_compare_tells_people_and_programs(kept: Path, tmp_path: Path) -> None:
    """Compare ends with 0 whatever changed; with --format json the same is read by a program."""
    slower = ResultFile(tmp_path / "slower.json")
    slower.write(realistic(2, slower=2.0))
    text = ask("compare", str(kept), str(slower.path))
    assert text.exit_code == 0, text.output
    assert "Worse:" in text.stdout
    parts = json.loads(ask("compare", str(kept), str(slower.path), "--format", "json").stdout)
    assert parts["changes"]


def test_schema_is_printed() -> None:
    """The schema command prints the JSON Schema that the tests know."""
    assert json.loads(ask("schema").stdout) == json_schema()


def test_without_matplotlib_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without matplotlib gets exit code 3 and the command to use."""
    file = ResultFile(tmp_path / "made.json")
    file.write(Result(started_at="x", machine=realistic().machine))
    for name in [name for name in sys.modules if name.startswith(("matplotlib", "bench.report.plot"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    outcome = ask("report", str(file.path))
    assert outcome.exit_code == 3
    assert "'.ci/setup bench'" in outcome.stderr


def test_nothing_but_the_report_loads_matplotlib() -> None:
    """Listing and running scenarios do without the half second and the memory that plots cost."""
    code = "import sys, bench.report.commands; sys.exit('matplotlib' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
