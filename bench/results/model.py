"""The shape of a result file: one run of the bench, with all that is needed to judge it.

Times are ISO 8601 UTC with ``Z``. An unknown figure is null, which is not zero.
"""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

SCHEMA_VERSION = 1

Label = str | float | int | bool


def now() -> str:
    """Return the present moment as results write it."""
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Where a run took place."""

    cpu_model: str
    cpus: int
    memory_bytes: int
    kernel: str
    distribution: str
    #: Container and hypervisor, ``docker on kvm``; null for bare metal or where nobody can say.
    virtual: str | None = None
    #: By name: synguard, its commit, python, bcc, pyroute2, nginx, nft, iptables, hping3, nmap, trafgen.
    versions: dict[str, str | None]


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """One cell of a scenario played once."""

    #: What distinguishes the cell from the scenario's others: ``defence``, ``syn_per_s``, ``case``.
    labels: dict[str, Label]
    #: From 1 on. Trials that were invalid are played again under the same number.
    repetition: int
    started_at: str
    lasted_s: float
    #: Which premises did not hold, in words. A trial with any is no result.
    invalid_because: list[str]
    #: By the names of ``bench.results.figures``.
    figures: dict[str, float | None] = {}
    #: The same in words: ``class``, ``bottleneck``.
    facts: dict[str, str | None] = {}
    #: Columns of equal length, the first of which is ``at_s``, from the first flood packet on.
    #: ``received_per_s`` is of all frames taken off the ring: the flood's and the good clients'.
    timeline: dict[str, list[float | None]] = {}

    @property
    def valid(self) -> bool:
        """Whether all premises held."""
        return not self.invalid_because


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """Whether one promise held."""

    promise: str
    #: None where no valid trial could tell.
    held: bool | None
    observed: str


class ScenarioResult(msgspec.Struct, kw_only=True):
    """What one scenario gave."""

    scenario: str
    kind: str
    purpose: str
    #: The first 16 hex digits of the SHA-256 of all that the scenario asks for; empty where nobody knows.
    settings: str = ""
    premises: list[str]
    quick: bool
    started_at: str
    lasted_s: float
    #: False while it runs, and for good when it was interrupted.
    complete: bool
    trials: list[Trial]
    verdicts: list[Verdict] = []
    #: Of cases of detection: by what was played, how often it was called what.
    confusion: dict[str, dict[str, int]] = {}


class Result(msgspec.Struct, kw_only=True):
    """One run of the bench."""

    schema: int = SCHEMA_VERSION
    started_at: str
    machine: Machine
    scenarios: list[ScenarioResult] = []
