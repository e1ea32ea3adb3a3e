"""The three responses in words: what was done to whom, what goes on meanwhile, and what is in force."""

from __future__ import annotations

from typing import Any

import pytest

from synguard.history.records import alert_to_json
from synguard.model import RespondMode, Response
from synguard.telling.reasoning import reasoning
from synguard.telling.responses import cell, change, done, further, standing
from tests.unit.telling.test_reasoning import shaped

WEB = "203.0.113.5:443"


def action(response: str, target: str = WEB, mode: str = "enforce") -> dict[str, Any]:
    """Return an alert's action."""
    return {"response": response, "target": target, "mode": mode, "reason": "why", "until": None}


@pytest.mark.parametrize(
    ("response", "was_done", "would_be"),
    [
        ("drop", "dropped 192.0.2.7", "would drop 192.0.2.7"),
        ("greylist", "greylisted 192.0.2.7", "would greylist 192.0.2.7"),
        ("cookie", "answered 192.0.2.7 with SYN cookies", "would answer 192.0.2.7 with SYN cookies"),
        ("{x} {}", "{x} {} 192.0.2.7", "would {x} {} 192.0.2.7"),
    ],
)
def test_what_was_done_reads_otherwise_than_what_would_be(
    response: str, was_done: str, would_be: str
) -> None:
    """Each response has its words, in dry-run as a wish; one from another release is named as it is."""
    assert done(action(response, "192.0.2.7")) == was_done
    assert done(action(response, "192.0.2.7", "dry-run")) == would_be
    assert cell(action(response)) == response
    assert cell(action(response, mode="dry-run")) == f"{response} (dry-run)"


@pytest.mark.parametrize(
    ("alert_class", "response", "said", "unsaid"),
    [
        ("spoofed", "cookie", "answers with SYN cookies: real clients get in", "synguard doctor"),
        ("distributed", "greylist", "real clients get in about a second late", "synguard doctor"),
        ("spoofed", None, "SYN cookies let real clients in meanwhile: `synguard doctor`", "Meanwhile"),
        ("single-source", "greylist", "Meanwhile 198.51.100.0/22 is greylisted", "block remove"),
        ("prefix", "greylist", "whoever is really there gets in about a second late", "block remove"),
        ("single-source", "drop", "established connections live on. If good clients are", "may be spoofed"),
        ("single-source", None, "The address may be spoofed", "Meanwhile"),
    ],
)
def test_the_reader_is_told_what_goes_on_meanwhile(
    alert_class: str, response: str | None, said: str, unsaid: str
) -> None:
    """What a response in force means for real clients is said, and advice that it makes idle is not."""
    target = "198.51.100.0/22" if alert_class in ("single-source", "prefix") else WEB
    taken = Response(response, RespondMode.ENFORCE, target, "why") if response else None
    meaning = reasoning(alert_to_json(shaped("syn-flood", alert_class, response=taken)))["meaning"]
    assert said in meaning
    assert unsaid not in meaning
    assert "  " not in meaning
    assert meaning == meaning.strip()


def test_what_dry_run_would_do_changes_nothing_meanwhile() -> None:
    """A response that is only written down helps nobody, and is not told as if it did."""
    taken = Response("cookie", RespondMode.DRY_RUN, WEB, "why")
    told = [
        reasoning(alert_to_json(shaped("syn-flood", "spoofed", response=one)))["meaning"]
        for one in (taken, None)
    ]
    assert told[0] == told[1]


@pytest.mark.parametrize(
    ("decision", "told"),
    [
        ("why", None),
        ("", None),
        ("why; cookie for 3 more listeners", "also: cookie for 3 more listeners"),
        ("nothing is done any more", "nothing is done any more"),
    ],
)
def test_a_decision_adds_to_its_first_reason(decision: str, told: str | None) -> None:
    """What is done beside the first action, and what is not, is told without repeating the reason."""
    assert further({"decision": decision, "action": action("cookie")}) == told
    assert further({"decision": decision, "action": None}) == (decision or None)


def test_what_is_in_force_is_counted_by_response() -> None:
    """The mode stands with how much is in force, of what kind, and what waits; kinds of none are left out."""
    held = {"blocks": 1200, "by_response": {"drop": 1190, "greylist": 10, "cookie": 0}, "suspended": 0}
    assert standing(held, "enforce", "proven") == (
        "enforce (drop = proven), 1,200 in force: 1,190 drop, 10 greylist"
    )
    off = {"blocks": 2, "by_response": {"drop": 2}, "suspended": 2}
    assert standing(off, "off", "always") == "off (drop = always), 0 in force, 2 of people's suspended"


def test_a_change_that_moved_nothing_tells_the_mode_alone() -> None:
    """Nothing is said to have ended where nothing did."""
    assert change({"mode": "off", "ended": 0, "suspended": 0, "resumed": 0}) == "off"
