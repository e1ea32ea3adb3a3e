"""Which alerts are asked for, as data, as JSON and as SQL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from ipaddress import ip_network
from typing import Any

from synguard.endpoint import Listener
from synguard.errors import UsageError
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
_CHOICES = {
    "kind": [kind.value for kind in AlertKind],
    "alert_class": [alert_class.value for alert_class in AlertClass],
    "state": [state.value for state in AlertState],
}
#: Whoever makes an alert on one listener need not list it once more.
_ON_LISTENER = "({is_meant} OR id IN (SELECT alert_id FROM alert_listeners WHERE {is_meant}))"
_AT_HOST = "(listener = :address OR substr(listener, 1, length(:host)) = :host)"
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
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            if value is not None and value not in choices:
                raise UsageError(f"{value!r} is not a {name.replace('_', ' ')}: {', '.join(choices)}")
        if self.sort.removeprefix("-") not in SORT_FIELDS:
            raise UsageError(
                f"{self.sort!r} cannot be sorted by: {', '.join(SORT_FIELDS)}, each also with - before it"
            )
        if self.limit is not None and self.limit < 1:
            raise UsageError(f"a limit of {self.limit} shows nothing: it is 1 or more")
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

    def to_sql(self) -> tuple[str, dict[str, Any]]:
        """Return the query of ``alerts`` and its named parameters."""
        conditions, parameters = ["1"], self._parameters()
        for name, condition in (
            ("since_ms", "(ended_at_ms IS NULL OR ended_at_ms >= :since_ms)"),
            ("until_ms", "started_at_ms <= :until_ms"),
            ("kind", "kind = :kind"),
            ("alert_class", "class = :alert_class"),
            ("state", "state = :state"),
            ("after_id", "id > :after_id"),
            ("listener", _ON_LISTENER.format(is_meant="listener = :listener")),
            ("host", _ON_LISTENER.format(is_meant=_AT_HOST)),
            ("source_first", self._source_condition()),
        ):
            if name in parameters:
                conditions.append(condition)
        field, order = (
            SORT_FIELDS[self.sort.removeprefix("-")],
            "DESC" if self.sort.startswith("-") else "ASC",
        )
        # Only texts of this module's own are pasted together; what people write is in the parameters.
        sql = (
            f"SELECT * FROM alerts WHERE {' AND '.join(conditions)}"  # noqa: S608
            f" ORDER BY {field} {order} NULLS LAST, id {order} LIMIT :limit"
        )
        return sql, parameters

    def _parameters(self) -> dict[str, Any]:
        given: dict[str, Any] = {
            "since_ms": None if self.since_s is None else to_ms(self.since_s),
            "until_ms": None if self.until_s is None else to_ms(self.until_s),
            "kind": self.kind,
            "alert_class": self.alert_class,
            "state": self.state,
            "after_id": self.after_id,
            **self._listener(),
            **self._source_range(),
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
        # With any port, the text of a listener goes up to its colon.
        return {"address": str(listener), "host": str(Listener(listener.address, 1)).removesuffix("1")}

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
