"""Removes what daemons left in the kernel of this network namespace: attachments and pins."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

from synguard.errors import SynguardError
from synguard.probe.attach import carries_any, carries_xdp, detach
from synguard.probe.claim import claim_interface, claimed_interfaces, noted_pin_directory
from synguard.probe.interfaces import all_interfaces, all_names, find_interface
from synguard.probe.pins import remove_pins


def detach_all(interfaces: Iterable[str] | None, pin_directory: Path) -> list[str]:
    """Remove everything of ours from the kernel in this network namespace; return what, in words.

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
    for name in names:
        if interfaces is not None:
            find_interface(name)
        claim = claim_interface(name)
        if claim.pin_directory is not None:
            directories.add(claim.pin_directory)
        try:
            removed += detach(name, made_clsact=claim.made_clsact)
        finally:
            claim.close()
    if interfaces is None or not any(carries_any(interface) for interface in all_interfaces()):
        removed += remove_pins(sorted(directories))
    return removed


def detach_others(guarded: Collection[str], pin_directory: Path) -> list[str]:
    """Remove what earlier daemons left on any interface but these; return what, in words.

    What a running daemon holds stays, and what one left with pins in another directory than this: that is
    another daemon's, and its next run goes on with it. Raises SynguardError when the kernel refuses.
    """
    removed: list[str] = []
    carriers = {interface.name for interface in all_interfaces() if carries_xdp(interface)}
    for name in sorted((carriers | set(claimed_interfaces())).difference(guarded)):
        # Read without a claim: the daemon whose it is may be starting at this moment.
        pinned = noted_pin_directory(name)
        if pinned is not None and pinned.resolve() != pin_directory.resolve():
            continue
        try:
            claim = claim_interface(name)
        except SynguardError:
            continue
        try:
            removed += detach(name, made_clsact=claim.made_clsact)
        finally:
            claim.close()
    return removed
