"""The detection core: snapshots in, actions out; no clock, no I/O, no logging."""

from synguard.detect.detector import Detector
from synguard.detect.listener_memory import ListenerView
from synguard.detect.thresholds import Thresholds

__all__ = ["Detector", "ListenerView", "Thresholds"]
