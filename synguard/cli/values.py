"""The types of what people write on the command line: in which words it is refused, and what TAB offers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NoReturn, TypeAlias

import click
from click.shell_completion import CompletionItem

from synguard.cli.nearest import (
    did_you_mean,
    parse_blocked,
    parse_listener,
    parse_silence_target,
    parse_source,
)
from synguard.cli.offering import (
    Offer,
    Offers,
    alert_ids,
    blocks,
    fixed,
    interfaces,
    listeners,
    silences,
    sources,
)
from synguard.errors import UsageError
from synguard.history.filter import SORT_FIELDS
from synguard.timespec import parse_duration, parse_time

#: In quotes, since click 8.4 knows no CompletionItem[str] while it runs.
Items: TypeAlias = "list[CompletionItem[str]]"

#: The largest number that JSON, SQLite and whoever reads either take for a whole one.
MOST = 2**53


class Parsed(click.ParamType[Any]):
    """A value that one of our parsers reads; its UsageError says what is allowed."""

    def __init__(self, name: str, parse: Callable[[str], Any], offers: Offers) -> None:
        self.name = name
        self._parse = parse
        self._offers = offers

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the parsed value; a default that is parsed already passes."""
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except UsageError as error:
            self.fail(str(error), param, ctx)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> Items:  # noqa: ARG002
        """Return what TAB offers."""
        return items(self._offers(ctx), incomplete)


class Moment(Parsed):
    """A moment, in seconds since the Unix epoch; ``--since`` is not to come, nor behind ``--until``."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the moment, once it goes with the others that were given."""
        moment_s = super().convert(value, param, ctx)
        if isinstance(value, str) and param is not None:
            self._check(value, moment_s, param, ctx)
        return moment_s

    def _check(self, text: str, moment_s: float, param: click.Parameter, ctx: click.Context | None) -> None:
        given = {} if ctx is None else ctx.params
        since_s, until_s = given.get("since"), given.get("until")
        if param.name == "since" and moment_s > time.time():
            zone = "" if "z" in text.lower() or "+" in text else ", and a time without a zone is UTC"
            self.fail(f"{text!r} is still to come: it is {_now()}{zone}", param, ctx)
        if param.name == "since" and until_s is not None and moment_s > until_s:
            self.fail(f"{text!r} is later than --until: exchange them?", param, ctx)
        if param.name == "until" and since_s is not None and moment_s < since_s:
            self.fail(f"{text!r} is earlier than --since: exchange them?", param, ctx)


class NearChoice(click.Choice[Any]):
    """A choice whose refusal names the nearest one."""

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:  # noqa: ARG002
        """Say what there is, and what was probably meant."""
        names = [str(choice) for choice in self.choices]
        return f"{value!r} is not one of {', '.join(names)}{did_you_mean(str(value), names)}"


class Whole(click.types.IntParamType):
    """A whole number, refused in words."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number."""
        try:
            number = int(value)
        except ValueError:
            self.fail(f"{value!r} is not an integer; write a whole number such as 20", param, ctx)
        if abs(number) > MOST:
            self.fail(f"{value!r} is more than the largest number there is, {MOST}", param, ctx)
        return number


class WholeRange(click.IntRange):
    """A whole number within bounds, refused in words."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number."""
        try:
            number = super().convert(value, param, ctx)
        except click.BadParameter:
            self._refuse(value, param, ctx)
        if abs(number) > MOST:
            self._refuse(value, param, ctx)
        return number

    def _refuse(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> NoReturn:
        bounds = (("from", self.min), ("to", self.max))
        words = " ".join(f"{word} {bound}" for word, bound in bounds if bound is not None)
        self.fail(f"{value!r} is not an integer {words}", param, ctx)


class AlertId(WholeRange):
    """The number of an alert."""

    def __init__(self) -> None:
        super().__init__(min=1)

    def _refuse(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> NoReturn:
        self.fail(f"{value!r} is not an integer from 1: `synguard alerts` lists the ids", param, ctx)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> Items:  # noqa: ARG002
        """Offer the latest alerts."""
        return items(alert_ids(ctx), incomplete)


def items(offers: Iterable[Offer], incomplete: str) -> Items:
    """Return those offers that begin with what was typed."""
    return [CompletionItem(value, help=help_) for value, help_ in offers if value.startswith(incomplete)]


def _sort_field(text: str) -> str:
    fields = list(SORT_FIELDS)
    if text.removeprefix("-") not in fields:
        raise UsageError(
            f"{text!r} cannot be sorted by{did_you_mean(text, [*fields, *(f'-{name}' for name in fields)])}; "
            f"there are {', '.join(fields)}, each also with - before it"
        )
    return text


TIME = Moment("time", lambda text: parse_time(text, time.time()), fixed("1h", "1d", "1w"))
DURATION = Parsed("duration", parse_duration, fixed("10m", "1h", "1d"))
SOURCE = Parsed("addr|prefix", parse_source, sources)
BLOCKED = Parsed("target", parse_blocked, blocks)
LISTENER = Parsed("listener", parse_listener, listeners)
SILENCE_TARGET = Parsed("target", parse_silence_target, listeners)
SILENCED = Parsed("target", parse_silence_target, silences)
INTERFACE = Parsed("interface", str, interfaces)
ALERT_ID = AlertId()
SORT_FIELD = Parsed("field", _sort_field, fixed(*SORT_FIELDS, *(f"-{name}" for name in SORT_FIELDS)))


def wordy(command: str | None, name: str | None, type_: click.ParamType[Any]) -> click.ParamType[Any]:
    """Return a type of click's as one that refuses in words and knows what to offer; others as they are.

    ``command`` and ``name`` are those of the command and of its parameter.
    """
    plain = isinstance(type_, click.types.StringParamType | click.IntRange)
    known = _BY_COMMAND.get((command or "", name or ""), _BY_NAME.get(name or ""))
    if known is not None and plain:
        return known
    if type(type_) is click.Choice:
        return NearChoice(type_.choices, type_.case_sensitive)
    if type(type_) is click.IntRange:
        return WholeRange(type_.min, type_.max, type_.min_open, type_.max_open, type_.clamp)
    return Whole() if type(type_) is click.types.IntParamType else type_


_FILE = click.Path()
#: What an option or argument of this name is, wherever it is.
_BY_NAME: Mapping[str, click.ParamType[Any]] = {
    "alert_id": ALERT_ID,
    "interface": INTERFACE,
    "interfaces": INTERFACE,
    "database": _FILE,
    "file": _FILE,
    "output": _FILE,
    "socket": _FILE,
}
#: The same of one command.
_BY_COMMAND: Mapping[tuple[str, str], click.ParamType[Any]] = {
    ("alerts", "listener"): LISTENER,
    ("alerts", "sort"): SORT_FIELD,
    ("alerts", "source"): SOURCE,
}


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
