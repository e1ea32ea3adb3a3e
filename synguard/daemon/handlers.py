"""Answers the control socket's commands."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from synguard.config import Settings
from synguard.daemon.asking import Asking
from synguard.daemon.control import Handler, argument
from synguard.daemon.permitting import Peer
from synguard.daemon.responding import block_rows
from synguard.daemon.rows import block_row
from synguard.daemon.shared import Shared, Turns
from synguard.daemon.status import Status
from synguard.daemon.watch import Watch
from synguard.endpoint import Listener, parse_target, target_text
from synguard.errors import UsageError
from synguard.history.filter import AlertFilter
from synguard.history.query import find_alerts, get_alert
from synguard.history.reading import DamagedHistoryError
from synguard.history.records import alert_to_json, time_to_json
from synguard.history.store import HistoryStore
from synguard.model import Alert, RespondMode
from synguard.observe.log import Writer
from synguard.respond.by_hand import ByHand
from synguard.respond.upkeep import Upkeep
from synguard.silence import Silence

#: A block or a silence by hand lasts at most 30 days: none is without end.
MOST_DAYS = 30
#: Telling the status takes one part in so many of a CPU at most, however many ask.
STATUS_TIMES_ITS_COST = 20.0
#: Every alert that is silenced carries it.
MOST_REASON_CHARACTERS = 500

Arguments = Mapping[str, Any]
_Asked = TypeVar("_Asked")
_Found = TypeVar("_Found")


class Handlers:
    """One method for each command of the control socket."""

    def __init__(
        self,
        settings: Settings,
        watch: Watch,
        upkeep: Upkeep,
        history: HistoryStore,
        log_lines: Writer,
        status: Status,
    ) -> None:
        self._settings = settings
        self._watch = watch
        self._upkeep = upkeep
        self._by_hand = ByHand(upkeep.responder)
        self._history = history
        self._log_lines = log_lines
        self._described = status
        self._status = Shared(self._whole, times_its_cost=STATUS_TIMES_ITS_COST)

    def by_command(self) -> dict[str, Handler]:
        """Return each command's handler."""
        return {
            "status": self.status,
            "alerts": self.alerts,
            "alert": self.alert,
            "block_list": self.block_list,
            "block_add": self.block_add,
            "block_remove": self.block_remove,
            "block_clear": self.block_clear,
            "silence_list": self.silence_list,
            "silence_add": self.silence_add,
            "silence_remove": self.silence_remove,
            "respond": self.respond,
            **Asking(self._settings.history.database_path).by_command(),
        }

    async def status(self, arguments: Arguments, peer: Peer) -> msgspec.Raw:  # noqa: ARG002
        """Return the whole status."""
        return await self._status.get()

    async def _whole(self, turns: Turns) -> msgspec.Raw:
        status = await self._described.describe(turns)
        status["losses"]["log_lines"] = self._log_lines.lost_lines
        return msgspec.Raw(msgspec.json.encode(status))

    async def alerts(self, arguments: Arguments, peer: Peer) -> list[dict[str, Any]]:  # noqa: ARG002
        """Return the alerts that ``filter`` lets through."""
        alert_filter = AlertFilter.from_json(argument(arguments, "filter", dict, {}))
        found = await self._ask(find_alerts, alert_filter)
        return [alert_to_json(alert) for alert in found]

    async def alert(self, arguments: Arguments, peer: Peer) -> dict[str, Any] | None:  # noqa: ARG002
        """Return one alert, or None."""
        found = await self._ask(get_alert, argument(arguments, "id", int))
        return alert_to_json(found) if found else None

    async def _ask(
        self, question: Callable[[Path, _Asked, tuple[Alert, ...]], _Found], about: _Asked
    ) -> _Found:
        try:
            return await asyncio.to_thread(
                question, self._settings.history.database_path, about, self._history.unsaved()
            )
        except DamagedHistoryError:
            self._history.check_again()
            raise

    async def block_list(self, arguments: Arguments, peer: Peer) -> list[dict[str, Any]]:  # noqa: ARG002
        """Return the blocks, the newest first."""
        blocks = self._upkeep.responder.book.blocks
        held = await blocks.held()
        return [row async for row in Turns().of(block_rows(blocks, held))]

    async def block_add(self, arguments: Arguments, peer: Peer) -> dict[str, Any]:
        """Block a target by hand, or many at once: all of them, or none."""
        many = argument(arguments, "targets", list[str], [])
        targets = many or [argument(arguments, "target", str)]
        ttl_s = _lasting("a block", argument(arguments, "ttl_s", float))
        reason = argument(arguments, "reason", str, "") or f"by hand (uid {peer.uid})"
        blocks = await self._by_hand.block(targets, ttl_s, reason, time.time())
        if many:
            return {"added": len(blocks), "until": time_to_json(blocks[0].until_s)}
        return block_row(blocks[0])

    async def block_remove(self, arguments: Arguments, peer: Peer) -> dict[str, Any]:
        """End one block."""
        target = parse_target(argument(arguments, "target", str))
        return {"removed": int(await self._by_hand.unblock(target, f"by hand (uid {peer.uid})"))}

    async def block_clear(self, arguments: Arguments, peer: Peer) -> dict[str, Any]:  # noqa: ARG002
        """End every block."""
        return {"removed": await self._by_hand.clear(f"by hand (uid {peer.uid})")}

    def silence_list(self, arguments: Arguments, peer: Peer) -> list[dict[str, Any]]:  # noqa: ARG002
        """Return the silences in force."""
        return [_silence_to_json(silence) for silence in self._watch.cases.silences.held(time.time())]

    def silence_add(self, arguments: Arguments, peer: Peer) -> dict[str, Any]:
        """Silence a target for a time; alerts about it that are open already fall silent at once."""
        target = parse_target(argument(arguments, "target", str))
        lasts_s = _lasting("a silence", argument(arguments, "for_s", float))
        reason = argument(arguments, "reason", str, "")
        if len(reason) > MOST_REASON_CHARACTERS:
            raise UsageError(f"a reason has at most {MOST_REASON_CHARACTERS} characters, not {len(reason)}")
        now_s = time.time()
        silence = Silence(target, now_s + lasts_s, reason, f"uid {peer.uid}", now_s)
        self._watch.cases.silences.add(silence)
        self._watch.cases.review()
        return _silence_to_json(silence)

    def silence_remove(self, arguments: Arguments, peer: Peer) -> dict[str, Any]:
        """End one silence; alerts about it that are still open are announced and answered now."""
        target = parse_target(argument(arguments, "target", str))
        removed = self._watch.cases.silences.remove(target, f"by hand (uid {peer.uid})")
        self._watch.cases.review()
        return {"removed": int(removed)}

    async def respond(self, arguments: Arguments, peer: Peer) -> dict[str, Any]:  # noqa: ARG002
        """Change the mode at run time."""
        text = argument(arguments, "mode", str)
        try:
            mode = RespondMode(text)
        except ValueError as error:
            raise UsageError(f"{text!r} is no mode: off, dry-run or enforce") from error
        try:
            changed = await self._upkeep.set_mode(mode)
        finally:
            self._watch.cases.mode_changed()
        return {
            "mode": str(mode),
            "was": str(changed.was),
            "ended": changed.ended,
            "suspended": changed.suspended,
            "resumed": changed.resumed,
        }


def _lasting(what: str, seconds: float) -> float:
    if not 1 <= seconds <= MOST_DAYS * 86400:
        raise UsageError(f"{what} lasts from 1 s to {MOST_DAYS} days, not {seconds:g} s")
    return seconds


def _silence_to_json(silence: Silence) -> dict[str, Any]:
    return {
        "target": target_text(silence.target),
        "of": "listener" if isinstance(silence.target, Listener) else "source",
        "until": time_to_json(silence.until_s),
        "reason": silence.reason,
        "asked_by": silence.asked_by,
        "created_at": time_to_json(silence.created_at_s),
    }
