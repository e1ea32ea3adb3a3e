"""The loaded probe: its programs, its maps, and the settings it runs by."""

from __future__ import annotations

import secrets
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from synguard.config import Settings
from synguard.probe import layout
from synguard.probe.compiler import LoadedObject, ProgramType, load_object
from synguard.probe.programs import (
    TC_EGRESS_PROGRAM,
    TC_INGRESS_PROGRAM,
    XDP_CONTINUATIONS,
    XDP_PROGRAM,
)
from synguard.probe.repeating import RepeatedUpdate
from synguard.probe.syscall import BpfMap, map_memlock_bytes

SOURCE = Path(__file__).parent / "bpf" / "probe.c"

_PROGRAMS = {
    XDP_PROGRAM: ProgramType.XDP,
    TC_INGRESS_PROGRAM: ProgramType.SCHED_CLS,
    TC_EGRESS_PROGRAM: ProgramType.SCHED_CLS,
    **dict.fromkeys(XDP_CONTINUATIONS, ProgramType.XDP),
}
_ONLY_KEY = bytes(4)


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many entries the tables have; fixed when they are made."""

    max_sources: int = 8192
    max_prefixes: int = 2048
    max_listeners: int = 512
    max_blocks: int = 16384

    @classmethod
    def of(cls, settings: Settings) -> Sizes:
        """Return what the settings ask for."""
        probe = settings.probe
        return cls(probe.max_sources, probe.max_prefixes, probe.max_listeners, settings.respond.max_blocks)

    def defines(self) -> dict[str, int]:
        """Return what the C code calls them."""
        return {name.upper(): value for name, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class Groups:
    """Prefix lengths: which IPv6 addresses are one source, and which sources are one prefix."""

    source_ipv6: int = 64
    prefix_ipv4: int = 24
    #: At most 64.
    prefix_ipv6: int = 48

    @classmethod
    def of(cls, settings: Settings) -> Groups:
        """Return what the settings ask for."""
        probe = settings.probe
        return cls(probe.ipv6_prefix, probe.prefix_ipv4, probe.prefix_ipv6)

    def defines(self) -> dict[str, int]:
        """Return what tells tables that are keyed by them from others."""
        return {name.upper(): value for name, value in asdict(self).items()}


#: Gets source, programs and preprocessor definitions, and returns what it has in the kernel of them.
Loader = Callable[[Path, Mapping[str, ProgramType], Mapping[str, int]], LoadedObject]


class Probe:
    """Programs and maps in the kernel; they count as soon as they are attached."""

    def __init__(self, loaded: LoadedObject, groups: Groups) -> None:
        """Write the first settings: a fresh secret for the hashes, no rules.

        A probe that another daemon left keeps its secret, by which its maps are filled, and its rules.
        """
        self._loaded = loaded
        self.groups = groups
        self._settings = RepeatedUpdate(self.maps["settings"], _ONLY_KEY)
        earlier = layout.SETTINGS.unpack(self.maps["settings"].lookup(_ONLY_KEY) or b"")
        used = any(earlier[:2])
        self._secret: tuple[int, int] = earlier[:2] if used else (secrets.randbits(64), secrets.randbits(64))
        self._replay_now_ns = 0
        self._one_way = self._watches_flows = False
        self._responding = self._checking_cookies = False
        self._asked: dict[str, tuple[bool, bool]] = {}
        #: Rules are written by a thread of their own, and all settings share one buffer.
        self._writing = threading.RLock()
        self._block_lengths: tuple[int, ...] = ()
        if used:
            count, *lengths, responding, checking = earlier[layout.SETTINGS_BLOCK_LENGTHS :]
            self._block_lengths = tuple(lengths[:count])
            self._responding, self._checking_cookies = bool(responding), bool(checking)
        for place, name in enumerate(XDP_CONTINUATIONS):
            self.maps["continuations"].update(_word(place), _word(self.programs[name]))
        self._write_settings()

    @classmethod
    def load(cls, sizes: Sizes, groups: Groups, load: Loader = load_object) -> Probe:
        """Compile and load. Raises as :func:`synguard.probe.compiler.load_object` does."""
        return cls(load(SOURCE, _PROGRAMS, sizes.defines() | groups.defines()), groups)

    @property
    def loaded(self) -> LoadedObject:
        """Programs and maps together, as they are pinned."""
        return self._loaded

    @property
    def secret(self) -> tuple[int, int]:
        """The key of the hashes, two words of 64 bits."""
        return self._secret

    @property
    def block_lengths(self) -> tuple[int, ...]:
        """The prefix lengths (of mapped addresses) that blocks are looked up by."""
        return self._block_lengths

    @property
    def programs(self) -> dict[str, int]:
        """Program name to descriptor."""
        return self._loaded.programs

    @property
    def maps(self) -> dict[str, BpfMap]:
        """Map name to map."""
        return self._loaded.maps

    def memlock_bytes(self) -> int:
        """Return the kernel memory that all maps together are charged for."""
        return sum(map_memlock_bytes(bpf_map.fd) for bpf_map in self.maps.values())

    def set_block_lengths(self, lengths: Sequence[int]) -> None:
        """Say which prefix lengths (of mapped addresses) the blocks have; each costs a lookup a SYN.

        Raises ValueError for more than ``layout.BLOCK_LENGTHS_MAX``.
        """
        if len(lengths) > layout.BLOCK_LENGTHS_MAX:
            raise ValueError(
                f"{len(lengths)} prefix lengths; the probe has room for {layout.BLOCK_LENGTHS_MAX}"
            )
        self._block_lengths = tuple(lengths)
        self._write_settings()

    def set_responding(self, rules: str, responding: bool, *, checking_cookies: bool = False) -> None:
        """Say for one kind of rules whether a SYN may meet more than a block, and an ACK bring a cookie back.

        Each costs a look, so what is in the kernel is what any kind asks for.
        """
        self._asked[rules] = (responding, checking_cookies)
        wanted = tuple(any(asked) for asked in zip(*self._asked.values(), strict=True))
        if wanted != (self._responding, self._checking_cookies):
            self._responding, self._checking_cookies = wanted
            self._write_settings()

    def set_clock(self, now_ns: int) -> None:
        """Stop the probe's clock at a moment, for packets from a capture or a test; 0 lets it run."""
        self._replay_now_ns = now_ns
        self._write_clock()

    def set_one_way(self, one_way: bool) -> None:
        """Say whether our answers cannot be seen: what the peer sends later then tells of completions."""
        self._one_way = one_way
        self._write_settings()

    @property
    def one_way(self) -> bool:
        """Whether only what comes in can be seen."""
        return self._one_way

    def watch_flows(self, on: bool) -> None:
        """Begin to note established flows, anew each time, or cease to."""
        if on:
            self.maps["flows"].update(_ONLY_KEY, bytes(self.maps["flows"].value_bytes))
        self._watches_flows = on
        self._write_settings()

    def _write_settings(self) -> None:
        with self._writing:
            room = layout.BLOCK_LENGTHS_MAX - len(self._block_lengths)
            self._rest = (
                *_masks(self.groups),
                self._one_way,
                self._watches_flows,
                len(self._block_lengths),
                *self._block_lengths,
                *[0] * room,
                self._responding,
                self._checking_cookies,
            )
            self._write_clock()

    def _write_clock(self) -> None:
        """Hand over all settings, of which only the clock has moved: with every packet of a replay."""
        layout.SETTINGS.pack_into(self._settings.value, 0, *self._secret, self._replay_now_ns, *self._rest)
        self._settings.write()

    def close(self) -> None:
        """Let go of the descriptors; what is still attached goes on running."""
        self._loaded.close()


def _word(number: int) -> bytes:
    return number.to_bytes(4, sys.byteorder)


def _masks(groups: Groups) -> tuple[bytes, ...]:
    """Return the settings' masks: both halves of an IPv6 source's, then the prefixes'."""
    source = layout.prefix_mask(groups.source_ipv6, 128)
    prefix_ipv6 = layout.prefix_mask(groups.prefix_ipv6, 64)
    return source[:8], source[8:], prefix_ipv6, layout.prefix_mask(groups.prefix_ipv4, 32)
