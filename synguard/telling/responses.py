"""What the three responses are called, what each does to whom, and how many are in force, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from synguard.model import RespondMode
from synguard.telling.figures import figure

Row = Mapping[str, Any]

#: What was done to a target, and what would be, by the response's name.
_DONE = {
    "drop": ("dropped {}", "would drop {}"),
    "greylist": ("greylisted {}", "would greylist {}"),
    "cookie": ("answered {} with SYN cookies", "would answer {} with SYN cookies"),
}
#: What goes on while a response is in force, by its name and whether it is of a listener.
_MEANWHILE = {
    ("drop", False): "Its SYNs are dropped meanwhile; established connections live on.",
    ("greylist", False): (
        "Meanwhile {source} is greylisted: whoever is really there gets in about a second late, and "
        "established connections live on."
    ),
    ("greylist", True): (
        "Meanwhile synguard greylists what goes there: real clients get in about a second late, and "
        "established connections live on."
    ),
    ("cookie", True): (
        "Meanwhile synguard answers with SYN cookies: real clients get in, and the server sees nobody else."
    ),
}


def cell(action: Row) -> str:
    """Return an action, or a response of the history's, in few words: ``greylist``, ``drop (dry-run)``."""
    is_real = action["mode"] == RespondMode.ENFORCE
    return str(action["response"]) if is_real else f"{action['response']} ({action['mode']})"


def done(action: Row) -> str:
    """Return what was done, or would be: ``greylisted 198.51.100.7``, ``would drop 198.51.100.7``."""
    is_real = action["mode"] == RespondMode.ENFORCE
    if action["response"] not in _DONE:
        return f"{'' if is_real else 'would '}{action['response']} {action['target']}"
    real, would = _DONE[action["response"]]
    return (real if is_real else would).format(action["target"])


def further(alert: Row) -> str | None:
    """Return what a decision says beyond its first action's reason; None if nothing."""
    decision, action = str(alert["decision"]), alert["action"]
    if action is None or not decision.startswith(action["reason"]):
        return decision or None
    # The same words twice tell nothing more.
    rest = decision[len(action["reason"]) :].lstrip("; ")
    return f"also: {rest}" if rest else None


def meanwhile(action: Row | None, *, of_listener: bool) -> str | None:
    """Return what goes on while an alert's action is in force, ``{source}`` unfilled; None if none is."""
    if action is None or action["mode"] != RespondMode.ENFORCE:
        return None
    return _MEANWHILE.get((action["response"], of_listener))


def standing(responses: Row, mode: str, drop: str) -> str:
    """Return the mode and what is in force: ``enforce (drop = proven), 3 in force: 1 drop, 2 cookie``."""
    return f"{mode} (drop = {drop}), {', '.join(held(responses))}"


def held(responses: Row) -> Iterator[str]:
    """Yield how much is in force, by response, how much of people's waits, and how much somebody removed."""
    suspended, missing = (responses.get(name) or 0 for name in ("suspended", "missing"))
    kinds = [f"{figure(count)} {kind}" for kind, count in responses.get("by_response", {}).items() if count]
    # Each kind's count is of all that are kept.
    told = f": {', '.join(kinds)}" if kinds and not suspended + missing else ""
    yield f"{figure(responses['blocks'] - suspended - missing)} in force{told}"
    if suspended:
        yield f"{figure(suspended)} of people's suspended"
    if missing:
        yield f"{figure(missing)} removed from the kernel by somebody"


def change(answer: Row) -> str:
    """Return what a change of the mode brought about: ``off; 3 responses ended, 2 of people's suspended``."""
    told = [
        words.format(figure(answer[name]))
        for name, words in (
            ("ended", "{} ended"),
            ("suspended", "{} of people's suspended"),
            ("resumed", "{} of people's in force again"),
        )
        if answer.get(name)
    ]
    return "; blocks: ".join(filter(None, [str(answer["mode"]), ", ".join(told)]))
