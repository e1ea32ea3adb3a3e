"""Whether this machine can be guarded well: facts are gathered once, and judged by small checks."""

from synguard.doctor.checks import examine
from synguard.doctor.finding import Finding, Status
from synguard.doctor.gather import gather
from synguard.doctor.machine import Machine

__all__ = ["Finding", "Machine", "Status", "examine", "gather"]
