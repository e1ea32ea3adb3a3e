"""What ``synguard status`` tells of responses: what is in force, each listener's cookies, what was mended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from synguard.cli.block_rows import state
from synguard.cli.output import table
from synguard.observe.text import printable
from synguard.telling.figures import figure, moment
from synguard.telling.responses import held

Row = Mapping[str, Any]

#: Blocks and listeners shown; the JSON has them all.
ROWS = 10
#: What a listener's cookies are at, in words.
_STATES = {
    "canary": "canary: a few real clients first",
    "on": "for everybody",
    "withdrawn": "withdrawn",
}
#: Figures of a listener's cookies, where the daemon has them.
_FIGURES = ("sent", "valid", "connected")


def responses(status: Row, *, local: bool) -> Iterator[str]:
    """Yield what is in force and how it stands, the cookies and the newest blocks, where there are any."""
    told = status["responses"]
    lines = [*_lines(told)]
    if lines:
        yield "\n".join(lines)
    if told.get("cookies"):
        yield _cookies(told["cookies"], local=local)
    if told.get("in_force"):
        yield _blocks(told, local=local)


def _lines(told: Row) -> Iterator[str]:
    if told["blocks"]:
        yield f"responses: {'; '.join(held(told))}"
    if told.get("suspended"):
        yield "what is suspended is in force again with `synguard respond dry-run`, or enforce"
    if told.get("missing"):
        yield "what was removed stays so (respond.when_flushed); `synguard block list` shows it as gone"
    if told.get("spared_unknown"):
        yield printable(f"whom to spare is NOT KNOWN: {told['spared_unknown']}")
    elif told.get("spared_networks"):
        yield f"spared by every response: {figure(told['spared_networks'])} networks of the never-touch list"
    mended = [
        words.format(figure(told[name]))
        for name, words in (("restored", "{} put back"), ("unknown_ended", "{} of nobody's ended"))
        if told.get(name)
    ]
    if mended:
        yield f"rules mended in the kernel: {', '.join(mended)}"


def _cookies(cookies: list[Row], *, local: bool) -> str:
    figures = [name for name in _FIGURES if any(one.get(name) is not None for one in cookies)]
    rows = [
        (
            *(one["listener"], _STATES.get(one["state"], one["state"])),
            moment(one.get("since"), local=local),
            *(figure(one.get(name)) for name in figures),
            one.get("why") or "",
        )
        for one in cookies[:ROWS]
    ]
    headings = ("COOKIES AT", "STATE", "SINCE", *(f">{name.upper()}" for name in figures), "WHY")
    more = len(cookies) - ROWS
    return table(headings, rows) + (f"\nand {figure(more)} more, see --format json" if more > 0 else "")


def _blocks(told: Row, *, local: bool) -> str:
    """Return the newest blocks."""
    rows = [
        (
            *(printable(one["target"]), one["response"], figure(one["hits"])),
            moment(one["until"], local=local) if state(one) == "in force" else state(one),
            *(one["asked_by"], "-" if one["alert_id"] is None else str(one["alert_id"])),
        )
        for one in told["in_force"][:ROWS]
    ]
    more = told["blocks"] - len(rows)
    shown = table(("BLOCKED", "RESPONSE", ">SYNS CAUGHT", "UNTIL", "ASKED BY", ">ALERT"), rows)
    return shown + (f"\nand {figure(more)} more, see `synguard block list`" if more > 0 else "")
