"""Every setting, declared once: its name, type, range, default, unit and help.

The file's checks, the commented default file and the README's table are all made from these
declarations; a setting added here needs nothing anywhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from synguard.config.checking import Problem, build, overlay
from synguard.endpoint import Network
from synguard.errors import UsageError
from synguard.model import RespondMode

#: The kernel's sockaddr_un holds 108 bytes with the final NUL (unix(7)).
SOCKET_PATH_MAX_BYTES = 107


def about(
    text: str,
    unit: str | None = None,
    *,
    ge: float | None = None,
    le: float | None = None,
    max_length: int | None = None,
    check: Callable[[str], object] | None = None,
    allowed: str | None = None,
) -> Meta:
    """Return the declaration of one setting.

    ``check`` is called with the text, or with each text of a list, and raises ValueError saying what
    is wrong; ``allowed`` then says in words what it lets through.
    """
    extra: dict[str, Any] = {"unit": unit, "check": check, "allowed": allowed}
    limits: dict[str, Any] = {"ge": ge, "le": le, "max_length": max_length}
    meta: Meta = Meta(description=text, extra=extra, **limits)
    return meta


def _check_network(text: str) -> Network:
    try:
        return ip_network(text)
    except ValueError as error:
        if "host bits" in str(error):
            raise ValueError(f"has host bits set (did you mean {ip_network(text, strict=False)}?)") from error
        raise ValueError("is not an address or a network") from error


def _check_interface(text: str) -> None:
    # net/core/dev.c, dev_valid_name(): IFNAMSIZ is 16 with the final NUL.
    bad = not 1 <= len(text.encode()) <= 15 or text in (".", "..")
    if bad or any(letter in "/:" or letter.isspace() for letter in text):
        raise ValueError("is not an interface name")


def _check_path(text: str) -> None:
    if not text or "\0" in text:
        raise ValueError("is not a path")


def _check_socket(text: str) -> None:
    _check_path(text)
    if len(text.encode()) > SOCKET_PATH_MAX_BYTES:
        raise ValueError(f"is longer than {SOCKET_PATH_MAX_BYTES} bytes")


NETWORKS = "addresses or networks such as 192.0.2.7, 198.51.100.0/24, 2001:db8::/32"


class Section(Struct, frozen=True, kw_only=True):
    """One table of the file."""


class ProbeSettings(Section, frozen=True, kw_only=True):
    """What is watched, and how much of it at once."""

    interfaces: Annotated[
        tuple[str, ...],
        about(
            "Interfaces to guard. Empty: the one that the default route uses.",
            check=_check_interface,
            allowed="interface names of 1 to 15 characters",
            max_length=64,
        ),
    ] = ()
    xdp_mode: Annotated[
        Literal["auto", "native", "generic", "tc"],
        about("How to attach on ingress. auto: native, else generic, else tc, which only observes."),
    ] = "auto"
    visibility: Annotated[
        Literal["auto", "both", "ingress"],
        about("auto: both ways, else ingress with an alert. both: never less. ingress: one way by design."),
    ] = "auto"
    ipv6_prefix: Annotated[
        int, about("IPv6 addresses that share a prefix of this length are one source.", "bits", ge=16, le=128)
    ] = 64
    prefix_ipv4: Annotated[
        int,
        about("IPv4 sources that share a prefix of this length count together, too.", "bits", ge=8, le=31),
    ] = 24
    prefix_ipv6: Annotated[
        int,
        about("IPv6 sources that share a prefix of this length count together, too.", "bits", ge=16, le=64),
    ] = 48
    max_sources: Annotated[int, about("Sources watched at the same time.", "sources", ge=64, le=65536)] = 8192
    max_prefixes: Annotated[
        int, about("Prefixes of sources watched at the same time.", "prefixes", ge=64, le=65536)
    ] = 2048
    max_listeners: Annotated[
        int, about("Listeners watched at the same time.", "listeners", ge=8, le=4096)
    ] = 512
    poll_interval_ms: Annotated[int, about("How often the counts are read.", "ms", ge=20, le=1000)] = 50
    keep_attached: Annotated[
        bool,
        about("Leave the probe attached and counting when the daemon ends; the next daemon takes it over."),
    ] = False
    pin_directory: Annotated[
        str,
        about(
            "Where the probe is pinned meanwhile, in a folder for each network namespace.",
            check=_check_path,
            allowed="a path in a BPF file system, owned by the daemon's user",
        ),
    ] = "/sys/fs/bpf/synguard"


class DetectSettings(Section, frozen=True, kw_only=True):
    """When something is called an attack."""

    half_open_per_s: Annotated[
        float, about("Half-open handshakes at one listener that make a flood.", "1/s", ge=0.1, le=1e7)
    ] = 50.0
    source_half_open_per_s: Annotated[
        float, about("Half-open handshakes of one source that make a flood.", "1/s", ge=0.1, le=1e7)
    ] = 50.0
    half_open_ratio: Annotated[
        float, about("Least share of a listener's attempts that stay half-open.", "ratio", ge=0.001, le=1.0)
    ] = 0.1
    min_attempts: Annotated[
        int, about("Attempts to have seen before anything is judged.", "attempts", ge=1, le=100_000)
    ] = 40
    refused_per_s: Annotated[
        float, about("Refused attempts of one source that make a flood.", "1/s", ge=1.0, le=1e7)
    ] = 1000.0
    allowance_floor_ms: Annotated[
        int, about("Least time a handshake is given before it may be half-open.", "ms", ge=1, le=3000)
    ] = 50
    allowance_cap_ms: Annotated[
        int, about("Most time a handshake is given before it may be half-open.", "ms", ge=1, le=3000)
    ] = 3000
    allowance_cold_ms: Annotated[
        int, about("Time given at a listener of which nothing is learned yet.", "ms", ge=1, le=3000)
    ] = 500
    close_after_s: Annotated[
        float,
        about("An alert closes this long after its flood has left the last 4 s.", "s", ge=0.5, le=600.0),
    ] = 10.0


class RespondSettings(Section, frozen=True, kw_only=True):
    """What may be done about an alert, and to whom never."""

    mode: Annotated[RespondMode, about("off: nothing. dry-run: say what would be done. enforce: do it.")] = (
        RespondMode.DRY_RUN
    )
    drop: Annotated[
        Literal["proven", "always"],
        about(
            "proven: drop a source only on proof that it is not spoofed. "
            "always: drop any single source (only where spoofing is impossible)."
        ),
    ] = "proven"
    block_ttl_s: Annotated[int, about("How long a first block lasts.", "s", ge=1, le=2_592_000)] = 600
    max_blocks: Annotated[int, about("Blocks held at the same time.", "blocks", ge=1, le=65536)] = 4096
    allow: Annotated[
        tuple[str, ...], about("Sources never to touch.", check=_check_network, allowed=NETWORKS)
    ] = ()
    trusted_aggregators: Annotated[
        tuple[str, ...],
        about(
            "A CDN's or load balancer's addresses: never touched, and only listeners are judged.",
            check=_check_network,
            allowed=NETWORKS,
        ),
    ] = ()
    ssh_ports: Annotated[
        tuple[Annotated[int, Meta(ge=1, le=65535)], ...],
        about("Peers of sessions established on these ports are never touched.", "TCP ports", max_length=16),
    ] = (22,)

    @property
    def allow_networks(self) -> tuple[Network, ...]:
        """``allow`` as networks."""
        return tuple(ip_network(text) for text in self.allow)

    @property
    def trusted_aggregator_networks(self) -> tuple[Network, ...]:
        """``trusted_aggregators`` as networks."""
        return tuple(ip_network(text) for text in self.trusted_aggregators)


class HistorySettings(Section, frozen=True, kw_only=True):
    """Where alerts are kept, and for how long: they hold addresses, which are personal data."""

    database: Annotated[str, about("The SQLite database of alerts.", check=_check_path, allowed="a path")] = (
        "/var/lib/synguard/synguard.db"
    )
    retention_days: Annotated[
        int, about("Closed alerts older than this are deleted.", "days", ge=1, le=3650)
    ] = 90
    retention_mib: Annotated[
        int, about("Above this size the oldest closed alerts are deleted.", "MiB", ge=1, le=1_048_576)
    ] = 1024

    @property
    def database_path(self) -> Path:
        """``database`` as a path."""
        return Path(self.database)


class ControlSettings(Section, frozen=True, kw_only=True):
    """Who may talk to the daemon, and where."""

    socket: Annotated[
        str,
        about(
            "The Unix socket on which the commands reach the daemon.",
            check=_check_socket,
            allowed=f"a path of at most {SOCKET_PATH_MAX_BYTES} bytes",
        ),
    ] = "/run/synguard/control.sock"
    group: Annotated[
        str, about("The group that may use the socket besides root. Empty: root alone.", max_length=32)
    ] = "synguard"

    @property
    def socket_path(self) -> Path:
        """``socket`` as a path."""
        return Path(self.socket)


class LogSettings(Section, frozen=True, kw_only=True):
    """What is logged, and in which form."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"], about("The least important events to log.")
    ] = "info"
    format: Annotated[
        Literal["auto", "json", "console"], about("auto: console on a terminal, JSON elsewhere.")
    ] = "auto"


