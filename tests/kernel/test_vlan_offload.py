"""VLAN tags that the network card has put into the packet's metadata, in both directions."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from synguard.probe.compiler import LoadedObject, ProgramType, load_object
from synguard.probe.programs import TC_EGRESS_PROGRAM, TC_INGRESS_PROGRAM
from synguard.probe.syscall import test_run as run_program
from tests.kernel.wire import ONLY_KEY, MakeWire, Wire

pytestmark = [pytest.mark.root, pytest.mark.kernel]

PASSED = 0xFFFFFFFF  # TC_ACT_UNSPEC
OFFLOAD = struct.Struct("=II")
SERVICE_TCI = 9


class OffloadingCard:
    """Hands frames to the probe's tc programs as a driver does whose card takes VLAN tags off."""

    def __init__(self, loaded: LoadedObject, wire: Wire) -> None:
        self._loaded = loaded
        self._wire = wire

    def hand(self, program: str, frame: bytes, tags: int) -> None:
        """Run a tc program on a frame that has so many tags, the outermost of them in its metadata."""
        offloads = self._loaded.maps["offloads"]
        offloads.update(ONLY_KEY, OFFLOAD.pack(tags, 0))
        target = struct.pack("=I", self._wire.probe.programs[program])
        self._loaded.maps["target"].update(ONLY_KEY, target)
        answer = run_program(self._loaded.programs["offload_tags"], frame)
        assert answer.return_value == PASSED
        _, tci = OFFLOAD.unpack(offloads.lookup(ONLY_KEY) or b"")
        assert tci & 0xFFF == (SERVICE_TCI if tags else 0), "the metadata has the tag"
        assert len(answer.data) == len(frame) + 4 * max(tags - 1, 0), "the frame has the others"


@pytest.fixture(scope="module")
def offload() -> Iterator[LoadedObject]:
    """Yield the program that puts tags into the metadata."""
    loaded = load_object(Path(__file__).parent / "offload.c", {"offload_tags": ProgramType.SCHED_CLS})
    yield loaded
    loaded.close()


@pytest.mark.parametrize("tags", [0, 1, 2])
def test_handshakes_whose_tags_are_in_the_metadata_are_counted(
    make_wire: MakeWire, version: int, offload: LoadedObject, tags: int
) -> None:
    """No tag, one that the card took, and QinQ of which the card took the outer one: 23 handshakes each."""
    wire = make_wire(TC_INGRESS_PROGRAM, version)
    card = OffloadingCard(offload, wire)
    with wire.counted() as moved:
        for _ in range(23):
            connection = wire.connection()
            for flags, outgoing in (("S", False), ("SA", True), ("A", False)):
                segment = connection.segment(flags, outgoing=outgoing)
                frame = connection.frame(segment, outgoing=outgoing)
                card.hand(TC_EGRESS_PROGRAM if outgoing else TC_INGRESS_PROGRAM, frame, tags)
    assert moved() == {"attempts": 23, "answered": 23, "completed": 23}
