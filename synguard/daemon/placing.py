"""Puts the probe into the kernel and onto interfaces, and takes it away or leaves it to the next daemon."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from types import TracebackType
from typing import Self

import structlog
from structlog.typing import FilteringBoundLogger

from synguard.config import Settings
from synguard.daemon.guard import Guard
from synguard.daemon.keeping import Keeper
from synguard.daemon.stopping import StopRequest
from synguard.errors import SynguardError, UnsupportedError
from synguard.observe import log as observe_log
from synguard.probe.capabilities import check_rights
from synguard.probe.claim import prune_claims
from synguard.probe.interfaces import default_route_interfaces
from synguard.probe.known import KnownPrograms
from synguard.probe.probe import Groups, Probe, Sizes
from synguard.probe.programs import XDP_PROGRAM


class Placing:
    """The probe's way into the kernel; the end of the ``with`` block is its way out, unless it is to stay."""

    def __init__(self, names: Sequence[str], settings: Settings, log: FilteringBoundLogger) -> None:
        """Claim the interfaces and look for what is pinned. Raises as :class:`Guard` does."""
        self._settings = settings
        self._known = KnownPrograms()
        self.guard = Guard(names, settings.probe.xdp_mode, self._known, log)
        self.keeper = Keeper(settings.probe, self._known, log)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with closing(self._known), closing(self.keeper):
            if self.keeper.leaves:
                self.guard.leave()
            else:
                self.guard.detach()
                self.keeper.forget()

    def load(self, stop: StopRequest) -> Probe | None:
        """Return the probe, or None when asked to stop meanwhile; Ctrl-C ends the compiler, too."""
        try:
            probe = Probe.load(Sizes.of(self._settings), Groups.of(self._settings), self.keeper.load)
        except SynguardError:
            if stop.asked:
                return None
            raise
        if not stop.asked:
            return probe
        probe.close()
        return None

    def attach(self, probe: Probe) -> None:
        """Put the probe onto every interface, pinned before it counts; then away with what it replaces."""
        pinned = self.keeper.store(probe.loaded)
        if pinned is not None:
            self.guard.note(pin_directory=str(pinned.parents[1]))
        self.guard.attach_first(probe)
        self.keeper.settle(self.guard.names(), self.guard.switched_in_s())
        self._known.keep_only(probe.programs[XDP_PROGRAM])


def attach(settings: Settings) -> None:
    """Attach the probe to the configured interfaces and leave it there, pinned, for the daemons to come.

    One that is there already is taken over, or replaced in place. Without any default route nothing is
    attached yet: the daemon waits for one.

    Raises UnsupportedError where the kernel or the user's rights do not allow it, or nothing can be pinned,
    and SynguardError where an interface is guarded already or the probe cannot be attached.
    """
    check_rights()
    observe_log.configure(settings.log.level, settings.log.format)
    prune_claims()
    log = structlog.get_logger()
    settings = settings.with_overrides({"probe.keep_attached": True}, {})
    names = settings.probe.interfaces or tuple(default_route_interfaces())
    if not names:
        consequence = "the probe waits in the kernel, on no interface, for `synguard run`"
        log.warning("route.missing", problem="there is no default route", consequence=consequence)
    with StopRequest() as stop, Placing(names, settings, log) as placing:
        probe = placing.load(stop)
        if probe is None:
            return
        with closing(probe):
            placing.attach(probe)
        if not placing.keeper.leaves:
            raise UnsupportedError(
                f"nothing can be pinned in {settings.probe.pin_directory}, as the log says: the probe would "
                "end with this command; see `synguard doctor`"
            )
