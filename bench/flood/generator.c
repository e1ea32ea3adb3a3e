// SPDX-License-Identifier: MIT
/*
 * Writes one SYN into each frame that BPF_PROG_TEST_RUN hands it and sends it out of an interface.
 *
 * The kernel recycles frames with whatever their receivers changed in them, so every byte of every
 * header is written anew each time. The frame's length is fixed by the caller: the program refuses
 * one that does not fit the plan.
 */
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>

#define FAMILY_IPV4 4
#define SHAPE_LINUX 1
#define HOPS 64
#define DO_NOT_FRAGMENT 0x4000
#define FLOW_LABEL_MASK 0xfffff
#define MAX_SOURCES 4096
/* Linux: MSS, SACK permitted, timestamps, window scale, 20 bytes in all. */
#define OPTION_WORDS 5
#define LINUX_WINDOW 64240
/* What hping3 and most raw-socket tools put there. */
#define BARE_WINDOW 512

/* Mirrored by bench/flood/plan.py. Addresses, masks and the port are in network byte order. */
struct flood_plan {
	__u32 destination[4];
	__u32 source[4];
	/* Bits of the source that are chosen anew for each frame. */
	__u32 source_random[4];
	/* Above 0: one of so many entries of `sources` instead. */
	__u32 source_count;
	__u32 interface;
	__u16 destination_port;
	__u8 family;
	__u8 shape;
	/* Any IPv4 unicast address outside 0/8 and 127/8. */
	__u8 source_any;
	__u8 destination_mac[6];
	__u8 source_mac[6];
	__u8 unused[3];
};

_Static_assert(sizeof(struct flood_plan) == PLAN_BYTES, "plan.py's layout is another");
_Static_assert(__builtin_offsetof(struct flood_plan, source_count) == PLAN_COUNT_OFFSET, "plan.py");
_Static_assert(__builtin_offsetof(struct flood_plan, destination_mac) == PLAN_MAC_OFFSET, "plan.py");

/* A header's words: they are written as fields and summed as words. */
typedef __u32 __attribute__((may_alias)) header_word;

struct flood_address {
	__u32 word[4];
};

/* Per CPU; mirrored by bench/flood/plan.py. */
struct flood_sent {
	__u64 frames;
	__u64 first_ns;
	__u64 last_ns;
};

_Static_assert(sizeof(struct flood_sent) == SENT_BYTES, "plan.py's layout is another");

BPF_ARRAY(plans, struct flood_plan, 1);
BPF_ARRAY(sources, struct flood_address, MAX_SOURCES);
BPF_PERCPU_ARRAY(sent, struct flood_sent, 1);

struct tcp_segment {
	struct tcphdr header;
	__u32 options[OPTION_WORDS];
};

static __always_inline __u16 swap16(__u16 value)
{
	return __builtin_bswap16(value);
}

static __always_inline __u64 sum_words(const header_word *words, int count)
{
	__u64 sum = 0;

#pragma unroll
	for (int i = 0; i < count; i++)
		sum += words[i];
	return sum;
}

static __always_inline __u16 fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

static __always_inline void choose_source(const struct flood_plan *plan, struct flood_address *source)
{
	struct flood_address *listed;
	__u32 index, first;

	if (plan->source_count) {
		index = bpf_get_prandom_u32() % plan->source_count;
		listed = sources.lookup(&index);
		if (listed)
			*source = *listed;
		return;
	}
#pragma unroll
	for (int i = 0; i < 4; i++)
		source->word[i] = plan->source[i] | (bpf_get_prandom_u32() & plan->source_random[i]);
	if (!plan->source_any)
		return;
	first = 1 + (source->word[0] & 0xff) % 222;
	first += first >= 127;
	source->word[0] = (source->word[0] & ~0xffU) | first;
}

static __always_inline int write_options(header_word *options, void *end)
{
	if ((void *)(options + OPTION_WORDS) > end)
		return -1;
	options[0] = __builtin_bswap32(0x020405b4); /* MSS 1460 */
	options[1] = __builtin_bswap32(0x0402080a); /* SACK permitted; timestamps, 10 bytes */
	options[2] = bpf_get_prandom_u32();
	options[3] = 0;
	options[4] = __builtin_bswap32(0x01030307); /* NOP; window scale 7 */
	return 0;
}

