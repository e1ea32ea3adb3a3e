"""Which alerts are asked for, as data, as JSON and as SQL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from ipaddress import IPv6Address, ip_network
from typing import Any

from synguard.endpoint import Listener, source_text, unmapped
from synguard.errors import UsageError
from synguard.history.bounds import check_integer, check_moments
from synguard.history.rows import MAPPED_FIRST, MAPPED_LAST, address_range, to_ms
from synguard.model import AlertClass, AlertKind, AlertState, Severity

_SEVERITY_RANK = " ".join(f"WHEN '{severity.value}' THEN {rank}" for rank, severity in enumerate(Severity))

#: What alerts can be sorted by, and how SQL says it.
SORT_FIELDS: Mapping[str, str] = {
    "id": "id",
    "started_at": "started_at_ms",
    "ended_at": "ended_at_ms",
    "kind": "kind",
    "class": "class",
    "severity": f"CASE severity {_SEVERITY_RANK} END",
    "state": "state",
    "listener": "listener",
    "source": "source_first",
    "sources_estimated": "sources_estimated",
    "attempts": "attempts",
    "half_open_ratio": "half_open_ratio",
    "peak_syn_per_s": "peak_syn_per_s",
}
_UNKNOWN_AT_TIMES = frozenset(
    {"ended_at", "class", "listener", "source", "sources_estimated", "half_open_ratio"}
)
_CHOICES = {
    "kind": [kind.value for kind in AlertKind],
    "alert_class": [alert_class.value for alert_class in AlertClass],
    "state": [state.value for state in AlertState],
}
#: Whoever makes an alert on one listener need not list it once more.
_ON_LISTENER = "({is_meant} OR id IN ({listed}))"
_LISTED = "SELECT alert_id FROM alert_listeners WHERE {is_meant} AND {also}"
_IS_LISTENER = "listener = :listener"
_IS_ADDRESS = "listener = :address"
_IS_BEFORE_PORT = "listener >= :host AND listener < :after_host"
_AT_HOST = f"({_IS_ADDRESS} OR ({_IS_BEFORE_PORT}))"
_OVERLAPS = "(source_first <= :source_last AND source_last >= :source_first{and_not_mapped})"


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertFilter:
    """Which alerts, in which order; None asks for no restriction. Raises UsageError on nonsense."""

    #: Alerts that were still going on at or after this moment, seconds since the Unix epoch.
    since_s: float | None = None
    #: Alerts that had begun at or before this moment.
    until_s: float | None = None
    kind: str | None = None
    alert_class: str | None = None
    #: An address or network that overlaps the alert's source or any of its top sources.
    source: str | None = None
    #: ``ADDR:PORT``, or an address alone for all its ports and its closed ones: any that the alert is on.
    listener: str | None = None
    state: str | None = None
    #: One of :data:`SORT_FIELDS`, after a ``-`` for the highest or newest first; unknowns come last.
    sort: str = "-started_at"
    limit: int | None = None
    #: Alerts with a higher id than this.
    after_id: int | None = None

    def __post_init__(self) -> None:
        # Logs and ``ss`` write IPv4 addresses as ::ffff:192.0.2.7, and mean them.
        object.__setattr__(self, "source", _unmapped_source(self.source))
        object.__setattr__(self, "listener", _unmapped_listener(self.listener))
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            if value is not None and value not in choices:
                raise UsageError(f"{value!r} is not a {name.replace('_', ' ')}: {', '.join(choices)}")
        if self.sort_field not in SORT_FIELDS:
            raise UsageError(
                f"{self.sort!r} cannot be sorted by: {', '.join(SORT_FIELDS)}, each also with - before it"
            )
        if self.limit is not None and self.limit < 1:
            raise UsageError(f"a limit of {self.limit} shows nothing: it is 1 or more")
        check_integer("limit", self.limit)
        check_integer("after_id", self.after_id)
        check_moments(since_s=self.since_s, until_s=self.until_s)
        self._source_range()
        self._listener()

    def to_json(self) -> dict[str, Any]:
        """Return the filter as plain data, without what it does not restrict."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> AlertFilter:
        """Return the filter that :meth:`to_json` wrote. Raises UsageError if it is none."""
        kinds: dict[str, tuple[type, ...]] = {field.name: (str,) for field in fields(cls)} | {
            "since_s": (int, float),
            "until_s": (int, float),
            "limit": (int,),
            "after_id": (int,),
        }
        for name, value in data.items():
            wrong = name not in kinds or isinstance(value, bool) or not isinstance(value, kinds[name])
            if wrong:
                raise UsageError(f"alerts cannot be filtered by {name} = {value!r}")
        return cls(**data)

    @property
    def is_descending(self) -> bool:
        """Tell whether the highest or newest comes first."""
        return self.sort.startswith("-")

    @property
    def sort_field(self) -> str:
        """Return which of :data:`SORT_FIELDS` the alerts are sorted by."""
        return self.sort.removeprefix("-")

    @property
    def sort_key(self) -> str:
        """Return SQL for what the alerts are sorted by, before their ids."""
        return SORT_FIELDS[self.sort_field]

    def to_sql(self) -> tuple[str, dict[str, Any]]:
        """Return what selects each alert's ``id`` and sort key, and its named parameters.

        It needs no index, and uses none for the sources: :mod:`synguard.history.search` does.
        """
        condition = f"{self.condition()} AND {self._source_condition()}" if self.source else self.condition()
        # Only texts of this module's own are pasted together; what people write is in the parameters.
        sql = f"SELECT id, {self.sort_key} AS sort_key FROM alerts WHERE {condition} {self.order()}"  # noqa: S608
        return f"{sql} LIMIT :limit", {**self.parameters(), **self._source_range()}

    def listed(self, also: str = "1") -> str:
        """Return SQL that selects the alerts that list the listener that is asked for, and ``also``."""
        # One index lookup each, which an OR would not be.
        lists = [_IS_LISTENER] if "listener" in self._listener() else [_IS_ADDRESS, _IS_BEFORE_PORT]
        return " UNION ALL ".join(_LISTED.format(is_meant=is_meant, also=also) for is_meant in lists)

    def condition(self, listed: str | None = None) -> str:
        """Return SQL for all that is asked of an alert but its source.

        ``listed`` stands in for :meth:`listed`.
        """
        conditions, parameters = ["1"], self.parameters()
        is_meant = _IS_LISTENER if "listener" in parameters else _AT_HOST
        on_listener = _ON_LISTENER.format(is_meant=is_meant, listed=listed or self.listed())
        for name, condition in (
            ("since_ms", "(ended_at_ms IS NULL OR ended_at_ms >= :since_ms)"),
            ("until_ms", "started_at_ms <= :until_ms"),
            ("kind", "kind = :kind"),
            ("alert_class", "class = :alert_class"),
            ("state", "state = :state"),
            ("after_id", "id > :after_id"),
            ("listener", on_listener),
            ("host", on_listener),
        ):
            if name in parameters:
                conditions.append(condition)
        return " AND ".join(conditions)

    def order(self, key: str | None = None) -> str:
        """Return SQL for the order, by :attr:`sort_key` or another name of it; what is unknown comes last."""
        direction = "DESC" if self.is_descending else "ASC"
        # Said of what is always known, it would keep SQLite from walking along an index.
        nulls = " NULLS LAST" if self.sort_field in _UNKNOWN_AT_TIMES else ""
        return f"ORDER BY {key or self.sort_key} {direction}{nulls}, id {direction}"

    def parameters(self) -> dict[str, Any]:
        """Return the parameters that :meth:`condition` names, and ``limit``."""
        given: dict[str, Any] = {
            "since_ms": None if self.since_s is None else to_ms(self.since_s),
            "until_ms": None if self.until_s is None else to_ms(self.until_s),
            "kind": self.kind,
            "alert_class": self.alert_class,
            "state": self.state,
            "after_id": self.after_id,
            **self._listener(),
        }
        # SQLite takes a negative limit for none.
        limit = -1 if self.limit is None else self.limit
        return {name: value for name, value in given.items() if value is not None} | {"limit": limit}

    def _listener(self) -> dict[str, str]:
        if self.listener is None:
            return {}
        try:
            listener = Listener.parse(self.listener)
        except ValueError as error:
            raise UsageError(f"{self.listener!r} is not ADDR:PORT, [ADDR6]:PORT or an address") from error
        if listener.port:
            return {"listener": str(listener)}
        # With any port, the text of a listener goes up to its colon, which the semicolon comes after.
        host = str(Listener(listener.address, 1)).removesuffix("1")
        return {"address": str(listener), "host": host, "after_host": f"{host[:-1]};"}

    def _source_range(self) -> dict[str, bytes]:
        if self.source is None:
            return {}
        try:
            first, last = address_range(ip_network(self.source, strict=False))
        except ValueError as error:
            raise UsageError(f"{self.source!r} is not an address or a network (CIDR)") from error
        return {"source_first": first, "source_last": last}

    def _source_condition(self) -> str:
        wide = self.source is not None and ":" in self.source
        # ::/0 and the like span the mapped IPv4 addresses without meaning them.
        no_mapped = (
            f" AND NOT (source_first >= x'{MAPPED_FIRST.hex()}' AND source_last <= x'{MAPPED_LAST.hex()}')"
        )
        overlaps = _OVERLAPS.format(and_not_mapped=no_mapped if wide else "")
        return (
            f"({overlaps} OR EXISTS (SELECT 1 FROM alert_sources"  # noqa: S608
            f" WHERE alert_id = alerts.id AND {overlaps}))"
        )


def _unmapped_source(source: str | None) -> str | None:
    try:
        return source and source_text(unmapped(ip_network(source, strict=False)))
    except ValueError:
        return source  # which is refused in a moment


def _unmapped_listener(listener: str | None) -> str | None:
    try:
        meant = listener and Listener.parse(listener)
    except ValueError:
        return listener  # likewise
    mapped = meant.address.ipv4_mapped if meant and isinstance(meant.address, IPv6Address) else None
    return str(Listener(mapped, meant.port)) if meant and mapped else listener
