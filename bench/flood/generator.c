// SPDX-License-Identifier: MIT
/*
 * Writes SYNs, and ACKs between them, into the frames that BPF_PROG_TEST_RUN hands it, and sends each
 * out of an interface when it is due. One that is not due goes back unused: that is how it waits.
 *
 * The kernel recycles frames with whatever their receivers changed in them, so every byte of every
 * header is written anew each time. The frame's length is fixed by the caller: the program refuses
 * one that does not fit the plan.
 *
 * A group is one SYN, its copies, and the ACKs that follow it. All that is random in a group is drawn
 * from its number, so that copies come out alike with nothing remembered.
 */
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>

#define FAMILY_IPV4 4
#define SHAPE_LINUX 1
#define SHAPE_HPING3 2
#define DO_NOT_FRAGMENT 0x4000
#define FLOW_LABEL_MASK 0xfffff
#define MAX_SOURCES 4096
#define MAX_VLANS 2
#define MAX_PAYLOAD_WORDS 64
#define VLAN_BYTES 4
/* Linux: MSS, SACK permitted, timestamps, window scale, 20 bytes in all; timestamps alone in an ACK. */
#define SYN_OPTION_WORDS 5
#define ACK_OPTION_WORDS 3
#define LINUX_WINDOW 64240
/* What hping3 and most raw-socket tools put there. */
#define RAW_WINDOW 512
/* hping3 draws its numbers by rand(3). */
#define RAND_MASK 0x7fffffff

/* Mirrored by bench/flood/layout.py. Addresses, masks, tags and the port are in network byte order. */
struct flood_plan {
	__u32 destination[4];
	__u32 source[4];
	/* Bits of the source that are chosen anew for each group. */
	__u32 source_random[4];
	__u64 seed;
	/* Above 0: one of so many entries of `sources` instead. */
	__u32 source_count;
	__u32 interface;
	/* SYNs in a group, all alike, and ACKs after them. */
	__u32 copies;
	__u32 acks;
	__u16 destination_port;
	__u16 first_port;
	__u16 vlans[MAX_VLANS];
	__u8 vlan_count;
	__u8 family;
	__u8 shape;
	/* Any IPv4 unicast address outside 0/8 and 127/8. */
	__u8 source_any;
	__u8 random_ports;
	__u8 destination_mac[6];
	__u8 source_mac[6];
	/* Hops left: so many, and up to as many more as below `hop_count`, the same for all of a source's. */
	__u8 hops;
	/* Data in the SYN, all zero; a multiple of 4. */
	__u16 payload_bytes;
	__u8 hop_count;
	__u8 unused[3];
};

/* What has been done, and what to do in the next call; one process sends, on one CPU. */
struct flood_state {
	__u64 syns;
	__u64 acks;
	__u64 groups;
	/* Frames of the group that have been sent. */
	__u64 position;
	__u64 first_ns;
	__u64 last_ns;
	/* When the next burst of PACED_FRAMES is due. */
	__u64 due_ns;
	/* Between two bursts; 0: no waiting. */
	__u64 interval_ns;
	/* Frames that may still be sent. */
	__u64 remaining;
	/* Time spent waiting, and when the clock was read last. */
	__u64 idle_ns;
	__u64 clock_ns;
};

_Static_assert(sizeof(struct flood_plan) == PLAN_BYTES, "layout.py's is another");
_Static_assert(__builtin_offsetof(struct flood_plan, seed) == PLAN_SEED_OFFSET, "layout.py");
_Static_assert(__builtin_offsetof(struct flood_plan, destination_mac) == PLAN_MAC_OFFSET, "layout.py");
_Static_assert(__builtin_offsetof(struct flood_plan, payload_bytes) == PLAN_PAYLOAD_OFFSET, "layout.py");
_Static_assert(sizeof(struct flood_state) == STATE_BYTES, "layout.py's is another");
_Static_assert(__builtin_offsetof(struct flood_state, idle_ns) == STATE_IDLE_OFFSET, "layout.py");

/* A header's words: they are written as fields and summed as words. */
typedef __u32 __attribute__((may_alias)) header_word;

struct flood_address {
	__u32 word[4];
};

struct vlan_tag {
	__u16 control;
	__u16 protocol;
};

/* One frame to write: what differs from frame to frame. */
struct frame_kind {
	__u64 group_seed;
	__u32 position;
	__u32 is_ack;
	__u32 tcp_bytes;
	__u32 payload_bytes;
	__u16 source_port;
};

BPF_ARRAY(plans, struct flood_plan, 1);
BPF_ARRAY(states, struct flood_state, 1);
BPF_ARRAY(sources, struct flood_address, MAX_SOURCES);

