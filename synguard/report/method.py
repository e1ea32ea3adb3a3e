"""How the figures of a report came about: which daemon measured, when it did not run, and what was lost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from synguard.report.asking import Span, watched
from synguard.report.curves import Steps, gaps, total
from synguard.report.document import Table, table
from synguard.report.words import clock, clock_heading, known, long, when_s

MOST_RUNS = 50
MOST_GAPS = 10
#: A gap that is shorter is a restart, which the table of runs tells.
LEAST_GAP_S = 1.0

_METHOD = (
    "synguard counts handshakes in the kernel, by a probe on the network interface, and judges only attempts "
    "that had time to complete. An attempt is a SYN of a connection not seen before; it is completed when an "
    "ACK proves that the peer received our answer."
)


def method_notes(
    runs: Sequence[Mapping[str, Any]], totals: Steps, shown: Span, now_s: float, *, local: bool
) -> Iterator[str]:
    """Yield sentences on how it was measured, when it was not, and what was lost."""
    yield _METHOD
    if not runs:
        yield (
            "No run of the daemon is on record for this time: whether anybody was looking when nothing is "
            "shown cannot be told."
        )
        return
    yield from _gap_notes(gaps(shown, watched(runs, now_s)), local=local)
    unparsed = total(totals, "unparsed")
    if unparsed:
        yield f"{known(unparsed)} packets could not be parsed and are in none of these figures."


def runs_table(runs: Sequence[Mapping[str, Any]], *, local: bool) -> Table:
    """Return the daemon's runs, the latest of them where there are many."""
    rows = [
        (
            clock(one["started_at"], local=local),
            clock(one["ended_at"], local=local, missing="no end on record"),
            one["ended_because"] or "",
            one["version"],
            one["kernel"],
            ", ".join(one["interfaces"]),
            one["mode"],
        )
        for one in runs[-MOST_RUNS:]
    ]
    left_out = len(runs) - len(rows)
    began, ended = (clock_heading(text, local=local) for text in ("From", "To"))
    headings = (began, ended, "Ended because", "synguard", "Kernel", "Interfaces", "Responding")
    notes = [f"{left_out} earlier runs are left out."] if left_out > 0 else []
    return table("Runs of the daemon", headings, rows, notes, anchor="runs")


def _gap_notes(found: Sequence[Span], *, local: bool) -> Iterator[str]:
    found = [gap for gap in found if gap.length_s >= LEAST_GAP_S]
    for gap in found[:MOST_GAPS]:
        since, until = (when_s(moment_s, local=local) for moment_s in gap)
        yield (
            f"synguard did not run from {since} to {until} ({long(gap.length_s)}), or was killed before "
            "it had written down that it did: what happened then is unknown."
        )
    rest = found[MOST_GAPS:]
    if rest:
        missing_s = sum(gap.length_s for gap in rest)
        yield f"Nor did it in {len(rest)} more times, {long(missing_s)} together."
