"""Says which premises of a trial did not hold, in words, and whose fault that is; pure."""

from __future__ import annotations

from collections.abc import Iterator

from bench.measure.observation import Observation
from bench.scenario.model import ClientSpec, Premise

#: A rate is held when it is within this of what was asked.
RATE_TOLERANCE = 0.05
#: The receiver's ring was full when it refused more than this share.
REFUSED_SHARE = 0.001
#: The receiver's CPU was at its limit when its thread had this share of it.
RECEIVER_BUSY = 0.75
#: Least share of a client's attempts before the flood that were served; of one whose line loses frames.
_SERVED_BEFORE = 0.95
_SERVED_BEFORE_LOSSY = 0.5

#: What stands before the reason when the bench itself kept good clients from trying.
HINDERED = "hindered"

#: These fail by what else the machine does; the trial may be played again. Any other is a fault of what is
#: measured or of the bench, which another try must not hide.
ANOTHER_TRY = frozenset(
    {HINDERED, Premise.RATE_HELD, Premise.ALL_RECEIVED, Premise.RECEIVER_LIMITED, Premise.TWO_CPUS}
)


def broken_premises(observed: Observation) -> Iterator[str]:
    """Yield which of the scenario's premises did not hold, each as ``NAME: why``.

    A client that is never served before the flood ends its trial there; here it is about all others.
    """
    checks = {
        Premise.ACCOUNTED: _unaccounted,
        Premise.RATE_HELD: _rates_missed,
        Premise.ALL_RECEIVED: _frames_refused,
        Premise.RECEIVER_LIMITED: _receiver_idle,
        Premise.CLIENTS_UP: _clients_down,
        Premise.TWO_CPUS: _cpus_shared,
    }
    for premise in observed.scenario.premises:
        if premise in checks:
            yield from (f"{premise}: {why}" for why in checks[premise](observed))
    if Premise.CLIENTS_UP in observed.scenario.premises:
        yield from (f"{HINDERED}: {why}" for why in observed.hindered)


def deserves_another_try(reasons: list[str]) -> bool:
    """Tell whether a trial failed by nothing but what may go better next time."""
    return all(reason.partition(":")[0] in ANOTHER_TRY for reason in reasons)


def unaccounted_frames(observed: Observation) -> int | None:
    """Return how many generated frames were neither put on the wire nor refused; below 0: came, never sent.

    Other tools than the generator send by another way, which is not counted to the frame.
    """
    if not observed.generated_frames:
        return None
    sent = observed.generated_frames + observed.earlier.frames
    return sent - observed.wire.offered_frames - observed.wire.refused_frames


def uncounted_syns(observed: Observation) -> int | None:
    """Return how many SYNs came and were not counted by the detector; below 0: it counted too many.

    Frames that were lost by name, and may or may not have been SYNs, explain as many as they are: of the
    good clients' those lost on their way, of a flood with ACKs those that the ring refused. None without a
    detector, and for tools, which do not say to the packet what they sent.
    """
    counted = observed.counted.syns
    if counted is None or observed.generated_frames != observed.frames:
        return None
    refused = observed.wire.refused_frames
    syns_alone = observed.syns == observed.frames
    explained = min(observed.good_syns, observed.other_frames_lost) + (0 if syns_alone else refused)
    sent = observed.syns + observed.earlier.syns
    missing = sent - (refused if syns_alone else 0) + observed.good_syns - counted
    return missing if missing < 0 else max(missing - explained, 0)


def refused_share(observed: Observation) -> float:
    """Return which share of the frames sent the receiver's ring refused, 0..1."""
    return observed.refused_frames / observed.frames if observed.frames else 0.0


def _unaccounted(observed: Observation) -> Iterator[str]:
    if frames := unaccounted_frames(observed):
        yield f"{frames} of {observed.frames} frames sent were neither received nor refused"
    if (left := observed.wire.offered_frames - observed.wire.received_frames) > 0:
        yield f"{left} of {observed.wire.offered_frames} frames on the wire were never taken off it"
    if syns := uncounted_syns(observed):
        yield f"{syns} SYNs received were not counted by the detector"


def _rates_missed(observed: Observation) -> Iterator[str]:
    for flood in observed.floods:
        if not flood.report.held(flood.plan, RATE_TOLERANCE):
            report, asked = flood.report, flood.plan.frame_limit
            yield f"{report.frames} frames went out in {report.span_s:.2f} s where {asked} were asked for"


def _frames_refused(observed: Observation) -> Iterator[str]:
    if refused := observed.refused_frames:
        yield f"the receiver's full ring refused {refused} of {observed.frames} frames"


def _receiver_idle(observed: Observation) -> Iterator[str]:
    if observed.floods and refused_share(observed) <= REFUSED_SHARE:
        yield "the receiver took all that came: the generator was the limit"
        return
    busy_ns = observed.busy.receiver_cpu_ns
    if busy_ns is not None and busy_ns < RECEIVER_BUSY * observed.busy.span_ns:
        share = busy_ns / observed.busy.span_ns
        yield f"the receiver had its CPU for {share:.0%} of the time: something else was the limit"


def _clients_down(observed: Observation) -> Iterator[str]:
    for client in observed.scenario.clients:
        yield from _badly_served(client, observed)


def _badly_served(client: ClientSpec, observed: Observation) -> Iterator[str]:
    """Yield why a client was not up: nearly all that it began well before the flood must be served."""
    attempts = observed.connections.get(client.name, ())
    if not any(one.succeeded for one in attempts):
        yield f"the good client {client.name!r} was never served"
        return
    answered_ns = observed.first_ns - round((4 * client.rtt_ms + 200) * 1e6)
    before = [one.succeeded for one in attempts if one.start_ns < answered_ns]
    least = _SERVED_BEFORE_LOSSY if client.loss else _SERVED_BEFORE
    if observed.floods and before and sum(before) < least * len(before):
        yield f"the good client {client.name!r} got {sum(before)} of {len(before)} served before the flood"


def _cpus_shared(observed: Observation) -> Iterator[str]:
    if observed.cpus < 2 or not observed.receiver_pinned:
        yield "generator and receiver shared a CPU"