static __always_inline __u16 swap16(__u16 value)
{
	return __builtin_bswap16(value);
}

/* The output function of splitmix64 (Steele, Lea, Flood 2014). */
static __always_inline __u64 mix(__u64 value)
{
	value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ULL;
	value = (value ^ (value >> 27)) * 0x94d049bb133111ebULL;
	return value ^ (value >> 31);
}

/* 64 random bits, the same ones for the same group and number. */
static __always_inline __u64 draw(__u64 group_seed, __u32 number)
{
	return mix(group_seed + number * 0xd1b54a32d192ed03ULL);
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

static __always_inline void choose_source(const struct flood_plan *plan, __u64 group_seed,
					  struct flood_address *source)
{
	__u64 high = draw(group_seed, 1), low;
	struct flood_address *listed;
	__u32 index, first;

	if (plan->source_count) {
		index = ((high & 0xffffffff) * plan->source_count) >> 32;
		listed = sources.lookup(&index);
		if (listed)
			*source = *listed;
		return;
	}
	source->word[0] = plan->source[0] | (high & plan->source_random[0]);
	if (plan->family != FAMILY_IPV4) {
		low = draw(group_seed, 2);
		source->word[1] = plan->source[1] | ((high >> 32) & plan->source_random[1]);
		source->word[2] = plan->source[2] | (low & plan->source_random[2]);
		source->word[3] = plan->source[3] | ((low >> 32) & plan->source_random[3]);
	}
	if (!plan->source_any)
		return;
	first = 1 + (source->word[0] & 0xff) % 222;
	first += first >= 127;
	source->word[0] = (source->word[0] & ~0xffU) | first;
}

static __always_inline __u16 destination_port(const struct flood_plan *plan, __u64 group_seed)
{
	if (!plan->random_ports)
		return plan->destination_port;
	return swap16(1 + (((draw(group_seed, 3) & 0xffff) * 65535) >> 16));
}

static __always_inline int write_syn_options(header_word *options, void *end, __u32 clock)
{
	if ((void *)(options + SYN_OPTION_WORDS) > end)
		return -1;
	options[0] = __builtin_bswap32(0x020405b4); /* MSS 1460 */
	options[1] = __builtin_bswap32(0x0402080a); /* SACK permitted; timestamps, 10 bytes */
	options[2] = clock;
	options[3] = 0;
	options[4] = __builtin_bswap32(0x01030307); /* NOP; window scale 7 */
	return 0;
}

static __always_inline int write_ack_options(header_word *options, void *end, __u32 clock)
{
	if ((void *)(options + ACK_OPTION_WORDS) > end)
		return -1;
	options[0] = __builtin_bswap32(0x0101080a); /* NOP, NOP; timestamps, 10 bytes */
	options[1] = clock;
	options[2] = ~clock;
	return 0;
}

/* Zeros add nothing to a checksum, but what a recycled frame held would. */
static __always_inline int clear_payload(header_word *payload, void *end, const struct frame_kind *kind)
{
	for (int i = 0; i < MAX_PAYLOAD_WORDS; i++) {
		if (i * 4 >= kind->payload_bytes)
			return 0;
		if ((void *)(payload + i + 1) > end)
			return -1;
		/* A plain one LLVM 19 would make a call of memset(), which BPF has not. */
		*(volatile header_word *)&payload[i] = 0;
	}
	return 0;
}

/* The hops that a source's packets have left: however far it is, it stays there. */
static __always_inline __u8 hops_left(const struct flood_plan *plan, const struct flood_address *source)
{
	__u64 folded = source->word[0] ^ source->word[1] ^ source->word[2] ^ source->word[3];

	if (plan->hop_count < 2)
		return plan->hops;
	return plan->hops + (mix(folded) & 0xffff) % plan->hop_count;
}

/* Write sequence numbers and flags over a header that is zero there. */
static __always_inline void write_numbers(struct tcphdr *tcp, const struct flood_plan *plan,
					  const struct frame_kind *kind)
{
	__u64 numbers = draw(kind->group_seed, kind->is_ack ? 16 + kind->position : 4);

	tcp->seq = numbers;
	if (kind->is_ack) {
		tcp->ack_seq = numbers >> 32;
		tcp->ack = 1;
		return;
	}
	tcp->syn = 1;
	if (plan->shape != SHAPE_HPING3)
		return;
	tcp->seq = __builtin_bswap32(numbers & RAND_MASK);
	tcp->ack_seq = __builtin_bswap32((numbers >> 32) & RAND_MASK);
}

static __always_inline int write_tcp(struct tcphdr *tcp, void *end, const struct flood_plan *plan,
				     const struct frame_kind *kind, __u64 sum)
{
	header_word *words = (header_word *)tcp, *options = words + 5;
	__u32 clock = draw(kind->group_seed, 5);

	if ((void *)(tcp + 1) > end)
		return -1;
	words[2] = 0;
	words[3] = 0;
	words[4] = 0;
	tcp->source = swap16(kind->source_port);
	tcp->dest = destination_port(plan, kind->group_seed);
	tcp->doff = kind->tcp_bytes / 4;
	tcp->window = swap16(plan->shape == SHAPE_LINUX ? LINUX_WINDOW : RAW_WINDOW);
	write_numbers(tcp, plan, kind);
	if (plan->shape == SHAPE_LINUX && kind->is_ack) {
		if (write_ack_options(options, end, clock))
			return -1;
		sum += sum_words(options, ACK_OPTION_WORDS);
	} else if (plan->shape == SHAPE_LINUX) {
		if (write_syn_options(options, end, clock))
			return -1;
		sum += sum_words(options, SYN_OPTION_WORDS);
	}
	tcp->check = fold(sum + sum_words(words, 5));
	return clear_payload(words + kind->tcp_bytes / 4, end, kind);
}

static __always_inline int write_ipv4(void *start, void *end, const struct flood_plan *plan,
				      const struct frame_kind *kind, const struct flood_address *source)
{
	__u16 fragment = plan->shape == SHAPE_HPING3 ? 0 : swap16(DO_NOT_FRAGMENT);
	struct iphdr *ip = start;
	__u64 pseudo_sum;

	if ((void *)(ip + 1) > end)
		return -1;
	ip->version = 4;
	ip->ihl = 5;
	ip->tos = 0;
	ip->tot_len = swap16(sizeof(*ip) + kind->tcp_bytes + kind->payload_bytes);
	ip->id = draw(kind->group_seed, 6) + (kind->is_ack ? kind->position : 0);
	ip->frag_off = fragment;
	ip->ttl = hops_left(plan, source);
	ip->protocol = IPPROTO_TCP;
	ip->check = 0;
	ip->saddr = source->word[0];
	ip->daddr = plan->destination[0];
	ip->check = fold(sum_words((header_word *)ip, 5));
	pseudo_sum = (__u64)ip->saddr + ip->daddr + swap16(IPPROTO_TCP);
	pseudo_sum += swap16(kind->tcp_bytes + kind->payload_bytes);
	return write_tcp((void *)(ip + 1), end, plan, kind, pseudo_sum);
}

static __always_inline int write_ipv6(void *start, void *end, const struct flood_plan *plan,
				      const struct frame_kind *kind, const struct flood_address *source)
{
	__u32 label = plan->shape == SHAPE_HPING3 ? 0 : draw(kind->group_seed, 6) & FLOW_LABEL_MASK;
	header_word *words = start;
	struct ipv6hdr *ip = start;

	if ((void *)(ip + 1) > end)
		return -1;
	words[0] = __builtin_bswap32(0x60000000 | label);
	ip->payload_len = swap16(kind->tcp_bytes + kind->payload_bytes);
	ip->nexthdr = IPPROTO_TCP;
	ip->hop_limit = hops_left(plan, source);
#pragma unroll
	for (int i = 0; i < 4; i++) {
		words[2 + i] = source->word[i];
		words[6 + i] = plan->destination[i];
	}
	return write_tcp((void *)(ip + 1), end, plan, kind,
			 sum_words(words + 2, 8) + swap16(IPPROTO_TCP) +
				 swap16(kind->tcp_bytes + kind->payload_bytes));
}

/* Write the Ethernet header and its tags; return the EtherType's place behind the last tag. */
static __always_inline __u16 *write_ethernet(struct ethhdr *eth, void *end, const struct flood_plan *plan)
{
	struct vlan_tag *tags = (void *)(eth + 1);

	if ((void *)(eth + 1) > end)
		return 0;
	__builtin_memcpy(eth->h_dest, plan->destination_mac, ETH_ALEN);
	__builtin_memcpy(eth->h_source, plan->source_mac, ETH_ALEN);
	if (!plan->vlan_count)
		return &eth->h_proto;
	eth->h_proto = swap16(plan->vlan_count > 1 ? ETH_P_8021AD : ETH_P_8021Q);
	if ((void *)(tags + 1) > end)
		return 0;
	tags[0].control = plan->vlans[0];
	if (plan->vlan_count < 2)
		return &tags[0].protocol;
	tags[0].protocol = swap16(ETH_P_8021Q);
	if ((void *)(tags + 2) > end)
		return 0;
	tags[1].control = plan->vlans[1];
	return &tags[1].protocol;
}

static __always_inline int write_frame(struct xdp_md *ctx, const struct flood_plan *plan,
				       const struct frame_kind *kind)
{
	void *end = (void *)(long)ctx->data_end;
	struct flood_address source = {};
	__u16 *protocol = write_ethernet((void *)(long)ctx->data, end, plan);

	if (!protocol || (void *)(protocol + 1) > end)
		return -1;
	choose_source(plan, kind->group_seed, &source);
	if (plan->family == FAMILY_IPV4) {
		*protocol = swap16(ETH_P_IP);
		return write_ipv4(protocol + 1, end, plan, kind, &source);
	}
	*protocol = swap16(ETH_P_IPV6);
	return write_ipv6(protocol + 1, end, plan, kind, &source);
}

/* Describe the next frame, and cut the frame at hand to its length where an ACK is shorter. */
static __always_inline int begin_frame(struct xdp_md *ctx, const struct flood_plan *plan,
				       const struct flood_state *state, struct frame_kind *kind)
{
	__u32 ip_bytes = plan->family == FAMILY_IPV4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr);
	__u32 option_bytes = plan->shape == SHAPE_LINUX ? SYN_OPTION_WORDS * 4 : 0;
	__u32 expected = sizeof(struct ethhdr) + plan->vlan_count * VLAN_BYTES + ip_bytes;
	int surplus;

	kind->group_seed = plan->seed + state->groups * 0x9e3779b97f4a7c15ULL;
	kind->position = state->position;
	kind->is_ack = kind->position >= plan->copies;
	kind->tcp_bytes = sizeof(struct tcphdr) + option_bytes;
	kind->payload_bytes = plan->payload_bytes;
	kind->source_port = plan->first_port + state->groups;
	if (plan->shape != SHAPE_HPING3)
		kind->source_port = 1024 + (((draw(kind->group_seed, 7) & 0xffff) * 64512) >> 16);
	if (ctx->data_end - ctx->data != expected + kind->tcp_bytes + kind->payload_bytes)
		return -1;
	if (!kind->is_ack || !(option_bytes + kind->payload_bytes))
		return 0;
	surplus = kind->payload_bytes;
	kind->payload_bytes = 0;
	if (option_bytes) {
		kind->tcp_bytes = sizeof(struct tcphdr) + ACK_OPTION_WORDS * 4;
		surplus += (SYN_OPTION_WORDS - ACK_OPTION_WORDS) * 4;
	}
	return bpf_xdp_adjust_tail(ctx, -surplus);
}

