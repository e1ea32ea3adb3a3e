// SPDX-License-Identifier: MIT
/*
 * Gives the guarded interface SYNs as its driver would: another number and port in each, then the program that is
 * attached there, as a tail call. What it passes goes up the stack, with a checksum that nothing looks at so early.
 */
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>

BPF_ARRAY(given, u64, 1);
BPF_PROG_ARRAY(attached, 1);

/* The output function of splitmix64 (Steele, Lea, Flood 2014). */
static __always_inline u64 mix(u64 value)
{
	value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ULL;
	value = (value ^ (value >> 27)) * 0x94d049bb133111ebULL;
	return value ^ (value >> 31);
}

int give(struct xdp_md *frame)
{
	void *end = (void *)(long)frame->data_end;
	struct ethhdr *ethernet = (void *)(long)frame->data;
	struct tcphdr *tcp;
	u32 zero = 0;
	u64 *number, bits;

	number = given.lookup(&zero);
	if (!number || (void *)(ethernet + 1) > end)
		return XDP_ABORTED;
	tcp = (void *)(ethernet + 1) + sizeof(struct iphdr);
	if (ethernet->h_proto == __builtin_bswap16(ETH_P_IPV6))
		tcp = (void *)(ethernet + 1) + sizeof(struct ipv6hdr);
	if ((void *)(tcp + 1) > end)
		return XDP_ABORTED;
	bits = mix(++*number);
	tcp->seq = bits;
	tcp->source = (bits >> 32) | 4;
	attached.call(frame, 0);
	return XDP_ABORTED;
}

int pass(struct xdp_md *frame)
{
	return XDP_PASS;
}
