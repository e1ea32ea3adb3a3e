"""Why an alert was raised, in words: opening sentences, factors, names, belief and severity."""

import ast
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest

from synguard import detect
from synguard.endpoint import Listener
from synguard.history.records import alert_to_json
from synguard.model import (
    Alert,
    AlertClass,
    AlertKind,
    Change,
    Evidence,
    Measurement,
    RespondMode,
    Response,
    Severity,
)
from synguard.telling import names
from synguard.telling.names import evidence_words, measurement_words
from synguard.telling.reasoning import WINDOW, reasoning
from synguard.telling.story import STORIES
from tests.unit.cli.conftest import BLIND, FLOOD, SPOOFED, STARTED_AT_S

PREFIX = ip_network("198.51.100.0/22")
SHAPES = [
    ("syn-flood", "spoofed"),
    ("syn-flood", "distributed"),
    ("syn-flood", "single-source"),
    ("syn-flood", "prefix"),
    ("scan", "fin"),
    ("scan", "null"),
    ("scan", "xmas"),
    ("scan", "half-open"),
    ("scan", "closed-ports"),
    ("reflection", None),
    ("overload", None),
]


def shaped(kind: str, alert_class: str | None, **changes: object) -> Alert:
    """Return an open alert of this kind and class."""
    given = {
        "kind": AlertKind(kind),
        "alert_class": None if alert_class is None else AlertClass(alert_class),
        "source": PREFIX,
        "listener": Listener.parse("203.0.113.5:443"),
    }
    return replace(SPOOFED, **(given | changes))  # type: ignore[arg-type]


def summary(alert: Alert) -> str:
    """Return the opening sentence of an alert's story."""
    return str(reasoning(alert_to_json(alert))["summary"])


@pytest.mark.parametrize(("kind", "alert_class"), SHAPES)
def test_every_kind_and_class_has_its_story(kind: str, alert_class: str | None) -> None:
    """Whatever is raised is told in a sentence of its own that names whom it is about, and what to do."""
    alert = shaped(kind, alert_class)
    told = reasoning(alert_to_json(alert))
    assert told["summary"].endswith(".")
    about = [name for name in ("203.0.113.5:443", "198.51.100.0/22") if name in told["summary"]]
    assert about
    assert "{" not in told["summary"] + told["meaning"]
    others = [summary(shaped(*shape)) for shape in SHAPES if shape != (kind, alert_class)]
    assert told["summary"] not in others
    assert set(STORIES) == set(SHAPES)


@pytest.mark.parametrize(("kind", "alert_class"), [("syn-flood", "spoofed"), ("syn-flood", "distributed")])
def test_a_flood_without_a_source_blames_none(kind: str, alert_class: str) -> None:
    """What may be other people's addresses is neither named nor offered to be blocked."""
    told = reasoning(alert_to_json(shaped(kind, alert_class, source=None)))
    assert "block add" not in told["meaning"]
    assert "one source" not in told["summary"] + told["meaning"]


def test_an_unknown_shape_is_told_all_the_same() -> None:
    """A kind and class that nobody wrote a story for is named with its place."""
    told = reasoning(alert_to_json(shaped("overload", "prefix")))
    assert (told["summary"], told["meaning"]) == ("overload prefix: 203.0.113.5:443.", None)


def test_grouped_listeners_and_tense() -> None:
    """Several listeners are counted, and what is over is told as that."""
    listeners = tuple(Listener.parse(f"203.0.113.5:{port}") for port in (443, 80, 25))
    alert = shaped("syn-flood", "spoofed", listeners=listeners)
    assert summary(alert).startswith("203.0.113.5:443 and 2 more listeners are flooded with SYNs")
    assert summary(replace(alert, listeners=listeners[:2])).startswith("203.0.113.5:443 and 1 more listener ")
    over = replace(FLOOD, alert_class=AlertClass.SPOOFED, listeners=())
    assert summary(over).startswith("203.0.113.5:443 was flooded")
    assert reasoning(alert_to_json(over))["meaning"].startswith("It is over. ")
    closed = shaped("syn-flood", "spoofed", listener=Listener.parse("203.0.113.5"))
    assert summary(closed).startswith("203.0.113.5 (closed ports) is flooded")
    assert summary(replace(closed, answered=None)).startswith("203.0.113.5 is flooded")
    nowhere = shaped("syn-flood", "single-source", listener=None)
    assert summary(nowhere).startswith("198.51.100.0/22 floods several targets with SYNs")


