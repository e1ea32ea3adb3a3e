"""The commented default file and the README's table, both made from the declarations."""

from __future__ import annotations

import inspect
from enum import Enum
from itertools import groupby
from textwrap import wrap

import msgspec

from synguard.config.checking import Declaration, declarations
from synguard.config.settings import Settings

_HEAD = """\
# Settings of synguard. Every setting is here with its default; delete what you do not change.
# Check a changed file with: synguard config check FILE
# A running daemon takes it up when told to: systemctl reload synguard
"""


def default_toml() -> str:
    """Return a settings file with every setting at its default, each with help, unit and range."""
    return "\n".join([_HEAD, *(_table(name, [*group]) for name, group in _sections())])


def settings_reference() -> str:
    """Return every setting as a Markdown table, for the README."""
    rows = ["| setting | default | unit | allowed | what it does |", "| --- | --- | --- | --- | --- |"]
    for setting in declarations(Settings):
        cells = (
            f"`{setting.key}`",
            f"`{_toml(setting.default)}`",
            setting.unit or "",
            setting.allowed,
            _help(setting),
        )
        rows.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(rows) + "\n"


def _help(setting: Declaration) -> str:
    return f"{setting.help} Needs a restart." if setting.needs_restart else setting.help


def _sections() -> groupby[str, Declaration]:
    return groupby(declarations(Settings), key=lambda setting: setting.section)


def _table(name: str, settings: list[Declaration]) -> str:
    kinds = {field.name: field.type for field in msgspec.structs.fields(Settings)}
    lines = [f"[{name}]", *_comment(inspect.getdoc(kinds[name]) or "")]
    for setting in settings:
        unit = f" ({setting.unit})" if setting.unit else ""
        lines += ["", *_comment(_help(setting)), *_comment(f"Allowed: {setting.allowed}{unit}.")]
        if setting.example is None:
            lines.append(f"{setting.name} = {_toml(setting.default)}")
        else:
            lines += [f"[{setting.key}]", *(f"# {line}".rstrip() for line in setting.example.splitlines())]
    return "\n".join([*lines, ""])


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in wrap(text, 98)]


def _toml(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(_toml(item) for item in value)}]"
    if isinstance(value, Enum):
        value = value.value
    # A basic TOML string escapes as JSON does.
    return msgspec.json.encode(value).decode()
