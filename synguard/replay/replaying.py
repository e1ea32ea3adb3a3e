"""Replays a capture: a first pass that finds out whose it is, and a second one through the probe."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass

from synguard.config import Settings
from synguard.detect import Detector
from synguard.endpoint import Listener, Network
from synguard.errors import SynguardError, UsageError
from synguard.model import Alert
from synguard.probe.probe import Groups, Probe, Sizes
from synguard.replay.capture import Capture
from synguard.replay.formats import Packet
from synguard.replay.frames import FRAMERS, NAMES, link_name
from synguard.replay.player import Player
from synguard.replay.sides import Members, Ours, infer
from synguard.replay.survey import Survey
from synguard.replay.ways import Visible, Ways, judge
from synguard.tuning import thresholds_of

#: Where answers cannot be seen, so many ports at most stand in for listeners: those asked so often, and by so
#: large a share (0..1) of all SYNs.
STAND_INS_MAX = 64
STAND_IN_SYNS = 20
STAND_IN_SHARE = 0.01

#: Is told how many packets were taken, of how many; of the first pass the latter is not known, and None.
Progress = Callable[[int, int | None], None]


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay found."""

    capture: Capture
    survey: Survey
    ours: Ours
    visible: Visible
    #: Where answers cannot be seen: the ports that were taken for listeners, and how many SYNs asked each.
    stand_ins: tuple[tuple[Listener, int], ...]
    totals: dict[str, int]
    #: As they stood in the end, by their ids.
    alerts: tuple[Alert, ...]
    snapshots: int
    not_ours: int
    not_readable: int
    out_of_order: int
    set_back: int


def replay(capture: Capture, protect: Sequence[Network], settings: Settings, progress: Progress) -> Replayed:
    """Replay a capture as far as it can be read.

    Args:
        capture: the file.
        protect: which addresses are ours; none: it is inferred.
        settings: those of the probe's tables and of detection are heeded.
        progress: is told now and then how far the replay is.

    Raises UnsupportedError where no eBPF can be loaded, UsageError where nobody can tell which side is
    ours, and SynguardError where there is nothing in the capture that can be replayed.

    """
    with ThreadPoolExecutor(1) as compiler:
        # It takes as long as the first pass over a million packets.
        loading = compiler.submit(Probe.load, Sizes.of(settings), Groups.of(settings))
        try:
            survey = _survey(capture, progress)
            ours = Ours(tuple(protect), None) if protect else infer(survey)
            _require_sense(survey, ours)
        except BaseException:
            _drop(loading.result)
            raise
        with closing(loading.result()) as probe:
            return _play(capture, survey, ours, probe, settings, progress)


def _drop(loaded: Callable[[], Probe]) -> None:
    """Close a probe that nobody needs any more, if it was loaded at all."""
    try:
        loaded().close()
    except SynguardError:
        return


def _survey(capture: Capture, progress: Progress) -> Survey:
    survey = Survey()
    for batch in capture.batches():
        survey.take(batch)
        progress(survey.packets, None)
    return survey


def _require_sense(survey: Survey, ours: Ours) -> None:
    if survey.packets and not any(link_type in FRAMERS for link_type in survey.link_types):
        found = ", ".join(sorted(map(link_name, survey.link_types)))
        known = ", ".join(dict.fromkeys(NAMES.values()))
        raise SynguardError(f"the capture holds packets of {found} alone; replayed can be {known}")
    if survey.tcp_packets and not ours.networks:
        raise UsageError(
            "which side of the capture is ours cannot be told from its packets: say so by --protect CIDR"
        )


def _play(
    capture: Capture, survey: Survey, ours: Ours, probe: Probe, settings: Settings, progress: Progress
) -> Replayed:
    members = Members(ours.networks)
    visible = judge(survey, members)
    probe.set_one_way(visible.one_way_because is not None)
    thresholds = thresholds_of(settings)
    stand_ins = _stand_ins(survey, members) if visible.one_way_because is not None else ()
    player = Player(probe, Detector(thresholds, 1), Ways(members, survey), thresholds.close_after_s)
    player.reader.stand_in(listener for listener, _ in stand_ins)
    player.play(_told(capture.batches(), survey.packets, progress))
    return Replayed(
        capture,
        survey,
        ours,
        visible,
        stand_ins,
        player.reader.totals(),
        tuple(player.alerts[number] for number in sorted(player.alerts)),
        snapshots=player.snapshots,
        not_ours=player.not_ours,
        not_readable=player.not_readable,
        out_of_order=player.clock.out_of_order,
        set_back=player.clock.set_back,
    )


def _stand_ins(survey: Survey, members: Members) -> tuple[tuple[Listener, int], ...]:
    """Return the ports of ours that were asked so often that each is more than a scan's or a stray SYN's."""
    asked = survey.asked_most(members.holds, STAND_INS_MAX)
    least = max(STAND_IN_SYNS, STAND_IN_SHARE * sum(survey.asked_ports.values()))
    return tuple((listener, count) for listener, count in asked if count >= least)


def _told(batches: Iterable[list[Packet]], of: int, progress: Progress) -> Iterator[list[Packet]]:
    """Yield the packets, and tell of them."""
    count = 0
    for batch in batches:
        yield batch
        count += len(batch)
        progress(count, of)
