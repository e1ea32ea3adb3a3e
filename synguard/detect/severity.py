"""How much an incident matters: one table of its margin over the threshold and its impact on the server.

The margin of a flood is its half-open handshakes per second over the threshold that it passed; of an overload
it is the connections that the full accept queue turned away per second. An incident is as bad as its
worst moment.

==========================  ========  =========  =========  ==========
margin, at least            none      unknown    cookies    dropping
==========================  ========  =========  =========  ==========
1                           low       low        medium     high
10                          low       medium     medium     high
100                         medium    high       high       critical
1000                        high      critical   critical   critical
==========================  ========  =========  =========  ==========

``accept-queue-full`` counts as ``cookies``: connections wait, and some are turned away. Scans and reflections
do this server no harm, and are ``low`` whatever their margin.
"""

from __future__ import annotations

from synguard.model import Severity

_LOW, _MEDIUM, _HIGH, _CRITICAL = Severity.LOW, Severity.MEDIUM, Severity.HIGH, Severity.CRITICAL

_ORDER = list(Severity)

MARGINS = (1.0, 10.0, 100.0, 1000.0)
TABLE = {
    "none": (_LOW, _LOW, _MEDIUM, _HIGH),
    "unknown": (_LOW, _MEDIUM, _HIGH, _CRITICAL),
    "cookies": (_MEDIUM, _MEDIUM, _HIGH, _CRITICAL),
    "accept-queue-full": (_MEDIUM, _MEDIUM, _HIGH, _CRITICAL),
    "dropping": (_HIGH, _HIGH, _CRITICAL, _CRITICAL),
}
#: Impacts, the least bad first; what is unknown says nothing.
IMPACTS = ("unknown", "none", "cookies", "accept-queue-full", "dropping")


def severity(margin: float, impact: str) -> Severity:
    """Return how much an incident of such a margin (times its threshold) and impact matters."""
    column = TABLE[impact]
    reached = sum(1 for least in MARGINS if margin >= least)
    return column[max(0, reached - 1)]


def worse(one: Severity, other: Severity) -> Severity:
    """Return the higher of two severities."""
    return max(one, other, key=_ORDER.index)


def worse_impact(one: str, other: str) -> str:
    """Return the worse of two impacts."""
    return max(one, other, key=IMPACTS.index)
