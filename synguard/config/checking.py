"""Turns plain data into settings, and finds everything that is wrong with it."""

from __future__ import annotations

import json
import re
import reprlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum
from typing import Any, Literal, TypeVar, get_args, get_origin

import msgspec

StructT = TypeVar("StructT", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with one setting."""

    #: The dotted key, ``detect.min_attempts``; of an unknown one, as far as it was written.
    key: str
    #: The offending value and what is allowed.
    text: str
    #: The offending value inside a list, where it is one.
    element: object | None = None


@dataclass(frozen=True, slots=True)
class Declaration:
    """A setting as :mod:`synguard.config.settings` declares it."""

    section: str
    name: str
    type: Any
    default: Any
    meta: msgspec.Meta

    @property
    def key(self) -> str:
        """The dotted key."""
        return f"{self.section}.{self.name}"

    @property
    def help(self) -> str:
        """What it does, in one or two sentences."""
        return self.meta.description or ""

    @property
    def unit(self) -> str | None:
        """The unit of its value, where it has one."""
        unit: str | None = self._extra("unit")
        return unit

    @property
    def allowed(self) -> str:
        """What is allowed, in words: ``an integer from 20 to 1000``."""
        return self._extra("allowed") or _allowed(get_args(self.type)[0], self.meta)

    @property
    def needs_restart(self) -> bool:
        """Whether a running daemon keeps the value that it began with, whatever the file says later."""
        return bool(self._extra("needs_restart"))

    @property
    def repeats(self) -> tuple[str, ...]:
        """Of a setting that holds named tables: the settings of its section that these may set."""
        return tuple(self._extra("repeats") or ())

    @property
    def example(self) -> str | None:
        """A table as a person might write it, where the setting holds tables."""
        example: str | None = self._extra("example")
        return example

    def checked_name(self, name: str) -> object:
        """Return what the name of a table means. Raises ValueError saying what is wrong with it."""
        return self._extra("check")(name)

    def convert(self, value: object) -> object:
        """Return ``value`` as this setting's type. Raises msgspec.ValidationError or ValueError."""
        converted: object = msgspec.convert(value, self.type)
        check = self._extra("check")
        if check is not None:
            for text in converted if isinstance(converted, tuple) else (converted,):
                _checked(check, text)
        return converted

    def _extra(self, name: str) -> Any:
        return (self.meta.extra or {}).get(name)


class ElementError(ValueError):
    """A text, alone or in a list, that a setting's own check refuses."""

    def __init__(self, element: object, reason: str) -> None:
        super().__init__(f"{reprlib.repr(element)} {reason}")
        self.element = element


def _checked(check: Any, text: object) -> None:
    try:
        check(text)
    except ValueError as error:
        raise ElementError(text, str(error)) from error


def quoted(name: str) -> str:
    """Return a part of a dotted key as TOML writes it: in quotes where it must be."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name, ensure_ascii=False)


def declarations(tree: type[msgspec.Struct]) -> Iterator[Declaration]:
    """Yield every setting of a settings tree, in the order in which they are declared."""
    for section in msgspec.structs.fields(tree):
        for setting in msgspec.structs.fields(section.type):
            meta = next(m for m in setting.type.__metadata__ if isinstance(m, msgspec.Meta))
            # msgspec keeps a mutable default as its factory.
            mutable = setting.default is msgspec.NODEFAULT
            default = setting.default_factory() if mutable else setting.default
            yield Declaration(section.name, setting.name, setting.type, default, meta)


def build(tree: type[StructT], data: Mapping[str, object], problems: list[Problem]) -> StructT:
    """Return the settings in ``data``, defaults elsewhere; append to ``problems`` what is wrong.

    A setting with a problem keeps its default, so that the rest can be checked too.
    """
    values: dict[str, dict[str, object]] = {f.name: {} for f in msgspec.structs.fields(tree)}
    known = {declaration.key: declaration for declaration in declarations(tree)}
    for section, table in data.items():
        if section not in values:
            problems.append(Problem(section, _unknown(section, values, known)))
        elif not isinstance(table, Mapping):
            problems.append(Problem(section, f"{reprlib.repr(table)} is not a table; write [{section}]"))
        else:
            for name, value in table.items():
                _take(f"{section}.{quoted(name)}", value, known, values[section], problems)
    sections = {f.name: f.type(**values[f.name]) for f in msgspec.structs.fields(tree)}
    return tree(**sections)


def overlay(settings: msgspec.Struct, overrides: Mapping[str, object]) -> dict[str, dict[str, object]]:
    """Return the settings as plain tables with those of the dotted keys replaced."""
    tables: dict[str, dict[str, object]] = msgspec.to_builtins(settings)
    for key, value in overrides.items():
        section, _, name = key.partition(".")
        tables.setdefault(section, {})[name] = value
    return tables


def _take(
    key: str,
    value: object,
    known: Mapping[str, Declaration],
    values: dict[str, object],
    problems: list[Problem],
) -> None:
    declaration = known.get(key)
    if declaration is None:
        problems.append(Problem(key, _unknown(key, known, known)))
        return
    if declaration.repeats:
        values[declaration.name] = _tables(declaration, value, known, problems)
    else:
        _convert(key, value, declaration, values, problems)


def _convert(
    key: str, value: object, declaration: Declaration, values: dict[str, object], problems: list[Problem]
) -> None:
    try:
        values[declaration.name] = declaration.convert(value)
    except ElementError as error:
        problems.append(Problem(key, f"{error}; allowed: {declaration.allowed}", error.element))
    except msgspec.ValidationError as error:
        element = _element(value, str(error))
        offending = reprlib.repr(value if element is None else element)
        problems.append(Problem(key, f"{offending} is refused; allowed: {declaration.allowed}", element))


def _tables(
    declaration: Declaration, value: object, known: Mapping[str, Declaration], problems: list[Problem]
) -> dict[str, dict[str, object]]:
    """Return what the named tables of a setting hold, as far as it is right."""
    tables: dict[str, dict[str, object]] = {}
    if not isinstance(value, Mapping) or len(value) > (declaration.meta.max_length or 0):
        text = f"{reprlib.repr(value)} is refused; allowed: {declaration.allowed}"
        problems.append(Problem(declaration.key, text))
        return tables
    names: dict[object, str] = {}
    for name, table in value.items():
        key = f"{declaration.key}.{quoted(name)}"
        wrong = _wrong_name(name, declaration, names)
        if wrong is not None:
            problems.append(Problem(key, wrong))
        elif not isinstance(table, Mapping):
            problems.append(Problem(key, f"{reprlib.repr(table)} is not a table; write [{key}]"))
        else:
            tables[name] = _table(key, table, declaration, known, problems)
    return tables


def _wrong_name(name: str, declaration: Declaration, names: dict[object, str]) -> str | None:
    """Say what is wrong with a table's name; else enter it into ``names``, by what it means."""
    try:
        meaning = declaration.checked_name(name)
    except ValueError as error:
        return f"{reprlib.repr(name)} {error}; allowed: {declaration.allowed}"
    other = names.setdefault(meaning, name)
    return None if other == name else f"is the same as {quoted(other)}: put both into one table"


def _table(
    key: str,
    table: Mapping[str, object],
    declaration: Declaration,
    known: Mapping[str, Declaration],
    problems: list[Problem],
) -> dict[str, object]:
    """Return the settings of a section that one of its named tables sets otherwise."""
    values: dict[str, object] = {}
    for name, value in table.items():
        inner = f"{key}.{quoted(name)}"
        if name in declaration.repeats:
            _convert(inner, value, known[f"{declaration.section}.{name}"], values, problems)
            continue
        close = get_close_matches(name, declaration.repeats, n=1)
        text = "there is no such setting"
        if f"{declaration.section}.{name}" in known:
            text = f"cannot be set here, only for all in [{declaration.section}]"
        hint = f"did you mean {close[0]}?" if close else f"here are {', '.join(declaration.repeats)}"
        problems.append(Problem(inner, f"{text}; {hint}"))
    return values


def _element(value: object, message: str) -> object | None:
    """Return the list element that msgspec's message points at (``... - at `$[2]```)."""
    place = re.search(r"\$\[(\d+)\]", message)
    if place is None or not isinstance(value, list | tuple):
        return None
    element: object = value[int(place.group(1))]
    return element


def _unknown(key: str, candidates: Mapping[str, object], known: Mapping[str, Declaration]) -> str:
    name = key.rpartition(".")[2]
    elsewhere = [k for k in known if k.rpartition(".")[2] == name]
    close = elsewhere or get_close_matches(key, [*candidates], n=1)
    if close:
        return f"there is no such setting; did you mean {close[0]}?"
    section = key.partition(".")[0]
    siblings = [k.partition(".")[2] for k in known if k.startswith(f"{section}.")]
    if "." in key and siblings:
        return f"there is no such setting; [{section}] has {', '.join(siblings)}"
    sections = dict.fromkeys(k.partition(".")[0] for k in known)
    return f"there is no such setting; the sections are {', '.join(sections)}"


def _allowed(kind: Any, meta: msgspec.Meta) -> str:
    if isinstance(kind, type) and issubclass(kind, Enum):
        return " or ".join(f'"{member.value}"' for member in kind)
    if kind is bool:
        return "true or false"
    if get_origin(kind) is Literal:
        return " or ".join(f'"{choice}"' for choice in get_args(kind))
    if get_origin(kind) is tuple:
        item, *metas = get_args(get_args(kind)[0])
        return f"a list of {_bounded({int: 'integers'}[item], metas[0])}"
    return _bounded({int: "an integer", float: "a number", str: "a text"}[kind], meta)


def _bounded(words: str, meta: msgspec.Meta) -> str:
    if meta.max_length is not None:
        return f"{words} of at most {meta.max_length} characters"
    return f"{words} from {_number(meta.ge)} to {_number(meta.le)}"


def _number(value: float | None) -> str:
    return f"{value:.10g}" if isinstance(value, float) else str(value)
