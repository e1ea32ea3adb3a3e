"""What changed while an alert was open, in order, and no more of it than anybody reads."""

from __future__ import annotations

from synguard.model import Change

#: Changes that an alert keeps, at most. Of more, those of severity go first, the oldest before others.
MOST_CHANGES = 100


class Timeline:
    """The changes of one alert, the oldest first."""

    def __init__(self) -> None:
        self._changes: list[Change] = []

    def note(
        self, at_s: float, what: str, before: object | None, after: object | None, because: str = ""
    ) -> None:
        """Add a change, unless it changes nothing; none is told to have come before those told already."""
        told_before = None if before is None else str(before)
        told_after = None if after is None else str(after)
        if told_before == told_after:
            return
        at_s = max([at_s, *(change.at_s for change in self._changes[-1:])])
        self._changes.append(Change(at_s, what, told_before, told_after, because))
        if len(self._changes) > MOST_CHANGES:
            # The first entry says how it opened, and stays.
            dispensable = [i for i, change in enumerate(self._changes) if i and change.what == "severity"]
            del self._changes[dispensable[0] if dispensable else 1]

    def changes(self) -> tuple[Change, ...]:
        """Return them, the oldest first."""
        return tuple(self._changes)
