"""What a flood costs those who are not part of it: the stated loss of the probe's bounded tables; pure.

**Handshakes.** The table has ``HANDSHAKE_BUCKETS`` buckets of ``BUCKET_SLOTS`` slots. An attempt's bucket
is chosen by a keyed hash that nobody outside knows, so whatever addresses and ports a flood chooses, its
attempts come to one bucket as a Poisson process of ``attempts_per_s / HANDSHAKE_BUCKETS``. An attempt that
finds no free slot takes that of a finished handshake, else that of the attempt whose SYN is the oldest.

So an attempt that is waiting for its ACK begins as the youngest of its bucket, and each newer attempt
there makes it one place older. It is the oldest after ``BUCKET_SLOTS - 1`` of them, and the next one takes
its slot. It is lost when at least ``BUCKET_SLOTS`` newer attempts come to its bucket within ``hold_s``,
the time between its SYN and its ACK:

    loss = P(N >= BUCKET_SLOTS), N Poisson with mean attempts_per_s * hold_s / HANDSHAKE_BUCKETS

That is exact where every newer attempt stays unfinished and every slot was taken before, as it is seconds
into a flood. Free slots, and newer attempts that complete or are refused meanwhile, only make it less.
Retransmissions, duplicates and SYNs that a block drops take no slot, and are not among the attempts.
A handshake that is lost counts as never completed: that is what its loss costs.

**Sources.** Who comes once gets no entry among the sources, or ten million of them would push out whoever
matters. The doorkeeper counts a stranger's SYNs for an epoch of ``EPOCH_S``, in one of 2^18 cells. The
first ``ADMITTED_FREELY`` strangers of an epoch on each CPU get an entry at once. Of the others one needs
``KNOCKS`` SYNs within an epoch, and one more for each ``STRANGERS_A_KNOCK`` SYNs that strangers have sent in
it so far on all CPUs. So a source of ``syn_per_s`` that begins with an epoch has its entry by its k-th SYN,
at the latest, for the least k within the epoch for which

    k >= KNOCKS + floor(strangers_per_s * k / syn_per_s / STRANGERS_A_KNOCK)

Strangers of the same cell, one for every eight that raise the threshold, only help. One that begins late in
an epoch may have to begin again in the next. Its SYNs before that count everywhere but at the source: at the
listener, in the totals and at its prefix. A source that is slower than ``known_from_syn_per_s`` stays unknown
beside so many strangers, but for luck at an epoch's beginning.

An entry is forgotten when as many newer ones came since its last SYN as the table has room for. Strangers
make few: the free ones, 240 a second and CPU. So with 8,192 entries on two CPUs a source that comes once in
17 seconds keeps its own.

**The greylist.** Its table has ``GREY_LINES`` lines of ``GREY_CELLS`` cells, chosen by a keyed hash as
a handshake's bucket is. A SYN that it drops takes the cell of the oldest one in its line, so it is forgotten
when ``GREY_CELLS`` newer ones came to its line before it came again, ``hold_s`` later:

    loss = P(N >= GREY_CELLS), N Poisson with mean attempts_per_s * hold_s / GREY_LINES

Who is forgotten is dropped once more, and gets in by the next retransmission but one: that is what it costs.
Only what the greylist looks at counts here, new SYNs of those who are greylisted.
"""

from __future__ import annotations

import math

HANDSHAKE_BUCKETS = 1 << 18
BUCKET_SLOTS = 7

EPOCH_S = (1 << 28) / 1e9
ADMITTED_FREELY = 64
KNOCKS = 4
STRANGERS_A_KNOCK = 1 << 15

GREY_LINES = 184_320
GREY_CELLS = 16

#: The rates for which the losses are told, beside the present one, and the times that handshakes are open.
TOLD_ATTEMPTS_PER_S = (100_000, 1_000_000)
TOLD_HOLD_S = (0.1, 0.2, 1.0)
#: After how long clients send a SYN again for the first time: RFC 6298's second, and what was 3 s before.
TOLD_AGAIN_S = (1.0, 3.0)


def handshake_loss(attempts_per_s: float, hold_s: float) -> float:
    """Return which share (0..1) of open handshakes is overwritten before its ACK comes.

    Args:
        attempts_per_s: new attempts that come to the probe, all listeners together.
        hold_s: from a handshake's SYN to its ACK, a round trip to the client.

    Raises ValueError for what is below 0.

    """
    return _poisson_at_least(BUCKET_SLOTS, _number(attempts_per_s, hold_s) / HANDSHAKE_BUCKETS)


def greylist_loss(attempts_per_s: float, hold_s: float) -> float:
    """Return which share (0..1) of greylisted SYNs is forgotten before they come again.

    Args:
        attempts_per_s: new SYNs that are greylisted, all rules together.
        hold_s: from a SYN to its retransmission, mostly a second.

    Raises ValueError for what is below 0.

    """
    return _poisson_at_least(GREY_CELLS, _number(attempts_per_s, hold_s) / GREY_LINES)


def _number(attempts_per_s: float, hold_s: float) -> float:
    if attempts_per_s < 0 or hold_s < 0:
        raise ValueError(f"neither a rate nor a time is below 0: {attempts_per_s}, {hold_s}")
    return attempts_per_s * hold_s


def syns_before_entry(syn_per_s: float, strangers_per_s: float) -> float:
    """Return how many SYNs of a source are at most not booked to it, before it has an entry.

    It begins with an epoch; infinity for a source that gets none, see ``known_from_syn_per_s``.

    Args:
        syn_per_s: the source's own, above 0.
        strangers_per_s: SYNs of sources without an entry, on all CPUs.

    """
    if strangers_per_s * EPOCH_S <= ADMITTED_FREELY:
        return 0
    knocks = KNOCKS
    while knocks <= syn_per_s * EPOCH_S:
        wanted = KNOCKS + int(strangers_per_s * knocks / syn_per_s / STRANGERS_A_KNOCK)
        if knocks >= wanted:
            return knocks - 1
        knocks = wanted
    return math.inf


def known_from_syn_per_s(strangers_per_s: float) -> float:
    """Return the least rate at which a source surely gets an entry beside so many strangers; 0: any."""
    if strangers_per_s * EPOCH_S <= ADMITTED_FREELY:
        return 0.0
    return KNOCKS / EPOCH_S + strangers_per_s / STRANGERS_A_KNOCK


def _poisson_at_least(count: int, mean: float) -> float:
    """Return the chance of ``count`` or more, exact to 12 digits also where it is far below those."""
    if mean > 50 * count:
        return 1.0
    if mean > count:
        return 1.0 - sum(_poisson(number, mean) for number in range(count))
    # Each term is less than the one before; from twice ``count`` on less than half of it.
    return sum(_poisson(number, mean) for number in range(count, 2 * count + 40))


def _poisson(number: int, mean: float) -> float:
    if mean == 0.0:
        return float(number == 0)
    return math.exp(number * math.log(mean) - mean - math.lgamma(number + 1))
