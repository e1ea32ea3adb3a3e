// SPDX-License-Identifier: MIT
/*
 * The lower rungs of the ladder, and the writers that give the measured program another packet each time.
 *
 * BPF_PROG_TEST_RUN repeats one packet. A writer puts the next client's address, port and numbers into it
 * and calls the measured program as a tail call; the next turn overwrites the same fields. Nothing measured
 * reads a checksum, so none is written.
 */
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>

/* By so much does a wrong acknowledgement miss; far from any window that early data could open. */
#define ACK_ERROR 0x20000000
/* So that one number's choices have nothing to do with each other. */
#define CHOICE_SALT 0x243f6a8885a308d3ULL
#define ADDRESS_SALT 0x13198a2e03707344ULL
#define NUMBERS_SALT 0xa4093822299f31d0ULL

enum segment {
	SEGMENT_SYN,
	SEGMENT_SYNACK,
	SEGMENT_ACK,
	SEGMENT_WRONG_ACK,
};

/* Mirrored by bench/cost/writer.py. Written by one CPU, the one that the ladder is pinned to. */
struct cost_plan {
	/* The number of the next packet. */
	__u64 next;
	/* The first client; each packet has one of its own where `clients` is 0, else one of so many. */
	__u64 first_client;
	__u32 clients;
	__u8 ipv6;
	__u8 segment;
	/* Addresses that look random, not one after another. */
	__u8 scattered;
	/* Port and sequence numbers of their own for each packet, also of the same client. */
	__u8 fresh_numbers;
};

_Static_assert(sizeof(struct cost_plan) == PLAN_BYTES, "writer.py's layout is another");
_Static_assert(__builtin_offsetof(struct cost_plan, fresh_numbers) == PLAN_LAST_OFFSET, "writer.py");

BPF_ARRAY(plans, struct cost_plan, 1);
BPF_PROG_ARRAY(xdp_target, 1);
BPF_PROG_ARRAY(tc_target, 1);

struct tuple {
	__u64 client;
	__u64 address_bits;
	__u32 client_isn;
	__u32 server_isn;
	__u16 port;
};

/* A bijection (the finaliser of splitmix64), so that different numbers give different tuples. */
static __always_inline __u64 mix(__u64 word)
{
	word = (word ^ word >> 30) * 0xbf58476d1ce4e5b9ULL;
	word = (word ^ word >> 27) * 0x94d049bb133111ebULL;
	return word ^ word >> 31;
}

static __always_inline void choose_tuple(struct cost_plan *plan, struct tuple *tuple)
{
	__u64 number = plan->next++;
	__u64 bits;

	tuple->client = number;
	if (plan->clients)
		tuple->client = ((mix(number + CHOICE_SALT) & 0xffffffff) * plan->clients) >> 32;
	tuple->client += plan->first_client;
	tuple->address_bits = mix(tuple->client + ADDRESS_SALT);
	bits = mix(plan->fresh_numbers ? number + NUMBERS_SALT : tuple->address_bits);
	tuple->client_isn = bits;
	tuple->server_isn = ~(__u32)bits;
	tuple->port = 1024 + ((bits >> 32 & 0xffff) * 64512 >> 16);
}

/* Unicast, outside 0/8 and 127/8; or 10/8 in order. */
static __always_inline __u32 ipv4_address(struct cost_plan *plan, struct tuple *tuple)
{
	__u32 bits = tuple->address_bits, first;

	if (!plan->scattered)
		return 10 << 24 | (tuple->client & 0xffffff);
	first = 1 + ((bits >> 24) * 222 >> 8);
	first += first >= 127;
	return first << 24 | (bits & 0xffffff);
}

/* The /64: one for each client, since that is what a source is. */
static __always_inline __u64 ipv6_prefix(struct cost_plan *plan, struct tuple *tuple)
{
	if (!plan->scattered)
		return 0x20010db8ULL << 32 | (tuple->client & 0xffffffff);
	return 2ULL << 60 | tuple->address_bits >> 4;
}

static __always_inline int write_address(void *ip, void *end, struct cost_plan *plan, struct tuple *tuple)
{
	struct ipv6hdr *ipv6 = ip;
	struct iphdr *ipv4 = ip;
	struct in6_addr *peer;

	if (!plan->ipv6) {
		if ((void *)(ipv4 + 1) > end)
			return -1;
		*(plan->segment == SEGMENT_SYNACK ? &ipv4->daddr : &ipv4->saddr) =
			__builtin_bswap32(ipv4_address(plan, tuple));
		return 0;
	}
	if ((void *)(ipv6 + 1) > end)
		return -1;
	peer = plan->segment == SEGMENT_SYNACK ? &ipv6->daddr : &ipv6->saddr;
	*(__u64 *)peer = __builtin_bswap64(ipv6_prefix(plan, tuple));
	*((__u64 *)peer + 1) = __builtin_bswap64(1);
	return 0;
}

