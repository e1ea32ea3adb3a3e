"""The settings of responses: what may be done about an alert, and to whom never."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Annotated, Literal

from msgspec import Meta

from synguard.config.declaring import NETWORKS, Section, about, check_network, fixed
from synguard.endpoint import Network
from synguard.model import RespondMode


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
    source_response: Annotated[
        Literal["greylist", "none"],
        about("To a source or prefix that is not dropped. greylist: its real clients get in a second late."),
    ] = "greylist"
    listener_response: Annotated[
        Literal["cookie", "greylist", "none"],
        about(
            "To a flood whose sources cannot be believed, or are many. "
            "cookie: SYN cookies, and greylist where a listener cannot be answered with them."
        ),
    ] = "cookie"
    backend: Annotated[
        Literal["xdp", "nftables"], fixed(about("Where blocks drop SYNs. nftables: as rules that nft shows."))
    ] = "xdp"
    when_flushed: Annotated[
        Literal["restore", "notice"],
        about("When somebody took our rules away by hand. restore: put them back. notice: only say so."),
    ] = "restore"
    block_ttl_s: Annotated[
        int, about("How long a first block lasts; each further one twice as long.", "s", ge=1, le=2_592_000)
    ] = 600
    block_ttl_max_s: Annotated[
        int, about("How long a repeater's block lasts at most.", "s", ge=1, le=2_592_000)
    ] = 86_400
    max_blocks: Annotated[
        int, fixed(about("Blocks and other responses held at the same time.", "blocks", ge=1, le=65536))
    ] = 16_384
    max_actions_per_min: Annotated[
        int, about("Responses that alerts bring about in a minute.", "responses", ge=1, le=65536)
    ] = 120
    allow: Annotated[
        tuple[str, ...], about("Sources never to touch.", check=check_network, allowed=NETWORKS)
    ] = ()
    trusted_aggregators: Annotated[
        tuple[str, ...],
        about(
            "A CDN's or load balancer's addresses: never touched, and only listeners are judged.",
            check=check_network,
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
