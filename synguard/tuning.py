"""Gives the detector its thresholds from the settings, in a running daemon and in a replay alike."""

from __future__ import annotations

from msgspec import to_builtins

from synguard.config import Settings
from synguard.detect import Thresholds
from synguard.endpoint import ListenerPattern, Network


def thresholds_of(settings: Settings) -> Thresholds:
    """Return what the settings ask of the detector; the settings have been checked."""
    detect = to_builtins(settings.detect)
    listeners = detect.pop("listeners")
    return Thresholds(
        **detect,
        overrides={ListenerPattern.parse(name): values for name, values in listeners.items()},
        trusted=tuple(
            _as_seen(network, settings.probe.ipv6_prefix)
            for network in settings.respond.trusted_aggregator_networks
        ),
    )


def _as_seen(network: Network, ipv6_prefix: int) -> Network:
    """Return a network as sources are told apart: an IPv6 address is seen as its prefix."""
    if network.version == 6 and network.prefixlen > ipv6_prefix:
        return network.supernet(new_prefix=ipv6_prefix)
    return network
