"""Puts the daemon together, runs it, and takes it apart again."""

from __future__ import annotations

import asyncio
import platform
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import structlog
from structlog.typing import FilteringBoundLogger

from synguard import __version__
from synguard.config import ControlSettings, Settings
from synguard.daemon.adjusting import Adjustment, keep_of
from synguard.daemon.cases import Cases
from synguard.daemon.control import ControlServer, Handler
from synguard.daemon.guard import Guard
from synguard.daemon.handlers import Handlers
from synguard.daemon.keeping import Keeper
from synguard.daemon.latest import Latest
from synguard.daemon.live import Live
from synguard.daemon.news import News, Published
from synguard.daemon.permitting import Permission
from synguard.daemon.placing import Placing
from synguard.daemon.reloading import Reloader
from synguard.daemon.responding import make_upkeep
from synguard.daemon.silences import Silences
from synguard.daemon.status import Status
from synguard.daemon.stopping import StopRequest
from synguard.daemon.watch import Watch
from synguard.detect import Detector
from synguard.history.retention import DAY_S
from synguard.history.runs import Run
from synguard.history.store import HistoryStore
from synguard.observe import log as observe_log
from synguard.probe.capabilities import check_rights
from synguard.probe.claim import claim_database, prune_claims
from synguard.probe.interfaces import default_route_interfaces
from synguard.probe.probe import Probe
from synguard.respond.responder import Senses
from synguard.respond.upkeep import Upkeep
from synguard.tuning import thresholds_of

#: How often a default route is looked for while there is none.
ROUTE_INTERVAL_S = 1.0
#: Drops of so long ago make nobody a repeater any more: a count of 22 is halved away by then.
REMEMBERED_S = 5 * DAY_S

_QUIET_HISTORY_EVENTS = frozenset({"history.opened", "history.recovered", "history.interrupted_closed"})


def run(read: Callable[[], Settings], config_file: Path | None = None) -> int:
    """Guard the configured interfaces until SIGTERM or SIGINT; return the exit code 0.

    Args:
        read: returns the settings; asked again at SIGHUP, which only ends what has a terminal.
        config_file: the one that it reads them from, which ``status`` tells.

    Raises UnsupportedError where the kernel or the user's rights do not allow it, and SynguardError where
    an interface is guarded already or the probe cannot be attached; nothing is left behind then.
    """
    settings = read()
    check_rights()
    log_lines = observe_log.configure(settings.log.level, settings.log.format)
    prune_claims()
    with StopRequest() as stop, closing(claim_database(settings.history.database_path)):
        names = settings.probe.interfaces or _default_route(stop)
        with Placing(names, settings, structlog.get_logger()) as placing:
            probe = placing.load(stop) if names else None
            if probe is not None:
                reloader = Reloader(settings, config_file, read, structlog.get_logger())
                _guard(placing, probe, log_lines, stop, reloader)
    return 0


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


def _guard(
    placing: Placing,
    probe: Probe,
    log_lines: observe_log.Writer,
    stop: StopRequest,
    reloader: Reloader,
) -> None:
    log, news, guard, settings = structlog.get_logger(), News(), placing.guard, reloader.in_force
    path, kept = settings.history.database_path, keep_of(settings.history)
    history = HistoryStore(path, keep=kept, log=news.heeding(_history_log))
    ended_because = "failed"
    try:
        history.start()
        history.begin_run(_new_run(settings, guard))
        upkeep = make_upkeep(settings, probe, guard, history, log)
        responder = upkeep.responder
        # Before the probe is there, so that what an earlier one blocked is not let through meanwhile.
        asyncio.run(_restore(upkeep, history))
        placing.attach(probe)
        detector = Detector(thresholds_of(settings), history.next_alert_id(), history.baselines())
        silences = Silences(settings.probe.ipv6_prefix, history, log)
        silences.restore(history.silences(time.time()))
        latest = Latest(Published(history, news))
        cases = Cases(detector.open_alerts, latest, upkeep, silences, log)
        responder.cookies.reconsider = cases.reconsider
        watch = Watch(probe, guard, detector, history, cases, settings=settings, log=log)
        upkeep.figures.ask = lambda listener: watch.reader.listener(listener, time.monotonic_ns())
        responder.senses = Senses(
            guard.cannot_drop, lambda source: watch.reader.clock_proof(source, time.monotonic_ns())
        )
        status = Status(watch, upkeep, history, latest, partial(_facts, reloader, placing.keeper, probe))
        handlers = Handlers(settings, watch, upkeep, history, log_lines, status)
        live = Live(watch, responder, latest, status.health)
        commands = {**handlers.by_command(), "news": news.answer, "top": live.answer}
        control = _control(settings.control, commands, log)
        adjustment = Adjustment(watch, history, log_lines, log)
        asyncio.run(watch.run(control, stop, reloader.by(adjustment.apply)))
        if not placing.keeper.leaves:
            asyncio.run(upkeep.take_leave())
        ended_because = "stopped"
    finally:
        history.end_run(time.time(), ended_because)
        history.close()
        probe.watch_flows(False)  # nobody would read them, and each packet paid for it
        probe.close()


def _control(
    settings: ControlSettings, commands: Mapping[str, Handler], log: FilteringBoundLogger
) -> ControlServer:
    may_change = Permission(settings.group if settings.changes_by == "group" else "", log)
    return ControlServer(settings.socket_path, settings.group, commands, may_change, log)


async def _restore(upkeep: Upkeep, history: HistoryStore) -> None:
    now_s = time.time()
    await upkeep.restore(history.blocks(now_s), history.earlier_drops(now_s - REMEMBERED_S))


def _facts(reloader: Reloader, keeper: Keeper, probe: Probe) -> dict[str, Any]:
    history, config = reloader.in_force.history, reloader.describe()
    return {
        "config_file": config["file"],
        "config": config,
        "pins": keeper.describe(),
        "map_memlock_bytes": probe.memlock_bytes(),
        "history": {
            "database": history.database,
            "retention_days": history.retention_days,
            "retention_mib": history.retention_mib,
            "seconds_days": history.seconds_days,
            "minutes_days": history.minutes_days,
        },
    }


def _new_run(settings: Settings, guard: Guard) -> Run:
    now_s = time.time()
    return Run(
        now_s,
        __version__,
        platform.release(),
        tuple(guard.names()),
        str(settings.respond.mode),
        settings.fingerprint,
        now_s,
    )


def _history_log(event: str, **keys: object) -> None:
    """Log what the history says of itself, as loud as it matters."""
    log = structlog.get_logger()
    (log.info if event in _QUIET_HISTORY_EVENTS else log.error)(event, **keys)