static __always_inline int write_segment(struct tcphdr *tcp, void *end, struct cost_plan *plan,
					 struct tuple *tuple)
{
	if ((void *)(tcp + 1) > end)
		return -1;
	if (plan->segment == SEGMENT_SYNACK) {
		tcp->dest = __builtin_bswap16(tuple->port);
		tcp->seq = __builtin_bswap32(tuple->server_isn);
		tcp->ack_seq = __builtin_bswap32(tuple->client_isn + 1);
		return 0;
	}
	tcp->source = __builtin_bswap16(tuple->port);
	tcp->seq = __builtin_bswap32(tuple->client_isn + (plan->segment != SEGMENT_SYN));
	tcp->ack_seq = 0;
	if (plan->segment == SEGMENT_ACK)
		tcp->ack_seq = __builtin_bswap32(tuple->server_isn + 1);
	else if (plan->segment == SEGMENT_WRONG_ACK)
		tcp->ack_seq = __builtin_bswap32(tuple->server_isn + 1 + ACK_ERROR);
	return 0;
}

static __always_inline int write_packet(void *data, void *end)
{
	struct cost_plan *plan;
	struct tuple tuple;
	__u32 zero = 0;
	void *ip = data + sizeof(struct ethhdr);

	plan = plans.lookup(&zero);
	if (!plan)
		return -1;
	choose_tuple(plan, &tuple);
	if (write_address(ip, end, plan, &tuple))
		return -1;
	if (plan->ipv6)
		return write_segment(ip + sizeof(struct ipv6hdr), end, plan, &tuple);
	return write_segment(ip + sizeof(struct iphdr), end, plan, &tuple);
}

int write_xdp(struct xdp_md *frame)
{
	if (write_packet((void *)(long)frame->data, (void *)(long)frame->data_end))
		return XDP_ABORTED;
	xdp_target.call(frame, 0);
	return XDP_ABORTED;
}

int write_tc(struct __sk_buff *skb)
{
	if (write_packet((void *)(long)skb->data, (void *)(long)skb->data_end))
		return TC_ACT_SHOT;
	tc_target.call(skb, 0);
	return TC_ACT_SHOT;
}

int empty_xdp(struct xdp_md *frame)
{
	return XDP_PASS;
}

int empty_tc(struct __sk_buff *skb)
{
	return TC_ACT_UNSPEC;
}

/* Ethernet, IPv4 or IPv6 without options, TCP: returns what depends on all of them, -1 for anything else. */
static __always_inline long parse_headers(void *data, void *end)
{
	struct ethhdr *ethernet = data;
	struct ipv6hdr *ipv6;
	struct tcphdr *tcp;
	struct iphdr *ipv4;
	__u32 addresses;

	if ((void *)(ethernet + 1) > end)
		return -1;
	if (ethernet->h_proto == __builtin_bswap16(ETH_P_IP)) {
		ipv4 = (void *)(ethernet + 1);
		if ((void *)(ipv4 + 1) > end || ipv4->ihl < 5 || ipv4->protocol != IPPROTO_TCP)
			return -1;
		addresses = ipv4->saddr ^ ipv4->daddr;
		tcp = (void *)ipv4 + ipv4->ihl * 4;
	} else if (ethernet->h_proto == __builtin_bswap16(ETH_P_IPV6)) {
		ipv6 = (void *)(ethernet + 1);
		if ((void *)(ipv6 + 1) > end || ipv6->nexthdr != IPPROTO_TCP)
			return -1;
		addresses = ipv6->saddr.s6_addr32[1] ^ ipv6->daddr.s6_addr32[1];
		tcp = (void *)(ipv6 + 1);
	} else {
		return -1;
	}
	if ((void *)(tcp + 1) > end)
		return -1;
	return addresses ^ tcp->source ^ tcp->dest ^ tcp->seq ^ tcp->ack_seq ^ ((__u8 *)tcp)[13];
}

/* To the compiler the sum is used here: it cannot leave the parsing out. */
#define USE(sum) asm volatile("" : : "r"(sum))

int parse_xdp(struct xdp_md *frame)
{
	long sum = parse_headers((void *)(long)frame->data, (void *)(long)frame->data_end);

	USE(sum);
	return XDP_PASS;
}

int parse_tc(struct __sk_buff *skb)
{
	long sum = parse_headers((void *)(long)skb->data, (void *)(long)skb->data_end);

	USE(sum);
	return TC_ACT_UNSPEC;
}
