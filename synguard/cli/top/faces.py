"""What the live view says around its tables, and in which style: the worst alerts, the tabs, the help."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.text import Text

from synguard.cli.top.data import TABLES
from synguard.cli.top.tables import KINDS, Row
from synguard.observe.text import printable
from synguard.telling.figures import figure
from synguard.telling.wording import by_whom, what

_BY_SEVERITY = {"critical": "bold red", "high": "red", "medium": "yellow"}
HELP = """Tab, Shift+Tab    the next table, the one before
s, S              sort by the next column, by the one before
r                 the other way round
p, Space          pause, go on
/                 show only rows that contain a word; Esc shows all again
Enter, e          why the alert was raised (of an alert's row, or of a listener with an alert); Esc goes back
Up, Down, PgUp, PgDn, Home, End    move
q, Ctrl+C         end (0, 130)

ATTEMPTS/S is that of the last second. HALF-OPEN counts attempts of the last seconds that are older than a
handshake may take and have not completed; RATIO is their share. Queues and impact are looked at only while a
listener is suspected: - is not known. DROPPED and SYNS CAUGHT are ours.

Esc goes back."""


def alert_lines(alerts: Sequence[Row]) -> Text:
    """Return one line for each alert."""
    words = Text(no_wrap=True, overflow="ellipsis")
    for number, alert in enumerate(alerts):
        told = (f"alert {alert['id']}:", what(alert), alert["listener"], by_whom(alert))
        line = f"{' '.join(filter(None, told))} ({alert['severity']}, impact {alert['impact']})"
        words.append(("\n" if number else "") + printable(line), _BY_SEVERITY.get(alert["severity"], ""))
    return words


def tab_line(known: Mapping[str, int], chosen: str, sort: str, wanted: str) -> Text:
    """Return the tables' titles, the chosen one marked, and how it is sorted and filtered."""
    tabs = Text(no_wrap=True, overflow="ellipsis")
    for name in TABLES:
        tabs.append(f" {KINDS[name].title} {figure(known[name])} ", "bold reverse" if name == chosen else "")
    tabs.append(f"  by {sort}" + (f"  only {wanted!r}" if wanted else ""))
    return tabs