/*
 * Whether a frame may leave now, by the pace that the caller set. They wait for one another in bursts:
 * a receiver that is woken for every single one spends ten times as long on it.
 */
static __always_inline int is_due(struct flood_state *state)
{
	__u64 now_ns = bpf_ktime_get_ns(), stalled_ns = now_ns - state->interval_ns;
	int begins = state->interval_ns && !(state->remaining % PACED_FRAMES);
	int waits = !state->remaining || (begins && now_ns < state->due_ns);

	if (waits)
		state->idle_ns += now_ns - state->clock_ns;
	state->clock_ns = now_ns;
	if (waits || !begins)
		return !waits;
	/* After a stall, at most two bursts at once. */
	if (state->due_ns < stalled_ns)
		state->due_ns = stalled_ns;
	state->due_ns += state->interval_ns;
	return 1;
}

static __always_inline void count_frame(const struct flood_plan *plan, struct flood_state *state, int is_ack)
{
	state->last_ns = state->clock_ns;
	if (!state->first_ns)
		state->first_ns = state->clock_ns;
	state->remaining--;
	if (is_ack)
		state->acks++;
	else
		state->syns++;
	state->position++;
	if (state->position < plan->copies + plan->acks)
		return;
	state->position = 0;
	state->groups++;
}

int send_syn(struct xdp_md *ctx)
{
	struct frame_kind kind = {};
	struct flood_state *state;
	struct flood_plan *plan;
	__u32 key = 0;

	plan = plans.lookup(&key);
	state = states.lookup(&key);
	if (!plan || !state || !is_due(state))
		return XDP_DROP;
	if (begin_frame(ctx, plan, state, &kind) || write_frame(ctx, plan, &kind))
		return XDP_DROP;
	count_frame(plan, state, kind.is_ack);
	return bpf_redirect(plan->interface, 0);
}
