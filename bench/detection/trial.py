"""Plays one case once: fresh daemon, fresh history, and what the daemon said held against what happened."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.defences.guard import Guard
from bench.defences.sysctls import sysctls_set
from bench.detection.case import Case
from bench.detection.stage import Stage
from bench.detection.verdict import AMISS, Alert, called, faults, told
from bench.measure.alerts import stories
from bench.net.namespaces import wait_until
from bench.run.arena import Arena
from bench.scenario.model import Premise
from synguard.errors import SynguardError

#: What people run: it says what it would have done.
_RESPOND = "dry-run"
#: A server as it comes: cookies when the queue is full.
_SYSCTLS = {"ipv4/tcp_syncookies": 1, "core/somaxconn": 4096, "ipv4/tcp_max_syn_backlog": 4096}
#: An alert has closed so long after its attack.
CLOSES_WITHIN_S = 30.0
#: A rate is held when it is within this of what was asked: what is measured is the name, not the time.
_RATE_TOLERANCE = 0.15


def play_case(case: Case, arena: Arena, folder: Path, repetition: int) -> dict[str, Any]:
    """Play a case; return the trial's ``invalid_because``, ``figures`` and ``facts``.

    Raises:
        UnsupportedError: something is missing here.
        SynguardError: a server, a client, a flood or the daemon failed.

    """
    arena.check_clean()
    sysctls = {path: str(value) for path, value in {**_SYSCTLS, **case.sysctls}.items()}
    with contextlib.ExitStack() as stack:
        stack.enter_context(sysctls_set(arena.topology.server.namespace, sysctls))
        guard = Guard(arena.topology.guarded, folder, _RESPOND, case.settings)
        stack.enter_context(guard)
        guard.wait_until_ready()
        with contextlib.ExitStack() as running:
            stage = Stage(arena, guard, running)
            case.play(stage)
            stage.wait(case.settle_s)
            if case.closes and repetition == 1:
                _wait_for_close(stage)
            seen = _seen(case, stage, waited=case.closes and repetition == 1)
        if guard.stop() != 0:
            raise SynguardError(f"the daemon did not stop in order: {guard.last_words()}")
    return seen


def _wait_for_close(stage: Stage) -> None:
    # An alert that does not close in time is told by the verdict.
    with contextlib.suppress(SynguardError):
        wait_until(lambda: not _open(stage.alerts()), "every alert's end", CLOSES_WITHIN_S)


def _open(alerts: Sequence[Alert]) -> list[Alert]:
    return [alert for alert in alerts if alert["state"] == "open"]


def _seen(case: Case, stage: Stage, *, waited: bool) -> dict[str, Any]:
    alerts = stage.alerts()
    wrong = list(faults(case.expected, stage.truth, alerts))
    close_ms = _close_ms(stage) if waited else None
    if waited and case.expected.kind is not None and (close_ms is None or close_ms > CLOSES_WITHIN_S * 1000):
        wrong.append(f"was not closed {CLOSES_WITHIN_S:g} s after the attack")
    alert_ms, within_s = _alert_ms(stage), case.within_s
    if within_s is not None and alert_ms is not None and alert_ms > within_s * 1000:
        wrong.append(f"came {alert_ms / 1000:.1f} s after the first packet, not within {within_s:g} s")
    word = called(alerts)
    right_class = word == case.expected.called
    facts = {
        "expected_class": case.expected.called,
        "class": word + AMISS if wrong and right_class else word,
        "wrong": _words(wrong, alerts),
    }
    figures = {
        "alerts": len(alerts),
        "missed": float(case.expected.kind is not None and not alerts),
        "false_alarms": float(max(len(alerts) - (case.expected.kind is not None), 0)),
        "wrong_class": float(not right_class),
        "time_to_alert_ms": alert_ms,
        "time_to_close_ms": close_ms,
    }
    return {"invalid_because": list(_rates_missed(stage)), "figures": figures, "facts": facts}


def _words(wrong: Sequence[str], alerts: Sequence[Alert]) -> str | None:
    if not wrong:
        return None
    return f"{'; '.join(wrong)}. Raised: {' | '.join(told(alert) for alert in alerts) or 'nothing'}"


def _alert_ms(stage: Stage) -> float | None:
    first_ns = stage.truth.first_ns
    raised = stories(stage.events)
    if not raised or first_ns is None:
        return None
    return round((raised[0].raised.seen_ns - first_ns) / 1e6, 1)


def _close_ms(stage: Stage) -> float | None:
    """Return when the last alert had closed after the attack's last packet; None while one is open."""
    raised = stories(stage.events)
    closed = [story.closed.seen_ns for story in raised if story.closed is not None]
    if not closed or len(closed) < len(raised) or stage.truth.last_ns is None:
        return None
    return round((max(closed) - stage.truth.last_ns) / 1e6, 1)


def _rates_missed(stage: Stage) -> Iterator[str]:
    """Yield which floods of the generator's kept no rate; other tools promise none."""
    for flood in stage.floods:
        report, plan = flood.report, flood.plan
        if flood.spec.tool == "generator" and not report.held(plan, _RATE_TOLERANCE):
            asked = plan.frame_limit
            yield f"{Premise.RATE_HELD}: {report.frames} of {asked} frames went out in {report.span_s:.2f} s"
