"""The names of the probe's programs, by which we know our own in the kernel."""

from __future__ import annotations

XDP_PROGRAM = "synguard_xdp"
TC_INGRESS_PROGRAM = "synguard_ingress"
TC_EGRESS_PROGRAM = "synguard_egress"
