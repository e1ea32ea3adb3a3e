"""How the machines of two results differ, and whether one machine was slower the second time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from bench.report.words import percent
from bench.results.model import Machine

if TYPE_CHECKING:
    from bench.report.compare import Change

#: What decides about a machine's speed; memory and distribution do not.
_SPEED = ("cpu_model", "cpus", "kernel", "virtual")
_OTHER = ("memory_bytes", "distribution")


def machine_notes(before: Machine, after: Machine) -> list[str]:
    """Return why absolute times of two results cannot be compared; nothing when they can."""
    return list(_fields(before, after, _SPEED))


def version_notes(before: Machine, after: Machine) -> Iterator[str]:
    """Yield what else is not the same: versions first of all."""
    yield from _fields(before, after, _OTHER)
    for name in dict.fromkeys((*before.versions, *after.versions)):
        old, new = before.versions.get(name), after.versions.get(name)
        if old != new:
            yield f"{name}: {old or 'missing'} → {new or 'missing'}"


def _fields(before: Machine, after: Machine, names: Iterable[str]) -> Iterator[str]:
    for name in names:
        old, new = getattr(before, name), getattr(after, name)
        if old != new:
            yield f"{name}: {old} → {new}"


def speed_notes(changes: Iterable[Change]) -> Iterator[str]:
    """Yield that the machine itself was faster or slower: the empty program is the same in both."""
    for change in changes:
        empty = change.labels.get("program") == "empty" and change.figure == "ns_per_packet"
        if empty and change.outcome in ("worse", "better") and change.relative is not None:
            how = "slower" if change.relative > 0 else "faster"
            packet = change.labels.get("packet", "a packet")
            yield (
                f"the machine itself was {how} the second time: the empty program took "
                f"{percent(abs(change.relative))} {'more' if change.relative > 0 else 'less'} for {packet}"
            )
