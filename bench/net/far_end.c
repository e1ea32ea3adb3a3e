// SPDX-License-Identifier: MIT
/*
 * Stands at the far end of the guarded's wire. Answers to addresses that nobody has go no further: on a real wire they
 * are gone, too, and here the guarded's CPU would carry them on to the attacker.
 */
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>

static __always_inline int is_answer(struct tcphdr *tcp, void *end)
{
	return (void *)(tcp + 1) <= end && tcp->syn && tcp->ack;
}

/* ATTACKER_IPV4 is in network byte order, ATTACKER_IPV6_END the last four bytes of its address there. */
int end_of_wire(struct xdp_md *frame)
{
	struct ethhdr *ethernet = (void *)(long)frame->data;
	void *end = (void *)(long)frame->data_end;
	struct ipv6hdr *ipv6 = (void *)(ethernet + 1);
	struct iphdr *ipv4 = (void *)(ethernet + 1);

	if ((void *)(ipv4 + 1) > end || ethernet->h_dest[5] != ATTACKER_MAC_END)
		return XDP_PASS;
	if (ethernet->h_proto == __builtin_bswap16(ETH_P_IP)) {
		if (ipv4->protocol != IPPROTO_TCP || ipv4->daddr == ATTACKER_IPV4)
			return XDP_PASS;
		return is_answer((void *)(ipv4 + 1), end) ? XDP_DROP : XDP_PASS;
	}
	if (ethernet->h_proto != __builtin_bswap16(ETH_P_IPV6) || (void *)(ipv6 + 1) > end)
		return XDP_PASS;
	if (ipv6->nexthdr != IPPROTO_TCP || ipv6->daddr.in6_u.u6_addr32[3] == ATTACKER_IPV6_END)
		return XDP_PASS;
	return is_answer((void *)(ipv6 + 1), end) ? XDP_DROP : XDP_PASS;
}