class Settings(Struct, frozen=True, kw_only=True):
    """The whole tree; every part has its defaults."""

    probe: ProbeSettings = ProbeSettings()
    detect: DetectSettings = DetectSettings()
    respond: RespondSettings = RespondSettings()
    history: HistorySettings = HistorySettings()
    control: ControlSettings = ControlSettings()
    log: LogSettings = LogSettings()

    def with_overrides(
        self, overrides: Mapping[str, object], options: Mapping[str, str] | None = None
    ) -> Settings:
        """Return these settings with some replaced, checked as the file's are.

        ``overrides`` maps dotted keys to values: ``{"respond.mode": "enforce"}``; a value of None
        means that the option was not given. ``options`` maps a dotted key to the option that a
        message should name instead (``--respond``). Raises UsageError.
        """
        given = {key: value for key, value in overrides.items() if value is not None}
        problems: list[Problem] = []
        settings = build(Settings, overlay(self, given), problems)
        check_together(settings, problems)
        if problems:
            names = options or {}
            raise UsageError("\n".join(f"{names.get(p.key, p.key)}: {p.text}" for p in problems))
        return settings


def check_together(settings: Settings, problems: list[Problem]) -> None:
    """Append what is wrong between settings that are each right alone."""
    detect = settings.detect
    if detect.allowance_floor_ms > detect.allowance_cap_ms:
        text = f"{detect.allowance_floor_ms} is above detect.allowance_cap_ms ({detect.allowance_cap_ms})"
        problems.append(Problem("detect.allowance_floor_ms", text))
    elif not detect.allowance_floor_ms <= detect.allowance_cold_ms <= detect.allowance_cap_ms:
        text = (
            f"{detect.allowance_cold_ms} is not between detect.allowance_floor_ms "
            f"({detect.allowance_floor_ms}) and detect.allowance_cap_ms ({detect.allowance_cap_ms})"
        )
        problems.append(Problem("detect.allowance_cold_ms", text))
