"""The totals as people and programs get to see them, of a daemon and of a replay alike."""

from __future__ import annotations

from collections.abc import Mapping

from synguard.probe import layout

#: What nobody knows where only ingress is seen.
UNKNOWN_ONE_WAY = ("answered", "completed")


def totals_to_json(totals: Mapping[str, int], *, one_way: bool) -> dict[str, int | None]:
    """Return the totals less the losses, what is unknown as None, and what was not parsed as one sum."""
    hidden = {*layout.UNPARSED_REASONS, *layout.LOSSES}
    shown = {name: value for name, value in totals.items() if name not in hidden}
    unknown = dict.fromkeys(UNKNOWN_ONE_WAY) if one_way else {}
    return {**shown, **unknown, "unparsed": sum(totals[reason] for reason in layout.UNPARSED_REASONS)}


def unparsed_to_json(totals: Mapping[str, int]) -> dict[str, int]:
    """Return by their reasons the packets that were not parsed."""
    return {reason: totals[reason] for reason in layout.UNPARSED_REASONS}


def losses_to_json(totals: Mapping[str, int]) -> dict[str, int]:
    """Return by its name what the probe could not keep."""
    return {name: totals[name] for name in layout.LOSSES}
