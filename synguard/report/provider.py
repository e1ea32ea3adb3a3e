"""What one sends an upstream provider: facts in plain lines, and never a wish to block forged addresses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from ipaddress import ip_network
from typing import Any

from synguard.endpoint import source_text
from synguard.model import AlertClass, AlertKind
from synguard.report.asking import AlertFacts
from synguard.report.words import known, long, when, when_s
from synguard.telling.story import where
from synguard.telling.wording import what

MOST_SOURCES = 10
MOST_PREFIXES = 5
#: Sources are told together by prefixes of these lengths.
_PREFIX_BITS = {4: 24, 6: 48}

_FILTER_BY_TARGET = (
    "Please limit or filter TCP SYNs to the target before they reach our line, and see in your flow data by "
    "which of your borders they come in."
)
_ASK = {
    AlertClass.SINGLE_SOURCE: (
        "Please see in your flow data whether these SYNs really come from there. If they do, filter that "
        "source towards the target and tell its network; if not, look for where they come in."
    ),
    AlertClass.PREFIX: (
        "Please see in your flow data whether these SYNs really come from that network. If they do, tell it, "
        "and limit its SYNs towards the target; if not, look for where they come in."
    ),
    AlertClass.DISTRIBUTED: _FILTER_BY_TARGET + " The sources below seem to be real: tell their networks.",
}
_OBSERVED = "as observed at the target; a SYN's source can be forged"
_FORGED = (
    "FORGED, as far as can be seen. Do not block by source and do not report the addresses: they are "
    "probably other people's."
)


def provider_lines(facts: AlertFacts) -> tuple[str, ...]:
    """Return the lines; none of an alert about which no provider can do anything."""
    alert = facts.alert
    if alert["kind"] == AlertKind.SYN_FLOOD:
        return tuple(_flood(facts))
    if alert["kind"] == AlertKind.REFLECTION:
        return tuple(_reflection(facts))
    if alert["kind"] == AlertKind.SCAN:
        return tuple(_scan(facts))
    return ()


def _flood(facts: AlertFacts) -> Iterator[str]:
    alert = facts.alert
    yield f"TCP SYN flood against {where(alert)}"
    yield ""
    yield f"Target:     {', '.join(_listeners(alert))} (TCP)"
    yield f"Class:      {what(alert)}"
    yield from _times(facts)
    yield f"Peak:       {known(alert['peak_syn_per_s'])} SYNs per second"
    yield f"In all:     {known(alert['attempts'])} SYNs, {known(alert['completed'])} handshakes completed"
    if alert["class"] in _ASK:
        yield from _believed(alert)
        yield ""
        yield f"Asked for:  {_ASK[alert['class']]}"
    else:
        yield f"Sources:    {_FORGED}"
        yield ""
        yield f"Asked for:  {_FILTER_BY_TARGET}"
    yield from _measured_by(facts)


def _believed(alert: Mapping[str, Any]) -> Iterator[str]:
    """Tell of the sources of a flood that may be believed."""
    count = alert["sources_estimated"]
    if alert["source"] is not None:
        yield f"Source:     {alert['source']} ({_OBSERVED})"
    elif count is not None:
        yield f"Sources:    about {known(count)} ({_OBSERVED})"
    else:
        yield f"Sources:    {_OBSERVED}"
    if alert["class"] == AlertClass.SINGLE_SOURCE:
        return
    for one in alert["top_sources"][:MOST_SOURCES]:
        yield f"            {one['source']:<40} {known(one['attempts'])} SYNs"
    if prefixes := _prefixes(alert):
        yield "Networks with several of them:"
        for prefix, sources in prefixes:
            yield f"            {prefix:<40} {sources} sources"


def _prefixes(alert: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Return the networks from which several of the top sources come, those of most sources first."""
    found: Counter[str] = Counter()
    for one in alert["top_sources"]:
        try:
            network = ip_network(one["source"])
        except ValueError:
            continue
        bits = min(_PREFIX_BITS[network.version], network.prefixlen)
        found[source_text(network.supernet(new_prefix=bits))] += 1
    return [(prefix, count) for prefix, count in found.most_common(MOST_PREFIXES) if count > 1]


def _reflection(facts: AlertFacts) -> Iterator[str]:
    alert = facts.alert
    yield f"TCP SYNs in the name of {alert['source'] or 'others'}, reflected at {where(alert)}"
    yield ""
    yield f"Victim:     {alert['source'] or 'unknown'}, which asked for nothing: do not block it"
    yield f"Reflector:  {', '.join(_listeners(alert)) or 'unknown'} (TCP), which is ours"
    yield from _times(facts)
    yield f"In all:     {known(alert['attempts'])} SYNs with forged sources"
    yield ""
    yield (
        "Asked for:  Please see by which of your borders SYNs with these sources come in, and have that "
        "network filter forged sources (BCP 38)."
    )
    yield from _measured_by(facts)


def _scan(facts: AlertFacts) -> Iterator[str]:
    alert = facts.alert
    yield f"TCP port scan from {alert['source'] or 'an unknown source'}"
    yield ""
    yield f"Source:     {alert['source'] or 'unknown'} ({_OBSERVED})"
    yield f"Class:      {what(alert)}"
    yield from _times(facts)
    yield ""
    yield "Asked for:  If that network is yours or your customer's, please have the host looked at."
    yield from _measured_by(facts)


def _times(facts: AlertFacts) -> Iterator[str]:
    alert = facts.alert
    lasted = long(facts.life.length_s)
    yield f"Start:      {when(alert['started_at'], local=False)}"
    if facts.goes_on:
        yield f"End:        still going on after {lasted}"
    elif alert["ended_at"] is None:
        yield f"End:        unknown: it went on at {when_s(facts.heard_until_s, local=False)}, after {lasted}"
    else:
        yield f"End:        {when(alert['ended_at'], local=False)}, after {lasted}"


def _measured_by(facts: AlertFacts) -> Iterator[str]:
    version = f" {facts.runs[-1]['version']}" if facts.runs else ""
    yield f"Measured:   by synguard{version} at the target, alert {facts.alert['id']}; all times are UTC"


def _listeners(alert: Mapping[str, Any]) -> list[str]:
    names = list(alert.get("listeners") or filter(None, [alert["listener"]]))
    more = len(names) - MOST_SOURCES
    return [*names[:MOST_SOURCES], *([f"and {more} more"] if more > 0 else [])]
