"""Holds a case's alerts against what really happened; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_network
from typing import Any

from bench.detection.case import Expected
from bench.detection.truth import Truth
from bench.measure.alerts import SILENCE
from synguard.endpoint import Network

#: What stands behind the class of an alert that is right in nothing but its class.
AMISS = ", amiss"
#: IPv6 sources are grouped by it.
_GROUP_BITS = 64

Alert = Mapping[str, Any]


def called(alerts: Sequence[Alert]) -> str:
    """Return the column of the confusion matrix: each alert's class, or its kind where it has none."""
    words = Counter(str(alert["class"] or alert["kind"]) for alert in alerts)
    return " + ".join(f"{times} × {word}" if times > 1 else word for word, times in words.items()) or SILENCE


def faults(expected: Expected, truth: Truth, alerts: Sequence[Alert]) -> Iterator[str]:
    """Yield what is wrong with the alerts, in words; nothing when they say what happened."""
    if called(alerts) != expected.called:
        yield f"should be {expected.called}, is {called(alerts)}"
    elif expected.kind is not None and alerts[0]["kind"] != expected.kind:
        yield f"should be a {expected.kind}, is a {alerts[0]['kind']}"
    elif expected.kind is not None:
        yield from _misnamed(expected, truth, alerts[0])
    for alert in alerts:
        yield from _users_named(truth, alert)


def _misnamed(expected: Expected, truth: Truth, alert: Alert) -> Iterator[str]:
    source = alert["source"]
    wanted = None if expected.names == "listener" else truth.source
    if expected.names != "nothing" and not _same(source, wanted):
        yield f"names the source {source}, not {wanted}"
    named = set(alert.get("listeners") or filter(None, [alert["listener"]]))
    if named and not named <= truth.listeners:
        yield f"names {_listed(named - truth.listeners)}, which was not attacked"
    if expected.impact not in (None, alert["impact"]):
        yield f"says that the impact is {alert['impact']}, not {expected.impact}"
    if expected.names == "listener" and (missing := truth.listeners - named):
        yield f"does not name {_listed(missing)}"


def _same(source: str | None, wanted: str | None) -> bool:
    """Tell whether a source is the one that is meant; an IPv6 address may be named by its group."""
    if source is None or wanted is None:
        return source is wanted
    network, other = ip_network(source), ip_network(wanted)
    return network in (other, _group(other))


def _group(network: Network) -> Network:
    if network.version == 6 and network.prefixlen > _GROUP_BITS:
        return network.supernet(new_prefix=_GROUP_BITS)
    return network


def _users_named(truth: Truth, alert: Alert) -> Iterator[str]:
    """Yield where an alert names a real user, for whatever is named there may be acted upon."""
    action = alert["action"] or {}
    places = [("source", alert["source"]), ("action.target", action.get("target"))]
    places += [("top_sources", top["source"]) for top in alert.get("top_sources", ())]
    for place, text in places:
        network = _network_of(text)
        if network and any(network.overlaps(user) for user in _users(truth, network.version)):
            yield f"{place} names a real user: {text}"


def _network_of(text: str | None) -> Network | None:
    """Return the addresses that a text names, None for a listener or nothing."""
    try:
        return ip_network(text) if text else None
    except ValueError:
        return None


def _users(truth: Truth, version: int) -> Iterator[Any]:
    networks = (ip_network(user) for user in truth.users)
    return (network for network in networks if network.version == version)


def told(alert: Alert) -> str:
    """Return an alert in one line, with what it was judged by."""
    action = alert["action"]
    evidence = ", ".join(f"{one['name']} {one['value']} ({one['weight']:g})" for one in alert["evidence"])
    parts = [
        f"#{alert['id']} {alert['kind']} {alert['class'] or ''}".strip(),
        f"{alert['state']}, {alert['severity']}, impact {alert['impact']}",
        f"on {_listed(alert.get('listeners') or [str(alert['listener'])])} from {alert['source']}",
        f"attempts {alert['attempts']}, completed {alert['completed']}, refused {alert['refused']}, "
        f"aborted {alert['aborted']}, half-open {alert['half_open_ratio']}, "
        f"peak {alert['peak_syn_per_s']} SYN/s, about {alert['sources_estimated']} sources",
        f"action {action['response']} {action['target']}" if action else "no action",
        f"evidence {evidence or 'none'}",
        *_reasoning(alert),
    ]
    return "; ".join(parts)


def _reasoning(alert: Alert) -> Iterator[str]:
    if measured := alert.get("measurements"):
        words = (f"{one['name']} {one['observed']:.4g} of {one['threshold']}" for one in measured)
        yield f"measured {', '.join(words)}"
    if changes := alert.get("timeline"):
        words = (f"{one['what']} {one['before']} → {one['after']}" for one in changes)
        yield f"changed {', '.join(words)}"


def _listed(words: set[str] | Sequence[str]) -> str:
    return ", ".join(sorted(words))
