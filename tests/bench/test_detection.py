"""Cases of detection: what is made of alerts, what a run says in the end, and that it is all played."""

from __future__ import annotations

from typing import Any

import pytest
from click.testing import CliRunner

from bench.cli import cli
from bench.detection.case import NOTHING, Expected
from bench.detection.cases import CASES, case_of
from bench.detection.judging import confusion, judge_cases, matrix_table
from bench.detection.truth import Truth
from bench.detection.verdict import faults, told
from bench.report.scorecard import scorecard
from bench.results.model import Trial
from bench.scenario.load import find, load
from bench.scenario.model import DetectionScenario
from synguard.errors import UsageError
from tests.bench.made_results import result, scenario, trial

SPOOFED = Expected("syn-flood", "spoofed", "listener")
SINGLE = Expected("syn-flood", "single-source", "source")
SERVER = "198.18.0.1:443"


def alert(**changes: Any) -> dict[str, Any]:
    """Return an alert of a spoofed flood on the server, with changes; ``alert_class`` is its class."""
    fields: dict[str, Any] = {
        "id": 1,
        "kind": "syn-flood",
        "class": changes.pop("alert_class", "spoofed"),
        "severity": "high",
        "state": "open",
        "impact": "none",
        "listener": SERVER,
        "listeners": [SERVER],
        "source": None,
        "top_sources": [],
        "action": None,
        "evidence": [{"name": "syns_per_source", "value": 1.0, "weight": 0.4}],
    }
    counts = ("attempts", "completed", "refused", "aborted", "half_open_ratio", "peak_syn_per_s")
    return fields | dict.fromkeys((*counts, "sources_estimated"), 7) | changes


def wrong(expected: Expected, *alerts: dict[str, Any], **truth: Any) -> list[str]:
    """Return what is wrong with alerts about an attack on the server."""
    return list(faults(expected, Truth(**{"listeners": {SERVER}} | truth), alerts))


def test_what_is_called_rightly_has_no_fault() -> None:
    """An alert of the right class on the right listener, and silence where it belongs, are right."""
    assert wrong(SPOOFED, alert()) == []
    assert wrong(NOTHING) == []
    single = alert(alert_class="single-source", source="198.18.66.13")
    assert wrong(SINGLE, single, source="198.18.66.13") == []


@pytest.mark.parametrize(
    ("expected", "alerts", "fault"),
    [
        (SPOOFED, [], "should be spoofed, is (none)"),
        (SPOOFED, [alert(alert_class="distributed")], "should be spoofed, is distributed"),
        (SPOOFED, [alert(), alert(id=2)], "should be spoofed, is 2 × spoofed"),
        (SPOOFED, [alert(), alert(id=2, alert_class="prefix")], "should be spoofed, is spoofed + prefix"),
        (NOTHING, [alert(kind="overload", alert_class=None)], "should be (none), is overload"),
        (SPOOFED, [alert(kind="scan")], "should be a syn-flood, is a scan"),
        (SPOOFED, [alert(source="192.0.2.1")], "names the source 192.0.2.1, not None"),
        (SPOOFED, [alert(listeners=["198.18.0.1:80"])], "names 198.18.0.1:80, which was not attacked"),
        (SPOOFED, [alert(listeners=["198.18.0.1:80"])], "does not name 198.18.0.1:443"),
        (SPOOFED, [alert(listener=None, listeners=[])], "does not name 198.18.0.1:443"),
        (SINGLE, [alert(alert_class="single-source")], "names the source None, not 192.0.2.9"),
        (
            Expected("syn-flood", "spoofed", "listener", impact="unknown"),
            [alert()],
            "says that the impact is none, not unknown",
        ),
    ],
)
def test_each_fault_is_said(expected: Expected, alerts: list[dict[str, Any]], fault: str) -> None:
    """A wrong class, kind, number, source or listener is told in words."""
    source = "192.0.2.9" if expected is SINGLE else None
    assert fault in wrong(expected, *alerts, source=source)


def test_listeners_of_one_attack_are_all_named() -> None:
    """An alert on several listeners at once is right with all of them, and wrong without one."""
    both = {SERVER, "198.18.0.1:80"}
    assert wrong(SPOOFED, alert(listeners=[*both]), listeners=both) == []
    assert wrong(SPOOFED, alert(), listeners=both) == ["does not name 198.18.0.1:80"]


@pytest.mark.parametrize("named", ["2001:db8:1:2::13/128", "2001:db8:1:2::/64"])
def test_an_ipv6_source_may_be_its_group(named: str) -> None:
    """An IPv6 source is named by its address or by its /64, and no wider."""
    single = alert(alert_class="single-source", source=named)
    assert wrong(SINGLE, single, source="2001:db8:1:2::13") == []
    wider = alert(alert_class="single-source", source="2001:db8:1::/48")
    assert len(wrong(SINGLE, wider, source="2001:db8:1:2::13")) == 1


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"top_sources": [{"source": "198.19.10.2/32"}]}, "top_sources"),
        ({"action": {"response": "greylist", "target": "198.19.10.0/24"}}, "action.target"),
    ],
)
def test_nothing_names_a_user(changes: dict[str, Any], place: str) -> None:
    """Whatever a response could use must not name a real user, though the class is right."""
    assert wrong(SPOOFED, alert(**changes), users={"198.19.10.3"}) == (
        [] if place == "top_sources" else ["action.target names a real user: 198.19.10.0/24"]
    )
    (fault,) = wrong(SPOOFED, alert(**changes), users={"198.19.10.2"})
    assert fault.startswith(f"{place} names a real user")


