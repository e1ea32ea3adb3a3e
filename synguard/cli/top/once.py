"""One picture of ``synguard top`` as plain text."""

from __future__ import annotations

from collections.abc import Iterator

from synguard.cli.output import prose, table
from synguard.cli.top.data import TABLES, Look
from synguard.cli.top.tables import KINDS, fitted, head
from synguard.telling.figures import figure, moment


def text(look: Look, rows: int) -> str:
    """Return the head and so many rows of each table that has any."""
    return "\n\n".join(_sections(look, rows))


def _sections(look: Look, rows: int) -> Iterator[str]:
    answer = look.answer
    lines = head(answer, look.rates)
    yield "\n".join(prose(line, hanging=2) for line in [f"{moment(answer['at'])}  {lines[0]}", *lines[1:]])
    for name in TABLES:
        kind, known = KINDS[name], answer["rows_known"][name]
        if not answer[name]:
            if name in ("listeners", "alerts"):
                yield f"{kind.title}: none"
            continue
        shown = fitted(kind, answer[name][:rows], answer["at"])
        headings = [f">{one.heading}" if one.right else one.heading for one in shown.columns]
        spare = sorted((one for one in shown.columns if one.spare), key=lambda one: -one.spare)
        names = [f">{one.heading}" if one.right else one.heading for one in spare]
        left_out = known - len(shown.cells)
        more = f"\nand {figure(left_out)} more" if left_out > 0 else ""
        yield f"{kind.title}\n{table(headings, shown.cells, spare=names)}{more}"
