"""Puts together what responds to alerts, and says how it stands."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from structlog.typing import FilteringBoundLogger

from synguard.block import Block
from synguard.config import Settings
from synguard.daemon.guard import Guard
from synguard.daemon.rows import block_row
from synguard.daemon.shared import Turns
from synguard.endpoint import Listener
from synguard.errors import SynguardError
from synguard.model import RespondMode
from synguard.probe.listener_rules import ListenerRules
from synguard.probe.probe import Probe
from synguard.probe.source_rules import SourceRules
from synguard.probe.spared_networks import SparedNetworks
from synguard.respond import protected
from synguard.respond.blocks import Blocks
from synguard.respond.book import BlockHistory, Book
from synguard.respond.cookie_watch import CookieWatch, Prospect
from synguard.respond.figures import Figures
from synguard.respond.firewall import Way, cookie_loss, cookie_obstacle
from synguard.respond.kernel import Rehearsal
from synguard.respond.ledger import Ledger
from synguard.respond.nft_blocks import TABLE, NftBlocks, remove_table
from synguard.respond.policy import Rules
from synguard.respond.probe_kernel import ProbeKernel
from synguard.respond.reconcile import Reconciler
from synguard.respond.responder import Responder, Senses
from synguard.respond.spared import NeverTouch
from synguard.respond.upkeep import Upkeep

#: Blocks that are told one by one, the newest; `synguard block list` has them all.
MOST_BLOCKS_TOLD = 100


def make_upkeep(
    settings: Settings, probe: Probe, guard: Guard, history: BlockHistory, log: FilteringBoundLogger
) -> Upkeep:
    """Return everything that responds, with nothing in force yet.

    Raises UnsupportedError where blocks are to be enforced by what is not there.
    """
    respond, figures, ledger = settings.respond, Figures(), Ledger(history)
    nftables = _nftables(settings, guard, log)
    kernel = ProbeKernel(SourceRules(probe), ListenerRules(probe), nftables)
    blocks = Blocks(kernel, respond.max_blocks, figures=figures)
    book = Book(RespondMode.ENFORCE, blocks, ledger, history, log)
    rehearsed = Blocks(Rehearsal(), respond.max_blocks, figures=figures)
    responder = Responder(
        _rules(settings),
        book,
        Book(RespondMode.DRY_RUN, rehearsed, ledger, history, log),
        NeverTouch(_gather(settings), SparedNetworks(probe), log),
        CookieWatch(book, figures, partial(_scout, figures, guard), log),
        Senses(guard.cannot_drop),
        log,
    )
    reconciler = Reconciler(blocks, log, restores=_restores(settings))
    return Upkeep(responder, reconciler, figures, ledger, history, log)


def _nftables(settings: Settings, guard: Guard, log: FilteringBoundLogger) -> NftBlocks | None:
    """Return what drops instead of the probe, if it does; else a table that a killed daemon left goes."""
    if settings.respond.backend == "nftables":
        return NftBlocks(guard.names())
    try:
        if remove_table():
            log.info("nftables.table_removed", table=f"inet {TABLE}", because='respond.backend is "xdp" now')
    except SynguardError as error:
        log.warning("nftables.not_asked", error=str(error), consequence="blocks left there end in their time")
    return None


async def adjust_responses(upkeep: Upkeep, settings: Settings) -> None:
    """Respond by these settings from now on, but for the mode; what they spare now is let go."""
    responder = upkeep.responder
    responder.rules = replace(_rules(settings), mode=responder.rules.mode)
    responder.never_touch.gather_by(_gather(settings))
    upkeep.reconciler.restores = _restores(settings)
    await responder.spare_protected()


def _restores(settings: Settings) -> bool:
    return settings.respond.when_flushed == "restore"


def _rules(settings: Settings) -> Rules:
    respond = settings.respond
    return Rules(
        respond.mode,
        respond.drop,
        respond.block_ttl_s,
        respond.max_blocks,
        respond.block_ttl_max_s,
        respond.max_actions_per_min,
        respond.source_response,
        respond.listener_response,
    )


def _gather(settings: Settings) -> partial[Any]:
    respond = settings.respond
    return partial(
        protected.gather, respond.allow_networks, respond.trusted_aggregator_networks, respond.ssh_ports
    )


def _scout(figures: Figures, guard: Guard, listeners: Sequence[Listener]) -> dict[Listener, Prospect]:
    """Return what stands before listeners, one after the other."""
    ways = [Way(one["name"], one["ingress"], one["egress"]) for one in guard.describe()]
    found = {}
    for listener in listeners:
        answer = figures.answer(listener)
        found[listener] = Prospect(cookie_obstacle(listener, answer, ways), cookie_loss(answer))
    return found


def block_rows(blocks: Blocks, held: Iterable[Block]) -> Iterator[dict[str, Any]]:
    """Yield blocks as the control socket tells them."""
    for block in held:
        target = block.target
        yield block_row(block, suspended=blocks.is_suspended(target), missing=blocks.is_missing(target))


async def newest_rows(blocks: Blocks, turns: Turns, most: int | None = None) -> list[dict[str, Any]]:
    """Return the newest blocks with their hits."""
    held = (blocks.with_hits(block) for block in blocks.made()[:most])
    return [row async for row in turns.of(block_rows(blocks, held))]


async def describe(upkeep: Upkeep, turns: Turns) -> dict[str, Any]:
    """Return what ``status`` tells of responses."""
    responder, mended = upkeep.responder, upkeep.reconciler.mended
    blocks = responder.book.blocks
    made = blocks.made()
    active = responder.active()
    return {
        "mode": str(responder.rules.mode),
        "blocks": len(blocks),
        "by_response": blocks.by_response(),
        "spared_networks": len(responder.never_touch),
        "spared_unknown": responder.never_touch.problem,
        "suspended": sum(blocks.is_suspended(block.target) for block in made),
        "missing": sum(blocks.is_missing(block.target) for block in made),
        "mended": mended.restored + mended.unknown_ended,
        "restored": mended.restored,
        "noticed": mended.noticed,
        "unknown_ended": mended.unknown_ended,
        "actions": responder.actions,
        "actions_last_min": active.pacing.last_min(time.time()) if active is not None else 0,
        "refused": responder.refusals,
        "cookies": responder.cookies.describe(),
        "in_force": await newest_rows(blocks, turns, MOST_BLOCKS_TOLD),
    }
