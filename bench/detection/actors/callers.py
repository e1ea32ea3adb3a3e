"""Callers: a child process of real TCP connects, started, watched and ended."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Self

from bench.detection.actors.dialling import Dialled, Dialling
from bench.net.namespaces import wait_until
from bench.talk import Child
from synguard.errors import SynguardError

__all__ = ["Callers", "Dialled", "Dialling"]

#: Longer than patience, for what the last call still asks after it was connected.
_GRACE_S = 10.0


class Callers:
    """Calls as a :class:`Dialling` says, while the ``with`` block lasts; who still waits then is let go."""

    def __init__(self, dialling: Dialling) -> None:
        self._dialling = dialling
        self._child = Child("bench.detection.actors.dialling", dialling, Dialled)
        self._listening = threading.Thread(target=self._listen, name="callers", daemon=True)
        #: As of 50 ms ago.
        self.so_far = Dialled()

    def __enter__(self) -> Self:
        self._child.__enter__()
        self._listening.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._listening.is_alive():
            # Its sockets close, and what waits for an answer is left half open.
            self._child.kill()
        self._listening.join()
        self._child.end()

    def _listen(self) -> None:
        for dialled in self._child.heard():
            self.so_far = dialled

    def wait_for_all(self, timeout_s: float) -> None:
        """Wait until every call that ``most`` allows is begun; raises SynguardError after so long."""
        most = self._dialling.most or 0
        wait_until(lambda: self.so_far.begun + self.so_far.not_begun >= most, f"{most} calls", timeout_s)

    def finish(self) -> Dialled:
        """Begin no more; return what became of the calls once each is over, which takes patience.

        Raises SynguardError when it does not end, or ended by itself.
        """
        self._child.no_more_orders()
        self._listening.join(2 * self._dialling.patience_s + _GRACE_S)
        if self._listening.is_alive() or not self.so_far.over:
            raise SynguardError("the callers did not end as they should")
        return self.so_far