def test_what_is_dropped_already_needs_no_advice_to_block() -> None:
    """While a source's SYNs are dropped, the reader is told how to undo it instead."""
    dropped = Response("drop", RespondMode.ENFORCE, "198.51.100.7", "why")
    for response, said in (
        (dropped, "block remove"),
        (replace(dropped, mode=RespondMode.DRY_RUN), "block add"),
    ):
        told = reasoning(alert_to_json(shaped("syn-flood", "single-source", response=response)))
        assert said in told["meaning"]


@pytest.mark.parametrize(
    ("measurements", "said"),
    [
        (
            [Measurement("half_open_per_s", 50_812.0, 50.0, "1/s", 2.0)],
            "50,812 half-open handshakes a second, 1,016 times the threshold of 50.",
        ),
        (
            [
                Measurement("half_open_per_s", 20.0, 50.0, "1/s", 0.2),
                Measurement("cusum_score", 44.0, 12.0, ""),
            ],
            "20 half-open handshakes a second, not many, but 100 times what is usual there.",
        ),
        (
            [Measurement("half_open_per_min", 90.0, 60.0, "1/min")],
            "90 half-open handshakes towards the prefix a minute, 1.5 times the threshold of 60.",
        ),
        (
            [
                Measurement("half_open_per_s", 2.0, 50.0, "1/s"),
                Measurement("attempts", 80, 40, "attempts"),
                Measurement("scanned_targets", 24, 16, "targets"),
            ],
            "24 targets that answered and were not completed, 1.5 times the threshold of 16.",
        ),
        (
            [
                Measurement("syn_drops_per_s", 900.0, 1.0, "1/s"),
                Measurement("half_open_ratio", 0.9, 0.1, "ratio"),
            ],
            "cannot be believed.",
        ),
        ([Measurement("half_open_per_s", 20.0, 50.0, "1/s", 30.0)], "cannot be believed."),
        ([], "cannot be believed."),
    ],
)
def test_the_figure_that_raised_it(measurements: list[Measurement], said: str) -> None:
    """The opening ends with the figure that passed its bound, by how much; nothing where none did."""
    assert summary(shaped("syn-flood", "spoofed", measurements=tuple(measurements))).endswith(said)


def test_no_rate_is_told_of_what_is_no_flood() -> None:
    """An overload and blindness are not told with a rate of half-open handshakes."""
    rate = Measurement("half_open_per_s", 50_812.0, 50.0, "1/s")
    assert "half-open" not in summary(shaped("overload", None, measurements=(rate,)))
    assert "half-open" not in summary(replace(BLIND, measurements=(rate,)))


def test_factors_and_where_there_are_none() -> None:
    """Each figure says how many times its bounds it is; without a bound, or with 0 as one, it does not."""
    told = reasoning(
        alert_to_json(
            replace(
                SPOOFED,
                measurements=(
                    Measurement("half_open_per_s", 100.0, 50.0, "1/s", 4.0),
                    Measurement("half_open_ratio", 0.5, None, "ratio", 0.0),
                ),
            )
        )
    )
    factors = [(one["times_threshold"], one["times_baseline"]) for one in told["measurements"]]
    assert factors == [(2.0, 25.0), (None, None)]


def test_window_and_impact_are_told_apart() -> None:
    """The window's measurements and those of the queues are no thresholds that the flood passed."""
    told = reasoning(
        alert_to_json(
            replace(
                SPOOFED,
                measurements=(
                    Measurement("half_open_per_s", 100.0, 50.0, "1/s"),
                    Measurement("window_length_ms", 200.0, None, "ms"),
                    Measurement("window_age_ms", 60.0, None, "ms"),
                    Measurement("allowance_ms", 500.0, None, "ms"),
                    Measurement("syn_queue_fill", 1.0, 0.9, "ratio"),
                    Measurement("listen_overflows_per_s", 3.0, 0.0, "1/s"),
                ),
            )
        )
    )
    assert told["window"] == {"length_ms": 200.0, "age_ms": 60.0, "allowance_ms": 500.0}
    assert [one["name"] for one in told["measurements"]] == ["half_open_per_s"]
    assert [one["name"] for one in told["impact_measurements"]] == [
        "syn_queue_fill",
        "listen_overflows_per_s",
    ]


