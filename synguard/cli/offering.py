"""What TAB offers for a value: what daemon or history know now, and nothing when they do not say so."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from types import FrameType
from typing import Any

import click

#: A value, and what it is.
Offer = tuple[str, str | None]
Offers = Callable[[click.Context], Iterable[Offer]]

#: Who waits longer for TAB has typed it meanwhile.
PATIENCE_S = 2.0
#: Alerts offered, the latest first.
ALERTS = 30


def fixed(*values: str) -> Offers:
    """Return what offers the same values always."""
    return lambda _ctx: [(value, None) for value in values]


def _quietly(offers: Offers) -> Offers:
    """Return ``offers`` with nothing to offer where it fails or takes too long: TAB tells no errors."""

    @wraps(offers)
    def quiet(ctx: click.Context) -> list[Offer]:
        try:
            with _patience():
                return list(offers(ctx))
        except Exception:  # noqa: BLE001 - whatever it is, the command itself will say it
            return []

    return quiet


@contextmanager
def _patience() -> Iterator[None]:
    """Raise TimeoutError in the block when it takes longer than PATIENCE_S."""

    def give_up(_number: int, _frame: FrameType | None) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@_quietly
def interfaces(_ctx: click.Context) -> Iterable[Offer]:
    """Offer this machine's interfaces."""
    return [(name, None) for _, name in socket.if_nameindex()]


@_quietly
def alert_ids(ctx: click.Context) -> Iterable[Offer]:
    """Offer the latest alerts by their ids."""
    from synguard.cli.reading import alert_reading  # noqa: PLC0415
    from synguard.history.filter import AlertFilter  # noqa: PLC0415
    from synguard.telling.wording import on_whom, what  # noqa: PLC0415

    offline = bool(ctx.params.get("offline") or ctx.params.get("database"))
    for alert in alert_reading(_settings(ctx), offline=offline).find(AlertFilter(limit=ALERTS)):
        words = (what(alert), on_whom(alert), alert["state"], alert["started_at"])
        yield str(alert["id"]), " ".join(filter(None, words))


@_quietly
def blocks(ctx: click.Context) -> Iterable[Offer]:
    """Offer what is blocked."""
    return [(one["target"], one["reason"] or None) for one in _ask(ctx, "block_list")]


@_quietly
def silences(ctx: click.Context) -> Iterable[Offer]:
    """Offer what is silenced."""
    return [(one["target"], one["reason"] or None) for one in _ask(ctx, "silence_list")]


@_quietly
def listeners(ctx: click.Context) -> Iterable[Offer]:
    """Offer the listeners that the daemon sees."""
    return [(one["listener"], None) for one in _ask(ctx, "status")["listeners"]]


@_quietly
def sources(ctx: click.Context) -> Iterable[Offer]:
    """Offer the sources that the daemon sees."""
    return [(one["source"], None) for one in _ask(ctx, "status")["sources"]]


def _ask(ctx: click.Context, command: str) -> Any:
    from synguard.client import request  # noqa: PLC0415

    return request(_settings(ctx).control.socket_path, command)


def _settings(ctx: click.Context) -> Any:
    """Return the settings that the command line up to here names."""
    from synguard.cli.options import settings_for  # noqa: PLC0415

    given: Mapping[str, Any] = ctx.params
    return settings_for(given.get("config_file"), socket=given.get("socket"), database=given.get("database"))
