"""Blocks as rows: of a table and of CSV, in the order in which a person wants them."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from synguard.cli.output import table
from synguard.endpoint import Listener, parse_target
from synguard.errors import UsageError
from synguard.observe.text import printable
from synguard.telling.figures import duration, figure, moment, seconds_between

Row = Mapping[str, Any]

SORTS = ("target", "hits", "until")

_CSV_FIELDS = (
    "response", "target", "hits", "until", "alert_id", "asked_by", "reason", "suspended", "missing",
    "created_at",
)  # fmt: skip
_HEADINGS = ("RESPONSE", "TARGET", ">HITS", "ENDS", ">ALERT", "ASKED BY", "STATE", "REASON")
#: What a narrow terminal goes without, first the first.
_SPARE = (">ALERT", "ASKED BY")

_IN_FORCE = "in force"

CSV_HEADING = ",".join(_CSV_FIELDS)


def by(blocks: Iterable[Row], field: str) -> list[Row]:
    """Return blocks sorted by one of SORTS, which a leading ``-`` has descend."""
    name = field.removeprefix("-")
    in_order = sorted(blocks, key=lambda block: _place(block["target"]))
    if name == "target":
        return in_order[::-1] if field.startswith("-") else in_order
    return sorted(in_order, key=lambda block: block[name], reverse=field.startswith("-"))


def _place(target: str) -> tuple[int, ...]:
    """Return where a target stands: sources before listeners, IPv4 before IPv6, by number."""
    try:
        found = parse_target(target)
    except UsageError:
        return (2,)
    if isinstance(found, Listener):
        return 1, found.address.version, int(found.address), found.port
    return 0, found.version, int(found.network_address), found.prefixlen


def block_table(blocks: Sequence[Row], *, local: bool) -> str:
    """Return blocks under their headings.

    On a terminal with how long each still lasts, else with its end; and there the state stands only where
    not all are in force.
    """
    on_terminal = sys.stdout.isatty()
    now = datetime.now(UTC).isoformat() if on_terminal and not local else None
    says_state = not on_terminal or any(state(block) != _IN_FORCE for block in blocks)
    shown = [place for place, heading in enumerate(_HEADINGS) if says_state or heading != "STATE"]
    rows = [_cells(block, now, local=local) for block in blocks]
    return table(
        [_HEADINGS[place] for place in shown],
        [[row[place] for place in shown] for row in rows],
        spare=_SPARE,
        whole=("RESPONSE", "TARGET", "ENDS"),
    )


def _cells(block: Row, now: str | None, *, local: bool) -> Sequence[str]:
    return (
        block["response"],
        block["target"],
        figure(block["hits"]),
        moment(block["until"], local=local) if now is None else f"in {_left(now, block['until'])}",
        "-" if block["alert_id"] is None else str(block["alert_id"]),
        block["asked_by"],
        state(block),
        block["reason"],
    )


def _left(now: str, until: str) -> str:
    return duration(max(seconds_between(now, until), 0.0))


def state(block: Row) -> str:
    """Return ``in force``; ``suspended`` while responses are off; ``gone`` where the kernel lacks it."""
    if block.get("suspended"):
        return "suspended"
    return "gone" if block.get("missing") else _IN_FORCE


def csv_row(block: Row) -> str:
    """Return a block as a line of CSV."""
    flat = {**block, "suspended": _yes(block.get("suspended")), "missing": _yes(block.get("missing"))}
    cells = (printable(one) if isinstance(one := flat[name], str) else one for name in _CSV_FIELDS)
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(cells)
    return line.getvalue()


def _yes(value: object) -> str:
    return "yes" if value else "no"