def test_a_listener_as_target_names_nobody() -> None:
    """The target of a response to a whole listener is no source."""
    cookie = {"response": "cookie", "target": SERVER}
    assert wrong(SPOOFED, alert(action=cookie), users={"198.19.10.2"}) == []


def test_an_alert_is_told_with_what_it_was_judged_by() -> None:
    """One line has kind, class, listeners, counts and evidence."""
    line = told(alert())
    assert line.startswith("#1 syn-flood spoofed; open, high, impact none; on 198.18.0.1:443 from None")
    assert line.endswith("evidence syns_per_source 1.0 (0.4)")
    measured = {"name": "half_open_per_s", "observed": 2026.2, "threshold": 50}
    change = {"what": "class", "before": "distributed", "after": "spoofed"}
    line = told(alert(measurements=[measured], timeline=[change]))
    assert line.endswith("measured half_open_per_s 2026 of 50; changed class distributed → spoofed")
    assert told(alert(kind="overload", alert_class=None)).startswith("#1 overload;")


def played(case: str, expected: str, said: str, repetition: int = 1, **facts: str | None) -> Trial:
    """Return a trial of a case."""
    return trial({"case": case}, repetition, {"expected_class": expected, "class": said, **facts})


THREE = (
    played("any address", "spoofed", "spoofed"),
    played("a /24", "prefix", "spoofed", wrong="should be prefix, is spoofed. Raised: #1"),
    played("a crowd", "(none)", "(none)"),
)


def test_the_matrix_counts_valid_trials() -> None:
    """Rows are what was played, columns what it was called; what is no result is not in it."""
    broken = trial(
        {"case": "a crowd"}, 2, {"expected_class": "(none)", "class": "spoofed"}, ["a daemon ended"]
    )
    matrix = confusion([*THREE, broken, played("other", "spoofed", "spoofed", 2)])
    assert matrix == {"spoofed": {"spoofed": 2}, "prefix": {"spoofed": 1}, "(none)": {"(none)": 1}}
    head, rows = matrix_table(matrix)
    assert head[1:] == ["spoofed", "prefix", "(none)"]
    assert rows == [["spoofed", "2", ".", "."], ["prefix", "1", ".", "."], ["(none)", ".", ".", "1"]]


def test_columns_beyond_the_diagonal_come_last() -> None:
    """What nothing should be called stands behind what something should."""
    head, _ = matrix_table({"prefix": {"2 × prefix": 1}, "spoofed": {"spoofed": 1}})
    assert head[1:] == ["prefix", "spoofed", "2 × prefix"]


def test_a_case_holds_when_every_repetition_did() -> None:
    """A verdict names the case, which repetition went wrong, and what was raised in it."""
    again = played("a /24", "prefix", "prefix", 2)
    right, bad, quiet = judge_cases([*THREE, again])
    assert (right.held, bad.held, quiet.held) == (True, False, True)
    assert right.promise == "case any address is called spoofed, and nothing else"
    assert quiet.promise == "case a crowd raises no alert"
    assert bad.observed == "in 1 of 2 repetitions; #1 should be prefix, is spoofed. Raised: #1"
    (unknown,) = judge_cases([trial({"case": "gone"}, invalid=["rate-held: no"])])
    assert unknown.held is None


def test_the_report_shows_the_matrix() -> None:
    """The scorecard has the confusion matrix of the cases, and what was wrong among the promises."""
    made = scenario(THREE, name="detection", kind="detection", verdicts=judge_cases(THREE))
    text = scorecard(result(made), {})
    assert "**synguard, by case**: 2 of 3 trials were called what they were." in text
    assert "| prefix | 0 | 1 |" in text
    assert "should be prefix, is spoofed. Raised: #1" in text


def test_every_case_is_played() -> None:
    """The scenario has every case that there is, once, and its quick form some of them."""
    full, quick = (load(find("detection"), quick=quick) for quick in (False, True))
    assert full is not None
    assert quick is not None
    assert isinstance(full.scenario, DetectionScenario)
    assert sorted(full.scenario.plays) == sorted(CASES)
    assert full.scenario.repetitions >= 3
    assert [cell.labels for cell in full.cells] == [{"case": name} for name in full.scenario.plays]
    assert {str(cell.labels["case"]) for cell in quick.cells} < set(CASES)


def test_every_case_says_what_it_is() -> None:
    """A case has a name and a sentence of its own; whoever expects an alert says what it must name."""
    assert len({case.purpose for case in CASES.values()}) == len(CASES)
    for name, case in CASES.items():
        assert case.name == name
        assert case.purpose.endswith(".")
        assert (case.expected.names == "nothing") is (case.expected.kind is None)


def test_a_case_that_is_not_there_is_refused(tmp_path: Any) -> None:
    """A scenario that names an unknown case, and a pattern that matches none, are wrong usage."""
    with pytest.raises(UsageError, match="there is no case 'nonsense'; there are one address, "):
        case_of("nonsense")
    file = tmp_path / "own.toml"
    file.write_text('kind = "detection"\npurpose = "Mine."\nplays = ["nonsense"]\n', encoding="utf-8")
    outcome = CliRunner().invoke(cli, ["run", str(file)])
    assert (outcome.exit_code, "there is no case 'nonsense'" in outcome.output) == (2, True)
    outcome = CliRunner().invoke(cli, ["run", "detection", "--case", "nonsense*"])
    assert (outcome.exit_code, "no case of these scenarios matches" in outcome.output) == (2, True)
