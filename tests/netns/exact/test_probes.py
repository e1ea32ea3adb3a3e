"""Segments that belong to no handshake: what scanners send, and what a kernel answers."""

from __future__ import annotations

import pytest

from .peer import Peer
from .stage import Stage

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.kernel]

TIMES = 3
COUNTED_AS = {
    "F": "fin_probes",
    "": "null_probes",
    "FPU": "xmas_probes",
    "SF": "nonsense_flags",
    "SR": "nonsense_flags",
    "SFR": "nonsense_flags",
    "FR": "nonsense_flags",
    "PU": "nonsense_flags",
}


@pytest.mark.parametrize("syncookies", [1], ids=["cookies1"])
@pytest.mark.parametrize("flags", COUNTED_AS)
@pytest.mark.parametrize("is_open", [True, False], ids=["open", "closed"])
def test_a_scanners_segments_are_counted_by_kind(stage: Stage, flags: str, is_open: bool) -> None:
    """They are no attempts, whatever the port, and the RST of a kernel that answers one refuses nothing."""
    listener, where = stage.listen()
    if not is_open:
        listener.close()
    peer = Peer(stage)
    for _ in range(TIMES):
        peer.call(where).send(flags)
    stage.expect({COUNTED_AS[flags]: TIMES})
    assert (
        stage.at_listener(where)
        == stage.at_listener((stage.server, 0))
        == stage.at_source(peer.address)
        == {}
    )


@pytest.mark.parametrize("flags", ["A", "FA", "PA", "SA", "R", "RA"])
def test_a_segment_of_no_handshake_counts_nothing(stage: Stage, flags: str) -> None:
    """ACK scans and backscatter are plain traffic; what a kernel answers is too."""
    _, where = stage.listen()
    peer = Peer(stage)
    for _ in range(TIMES):
        peer.call(where).send(flags)
    stage.expect({})


def test_probes_of_a_pending_handshake_leave_it_alone(stage: Stage) -> None:
    """Whatever else comes on its four-tuple, the right ACK completes it."""
    _, where = stage.listen()
    call = Peer(stage).call(where)
    call.open_halfway()
    for flags in COUNTED_AS:
        # Far outside the window, for the kernel would take some of them for a RST.
        call.send(flags, seq=1 << 30)
    call.send("A")
    stage.expect(
        {
            "attempts": 1,
            "answered": 1,
            "completed": 1,
            "fin_probes": 1,
            "null_probes": 1,
            "xmas_probes": 1,
            "nonsense_flags": 5,
        }
    )
    assert stage.kernel("TcpPassiveOpens") == 1
