"""The programs that a receiver is measured with, all of which end in XDP_DROP."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.cost.resident import resident
from bench.cost.rungs import EMPTY, FULL, PARSE, Rung, check_names, load_probe, probe_rung
from bench.cost.writer import DEFINES
from synguard.probe.compiler import LoadedObject, ProgramType, load_object

NAMES = (EMPTY, PARSE, FULL)
_LADDER, _PROBE = (Path(__file__).with_name(name) for name in ("dropping_ladder.c", "dropping_probe.c"))


def _load_dropping(
    _source: Path, programs: Mapping[str, ProgramType], defines: Mapping[str, int]
) -> LoadedObject:
    return load_object(_PROBE, programs, defines)


@contextmanager
def receivers(names: Sequence[str], blocks: int) -> Iterator[tuple[Rung, ...]]:
    """Load the programs of these names, while the ``with`` block lasts; the probe with room for the blocks.

    Raises as :func:`synguard.probe.compiler.load_object` does, and UsageError for unknown programs.
    """
    check_names(names, NAMES)
    with ExitStack() as stack:
        lower = load_object(_LADDER, dict.fromkeys(("empty_xdp", "parse_xdp"), ProgramType.XDP), DEFINES)
        stack.callback(lower.close)
        rungs = [Rung(name, lower.programs[f"{name}_xdp"], None) for name in (EMPTY, PARSE)]
        if FULL in names:
            probe = load_probe(blocks, _load_dropping)
            stack.callback(probe.close)
            rungs.append(probe_rung(probe, blocks))
        wanted = tuple(rung for rung in rungs if rung.name in names)
        # Else each of their many turns on the interface would wait for the kernel's dispatcher.
        stack.enter_context(resident(rung.ingress for rung in wanted))
        yield wanted
