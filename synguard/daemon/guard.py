"""Keeps the probe on its interfaces: attaches, notices when one vanishes or returns, detaches."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from structlog.typing import FilteringBoundLogger

from synguard.daemon.guarded import GONE, GuardedInterface
from synguard.errors import SynguardError, UnsupportedError
from synguard.probe import attach, interfaces, presence
from synguard.probe.claim import claim_interface
from synguard.probe.known import KnownPrograms
from synguard.probe.presence import Presence
from synguard.probe.probe import Probe
from synguard.probe.sight_layout import INTERFACE_SLOTS
from synguard.sight import BlindCause, InterfaceReading

#: Counts the packets that the probe saw, in and out, by interface index modulo ``INTERFACE_SLOTS``.
CountPackets = Callable[[], Mapping[int, tuple[int, int]]]


class Guard:
    """The interfaces and how the probe sits on them."""

    def __init__(
        self, names: Sequence[str], xdp_mode: str, known: KnownPrograms, log: FilteringBoundLogger
    ) -> None:
        """Claim every interface; only programs that are ``known`` to be ours are ever replaced.

        Raises:
            UsageError: one of ``names`` can be no interface's name; says which is meant.
            UnsupportedError: one of them cannot be guarded, or not beside another.
            SynguardError: another daemon holds one; names its pid.

        """
        interfaces.check_names(names)
        self._xdp_mode = xdp_mode
        self._known = known
        self._log = log
        self._interfaces: list[GuardedInterface] = []
        self._readings: tuple[InterfaceReading, ...] = ()
        #: Looking and verifying happen in threads, and both attach.
        self._lock = threading.Lock()
        try:
            for name in dict.fromkeys(names):
                self._interfaces.append(GuardedInterface(name, claim_interface(name)))
        except SynguardError:
            self._release()
            raise

    def attach_first(self, probe: Probe) -> None:
        """Attach to every interface that is there; one that is missing is waited for.

        Raises:
            UnsupportedError: two of them carry the same packets, or one cannot be guarded at all.
            SynguardError: the kernel refuses.

        """
        present = []
        for guarded in self._interfaces:
            try:
                present.append(interfaces.find_interface(guarded.name))
            except UnsupportedError:
                raise
            except SynguardError as error:
                self._miss(guarded, str(error))
        interfaces.check_together(present)
        for guarded in self._interfaces:
            if guarded.problem is None:
                self._attach(guarded, probe)

    def _attach(self, guarded: GuardedInterface, probe: Probe) -> None:
        interface = interfaces.find_interface(guarded.name)
        others = (other.attachment for other in self._interfaces if other is not guarded)
        interfaces.check_together([interface, *(other.interface for other in others if other is not None)])
        attachment = attach.attach(interface, probe.programs, self._xdp_mode, guarded.claim, self._known)
        guarded.mend(attachment)
        self._log.info(
            "probe.attached",
            interface=guarded.name,
            index=interface.index,
            ingress=attachment.ingress,
            egress=attachment.egress,
            note=attachment.note,
        )

    def _miss(self, guarded: GuardedInterface, problem: str) -> None:
        if guarded.problem != problem:
            self._log.warning("interface.missing", interface=guarded.name, problem=problem)
        guarded.problem = problem

    def _leave_moved(self) -> None:
        """Take the probe off interfaces that have another name now; a vanished one took it along."""
        for guarded in self._interfaces:
            attachment = guarded.attachment
            if attachment is None or attachment.interface.index == _index(guarded.name):
                continue
            guarded.lose(BlindCause.MISSING, GONE)
            try:
                attach.detach_renamed(attachment, self._known, made_clsact=guarded.claim.made_clsact)
            except SynguardError as error:
                self._log.error("probe.not_detached", interface=guarded.name, error=str(error))

    def look(self, probe: Probe) -> None:
        """Notice interfaces that vanished, came back or lost the probe, and mend what can be mended."""
        with self._lock:
            for guarded in self._interfaces:
                if _index(guarded.name) is None:
                    self._miss(
                        guarded, f"interface {guarded.name} is not there; it is guarded when it comes back"
                    )
            self._leave_moved()
            for guarded in self._interfaces:
                if guarded.attachment is None and _index(guarded.name) is not None:
                    self._try_attach(guarded, probe)

    def verify(self, probe: Probe, count_packets: CountPackets) -> None:
        """Make sure that the kernel still runs our programs; put back what somebody took away.

        Also takes the readings that the next snapshots carry.
        """
        with self._lock:
            attachments = [one.attachment for one in self._interfaces if one.attachment is not None]
            try:
                found = presence.look(attachments, probe.programs, self._known)
            except SynguardError as error:
                self._log.warning("probe.not_verified", error=str(error))
                return
            # After the interfaces' own counts: what they have counted by now, the probe has seen.
            probed = count_packets()
            self._readings = tuple(self._verify(one, found, probed, probe) for one in self._interfaces)

    def _verify(
        self,
        guarded: GuardedInterface,
        found: Mapping[int, Presence],
        probed: Mapping[int, tuple[int, int]],
        probe: Probe,
    ) -> InterfaceReading:
        index = guarded.attachment.interface.index if guarded.attachment is not None else 0
        present = found.get(index)
        if present is None or _index(guarded.name) != index:  # an interface that goes loses its filters first
            return guarded.reading(None, None)
        guarded.is_up = present.is_up
        if present.missing:
            guarded.lose_to(present)
            self._log.warning("probe.detached", interface=guarded.name, missing=sorted(present.missing))
            self._try_attach(guarded, probe)
        elif guarded.displaced and present.other_xdp is None and self._xdp_mode != "tc":
            self._try_attach(guarded, probe)
        ingress_packets, _ = probed.get(index % INTERFACE_SLOTS, (0, 0))
        return guarded.reading(present, ingress_packets)

    def _try_attach(self, guarded: GuardedInterface, probe: Probe) -> None:
        try:
            self._attach(guarded, probe)
        except SynguardError as error:
            if guarded.problem != str(error):
                self._log.error("probe.not_attached", interface=guarded.name, error=str(error))
            guarded.fail(str(error))

    def readings(self) -> tuple[InterfaceReading, ...]:
        """Return what the last look at each interface found."""
        return self._readings

    def detach(self) -> None:
        """Take the probe off every interface and give them up. Trouble is logged; the rest goes on."""
        self._leave_moved()
        for guarded in self._interfaces:
            try:
                removed = attach.detach(guarded.name, self._known, made_clsact=guarded.claim.made_clsact)
            except SynguardError as error:
                self._log.error("probe.not_detached", interface=guarded.name, error=str(error))
            else:
                if removed:
                    self._log.info("probe.detached", interface=guarded.name)
        self._release()

    def leave(self) -> None:
        """Give every interface up with the probe on it, for the next daemon; trouble is logged."""
        self._leave_moved()
        for guarded in self._interfaces:
            if guarded.attachment is not None or guarded.claim.made_clsact:
                remedy = "it goes with `systemctl stop synguard-probe`, or `synguard detach`"
                self._log.info("probe.kept", interface=guarded.name, remedy=remedy)
                guarded.claim.leave()
            else:
                guarded.claim.close()
        self._interfaces = []

    def note(self, **facts: bool | str) -> None:
        """Write down for whoever comes next, with each interface."""
        for guarded in self._interfaces:
            guarded.claim.note(**facts)

    def switched_in_s(self) -> float:
        """Return how long the slowest interface took from its first hook to its last."""
        return max(
            (one.attachment.switched_in_s for one in self._interfaces if one.attachment is not None),
            default=0.0,
        )

    def names(self) -> list[str]:
        """Return the interfaces that are to be guarded, those that are missing too."""
        return [guarded.name for guarded in self._interfaces]

    def _release(self) -> None:
        for guarded in self._interfaces:
            guarded.claim.close()
        self._interfaces = []

    def cannot_drop(self) -> str | None:
        """Return why blocks would stop nothing, or None; interfaces that are away say nothing."""
        attachments = [guarded.attachment for guarded in self._interfaces if guarded.attachment is not None]
        if not attachments or any(attachment.can_drop for attachment in attachments):
            return None
        names = ", ".join(attachment.interface.name for attachment in attachments)
        return (
            f"{names} can only be observed, from tc: free it of the other XDP program, or allow XDP by "
            'probe.xdp_mode = "auto" (`synguard status` says which)'
        )

    def describe(self) -> list[dict[str, Any]]:
        """Return what ``status`` shows of each interface."""
        return [guarded.describe() for guarded in self._interfaces]


def _index(name: str) -> int | None:
    try:
        return socket.if_nametoindex(name)
    except OSError:
        return None