static __always_inline int write_tcp(struct tcphdr *tcp, void *end, const struct flood_plan *plan, __u64 sum)
{
	header_word *words = (header_word *)tcp;

	if ((void *)(tcp + 1) > end)
		return -1;
	words[3] = 0;
	tcp->source = swap16(1024 + bpf_get_prandom_u32() % 64512);
	tcp->dest = plan->destination_port;
	tcp->seq = bpf_get_prandom_u32();
	tcp->ack_seq = 0;
	tcp->syn = 1;
	tcp->doff = 5;
	tcp->window = swap16(BARE_WINDOW);
	tcp->check = 0;
	tcp->urg_ptr = 0;
	if (plan->shape == SHAPE_LINUX) {
		if (write_options(words + 5, end))
			return -1;
		tcp->doff = 5 + OPTION_WORDS;
		tcp->window = swap16(LINUX_WINDOW);
		sum += sum_words(words + 5, OPTION_WORDS);
	}
	tcp->check = fold(sum + sum_words(words, 5));
	return 0;
}

static __always_inline int write_ipv4(struct ethhdr *eth, void *end, const struct flood_plan *plan,
				      __u32 tcp_bytes, const struct flood_address *source)
{
	struct iphdr *ip = (void *)(eth + 1);
	__u64 pseudo_sum;

	if ((void *)(ip + 1) > end)
		return -1;
	eth->h_proto = swap16(ETH_P_IP);
	ip->version = 4;
	ip->ihl = 5;
	ip->tos = 0;
	ip->tot_len = swap16(sizeof(*ip) + tcp_bytes);
	ip->id = bpf_get_prandom_u32();
	ip->frag_off = swap16(DO_NOT_FRAGMENT);
	ip->ttl = HOPS;
	ip->protocol = IPPROTO_TCP;
	ip->check = 0;
	ip->saddr = source->word[0];
	ip->daddr = plan->destination[0];
	ip->check = fold(sum_words((header_word *)ip, 5));
	pseudo_sum = (__u64)ip->saddr + ip->daddr + swap16(IPPROTO_TCP) + swap16(tcp_bytes);
	return write_tcp((void *)(ip + 1), end, plan, pseudo_sum);
}

static __always_inline int write_ipv6(struct ethhdr *eth, void *end, const struct flood_plan *plan,
				      __u32 tcp_bytes, const struct flood_address *source)
{
	struct ipv6hdr *ip = (void *)(eth + 1);
	header_word *words = (header_word *)ip;

	if ((void *)(ip + 1) > end)
		return -1;
	eth->h_proto = swap16(ETH_P_IPV6);
	words[0] = __builtin_bswap32(0x60000000 | (bpf_get_prandom_u32() & FLOW_LABEL_MASK));
	ip->payload_len = swap16(tcp_bytes);
	ip->nexthdr = IPPROTO_TCP;
	ip->hop_limit = HOPS;
#pragma unroll
	for (int i = 0; i < 4; i++) {
		words[2 + i] = source->word[i];
		words[6 + i] = plan->destination[i];
	}
	return write_tcp((void *)(ip + 1), end, plan,
			 sum_words(words + 2, 8) + swap16(IPPROTO_TCP) + swap16(tcp_bytes));
}

static __always_inline void count_frame(void)
{
	__u32 key = 0;
	struct flood_sent *mine = sent.lookup(&key);

	if (!mine)
		return;
	mine->last_ns = bpf_ktime_get_ns();
	if (!mine->frames)
		mine->first_ns = mine->last_ns;
	mine->frames++;
}

static __always_inline int write_frame(struct ethhdr *eth, void *end, const struct flood_plan *plan)
{
	__u32 option_bytes = plan->shape == SHAPE_LINUX ? OPTION_WORDS * 4 : 0;
	__u32 ip_bytes = plan->family == FAMILY_IPV4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr);
	__u32 tcp_bytes = sizeof(struct tcphdr) + option_bytes;
	struct flood_address source = {};

	if ((void *)(eth + 1) > end || (long)end - (long)eth != sizeof(*eth) + ip_bytes + tcp_bytes)
		return -1;
	__builtin_memcpy(eth->h_dest, plan->destination_mac, ETH_ALEN);
	__builtin_memcpy(eth->h_source, plan->source_mac, ETH_ALEN);
	choose_source(plan, &source);
	if (plan->family == FAMILY_IPV4)
		return write_ipv4(eth, end, plan, tcp_bytes, &source);
	return write_ipv6(eth, end, plan, tcp_bytes, &source);
}

int send_syn(struct xdp_md *ctx)
{
	struct flood_plan *plan;
	__u32 key = 0;

	plan = plans.lookup(&key);
	if (!plan || write_frame((void *)(long)ctx->data, (void *)(long)ctx->data_end, plan))
		return XDP_DROP;
	count_frame();
	return bpf_redirect(plan->interface, 0);
}
