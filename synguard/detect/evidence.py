"""What speaks for spoofed sources in the SYNs that a listener gets, each sign with its weight.

From a sum of a half on the sources of a flood cannot be believed, and it is called spoofed:

=====================  ======  ===================================================================
name                   weight  found when
=====================  ======  ===================================================================
bogon_share              0.50  surely more than 2 % of the SYNs claim sources that no router carries;
                               of addresses drawn at random about 13 % do
live_client              0.50  the one source of most of the flood completes handshakes meanwhile: somebody
                               lives there, whose address anybody may write into a SYN
live_address             0.00  that address
syns_per_source          0.40  fewer than two half-open attempts per distinct source in 1.5 s
sources_once             0.25  most sources came once in a second or two, and they are as many as half of
                               the half-open attempts: those who come again are the clients beside them
silent_sources           0.25  of sources beyond the usual number, over half complete nothing
ttl_unlike               0.25  half of the SYNs have TTLs with which hardly a handshake completes here
bare_syn_share           0.20  half of the SYNs carry no TCP option
pattern_share            0.20  half of the SYNs repeat the sequence number or port of the one before, or
                               have their target's address for a sequence number
rst_share                0.15  1 % of the SYN-ACKs are answered with RST: live hosts that asked nothing
=====================  ======  ===================================================================

Some of them are found before an attempt is a second old, and tell a flood from a crowd that is merely far
away (:func:`is_sign`): bogons, SYNs without options where clients send none, and patterns. The TTL is no
such sign: a crowd from afar has other TTLs than the neighbours whose handshakes were seen so far. Nor is
a full SYN queue, which that crowd fills just as well, unless more came than :data:`OVERWHELMING`.
"""

from __future__ import annotations

from collections.abc import Iterator

from synguard.detect.listener_memory import Lately, ListenerMemory
from synguard.detect.statistics import surely_above
from synguard.detect.windows import Window
from synguard.endpoint import Network, source_text
from synguard.model import Evidence

#: From this belief on the sources of a flood are called spoofed.
SPOOFED_BELIEF = 0.5
#: From this share (0..1) of attempts without TCP options on, clients' stacks did not send them.
BARE_SHARE = 0.5
BOGON_SHARE = 0.02
PATTERN_SHARE = 0.5
RST_SHARE = 0.01
ONCE_SHARE = 0.6
UNLIKE_SHARE = 0.5
#: A TTL of less than this share (0..1) of the completed handshakes is not one that clients have here.
RARE_TTL = 0.02
#: So many handshakes must have completed before their TTLs are held against others.
ENOUGH_TTLS = 50
#: So many attempts that nobody completes, at such a rate and ten times as fast as ever, are no crowd.
OVERWHELMING = 6000
OVERWHELMING_PER_S = 20_000.0
TIMES_THE_HIGHEST = 10.0


def live_client(source: Network, completed: int) -> tuple[Evidence, Evidence]:
    """Return the evidence that the one source of a flood is somebody's, who completed so many handshakes."""
    who = Evidence("live_address", source_text(source), 0.0)
    return Evidence("live_client", max(1, completed), 0.50), who


def spoofing(memory: ListenerMemory, window: Window, recent: Lately) -> tuple[Evidence, ...]:
    """Return what speaks for spoofed sources in the attempts of ``window``, over which ``recent`` counts."""
    found = [*_of_sources(memory, window), *_of_marks(recent)]
    unlike = ttl_unlike(memory, recent)
    if unlike >= UNLIKE_SHARE:
        found.append(Evidence("ttl_unlike", round(unlike, 3), 0.25))
    counts = recent.counts
    if counts.answered and counts.aborted >= RST_SHARE * counts.answered:
        found.append(Evidence("rst_share", round(counts.aborted / counts.answered, 3), 0.15))
    return tuple(sorted(found, key=lambda item: (-item.weight, item.name)))


def _of_sources(memory: ListenerMemory, window: Window) -> Iterator[Evidence]:
    sources_estimated = memory.reading.sources_estimated
    if not sources_estimated:
        return
    syns_per_source = window.half_open / sources_estimated
    if syns_per_source < 2.0:
        yield Evidence("syns_per_source", round(syns_per_source, 2), 0.40)
    once_share = memory.reading.sources_once_share or 0.0
    if once_share >= ONCE_SHARE and once_share * sources_estimated >= window.half_open / 2:
        yield Evidence("sources_once", round(once_share, 3), 0.25)
    new_sources = sources_estimated - memory.usual.sources
    completed = window.attempts - window.half_open - memory.usual.completed_per_s * window.length_s
    if new_sources > 2 * max(0.0, completed) and new_sources >= 1.0:
        yield Evidence("silent_sources", round(new_sources - max(0.0, completed)), 0.25)


def _of_marks(recent: Lately) -> Iterator[Evidence]:
    attempts = recent.counts.attempts
    if not attempts:
        return
    if surely_above(recent.marks.bogon, attempts, BOGON_SHARE):
        yield Evidence("bogon_share", round(recent.marks.bogon / attempts, 3), 0.50)
    if recent.bare_share >= BARE_SHARE:
        yield Evidence("bare_syn_share", round(recent.bare_share, 3), 0.20)
    if recent.marks.patterned >= PATTERN_SHARE * attempts:
        yield Evidence("pattern_share", round(recent.marks.patterned / attempts, 3), 0.20)


def ttl_unlike(memory: ListenerMemory, recent: Lately) -> float:
    """Return the share (0..1) of the SYNs whose TTLs hardly any completed handshake has; 0.0 if unknown."""
    completed = memory.reading.completed_ttl_histogram
    total = sum(completed)
    asked = sum(recent.marks.syn_ttl)
    if total < ENOUGH_TTLS or not asked:
        return 0.0
    rare = {bin_ for bin_, count in enumerate(completed) if count < RARE_TTL * total}
    return sum(count for bin_, count in enumerate(recent.marks.syn_ttl) if bin_ in rare) / asked


def is_sign(memory: ListenerMemory, window: Window, with_young: Window, recent: Lately) -> bool:
    """Tell whether unfinished attempts younger than a second are more than clients far away.

    ``with_young`` goes on from the window to the present; of an overwhelming number a quarter has matured.
    """
    if any(item.name != "bare_syn_share" for item in _of_marks(recent)):
        return True
    if recent.bare_share >= BARE_SHARE and not _completes_bare(memory):
        return True
    highest_per_s = memory.usual.highest_attempts_per_s or 0.0
    most_per_s = max(OVERWHELMING_PER_S, TIMES_THE_HIGHEST * highest_per_s)
    most = max(OVERWHELMING, most_per_s * with_young.length_s)
    return with_young.half_open >= most and window.half_open >= most / 4


def _completes_bare(memory: ListenerMemory) -> bool:
    """Tell whether this listener's real clients send bare SYNs too: more completed than had options."""
    reading = memory.reading
    return reading.counts.completed > reading.counts.attempts - reading.bare_attempts
