"""Every figure that a trial may hold: its unit, which way is better, and what it means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Figure:
    """What a figure's number means."""

    unit: str
    better: Literal["lower", "higher", None]
    says: str
    #: Whether machines of different speed may be compared by it.
    portable: bool = False


FIGURES: dict[str, Figure] = {
    "time_to_alert_ms": Figure(
        "ms", "lower", "from the first flood packet to the first right alert's log line"
    ),
    "time_to_act_ms": Figure("ms", "lower", "from the first flood packet to the first response's log line"),
    "time_to_drop_ms": Figure(
        "ms",
        "lower",
        "from the first flood packet to the first that is dropped: the flood's SYNs that passed, over its "
        "rate, which is that time where all are dropped from the first on",
    ),
    "time_to_close_ms": Figure("ms", "lower", "from the last flood packet until the last alert had closed"),
    "alerts": Figure("alerts", None, "alerts raised in all", portable=True),
    "missed": Figure("alerts", "lower", "1 when the expected alert never came", portable=True),
    "false_alarms": Figure("alerts", "lower", "alerts that nothing justified", portable=True),
    "innocents_blocked": Figure(
        "blocks", "lower", "responses to a source that hit a good client", portable=True
    ),
    "wrong_class": Figure(
        "alerts", "lower", "1 when the right listener's alert had the wrong class at its end", portable=True
    ),
    "good_attempted": Figure(
        "connections", None, "good clients' connections begun under the flood, 1.5 s or more before its end"
    ),
    "good_succeeded": Figure(
        "connections", "higher", "those established within 1.5 s and answered within another 1.5 s"
    ),
    "good_success": Figure("ratio", "higher", "succeeded over attempted", portable=True),
    "exchanges_attempted": Figure("exchanges", None, "keep-alive clients' exchanges, begun in the same time"),
    "exchange_success": Figure("ratio", "higher", "share of them that was answered within 1.5 s"),
    "good_broken": Figure("connections", "lower", "kept-alive connections that broke", portable=True),
    "connect_p50_ms": Figure(
        "ms",
        "lower",
        "median of the successful connects' times, SYN to established, less the line's round trip",
    ),
    "connect_p99_ms": Figure("ms", "lower", "99th percentile of the same"),
    "asked_syn_per_s": Figure("1/s", None, "the rate that was asked for; null for as fast as possible"),
    "offered_syn_per_s": Figure("1/s", None, "frames that the generator sent, over its time"),
    "received_syn_per_s": Figure("1/s", "higher", "those of them that the receiver took off its ring"),
    "processed_syn_per_s": Figure("1/s", "higher", "those of them that the detector counted"),
    "lost_at_ring": Figure("frames", "lower", "refused by the receiver's full ring"),
    "other_frames_lost": Figure(
        "frames", "lower", "not the flood's: good clients' frames and answers, lost in queues and on lines"
    ),
    "unaccounted_frames": Figure(
        "frames", "lower", "sent, and found nowhere (negative: found, never sent)", portable=True
    ),
    "uncounted_syns": Figure(
        "frames", "lower", "received, and not counted by the detector (negative: too many)", portable=True
    ),
    "dropped_syns": Figure("frames", None, "SYNs that the defence dropped"),
    "capacity_syn_per_s": Figure(
        "1/s",
        "higher",
        "the most SYNs that the receiver took before the flood with next to none refused by its ring",
    ),
    "generator_busy": Figure("ratio", None, "share of the flood that the generator's CPU spent on sending"),
    "receiver_busy": Figure("ratio", "lower", "share of the flood that the receiving thread was on its CPU"),
    "receiver_ns_per_frame": Figure("ns", "lower", "CPU time of the receiving thread over frames received"),
    "receiver_capacity_per_s": Figure(
        "1/s", "higher", "frames that a whole CPU would take: 1 s over their time"
    ),
    "daemon_cpu": Figure("ratio", "lower", "of one core, by the detector's processes during the flood"),
    "daemon_rss_mib": Figure("MiB", "lower", "resident memory of the detector's processes, at its highest"),
    "map_bytes": Figure("bytes", "lower", "kernel memory that the detector's maps are charged for"),
    "lost_updates": Figure("updates", "lower", "updates that the detector says it lost", portable=True),
    "ns_per_packet": Figure(
        "ns",
        "lower",
        "median over turns, each the kernel's mean over its packets; live: the receiving thread's CPU time "
        "over those that it took",
    ),
    "absorbed_syn_per_s": Figure("1/s", "higher", "SYNs that one CPU drops: 1 s over the time of one"),
    "ns_over_empty": Figure("ns", "lower", "the same, less the empty program's in the same repetition"),
    "ns_over_alone": Figure(
        "ns", "lower", "the same of two CPUs at once, less that of one while the other rests"
    ),
    "read_us": Figure("µs", "lower", "median time of one read of all that the daemon reads of the kernel"),
    "add_ms": Figure("ms", "lower", "time of one ``synguard block add`` of many, until all are in force"),
    "answer_ms": Figure("ms", "lower", "median time of one question to the history"),
    "answer_worst_ms": Figure("ms", "lower", "its worst time"),
    "update_ms": Figure("ms", "lower", "median time of writing an open alert anew, with 50 sources"),
    "follow_lag_ms": Figure("ms", "lower", "median time from an alert's being saved to its being followed"),
    "follow_lag_worst_ms": Figure("ms", "lower", "the worst of the same"),
    "history_bytes_per_alert": Figure("bytes", "lower", "the database's size over its alerts", portable=True),
    "hours": Figure("h", None, "of the daemon's life, by its driven clock"),
    "snapshots": Figure("snapshots", None, "looks at the probe in that time"),
    "floods": Figure("floods", None, "that were sent in that time", portable=True),
    "alerts_open": Figure("alerts", "lower", "that were not closed at its end", portable=True),
    "rss_growth_mib": Figure(
        "MiB", "lower", "resident memory in the last quarter of that time over that in the second, medians"
    ),
    "descriptors_growth": Figure("descriptors", "lower", "the same of open descriptors", portable=True),
    "threads_growth": Figure("threads", "lower", "the same of threads", portable=True),
    "database_mib": Figure("MiB", "lower", "the history's greatest size with its log", portable=True),
    "received_per_s": Figure("1/s", "higher", "live: packets that the receiver took off its ring"),
    "refused_share": Figure("ratio", None, "live: packets that its full ring refused, over those sent"),
}

#: What a trial says in words.
FACTS: dict[str, str] = {
    "class": "class of the right listener's alert at its end, else of any alert; ``(none)`` without any",
    "expected_class": "the class that it should have had, ``(none)`` where nothing should be said; null: not "
    "judged",
    "capacity_limited_by": "whose limit the capacity found before is: ``receiver`` or ``generator``",
    "wrong": "what is wrong with the alerts of a case of detection, and what was raised; null: nothing is",
    "bottleneck": "what limited the flood: ``receiver``, ``ring`` (bursts that it could not hold while the "
    "receiver had CPU time left), ``generator`` or ``nothing``",
}