def test_belief_is_the_sum_of_the_weights() -> None:
    """Floods that are called by what is believed of their sources say how much, and what was needed."""
    evidence = (Evidence("syns_per_source", 1.0, 0.4), Evidence("rst_share", 0.3, 0.15))
    for alert_class, needed in (("spoofed", True), ("distributed", True), ("single-source", False)):
        told = reasoning(alert_to_json(shaped("syn-flood", alert_class, evidence=evidence)))
        assert told["belief"] == ({"sum": 0.55, "needed": 0.5} if needed else None)


def test_severity_says_why() -> None:
    """The last change of severity gives its reason; before any, the margin and the impact do."""
    alert = replace(SPOOFED, severity=Severity.CRITICAL)
    said = reasoning(alert_to_json(alert))["severity"]
    assert said == "critical: 1,016 times the threshold when it was raised, impact cookies"
    timeline = (
        Change(STARTED_AT_S, "severity", "low", "high", "100 times the threshold"),
        Change(STARTED_AT_S, "severity", "high", "critical", "the kernel drops SYNs"),
        Change(STARTED_AT_S, "class", "distributed", "spoofed", "the evidence"),
    )
    told = reasoning(alert_to_json(replace(alert, timeline=timeline)))
    assert told["severity"] == "critical: the kernel drops SYNs"


@pytest.mark.parametrize(
    ("kind", "alert_class", "impact", "severity"),
    [
        ("scan", "fin", None, "low: it does this server no harm"),
        ("scan", "closed-ports", None, "low: it does this server no harm"),
        ("reflection", None, "none: the queues have room", "low: it does this server no harm"),
        ("overload", None, "none: the queues have room", "low: 1,016 times the threshold when it was raised"),
    ],
)
def test_a_scan_has_no_impact_to_speak_of(
    kind: str, alert_class: str | None, impact: str | None, severity: str
) -> None:
    """What was not asked is not called unknown, and what does no harm is not weighed by its margin."""
    alert = replace(shaped(kind, alert_class), impact="none", severity=Severity.LOW)
    told = reasoning(alert_to_json(alert))
    assert (told["impact"] or "").startswith(impact or "")
    assert (told["impact"] is None) == (impact is None)
    assert told["severity"].startswith(severity)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("half_open_per_s", "half-open handshakes"),
        ("accept_queue_fill", "accept queue"),
        ("half_open_towards_prefix_per_min", "half-open towards prefix"),
        ("syn_acks_per_s", "SYN ACKs"),
        ("rst_share", "RST share"),
        ("new_syns_of_tls_ports_ms", "new SYNs of TLS ports"),
        ("finished", "finished"),
    ],
)
def test_measurements_read_well(name: str, words: str) -> None:
    """A measurement that nobody gave words to is spelled from its name, without its unit."""
    assert measurement_words(name) == words


def test_evidence_reads_well() -> None:
    """Evidence has words of its own, and unknown evidence is spelled out."""
    assert evidence_words("silent_sources") == "sources that complete nothing"
    assert evidence_words("isn_pattern-score") == "ISN pattern score"


def texts(node: ast.AST) -> Iterator[str]:
    """Yield the text constants in a piece of code."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
            yield inner.value


def detector_code() -> dict[str, ast.Module]:
    """Return the detector's modules by name."""
    paths = Path(detect.__file__).parent.glob("*.py")
    return {path.stem: ast.parse(path.read_text(encoding="utf-8")) for path in paths}


@pytest.mark.parametrize(
    ("record", "words"), [("Measurement", names._MEASUREMENTS), ("Evidence", names._EVIDENCE)]
)
def test_all_that_the_detector_tells_of_has_words(record: str, words: dict[str, str]) -> None:
    """Each name that the detector gives to a figure has words of its own, and no words are of nothing."""
    code = detector_code()
    called = [
        node
        for name, module in code.items()
        if name != "blindness"
        for node in ast.walk(module)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == record
    ]
    told = {node.args[0].value for node in called if isinstance(node.args[0], ast.Constant)}
    assert told - words.keys() - WINDOW.keys() == set()
    known = {text for module in code.values() for text in texts(module)}
    assert words.keys() - known - {"fin_probes", "null_probes", "xmas_probes"} == set()
