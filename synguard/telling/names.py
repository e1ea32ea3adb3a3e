"""What measurements and evidence are called by people; a name without words of its own still reads well."""

from __future__ import annotations

import re

#: Units that a figure carries itself, at the end of a measurement's name.
_UNIT_END = re.compile(r"_(?:per_s|per_min|ms|s|fill)$")
#: Written in capitals wherever they are.
_CAPITALS = re.compile(r"\b(ack|fin|http|icmp|ip|isn|rst|syn|tcp|tls|ttl|udp|xmas|cusum)(s?)\b")

_MEASUREMENTS = {
    "half_open_per_s": "half-open handshakes",
    "source_half_open_per_s": "half-open handshakes of the source",
    "prefix_half_open_per_s": "half-open handshakes of the prefix",
    "half_open_per_min": "half-open handshakes towards the prefix",
    "half_open_ratio": "share half-open",
    "half_open_ratio_at_least": "share half-open, beyond doubt",
    "attempts": "attempts judged",
    "attempts_per_s": "attempts",
    "attempts_per_target": "attempts for each target",
    "scanned_targets": "targets that answered and were not completed",
    "closed_targets": "targets not completed, most of them closed or silent",
    "fin_probes": "FIN probes",
    "null_probes": "probes without any flag",
    "xmas_probes": "XMAS probes",
    "bare_syn_share": "SYNs without options",
    "cusum_score": "lasting shift against the usual",
    "turned_away_per_s": "connections turned away",
    "accept_queue_fill": "accept queue",
    "syn_queue_fill": "SYN queue",
    "conntrack_fill": "conntrack table",
    "listen_overflows_per_s": "connections that met a full accept queue",
    "syn_drops_per_s": "SYNs that the kernel dropped",
    "full_queue_cookies_per_s": "SYN cookies that the kernel sent for want of room",
    "received_unseen": "packets received and not seen",
    "live_flows": "live connections",
    "shown_on_egress": "those whose answers show",
    "read_late_s": "how late the counts were read",
}

_EVIDENCE = {
    "syns_per_source": "SYNs of each source: near 1, hardly any comes twice",
    "sources_once": "sources that came once in a second or two",
    "silent_sources": "sources that complete nothing",
    "ttl_unlike": "SYNs with TTLs that completed handshakes hardly have",
    "bare_syn_share": "SYNs without options, as no client sends them",
    "bogon_share": "SYNs from addresses that no router may carry",
    "rst_share": "SYN-ACKs answered by RST: live hosts that asked nothing",
    "pattern_share": "SYNs that repeat a sequence number or port, or have their target's address for one",
    "live_client": "handshakes that the one source completed: somebody lives there",
    "live_address": "that source, which others may forge, too",
    "share_of_half_open": "share of the listener's half-open handshakes",
    "source_half_open_ratio": "share of its attempts that are half-open",
    "addresses": "addresses of the prefix",
    "targets": "targets asked",
    "fin_probes": "FIN probes",
    "null_probes": "probes without any flag",
    "xmas_probes": "XMAS probes",
    "refused_or_unanswered": "attempts refused, or unanswered and not sent again",
    "answered_not_completed": "attempts answered and not completed",
    "completed": "handshakes completed",
    "addresses_that_never_complete": "addresses that complete nothing",
    "syns_per_address_per_min": "SYNs of each address in a minute",
    "lasts_s": "seconds that it has lasted",
    "accept_queue_full": "the accept queue is full",
    "clients_complete": "handshakes that clients completed meanwhile",
    "clients_send_again": "SYNs that clients sent again",
}


def measurement_words(name: str) -> str:
    """Return what a measurement's name means: ``half-open handshakes`` for ``half_open_per_s``."""
    return _MEASUREMENTS.get(name) or _spelled(_UNIT_END.sub("", name))


def evidence_words(name: str) -> str:
    """Return what a piece of evidence says: ``sources that complete nothing`` for ``silent_sources``."""
    return _EVIDENCE.get(name) or _spelled(name)


def _spelled(name: str) -> str:
    words = re.sub(r"[_-]+", " ", name).replace("half open", "half-open").strip()
    return _CAPITALS.sub(lambda found: found[1].upper() + found[2], words)
