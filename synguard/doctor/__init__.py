"""Whether this machine can be guarded well: facts are gathered once, and judged by small checks."""

from synguard.doctor.checks import CHECKS, examine
from synguard.doctor.finding import Finding, Status
from synguard.doctor.gathering import gather
from synguard.doctor.machine import Machine

__all__ = ["CHECKS", "Finding", "Machine", "Status", "examine", "gather"]
