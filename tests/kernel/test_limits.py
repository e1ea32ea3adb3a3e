"""What the probe costs, and that nothing is lost when CPUs meet."""

from __future__ import annotations

import threading

import pytest

from synguard.model import HandshakeCounts
from synguard.probe import layout, response_layout
from synguard.probe.syscall import PER_CPU_MAP_TYPES, possible_cpus, program_info
from synguard.probe.syscall import test_run as run_program
from tests.kernel.cpus import on_two_cpus
from tests.kernel.series import wipe
from tests.kernel.wire import Wire

pytestmark = [pytest.mark.root, pytest.mark.kernel]

MIB = 1 << 20
REPEATS = 100_000


def per_cpu_bytes(wire: Wire) -> int:
    """Return what the per-CPU maps hold for one CPU."""
    infos = [bpf_map.info for bpf_map in wire.probe.maps.values() if bpf_map.info.type in PER_CPU_MAP_TYPES]
    return sum(-(-info.value_size // 8) * 8 * info.max_entries for info in infos)


def test_all_maps_fit_into_64_mib_at_two_cpus(ipv4_wire: Wire) -> None:
    """Kernel memory is bounded: 64 MiB at two CPUs, and under 4 MiB for each further one."""
    further_cpus = possible_cpus() - 2
    assert per_cpu_bytes(ipv4_wire) < 4 * MIB
    assert ipv4_wire.probe.memlock_bytes() <= 64 * MIB + further_cpus * 4 * MIB


def test_two_cpus_at_one_slot_lose_no_count(xdp_wire: Wire) -> None:
    """One source, one listener, one handshake slot, two CPUs: each SYN is counted, once."""
    wire = xdp_wire
    connection = wire.connection()
    frame = connection.frame(connection.segment("S"))
    fd = wire.probe.programs["synguard_xdp"]

    def flood(_: int) -> None:
        run_program(fd, frame, repeat=REPEATS)

    with wire.counted() as moved:
        on_two_cpus(flood)
    attempts = 2 * REPEATS - 1
    assert moved() == {"attempts": attempts, "syn_duplicates": 1}
    expected = HandshakeCounts(attempts=attempts, syn_duplicates=1)
    source = wire.known_source(connection.client)
    assert source.counts == expected
    assert [cohort.attempts for cohort in source.cohorts] == [attempts]
    listener = wire.known_listener(connection.closed_bucket)
    assert listener.counts == expected
    assert [cohort.attempts for cohort in listener.cohorts] == [attempts]


def test_two_cpus_with_handshakes_of_their_own_lose_none(xdp_wire: Wire) -> None:
    """Each CPU does whole handshakes of one source at one listener; all of them complete."""
    wire = xdp_wire
    client = wire.client()
    number = 200
    connections = [[wire.connection(client=client) for _ in range(number)] for _ in range(2)]

    def handshakes(index: int) -> None:
        for connection in connections[index]:
            wire.handshake(connection)

    with wire.counted() as moved:
        on_two_cpus(handshakes)
    both = 2 * number
    assert moved() == {"attempts": both, "answered": both, "completed": both}
    assert wire.known_source(client).counts == HandshakeCounts(both, answered=both, completed=both)
    assert wire.known_listener(connections[0][0].listener).counts.completed == both


def test_a_handshake_may_move_between_cpus(xdp_wire: Wire) -> None:
    """The SYN comes on one CPU and its ACK on the other: their slices add up."""
    wire = xdp_wire
    wire.handshake(wire.connection())
    wire.wait(10_000)
    connections = [wire.connection() for _ in range(23)]
    for connection in connections:
        wire.syn(connection)
        wire.synack(connection)
    turn = threading.Barrier(2)

    def acknowledge(index: int) -> None:
        for connection in connections:
            turn.wait(10)
            if index == hash(connection.client_port) % 2:
                wire.ack(connection)

    on_two_cpus(acknowledge)
    (cohort,) = wire.known_listener(connections[0].listener).cohorts
    assert (cohort.attempts, cohort.completed) == (23, 23)


def test_an_evicted_closed_bucket_leaves_nothing_behind(xdp_wire: Wire) -> None:
    """Another address's bucket starts at zero on every CPU, though it takes a used entry."""
    wire = xdp_wire

    def fill(index: int) -> None:
        for number in range(400):
            server = wire.server + (index * 1000 + number)
            wire.syn(wire.connection(server=server))

    on_two_cpus(fill)
    fresh = wire.connection(server=wire.server + 5000)
    wire.syn(fresh)
    assert wire.known_listener(fresh.closed_bucket).counts == HandshakeCounts(attempts=1)


def test_full_listeners_are_a_loss_that_is_counted(xdp_wire: Wire) -> None:
    """Beyond 512 listeners the loss is said, and unfinished handshakes show at the address."""
    wire = xdp_wire
    connections = [wire.connection(server_port=1 + port) for port in range(520)]
    with wire.counted() as moved:
        for connection in connections:
            wire.handshake(connection)
    counted = moved()
    assert counted["listeners_full"] == 8
    assert (counted["attempts"], counted["answered"], counted["completed"]) == (520, 520, 520)
    unfinished = [wire.connection(server_port=600) for _ in range(23)]
    for connection in unfinished:
        wire.syn(connection)
        wire.synack(connection)
    cohorts = wire.known_listener(unfinished[0].closed_bucket).cohorts
    assert sum(cohort.attempts - cohort.completed for cohort in cohorts) == 23


def test_full_handshake_buckets_are_a_loss_that_is_counted(xdp_wire: Wire) -> None:
    """An eighth young attempt in a bucket of seven costs the oldest, and is counted."""
    wipe(xdp_wire.probe)
    connection = xdp_wire.connection()
    with xdp_wire.counted() as moved:
        for number in range(8):
            xdp_wire.segment(connection, "S", seq=connection.isn + number * 100_000)
            xdp_wire.wait(1)
    assert moved() == {"attempts": 8, "handshakes_overwritten": 1}


def test_finished_handshakes_make_room_first(xdp_wire: Wire) -> None:
    """A waiting handshake outlives any number of finished ones in its bucket."""
    waiting = xdp_wire.connection()
    xdp_wire.syn(waiting)
    xdp_wire.synack(waiting)
    with xdp_wire.counted() as moved:
        for number in range(1, 23):
            isn = (waiting.isn + number * 100_000) % 2**32
            other = xdp_wire.connection(client=waiting.client, client_port=waiting.client_port, isn=isn)
            xdp_wire.handshake(other)
            xdp_wire.wait(10)
        xdp_wire.ack(waiting)
    assert moved() == {"attempts": 22, "answered": 22, "completed": 23}


def test_the_verifier_has_room_left(ipv4_wire: Wire) -> None:
    """Each program is verified with well under the million instructions that a kernel may walk."""
    for name, fd in ipv4_wire.probe.programs.items():
        assert 0 < program_info(fd).verified_instructions < 600_000, name


def test_the_layout_knows_every_map_value(ipv4_wire: Wire) -> None:
    """Records are as long in the loaded maps as the decoder believes."""
    sizes = {name: bpf_map.info.value_size for name, bpf_map in ipv4_wire.probe.maps.items()}
    assert sizes["sources"] == layout.SOURCE_BYTES
    assert sizes["listeners"] == sizes["closed_buckets"] == layout.LISTENER_BYTES
    assert sizes["totals"] == layout.TOTALS.size
    assert sizes["blocks"] == response_layout.BLOCK.size
    assert sizes["settings"] == layout.SETTINGS.size
