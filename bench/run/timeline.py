"""Keeps a time line of a flood: rates over each tenth of a second."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Self

from bench.peers.messages import Connection

STEP_S = 0.1

Reading = Mapping[str, float | None]


class Sampler:
    """Reads growing counts ten times a second in a thread of its own, while the ``with`` block lasts.

    What reading raises is raised when the block ends: a line cut short would look like a flood that ended.
    """

    def __init__(self, read: Callable[[], Reading]) -> None:
        self._read = read
        self._samples: list[tuple[int, Reading]] = []
        self._error: Exception | None = None
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="timeline", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ending.set()
        self._thread.join()
        if self._error is not None and error is None:
            raise self._error

    def _run(self) -> None:
        try:
            self._sample()
        except Exception as error:  # noqa: BLE001 - raised again where the block ends
            self._error = error

    def _sample(self) -> None:
        while True:
            self._samples.append((time.monotonic_ns(), self._read()))
            if self._ending.wait(STEP_S):
                return

    def columns(self, began_ns: int, connections: Iterable[Connection]) -> dict[str, list[float | None]]:
        """Return rates by column; ``at_s`` counts from ``began_ns`` to the end of each step."""
        connections = list(connections)
        columns: dict[str, list[float | None]] = {}
        for (before_ns, before), (at_ns, after) in zip(self._samples, self._samples[1:], strict=False):
            row: dict[str, float | None] = {"at_s": (at_ns - began_ns) / 1e9}
            span_s = (at_ns - before_ns) / 1e9
            row |= {f"{name}_per_s": _rate(before[name], after[name], span_s) for name in after}
            row |= _good(connections, before_ns, at_ns)
            for name, value in row.items():
                columns.setdefault(name, []).append(None if value is None else round(value, 3))
        return columns


def _rate(before: float | None, after: float | None, span_s: float) -> float | None:
    return None if before is None or after is None else (after - before) / span_s


def _good(connections: Sequence[Connection], from_ns: int, to_ns: int) -> dict[str, float | None]:
    begun = [one for one in connections if from_ns <= one.start_ns < to_ns]
    span_s = (to_ns - from_ns) / 1e9
    succeeded = sum(one.succeeded for one in begun)
    return {
        "good_succeeded_per_s": succeeded / span_s,
        "good_failed_per_s": (len(begun) - succeeded) / span_s,
    }
