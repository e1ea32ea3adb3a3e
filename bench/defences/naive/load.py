"""Loads the naive detector's kernel part without its Python loop, for measuring what a packet costs it."""

from __future__ import annotations

from pathlib import Path

from synguard.probe.compiler import LoadedObject, ProgramType, load_object

SOURCE = Path(__file__).with_name("probe.c")
PROGRAM = "naive_ingress"


def load_naive(**defines: int) -> LoadedObject:
    """Compile and load; what comes back holds the XDP program ``PROGRAM`` and the maps by name.

    Args:
        defines: ``MAX_SOURCES`` and ``MAX_CONNECTIONS`` (2^20 each unless given), ``BLOCKING=1``.

    Raises as :func:`synguard.probe.compiler.load_object` does.

    """
    return load_object(SOURCE, {PROGRAM: ProgramType.XDP}, defines)
