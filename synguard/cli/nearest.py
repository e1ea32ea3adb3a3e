"""Reads the addresses, prefixes and listeners that people write, and guesses what a wrong one means."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from synguard.endpoint import Listener, Network, parse_target, source_text, target_text
from synguard.errors import UsageError

SOURCE_FORMS = "192.0.2.7, 198.51.100.0/24 or 2001:db8::/48"
LISTENER_FORMS = "ADDR:PORT, such as 192.0.2.7:443 or [2001:db8::5]:443, or an address for all its ports"

_BRACKETS = re.compile(r"\[([^\[\]]*)\]?(?::?(\d*))")
_IPV4_PORT = re.compile(r"([\d.]+):(\d*)", re.A)
_MAX_BITS = {4: 32, 6: 128}


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """Return ``: did you mean json?`` where one of ``words`` is like ``word``, else nothing."""
    close = get_close_matches(word.lower(), list(words), n=1)
    return f": did you mean {close[0]}?" if close else ""


def parse_source(text: str) -> str:
    """Return an address or a prefix as people write it. Raises UsageError with the nearest right form."""
    text = text.strip()
    try:
        if "%" not in text:
            return source_text(ip_network(text))
    except ValueError:
        pass
    raise UsageError(f"{text!r} is not an address or a prefix{_hint(text)}")


def parse_listener(text: str) -> str:
    """Return ``ADDR:PORT``, or an address for all its ports. Raises UsageError with the nearest form."""
    text = text.strip()
    _refuse_ambiguous(text)
    host, port = _host_and_port(text)
    address = _address(host)
    if address is None:
        guess = nearest_address(host)
        single = guess is not None and "/" not in guess
        hint = f": did you mean {_joined(guess, port)}?" if guess and single else f"; write {LISTENER_FORMS}"
        raise UsageError(f"{text!r} is not a listener{hint}")
    if port is not None and not (port.isdecimal() and 0 < int(port) < 65536):
        raise UsageError(f"{text!r} has no port from 1 to 65535; for all ports of it write {address}")
    if text.startswith("[") and ("]" not in text or re.search(r"\]\d", text)):
        guess = f"{address}, or {_joined(address, '443')}" if port is None else _joined(address, port)
        raise UsageError(f"{text!r} is not a listener: did you mean {guess}?")
    return address if port is None else str(Listener(ip_address(address), int(port)))


def parse_silence_target(text: str) -> str:
    """Return a listener or a source as people write it. Raises UsageError with the nearest right form."""
    text = text.strip()
    _refuse_ambiguous(text)
    try:
        return target_text(parse_target(text))
    except UsageError as error:
        guess = None if re.search(r"[\[%]", text) else nearest_address(text)
        if guess is None or "did you mean" in str(error):
            raise
        raise UsageError(f"{text!r} is no target: did you mean {guess}?") from error


def parse_blocked(text: str) -> str:
    """Return an address, a prefix or a listener as the list of blocks has it.

    What can be both an address and a listener is the address. Raises UsageError with the nearest right form.
    """
    try:
        return parse_source(text)
    except UsageError:
        target = _listener_or_none(text)
        if target is None:
            raise
        return target


def _listener_or_none(text: str) -> str | None:
    try:
        found = parse_target(text.strip())
    except UsageError:
        return None
    return str(found) if isinstance(found, Listener) else None


def nearest_address(text: str) -> str | None:
    """Return the address or prefix that was probably meant, or None."""
    host, slash, length = text.strip().partition("/")
    if "%" in host:
        candidates = [host.partition("%")[0]]
    elif ":" in host or "[" in host:
        candidates = _ipv6_candidates(host)
    else:
        candidates = _ipv4_candidates(host, whole=not slash)
    for candidate in candidates:
        network = _network(f"{candidate}/{length}" if slash else candidate)
        if network is not None and int(network.network_address):
            return source_text(network)
    return None


def _hint(text: str) -> str:
    """Say what may have been meant by what is no source."""
    network = _network(text)
    if network is not None and "%" not in text:
        return f", it has host bits set: did you mean {source_text(network)}?"
    bare = _without_port(text)
    if bare is not None:
        return f", a port does not belong here: did you mean {bare}?"
    guess = nearest_address(text)
    return f": did you mean {guess}?" if guess else f"{_out_of_range(text)}; write {SOURCE_FORMS}"


def _out_of_range(text: str) -> str:
    """Say which number of an address is too large, if that is what is wrong."""
    host, _, length = text.partition("/")
    parts = host.split(".")
    if len(parts) == 4 and all(part.isdecimal() for part in parts):
        large = next((part for part in parts if int(part) > 255), None)
        if large is not None:
            return f", {large} is more than 255"
    version = 6 if ":" in host else 4
    if length.isdecimal() and _address(host) is not None and int(length) > _MAX_BITS[version]:
        return f", /{length} is more than the /{_MAX_BITS[version]} of IPv{version}"
    return ", names are not looked up" if re.fullmatch(r"[\w.-]*[a-zA-Z][\w.-]*", host) else ""


def _refuse_ambiguous(text: str) -> None:
    """Refuse ``2001:db8::5:443``, which is an address and looks like an address with a port."""
    host, _, port = text.rpartition(":")
    if "[" in text or ":" not in host or not port.isdecimal() or not 0 < int(port) < 65536:
        return
    if _address(host) is not None and _address(text) is not None:
        raise UsageError(
            f"{text!r} may be an address or a listener: did you mean [{host}]:{port}? "
            f"All ports of that address are [{text}]"
        )


def _host_and_port(text: str) -> tuple[str, str | None]:
    """Return the part before a port, and the port if one is written; brackets may be damaged."""
    if found := _BRACKETS.fullmatch(text):
        return found[1], found[2] if found[2] or text.endswith(":") else None
    if text.count(":") == 1:
        host, _, port = text.partition(":")
        return host, port
    return text, None


def _joined(host: str, port: str | None) -> str:
    if port is None:
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _without_port(text: str) -> str | None:
    found = _BRACKETS.fullmatch(text) if text.startswith("[") else _IPV4_PORT.fullmatch(text)
    return _address(found[1]) if found else None


def _address(text: str) -> str | None:
    try:
        return None if "%" in text else str(ip_address(text))
    except ValueError:
        return None


def _network(text: str) -> Network | None:
    """Return the network that holds this address, or None if it is none."""
    try:
        network: IPv4Network | IPv6Network = ip_network(text, strict=False)
    except ValueError:
        return None
    return network


def _ipv4_candidates(host: str, *, whole: bool) -> list[str]:
    """Return what a damaged IPv4 address may have been; without a ``/`` a part of one is a prefix."""
    parts = re.split(r"[.,]", host.rstrip(".,*"))
    if not 0 < len(parts) <= 4 or not all(part.isascii() and part.isdecimal() for part in parts):
        return []
    padded = ".".join([*(str(int(part)) for part in parts), "0", "0", "0"][:4])
    if len(parts) == 4:
        return [padded]
    if whole:
        return [f"{padded}/{8 * len(parts)}"] if len(parts) > 1 else []
    return [padded]


def _ipv6_candidates(host: str) -> list[str]:
    """Return what a damaged IPv6 address may have been."""
    bare = host.strip("[]")
    single = re.sub(":{3,}", "::", bare)
    return [bare, single, single.rstrip(":") + "::", re.sub("(?<!:):$", "", single)]
