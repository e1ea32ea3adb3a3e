"""SYN-flood detection daemon: an eBPF probe, a pure detector, safe responses and a history to ask."""

__version__ = "0.1.0"
