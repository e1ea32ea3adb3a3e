"""What goes to the disk beside the alerts, as far as it waits: seconds, responses, the daemon's run."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from itertools import islice

from synguard.history.responses import TakenResponse
from synguard.history.runs import Run
from synguard.history.series import Second

#: A disk that hangs for longer costs the oldest of them.
MAX_SECONDS = 600
#: As many as there may be blocks, which may all come at once; the blocks themselves wait elsewhere.
MAX_RESPONSES = 20_000
#: Seconds in one transaction: with 64 listeners each, an opening that comes meanwhile waits some 20 ms.
SECONDS_AT_ONCE = 30
RESPONSES_AT_ONCE = 250


@dataclass(frozen=True, slots=True)
class Page:
    """What of it to write next."""

    seconds: tuple[Second, ...] = ()
    responses: tuple[TakenResponse, ...] = ()
    run: Run | None = None

    @property
    def is_empty(self) -> bool:
        """Tell whether there is nothing to write."""
        return not (self.seconds or self.responses or self.run)


NO_PAGE = Page()


class Chronicle:
    """The queue of it. No locks, no clock: its owner brings both."""

    def __init__(self) -> None:
        #: Seconds and responses that never reached the disk because too many waited.
        self.seconds_lost = 0
        self.responses_lost = 0
        self._seconds: deque[Second] = deque()
        self._responses: dict[tuple[str, str, str, int], TakenResponse] = {}
        #: Responses in force, which a fresh database is to hear of again.
        self._in_force: dict[tuple[str, str, str, int], TakenResponse] = {}
        self._run: Run | None = None
        self._run_waits = False

    def __len__(self) -> int:
        """Return how many seconds and responses wait, and the run."""
        return len(self._seconds) + len(self._responses) + self._run_waits

    def put_second(self, second: Second, wall_s: float) -> None:
        """Take a second in; it shows that the run goes on."""
        if len(self._seconds) >= MAX_SECONDS:
            self._seconds.popleft()
            self.seconds_lost += 1
        self._seconds.append(second)
        self.run_goes_on(wall_s)

    def put_run(self, run: Run) -> None:
        """Take in how the daemon's run stands."""
        self._run = run
        self._run_waits = True

    @property
    def run_began_s(self) -> float | None:
        """Return when the run began, if one did."""
        return None if self._run is None else self._run.started_at_s

    def run_goes_on(self, wall_s: float) -> None:
        """Take in that it goes on."""
        if self._run is not None:
            self.put_run(replace(self._run, last_seen_s=max(wall_s, self._run.last_seen_s)))

    def end_run(self, wall_s: float, because: str) -> None:
        """Take in that it has ended."""
        if self._run is not None:
            ended_s = max(wall_s, self._run.started_at_s)
            self.put_run(replace(self._run, last_seen_s=ended_s, ended_at_s=ended_s, ended_because=because))

    def put_response(self, taken: TakenResponse) -> None:
        """Take in a response, over an older word on it."""
        key = taken.key
        if taken.ended_at_s is None:
            self._in_force[key] = taken
        else:
            self._in_force.pop(key, None)
        if key not in self._responses and len(self._responses) >= MAX_RESPONSES:
            self.responses_lost += 1
            return
        self._responses[key] = taken

    def due(self) -> Page:
        """Return what is to be written next; it stays here until it is :meth:`written`."""
        return Page(
            tuple(islice(self._seconds, SECONDS_AT_ONCE)),
            tuple(islice(self._responses.values(), RESPONSES_AT_ONCE)),
            self._run if self._run_waits else None,
        )

    def written(self, page: Page) -> None:
        """Forget what is on disk now; newer words that came in meanwhile stay."""
        # Those that were lost meanwhile for want of room are the oldest, too.
        for second in page.seconds:
            if self._seconds and self._seconds[0] is second:
                self._seconds.popleft()
        for taken in page.responses:
            if self._responses.get(taken.key) is taken:
                del self._responses[taken.key]
        if self._run is page.run:
            self._run_waits = False

    def rewrite(self) -> None:
        """Ask for everything that is still true again, because the database is a fresh one."""
        self._responses = {**self._in_force, **self._responses}
        self._run_waits = self._run is not None
