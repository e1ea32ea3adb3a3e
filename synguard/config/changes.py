"""Compares settings, and tells which of them a running daemon can take up."""

from __future__ import annotations

from dataclasses import dataclass

from synguard.config.checking import Declaration, declarations
from synguard.config.settings import Settings


@dataclass(frozen=True, slots=True)
class Change:
    """A setting that is another one now."""

    #: The dotted key, ``detect.min_attempts``.
    key: str
    old: object
    new: object
    #: Whether a running daemon keeps the old one.
    needs_restart: bool


def changes(old: Settings, new: Settings) -> tuple[Change, ...]:
    """Return what differs, in the order in which settings are declared."""
    found = (
        Change(setting.key, _value(old, setting), _value(new, setting), setting.needs_restart)
        for setting in declarations(Settings)
    )
    return tuple(change for change in found if change.old != change.new)


def applicable(old: Settings, new: Settings) -> Settings:
    """Return the new settings, with the old values of those that need a restart.

    Raises UsageError where they do not go together.
    """
    kept = {change.key: change.old for change in changes(old, new) if change.needs_restart}
    return new.with_overrides(kept)


def _value(settings: Settings, declaration: Declaration) -> object:
    value: object = getattr(getattr(settings, declaration.section), declaration.name)
    return value
