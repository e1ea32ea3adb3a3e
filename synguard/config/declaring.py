"""What the declarations of settings are written with: a setting's limits, its help, and its own check."""

from __future__ import annotations

from collections.abc import Callable, Collection
from ipaddress import ip_network
from typing import Any

from msgspec import Meta, Struct

from synguard.endpoint import Network

#: The kernel's sockaddr_un holds 108 bytes with the final NUL (unix(7)).
SOCKET_PATH_MAX_BYTES = 107
#: What :func:`check_network` lets through.
NETWORKS = "addresses or networks such as 192.0.2.7, 198.51.100.0/24, 2001:db8::/32"


class Section(Struct, frozen=True, kw_only=True):
    """One table of the file."""


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


def fixed(meta: Meta) -> Meta:
    """Return the declaration of a setting of which a running daemon keeps the value that it began with."""
    limits: dict[str, Any] = {"ge": meta.ge, "le": meta.le, "max_length": meta.max_length}
    return Meta(description=meta.description, extra={**(meta.extra or {}), "needs_restart": True}, **limits)


def about_tables(
    text: str, *, repeats: Collection[str], check: Callable[[str], object], max_length: int, example: str
) -> Meta:
    """Return the declaration of a setting that holds named tables, at most ``max_length``.

    Each may set otherwise the settings of its own section that are named in ``repeats``. ``check`` is
    called with a table's name, returns what it means, and raises ValueError saying what is wrong; two
    names that mean the same are refused. ``example`` shows in TOML what a person might write.
    """
    allowed = f"at most {max_length} tables, whose names are in quotes, with any of {', '.join(repeats)}"
    extra = {"check": check, "allowed": allowed, "repeats": repeats, "example": example}
    return Meta(description=text, max_length=max_length, extra=extra)


def check_network(text: str) -> Network:
    """Return the network that ``text`` means. Raises ValueError."""
    try:
        return ip_network(text)
    except ValueError as error:
        if "host bits" in str(error):
            raise ValueError(f"has host bits set (did you mean {ip_network(text, strict=False)}?)") from error
        raise ValueError("is not an address or a network") from error


def check_interface(text: str) -> None:
    """Raise ValueError for what no interface can be called."""
    # net/core/dev.c, dev_valid_name(): IFNAMSIZ is 16 with the final NUL.
    bad = not 1 <= len(text.encode()) <= 15 or text in (".", "..")
    if bad or any(letter in "/:" or letter.isspace() for letter in text):
        raise ValueError("is not an interface name")


def check_path(text: str) -> None:
    """Raise ValueError for what no file can be called."""
    if not text or "\0" in text:
        raise ValueError("is not a path")


def check_socket(text: str) -> None:
    """Raise ValueError for what no Unix socket can be called."""
    check_path(text)
    if len(text.encode()) > SOCKET_PATH_MAX_BYTES:
        raise ValueError(f"is longer than {SOCKET_PATH_MAX_BYTES} bytes")
