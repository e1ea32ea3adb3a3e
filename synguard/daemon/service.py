"""Puts the daemon together, runs it, and takes it apart again."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import closing
from functools import partial

import structlog

from synguard.config import Settings
from synguard.daemon.cases import Cases
from synguard.daemon.control import ControlServer
from synguard.daemon.guard import Guard
from synguard.daemon.handlers import Handlers
from synguard.daemon.keeping import Keeper
from synguard.daemon.silences import Silences
from synguard.daemon.stopping import StopRequest
from synguard.daemon.watch import Watch
from synguard.detect import Detector
from synguard.errors import SynguardError, UnsupportedError
from synguard.history.store import HistoryStore
from synguard.observe import log as observe_log
from synguard.probe.claim import claim_database, prune_claims
from synguard.probe.interfaces import default_route_interfaces
from synguard.probe.probe import Groups, Probe, Sizes
from synguard.respond import protected
from synguard.respond.blocks import Blocks
from synguard.respond.policy import Rules
from synguard.respond.responder import Responder
from synguard.tuning import thresholds_of

#: How often a default route is looked for while there is none.
ROUTE_INTERVAL_S = 1.0

_QUIET_HISTORY_EVENTS = frozenset({"history.opened", "history.recovered", "history.interrupted_closed"})


def run(settings: Settings) -> int:
    """Guard the configured interfaces until SIGTERM, SIGINT or SIGHUP; return the exit code 0.

    Raises UnsupportedError where the kernel or the user's rights do not allow it, and SynguardError where
    an interface is guarded already or the probe cannot be attached; nothing is left behind then.
    """
    if os.geteuid() != 0:
        raise UnsupportedError("guarding an interface needs root: run it with sudo")
    log_lines = observe_log.configure(settings.log.level, settings.log.format)
    prune_claims()
    with StopRequest() as stop, closing(claim_database(settings.history.database_path)):
        names = settings.probe.interfaces or _default_route(stop)
        guard = Guard(names, settings.probe.xdp_mode, structlog.get_logger())
        keeper = Keeper(settings.probe, structlog.get_logger())
        try:
            probe = _load(settings, keeper, stop) if names else None
            if probe is not None:
                _guard(settings, guard, keeper, probe, log_lines, stop)
        finally:
            _end(guard, keeper)
    return 0


def _end(guard: Guard, keeper: Keeper) -> None:
    """Take everything away, or leave the probe to the next daemon."""
    with closing(keeper):
        if keeper.leaves:
            guard.leave()
        else:
            guard.detach()
            keeper.forget()


def _default_route(stop: StopRequest) -> tuple[str, ...]:
    """Return the default routes' interfaces; without one, wait: at boot the network may come late."""
    told = False
    while not stop.asked:
        names = default_route_interfaces()
        if names:
            return tuple(names)
        if not told:
            remedy = "waiting for one; to guard another interface name it: --interface IF"
            structlog.get_logger().warning(
                "route.missing", problem="there is no default route", remedy=remedy
            )
            told = True
        time.sleep(ROUTE_INTERVAL_S)
    return ()


def _load(settings: Settings, keeper: Keeper, stop: StopRequest) -> Probe | None:
    """Return the probe, or None when asked to stop meanwhile; Ctrl-C ends the compiler, too."""
    try:
        probe = Probe.load(Sizes.of(settings), Groups.of(settings), keeper.load)
    except SynguardError:
        if stop.asked:
            return None
        raise
    if not stop.asked:
        return probe
    probe.close()
    return None


def _guard(
    settings: Settings,
    guard: Guard,
    keeper: Keeper,
    probe: Probe,
    log_lines: observe_log.LineWriter,
    stop: StopRequest,
) -> None:
    log = structlog.get_logger()
    history = HistoryStore(
        settings.history.database_path,
        retention_days=settings.history.retention_days,
        retention_mib=settings.history.retention_mib,
        log=_history_log,
    )
    try:
        history.start()
        responder = _responder(settings, probe, guard, history)
        # Before the probe is there, so that what an earlier one blocked is not let through meanwhile.
        responder.restore(history.blocks(time.time()))
        _attach(guard, keeper, probe)
        detector = Detector(thresholds_of(settings), history.next_alert_id(), history.baselines())
        silences = Silences(settings.probe.ipv6_prefix, history, log)
        silences.restore(history.silences(time.time()))
        cases = Cases(detector.open_alerts, history, responder, silences, log)
        watch = Watch(probe, guard, detector, history, cases, settings=settings.probe, log=log)
        handlers = Handlers(settings, watch, responder, history, log_lines)
        control = ControlServer(
            settings.control.socket_path, settings.control.group, handlers.by_command(), log
        )
        asyncio.run(watch.run(control, stop))
    finally:
        history.close()
        probe.watch_flows(False)  # nobody would read them, and each packet paid for it
        probe.close()


def _attach(guard: Guard, keeper: Keeper, probe: Probe) -> None:
    """Put the probe onto every interface, pinned before it counts, and then away with what it replaces."""
    pinned = keeper.store(probe.loaded)
    if pinned is not None:
        guard.note(pin_directory=str(pinned.parents[1]))
    guard.attach_first(probe)
    keeper.settle(guard.names())


def _history_log(event: str, **keys: object) -> None:
    """Log what the history says of itself, as loud as it matters."""
    log = structlog.get_logger()
    (log.info if event in _QUIET_HISTORY_EVENTS else log.error)(event, **keys)


def _responder(settings: Settings, probe: Probe, guard: Guard, history: HistoryStore) -> Responder:
    respond = settings.respond
    rules = Rules(respond.mode, respond.drop, respond.block_ttl_s, respond.max_blocks)
    gather_protected = partial(
        protected.gather, respond.allow_networks, respond.trusted_aggregator_networks, respond.ssh_ports
    )
    return Responder(
        Blocks(probe, respond.max_blocks),
        rules,
        gather_protected,
        guard.cannot_drop,
        history,
        structlog.get_logger(),
    )
