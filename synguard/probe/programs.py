"""The names of the probe's programs, by which we know our own in the kernel."""

from __future__ import annotations

XDP_PROGRAM = "synguard_xdp"
TC_INGRESS_PROGRAM = "synguard_ingress"
TC_EGRESS_PROGRAM = "synguard_egress"

#: What the XDP program goes on in, by their place in the map ``continuations``: for a SYN that may meet a
#: rule, and for an ACK that may bring a cookie back.
XDP_CONTINUATIONS = ("synguard_xdp_syn", "synguard_xdp_ack")
