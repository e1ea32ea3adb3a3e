"""What people and the daemon have put in force until a moment, on its way to the disk: newest words only."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, Protocol, TypeVar


class Lasting(Protocol):
    """Something that ends by itself."""

    @property
    def until_s(self) -> float:
        """Return its end, in seconds since the Unix epoch."""


T = TypeVar("T", bound=Lasting)


class Standing(Generic[T]):
    """Everything of one kind that is in force, by its target, and which of it the disk does not know yet.

    No locks, no clock: its owner brings both.
    """

    def __init__(self, max_changes: int) -> None:
        #: Changes beyond ``max_changes``, which the disk never hears of.
        self.lost = 0
        self._max_changes = max_changes
        self._changes: dict[str, T | None] = {}
        self._in_force: dict[str, T] = {}

    def __len__(self) -> int:
        """Return how many changes wait."""
        return len(self._changes)

    def put(self, target: str, item: T) -> None:
        """Take in what is to survive a restart."""
        self._in_force[target] = item
        self._change(target, item)

    def drop(self, target: str) -> None:
        """Take in that something is over."""
        self._in_force.pop(target, None)
        self._change(target, None)

    def changes(self) -> dict[str, T | None]:
        """Return what to write, None for what to remove; it stays until it is :meth:`written`."""
        return dict(self._changes)

    def written(self, changes: dict[str, T | None]) -> None:
        """Forget what is on disk now; newer words that came in meanwhile stay."""
        for target, item in changes.items():
            if target in self._changes and self._changes[target] is item:
                del self._changes[target]

    def rewrite(self, wall_s: float) -> None:
        """Ask for everything that is still in force again, because the database is a fresh one."""
        self.forget_ended(wall_s)
        self._changes = {**self._in_force}

    def forget_ended(self, wall_s: float) -> None:
        """Forget what ended by itself before ``wall_s``."""
        self._in_force = {target: item for target, item in self._in_force.items() if item.until_s > wall_s}

    def know(self, items: Iterable[tuple[str, T]]) -> None:
        """Take in what is on disk already."""
        self._in_force.update(items)

    def _change(self, target: str, item: T | None) -> None:
        if target not in self._changes and len(self._changes) >= self._max_changes:
            self.lost += 1
            return
        self._changes[target] = item
