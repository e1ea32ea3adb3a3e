"""How large the numbers of a question may be: SQLite has 64 bits for what is made of them."""

from __future__ import annotations

from synguard.errors import UsageError

#: Integers that JSON's readers all agree on.
MOST = 1 << 53
#: Some 30,000 years around the Unix epoch.
MOST_S = 1e12


def check_integer(name: str, value: int | None) -> None:
    """Raise UsageError for an integer that no id or count comes near."""
    if value is not None and not -MOST <= value <= MOST:
        raise UsageError(f"{name}: {value} is more than any history holds")


def check_moments(**moments_s: float | None) -> None:
    """Raise UsageError for seconds since the Unix epoch that are no moment, by their names."""
    for name, moment_s in moments_s.items():
        # Nor is what is not a number between any two.
        if moment_s is not None and not -MOST_S <= moment_s <= MOST_S:
            raise UsageError(f"{name}: {moment_s} is no moment, in seconds since 1970")
