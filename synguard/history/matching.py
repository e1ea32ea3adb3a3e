"""Whether one alert passes a filter, for alerts that come by and are not asked of the database."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_network

from synguard.endpoint import Listener, Network
from synguard.history.filter import AlertFilter
from synguard.history.parts import MAX_TOP_SOURCES
from synguard.history.rows import MAPPED_FIRST, MAPPED_LAST, address_range, to_ms
from synguard.model import Alert


def matcher(alert_filter: AlertFilter) -> Callable[[Alert], bool]:
    """Return what tells whether an alert passes; it and the filter's SQL agree about every alert.

    Order and limit are no matter of a single alert, so they restrict nothing here.
    """
    tests = (
        _times(alert_filter),
        _names(alert_filter),
        _on_listener(alert_filter.listener),
        _of_source(alert_filter.source),
    )
    return lambda alert: all(passes(alert) for passes in tests)


def _times(wanted: AlertFilter) -> Callable[[Alert], bool]:
    since_ms = None if wanted.since_s is None else to_ms(wanted.since_s)
    until_ms = None if wanted.until_s is None else to_ms(wanted.until_s)

    def passes(alert: Alert) -> bool:
        if until_ms is not None and to_ms(alert.started_at_s) > until_ms:
            return False
        return since_ms is None or alert.ended_at_s is None or to_ms(alert.ended_at_s) >= since_ms

    return passes


def _names(wanted: AlertFilter) -> Callable[[Alert], bool]:
    after_id = wanted.after_id or 0
    return lambda alert: (
        alert.id > after_id
        and wanted.kind in (None, alert.kind)
        and wanted.alert_class in (None, alert.alert_class)
        and wanted.state in (None, alert.state)
    )


def _on_listener(text: str | None) -> Callable[[Alert], bool]:
    if text is None:
        return lambda _: True
    wanted = Listener.parse(text)

    def is_meant(listener: Listener) -> bool:
        return listener == wanted if wanted.port else listener.address == wanted.address

    return lambda alert: any(
        is_meant(listener) for listener in (alert.listener, *alert.listeners) if listener is not None
    )


def _of_source(text: str | None) -> Callable[[Alert], bool]:
    if text is None:
        return lambda _: True
    first, last = address_range(ip_network(text, strict=False))
    # ::/0 and the like span the mapped IPv4 addresses without meaning them.
    wide = ":" in text

    def overlaps(network: Network) -> bool:
        its_first, its_last = address_range(network)
        if wide and its_first >= MAPPED_FIRST and its_last <= MAPPED_LAST:
            return False
        return its_first <= last and its_last >= first

    def passes(alert: Alert) -> bool:
        named = () if alert.source is None else (alert.source,)
        return any(map(overlaps, (*named, *(top.source for top in alert.top_sources[:MAX_TOP_SOURCES]))))

    return passes
