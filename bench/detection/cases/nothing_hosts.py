"""Cases of what hosts do beside serving crowds: checks, monitors, a NAT, a restart; no alert."""

from __future__ import annotations

import os
import signal
import subprocess

from bench.detection.actors.behind import host_behind, one_address
from bench.detection.actors.callers import Callers, Dialling
from bench.detection.actors.hearing import deaf
from bench.detection.case import NOTHING, Case
from bench.detection.cases.nothing_crowds import callers, served
from bench.detection.stage import PORT, Stage
from bench.net.links import Endpoint
from bench.net.namespaces import start_in
from bench.peers.nginx import nginx
from bench.scenario.model import ServerSpec
from synguard.errors import SynguardError

_CHECKS_S = 12.0
_CHECKS_PER_S = 5
_CLOSED_PORTS = (81, 8081, 9100)
_DOWN_S = 6.0


def calls_from(stage: Stage, host: Endpoint, per_s: float, patience_s: float = 20.0) -> Callers:
    """Start callers of the server's in any host's namespace, from its own address."""
    target = (stage.server_address(), PORT)
    return stage.run(
        Callers(
            Dialling(
                namespace=host.namespace,
                targets=(target,),
                per_s=per_s,
                patience_s=patience_s,
                server_kind="nginx",
            )
        )
    )


def _checks(stage: Stage) -> None:
    stage.serve()
    checks = callers(stage, addresses=1, per_s=float(_CHECKS_PER_S), manner="reset")
    stage.wait(_CHECKS_S)
    if checks.so_far.connected < _CHECKS_S:
        raise SynguardError(f"the health checks found nobody: {checks.so_far}")


def _half_open_checks(stage: Stage) -> None:
    stage.serve()
    checker = stage.topology.client
    stage.truth.users.add(str(checker.ipv4.ip))
    count = round(_CHECKS_S * _CHECKS_PER_S)
    # Its kernel knows nothing of these SYNs and resets what they open.
    pace = ["-i", f"u{1_000_000 // _CHECKS_PER_S}", "-c", str(count)]
    argv = ["hping3", "-n", "-q", "-S", "-p", str(PORT), *pace, stage.server_address()]
    process = start_in(
        checker, argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    said, _ = process.communicate(timeout=3 * _CHECKS_S)
    if process.returncode:
        raise SynguardError(f"hping3 got no answers: {said.decode(errors='replace')[-500:]}")


def _closed_ports(stage: Stage) -> None:
    stage.serve()
    targets = tuple((stage.server_address(), port) for port in _CLOSED_PORTS)
    monitor = callers(stage, addresses=1, targets=targets, per_s=float(len(targets)))
    stage.wait(_CHECKS_S)
    if monitor.so_far.refused < _CHECKS_S:
        raise SynguardError(f"the monitored ports are not closed: {monitor.so_far}")


def _carrier_nat(stage: Stage) -> None:
    stage.serve(ServerSpec(kind="nginx"))
    carrier = stage.topology.client
    stage.truth.users.add(str(carrier.ipv4.ip))
    good, bad = (stage.run(host_behind(carrier, number)) for number in (1, 2))
    stage.run(one_address(carrier))
    stage.run(deaf(bad))
    many = calls_from(stage, good, 1000.0)
    few = calls_from(stage, bad, 20.0, patience_s=5.0)
    stage.wait(_CHECKS_S)
    served(many, 8000)
    if few.so_far.connected or few.so_far.begun < 100:
        raise SynguardError(f"the bad clients are not: {few.so_far}")


def _restart(stage: Stage) -> None:
    addresses = [stage.server_address(4), stage.server_address(6)]
    server = stage.topology.server
    with nginx(server, addresses, PORT, 4096):
        known = callers(stage, per_s=1500.0, patience_s=1.5, server_kind="nginx")
        stage.wait(4.0)
        served(known, 3000)
    stage.wait(_DOWN_S)
    if known.so_far.refused < 1000:
        raise SynguardError(f"the restart was not noticed: {known.so_far}")
    master = stage.run(nginx(server, addresses, PORT, 4096))
    before = known.so_far.answered
    stage.wait(2.0)
    os.kill(master, signal.SIGHUP)
    stage.wait(2.0)
    if known.so_far.answered < before + 3000:
        raise SynguardError(f"nginx is not back: {known.so_far}")


CASES = (
    Case(
        name="health checks",
        purpose="Five times a second somebody connects and resets.",
        expected=NOTHING,
        play=_checks,
    ),
    Case(
        name="half-open health checks",
        purpose="Five times a second somebody sends a SYN, and resets what it opened.",
        expected=NOTHING,
        play=_half_open_checks,
    ),
    Case(
        name="monitor at closed ports",
        purpose="One host asks the same three closed ports every second.",
        expected=NOTHING,
        play=_closed_ports,
    ),
    Case(
        name="carrier NAT",
        purpose="From one address come 1,000 connections a second, and 20 that never complete.",
        expected=NOTHING,
        play=_carrier_nat,
    ),
    Case(
        name="server restart",
        purpose="1,500 connections a second of known clients are refused while nginx restarts; it reloads.",
        expected=NOTHING,
        play=_restart,
    ),
)
