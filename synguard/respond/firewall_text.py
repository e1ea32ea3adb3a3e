"""Writes a rule's statements about as nft does, so that people find the rule that is meant."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from synguard.respond.firewall_fields import field_name

_TEXT_LENGTH_MAX = 60
_IMPLIED = frozenset({"==", "in"})


def statement_text(statement: Mapping[str, Any]) -> str:
    """Return ``tcp dport 80``, ``drop``, ``jump web``; empty for what only counts or logs."""
    ((kind, what),) = statement.items()
    if kind in _STATEMENTS and isinstance(what, dict):
        return _STATEMENTS[kind](what)
    return "" if kind in {"counter", "log"} else str(kind)


def _match(what: Mapping[str, Any]) -> str:
    operation = "" if what["op"] in _IMPLIED else f"{what['op']} "
    return f"{_left(what['left'])} {operation}{_shortened(what['right'])}"


def _limit(what: Mapping[str, Any]) -> str:
    over = "over " if what.get("inv") else ""
    return f"limit rate {over}{what.get('rate')}/{what.get('per', 'second')}"


def _set(what: Mapping[str, Any]) -> str:
    element = what.get("elem")
    if isinstance(element, dict) and "elem" in element:
        element = element["elem"].get("val")
    parts = " ".join(filter(None, (_left(element), *map(statement_text, what.get("stmt", ())))))
    return f"{what.get('op')} {what.get('set')} {{ {parts} }}"


_STATEMENTS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "counter": lambda _: "",
    "log": lambda _: "",
    "match": _match,
    "jump": lambda what: f"jump {what['target']}",
    "goto": lambda what: f"goto {what['target']}",
    "vmap": lambda what: f"{_left(what['key'])} vmap {_shortened(what['data'])}",
    "limit": _limit,
    "xt": lambda what: f"xt {what['type']} {what['name']}",
    "set": _set,
}


def _left(left: Any) -> str:
    if isinstance(left, dict) and "concat" in left:
        return " . ".join(map(_left, left["concat"]))
    if isinstance(left, dict) and "&" in left:
        return " & ".join((_left(left["&"][0]), *map(_shortened, left["&"][1:])))
    name = field_name(left)
    if name == "?" and isinstance(left, dict) and len(left) == 1:
        return str(next(iter(left)))
    return name.removeprefix("meta ") if name.startswith(("meta iif", "meta oif")) else name


def _shortened(value: Any) -> str:
    text = _value(value)
    return text if len(text) <= _TEXT_LENGTH_MAX else f"{text[:_TEXT_LENGTH_MAX]}…"


def _several(parts: Any, between: str) -> str:
    """Return the first of many parts; no more of them would be shown."""
    return between.join(map(_value, parts[:_TEXT_LENGTH_MAX] if isinstance(parts, list) else [parts]))


_VALUES: dict[str, Callable[[Any], str]] = {
    "prefix": lambda inner: f"{inner['addr']}/{inner['len']}",
    "range": lambda inner: _several(inner, "-"),
    "set": lambda inner: f"{{ {_several(inner, ', ')} }}",
    "concat": lambda inner: _several(inner, " . "),
    "elem": lambda inner: _value(inner["val"]),
    "target": str,
}


def _value(value: Any) -> str:
    if isinstance(value, list):
        return _several(value, ",")
    if not isinstance(value, dict) or not value:
        return str(value)
    kind, inner = next(iter(value.items()))
    if kind in _VALUES:
        return _VALUES[kind](inner)
    return str(kind) if inner is None else f"{kind} {_value(inner)}"
