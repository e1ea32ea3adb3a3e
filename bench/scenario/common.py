"""What all scenarios have in common: their premises, their promises, and records without unknown fields."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

Family = Literal[4, 6]
Positive = Annotated[float, Meta(gt=0)]
NotNegative = Annotated[float, Meta(ge=0)]
_MEDIAN = 0.5


class Premise(StrEnum):
    """What must have held for a trial to be a result at all."""

    #: Every frame that the generator sent is found again, at the interface or by name among the lost.
    ACCOUNTED = "accounted"
    #: Each flood kept its rate within 5 %.
    RATE_HELD = "rate-held"
    #: No frame was lost before the receiver: what was sent is what came.
    ALL_RECEIVED = "all-received"
    #: The receiver was at its limit and the generator was not: frames were lost at its ring.
    RECEIVER_LIMITED = "receiver-limited"
    #: Every good client was served before the flood, and the bench itself kept none from trying.
    CLIENTS_UP = "clients-up"
    #: The good clients attempted at least 1,000 connections during the flood, over all repetitions.
    ENOUGH_CONNECTS = "enough-connects"
    #: Generator and receiver have a CPU each.
    TWO_CPUS = "two-cpus"


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What all parts of a scenario have in common."""


class Promise(Record, frozen=True, kw_only=True):
    """What has to hold within one run on any machine; ``bench run`` fails when it does not.

    Numbers are judged by the median over valid repetitions, or as ``share`` says; ``equals`` must hold in
    every one.
    """

    #: A figure's name, or a fact's.
    figure: str
    #: The cells meant, by label; all where it is empty.
    where: dict[str, Any] = {}
    #: Judge the ratio over the cell that has these labels instead of the figure itself.
    over: dict[str, Any] = {}
    equals: float | str | None = None
    at_least: float | None = None
    at_most: float | None = None
    #: Limits are on the value that this share of the repetitions does not exceed: 0.5 is the median, 0.95
    #: leaves out one in twenty, 1 is the greatest.
    share: Annotated[float, Meta(ge=0, le=1)] = _MEDIAN
    #: Judge it in full runs, in quick ones, or in both.
    judged: Literal["always", "full", "quick"] = "always"
