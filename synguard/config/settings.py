"""Every setting, declared once: its name, type, range, default, unit and help.

The file's checks, the commented default file and the README's table are all made from these
declarations; a setting added here needs nothing anywhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Struct
from msgspec.json import encode

from synguard.config.checking import Problem, build, overlay
from synguard.config.declaring import (
    SOCKET_PATH_MAX_BYTES,
    Section,
    about,
    check_interface,
    check_path,
    check_socket,
    fixed,
)
from synguard.config.detecting import DetectSettings, check_detect
from synguard.config.responding import RespondSettings
from synguard.errors import UsageError


class ProbeSettings(Section, frozen=True, kw_only=True):
    """What is watched, and how much of it at once."""

    interfaces: Annotated[
        tuple[str, ...],
        fixed(
            about(
                "Interfaces to guard. Empty: the one that the default route uses.",
                check=check_interface,
                allowed="interface names of 1 to 15 characters",
                max_length=64,
            )
        ),
    ] = ()
    xdp_mode: Annotated[
        Literal["auto", "native", "generic", "tc"],
        fixed(about("How to attach on ingress. auto: native, else generic, else tc, which only observes.")),
    ] = "auto"
    visibility: Annotated[
        Literal["auto", "both", "ingress"],
        fixed(
            about(
                "auto: both ways, else ingress with an alert. both: never less. ingress: one way by design."
            )
        ),
    ] = "auto"
    ipv6_prefix: Annotated[
        int,
        fixed(
            about("IPv6 addresses that share a prefix of this length are one source.", "bits", ge=16, le=128)
        ),
    ] = 64
    prefix_ipv4: Annotated[
        int,
        fixed(
            about("IPv4 sources that share a prefix of this length count together, too.", "bits", ge=8, le=31)
        ),
    ] = 24
    prefix_ipv6: Annotated[
        int,
        fixed(
            about(
                "IPv6 sources that share a prefix of this length count together, too.", "bits", ge=16, le=64
            )
        ),
    ] = 48
    max_sources: Annotated[
        int, fixed(about("Sources watched at the same time.", "sources", ge=64, le=65536))
    ] = 8192
    max_prefixes: Annotated[
        int, fixed(about("Prefixes of sources watched at the same time.", "prefixes", ge=64, le=65536))
    ] = 2048
    max_listeners: Annotated[
        int, fixed(about("Listeners watched at the same time.", "listeners", ge=8, le=4096))
    ] = 512
    poll_interval_ms: Annotated[int, about("How often the counts are read.", "ms", ge=20, le=1000)] = 50
    keep_attached: Annotated[
        bool,
        fixed(
            about(
                "Leave the probe attached and counting when the daemon ends; the next daemon takes it over."
            )
        ),
    ] = False
    pin_directory: Annotated[
        str,
        fixed(
            about(
                "Where the probe is pinned meanwhile, in a folder for each network namespace.",
                check=check_path,
                allowed="a path in a BPF file system, owned by the daemon's user",
            )
        ),
    ] = "/sys/fs/bpf/synguard"


class HistorySettings(Section, frozen=True, kw_only=True):
    """Where alerts are kept, and for how long: they hold addresses, which are personal data."""

    database: Annotated[
        str, fixed(about("The SQLite database of alerts.", check=check_path, allowed="a path"))
    ] = "/var/lib/synguard/synguard.db"
    retention_days: Annotated[
        int,
        about("Closed alerts, figures, responses and runs older than this go.", "days", ge=1, le=3650),
    ] = 90
    retention_mib: Annotated[
        int,
        about(
            "Above this size figures become coarser first, and then the oldest closed alerts go.",
            "MiB",
            ge=1,
            le=1_048_576,
        ),
    ] = 1024
    seconds_days: Annotated[
        int, about("Figures of each second are kept so long; then they become minutes.", "days", ge=1, le=366)
    ] = 1
    minutes_days: Annotated[
        int, about("Figures of each minute are kept so long; then they become hours.", "days", ge=1, le=3650)
    ] = 31
    series_listeners: Annotated[
        int,
        about(
            "Listeners whose figures are kept of each second: those on alert, and the busiest.",
            "listeners",
            ge=0,
            le=512,
        ),
    ] = 64

    @property
    def database_path(self) -> Path:
        """``database`` as a path."""
        return Path(self.database)


class ControlSettings(Section, frozen=True, kw_only=True):
    """Who may talk to the daemon, and where."""

    socket: Annotated[
        str,
        fixed(
            about(
                "The Unix socket on which the commands reach the daemon.",
                check=check_socket,
                allowed=f"a path of at most {SOCKET_PATH_MAX_BYTES} bytes",
            )
        ),
    ] = "/run/synguard/control.sock"
    group: Annotated[
        str, fixed(about("The group that may use the socket besides root. Empty: root alone.", max_length=32))
    ] = "synguard"

    changes_by: Annotated[
        Literal["group", "root"],
        fixed(
            about(
                "Who may change blocks, silences and the mode. group: whoever is in the group above. "
                "root: root alone; the group may look."
            )
        ),
    ] = "group"

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

    @property
    def fingerprint(self) -> str:
        """Return 12 hexadecimal digits that other settings hardly share."""
        return sha256(encode(self, order="sorted")).hexdigest()[:12]

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
    check_detect(settings.detect, problems)
    respond = settings.respond
    if respond.block_ttl_s > respond.block_ttl_max_s:
        text = f"{respond.block_ttl_s} is above respond.block_ttl_max_s ({respond.block_ttl_max_s})"
        problems.append(Problem("respond.block_ttl_s", text))
