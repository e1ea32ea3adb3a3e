"""What the log says of very many responses at once."""

from __future__ import annotations

import asyncio

import pytest

from synguard.endpoint import Listener
from synguard.model import RespondMode
from tests.unit.respond.scene import Scene, spoofed

LISTENERS = [Listener.parse(f"203.0.113.5:{port}") for port in range(8000, 8030)]


@pytest.mark.parametrize(
    ("mode", "event"),
    [(RespondMode.ENFORCE, "listener.cookies_begun"), (RespondMode.DRY_RUN, "listener.spared")],
)
def test_many_listeners_are_told_by_their_number_and_as_what_they_are(mode: RespondMode, event: str) -> None:
    """Thirty listeners that are answered are no blocked sources, least of all where nothing was done."""
    scene = Scene(mode, max_blocks=100)
    scene.consider(spoofed(1, *LISTENERS))
    assert [entry["blocks"] for entry in scene.logged(event)] == [len(LISTENERS)]
    assert scene.logged("source.blocked") == []


def test_the_end_of_many_is_told_by_their_number_and_kind() -> None:
    """Listeners that are answered no more are no unblocked sources."""
    scene = Scene(max_blocks=100)
    scene.consider(spoofed(1, *LISTENERS))
    asyncio.run(scene.upkeep.responder.closed(1))
    assert [entry["blocks"] for entry in scene.logged("listener.cookies_ended")] == [len(LISTENERS)]
    assert scene.logged("source.unblocked") == []
