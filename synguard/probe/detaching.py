"""Removes what daemons left in the kernel of this network namespace: attachments and pins."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from synguard.errors import SynguardError, UnsupportedError
from synguard.probe.attach import carries_any, carries_xdp, detach
from synguard.probe.claim import claim_interface, claimed_interfaces, noted_pin_directory
from synguard.probe.interfaces import all_interfaces, all_names, find_interface
from synguard.probe.known import KnownPrograms
from synguard.probe.pins import PinFolder, remove_pins


class Detached(NamedTuple):
    """What became of the probe, in words."""

    removed: list[str]
    #: XDP programs that stay, since this process may not ask whose they are.
    doubtful: list[str]


def detach_all(interfaces: Iterable[str] | None, pin_directory: Path) -> Detached:
    """Remove everything of ours from the kernel in this network namespace; return what.

    Args:
        interfaces: only these; None means every interface there is. The pins go with the last of them.
        pin_directory: where to look for pins, besides the places that daemons noted.

    Raises:
        UnsupportedError: the pins may not be removed.
        SynguardError: a running daemon holds an interface; names its pid.

    """
    removed: list[str] = []
    directories = {pin_directory}
    names = sorted(all_names() | set(claimed_interfaces())) if interfaces is None else list(interfaces)
    with closing(KnownPrograms()) as known:
        for name in names:
            if interfaces is not None:
                find_interface(name)
            directories |= _detach(name, pin_directory, known, removed)
        if interfaces is None or not any(carries_any(interface, known) for interface in all_interfaces()):
            removed += remove_pins(sorted(directories))
        return Detached(removed, list(_doubtful(names, known)))


def _detach(name: str, pin_directory: Path, known: KnownPrograms, removed: list[str]) -> set[Path]:
    """Detach from one interface, and add to ``removed``; return where its probe was noted to be pinned."""
    with closing(claim_interface(name)) as claim:
        noted = {claim.pin_directory} if claim.pin_directory is not None else set[Path]()
        for directory in {pin_directory, *noted}:
            PinFolder(directory).hold_programs(known)
        removed += detach(name, known, made_clsact=claim.made_clsact)
    return noted


def _doubtful(names: Collection[str], known: KnownPrograms) -> Iterator[str]:
    for interface in all_interfaces():
        if interface.name in names and interface.xdp_program_id is not None:
            try:
                known.info(interface.xdp_program_id)
            except UnsupportedError as error:
                yield f"{interface.name}: {error}"


def detach_others(guarded: Collection[str], pin_directory: Path, known: KnownPrograms) -> list[str]:
    """Remove what earlier daemons left on any interface but these; return what, in words.

    What a running daemon holds stays, and what one left with pins in another directory than this: that is
    another daemon's, and its next run goes on with it. Raises SynguardError when the kernel refuses.
    """
    removed: list[str] = []
    carriers = {interface.name for interface in all_interfaces() if carries_xdp(interface, known)}
    for name in sorted((carriers | set(claimed_interfaces())).difference(guarded)):
        # Read without a claim: the daemon whose it is may be starting at this moment.
        pinned = noted_pin_directory(name)
        if pinned is not None and pinned.resolve() != pin_directory.resolve():
            continue
        try:
            claim = claim_interface(name)
        except SynguardError:
            continue
        with closing(claim):
            removed += detach(name, known, made_clsact=claim.made_clsact)
    return removed
