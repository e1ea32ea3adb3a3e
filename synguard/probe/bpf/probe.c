/* The probe: counts handshakes on ingress and egress, and drops or answers SYNs that a rule speaks of.
 *
 * Ingress sees SYN, ACK and RST of peers, egress our SYN-ACK and RST. Nothing but a SYN under a rule is
 * ever dropped: what cannot be parsed passes and is counted by its reason.
 */
#include <uapi/linux/bpf.h>
#include <linux/pkt_cls.h>

/* To keep the variables of what is inlined told in five programs would be a seventh of the time to compile them. */
#undef __always_inline
#define __always_inline inline __attribute__((always_inline, nodebug))

#include "layout.h"
#include "packet.h"
#include "siphash.h"
#include "maps.h"
#include "hashes.h"
#include "slots.h"
#include "handshakes.h"
#include "admission.h"
#include "sources.h"
#include "clocks.h"
#include "probing.h"
#include "listeners.h"
#include "greylist.h"
#include "rules.h"
#include "flows.h"
#include "events.h"
#include "dropped.h"
#include "answers.h"
#include "cookies.h"
#include "respond.h"

#define HEADERS_MAX 256 /* bytes of a frame that may hold headers we read */
/* Ethernet, IPv4 and TCP. What we send ourselves has its headers, and of data often no more, in the linear area:
 * to ask for more would copy every such segment. Where that is too little, for IPv6 or options, more is asked for.
 */
#define HEADERS_MIN 54
/* The class of our filters on devices whose packets begin with the IP header, see tc.py: the bytes missing. */
#define NO_LINK_HEADER 14

static __always_inline void count_unparsed(struct totals *totals, int result)
{
	switch (result) {
	case PARSED_NOT_IP: totals->not_ip++; break;
	case PARSED_NOT_TCP: totals->not_tcp++; break;
	case TRUNCATED_LINK: totals->truncated_link++; break;
	case VLAN_DEPTH: totals->vlan_depth++; break;
	case TRUNCATED_IP: totals->truncated_ip++; break;
	case BAD_IP_HEADER: totals->bad_ip_header++; break;
	case EXTENSION_DEPTH: totals->extension_depth++; break;
	case FRAGMENT: totals->fragment++; break;
	case TRUNCATED_TCP: totals->truncated_tcp++; break;
	case BAD_TCP_HEADER: totals->bad_tcp_header++; break;
	}
}

static __always_inline u8 kind_of(struct packet *packet)
{
	return packet->flags & (TCP_SYN | TCP_RST | TCP_FIN | TCP_ACK);
}

static __always_inline void ingress(struct context *context, struct packet *packet)
{
	u8 flags = packet->flags & (TCP_FIN | TCP_SYN | TCP_RST | TCP_PSH | TCP_ACK | TCP_URG);
	u8 kind = kind_of(packet);

	if (kind == TCP_SYN) {
		read_clock(context, CLOCK_COARSE);
		count_syn(context, packet, FATE_PASSES, 0);
	} else if (kind == TCP_ACK || kind == (TCP_FIN | TCP_ACK)) {
		count_ack(context, packet);
	} else if (kind == TCP_RST || kind == (TCP_RST | TCP_ACK)) {
		count_peer_reset(context, packet);
	} else if (kind != (TCP_SYN | TCP_ACK)) {
		count_probe(context, packet, flags);
	}
}

/* On egress the peer is the destination: turn the packet round, so that all speak of one tuple. */
static __always_inline void turn_round(struct packet *packet)
{
	struct address source = packet->source;
	u16 port = packet->source_port;

	packet->source = packet->destination;
	packet->destination = source;
	packet->source_port = packet->destination_port;
	packet->destination_port = port;
}

/* Leaves for the program that does more, where there is more to do. The kernel takes those programs away when nobody
 * holds their table any more: then this one goes on alone.
 */
static __always_inline void go_on(struct xdp_md *frame, struct context *context, struct packet *packet)
{
	u8 kind = kind_of(packet);

	if (kind == TCP_SYN && context->settings->responding)
		continuations.call(frame, RESPOND_TO_SYN);
	else if ((kind == TCP_ACK || kind == (TCP_FIN | TCP_ACK)) && context->settings->checking_cookies)
		continuations.call(frame, CHECK_COOKIE);
}

/* Drops a SYN that is blocked; returns whether it is. Without the program that counts it whole it is still dropped. */
static __always_inline int drop_blocked(struct xdp_md *frame, struct context *context, struct packet *packet)
{
	struct block *block;

	if (!context->settings->block_lengths_count)
		return 0;
	read_clock(context, CLOCK_COARSE);
	block = source_rule(context, packet);
	if (!block || block->action != SOURCE_DROP)
		return 0;
	if (drop_alike(context, packet, block))
		return 1;
	continuations.call(frame, RESPOND_TO_SYN);
	context->totals->attempts++;
	context->totals->dropped_by_us++;
	__sync_fetch_and_add(&block->hits, 1);
	return 1;
}

int synguard_xdp(struct xdp_md *frame)
{
	struct interface_packets *passed;
	struct context context;
	struct packet packet;
	int result;

	passed = enter(&context, frame->ingress_ifindex);
	if (!passed)
		return XDP_PASS;
	passed->ingress++;
	result = parse_packet((void *)(long)frame->data, (void *)(long)frame->data_end, &packet);
	if (result != PARSED_TCP) {
		count_unparsed(context.totals, result);
		return XDP_PASS;
	}
	if (kind_of(&packet) == TCP_SYN && drop_blocked(frame, &context, &packet))
		return XDP_DROP;
	go_on(frame, &context, &packet);
	ingress(&context, &packet);
	return XDP_PASS;
}

/* What the interface's program goes on in for a SYN that may meet a rule. */
int synguard_xdp_syn(struct xdp_md *frame)
{
	struct context context;
	struct headers *asked;
	u32 zero = 0, admitted_ticks;

	asked = headers.lookup(&zero);
	if (!asked || !enter(&context, frame->ingress_ifindex) ||
	    parse_packet((void *)(long)frame->data, (void *)(long)frame->data_end, &asked->packet) != PARSED_TCP)
		return XDP_PASS;
	read_clock(&context, CLOCK_COARSE);
	respond_to_syn(frame, &context, asked);
	admitted_ticks = *(volatile u32 *)&asked->grey == GREY_ADMITTED ? *(volatile u32 *)&asked->age_ticks : 0;
	count_syn(&context, &asked->packet, *(volatile u32 *)&asked->fate, admitted_ticks);
	return *(volatile u32 *)&asked->action;
}

/* And for an ACK that may bring a cookie back. */
int synguard_xdp_ack(struct xdp_md *frame)
{
	struct listener_rule *rule;
	struct context context;
	struct headers *asked;
	u32 zero = 0;

	asked = headers.lookup(&zero);
	if (!asked || !enter(&context, frame->ingress_ifindex) ||
	    parse_packet((void *)(long)frame->data, (void *)(long)frame->data_end, &asked->packet) != PARSED_TCP)
		return XDP_PASS;
	*(volatile u64 *)&asked->hash = count_ack(&context, &asked->packet);
	if (!*(volatile u64 *)&asked->hash)
		return XDP_PASS;
	read_clock(&context, CLOCK_COARSE);
	rule = listener_rule(&context, &asked->packet);
	if (rule && rule->action == LISTENER_COOKIE)
		check_cookie(frame, &context, asked);
	return XDP_PASS;
}

/* tc programs may find less than the headers in the linear area; bring the rest in. Where there is no link
 * header, the protocol is known from elsewhere. (The verifier would walk what follows once for each case, if it
 * could tell from `missing` which pointer belongs to which.)
 */
static __always_inline int parse_skb(struct __sk_buff *skb, u32 headers_bytes, struct packet *packet)
{
	u32 wanted = skb->len < headers_bytes ? skb->len : headers_bytes;
	u32 missing = skb->tc_classid & NO_LINK_HEADER;
	struct cursor cursor;
	struct ethhdr *ethernet;
	u16 protocol;

	if (skb->data_end - skb->data < wanted)
		bpf_skb_pull_data(skb, wanted);
	cursor.end = (void *)(long)skb->data_end;
	ethernet = (void *)(long)skb->data;
	if ((void *)(ethernet + 1) > cursor.end)
		return TRUNCATED_LINK;
	protocol = ethernet->h_proto;
	cursor.begin = ethernet;
	cursor.at = (void *)ethernet + (sizeof(*ethernet) - missing);
	asm volatile("" : "+r"(missing));
	if (missing)
		protocol = skb->protocol;
	return parse_payload(cursor, protocol, packet);
}

/* Stands in for XDP where that cannot be had; it only observes. */
int synguard_ingress(struct __sk_buff *skb)
{
	struct interface_packets *passed;
	struct context context;
	struct packet packet;
	int result;

	passed = enter(&context, skb->ifindex);
	if (!passed)
		return TC_ACT_UNSPEC;
	passed->ingress++;
	result = parse_skb(skb, HEADERS_MAX, &packet);
	if (result != PARSED_TCP)
		count_unparsed(context.totals, result);
	else
		ingress(&context, &packet);
	return TC_ACT_UNSPEC;
}

/* Shows the daemon, while it asks, that what we send can be seen. */
static __always_inline void show_segment(struct context *context, struct packet *packet)
{
	context->totals->egress_tcp++;
	if (context->settings->watches_flows)
		show_flow(tuple_hash(context->settings, packet));
}

int synguard_egress(struct __sk_buff *skb)
{
	struct interface_packets *passed;
	struct listener *listener;
	struct context context;
	struct packet packet;
	int result;
	u8 kind;

	passed = enter(&context, skb->ifindex);
	if (!passed)
		return TC_ACT_UNSPEC;
	passed->egress++;
	result = parse_skb(skb, HEADERS_MIN, &packet);
	if (result == TRUNCATED_IP || result == TRUNCATED_TCP)
		result = parse_skb(skb, HEADERS_MAX, &packet);
	if (result != PARSED_TCP)
		return TC_ACT_UNSPEC;
	turn_round(&packet);
	show_segment(&context, &packet);
	kind = packet.flags & (TCP_SYN | TCP_RST | TCP_FIN | TCP_ACK);
	/* A RST that refuses a SYN acknowledges it. */
	if (kind == (TCP_RST | TCP_ACK))
		count_refusal(&context, &packet);
	if (kind != (TCP_SYN | TCP_ACK))
		return TC_ACT_UNSPEC;
	listener = count_answer(&context, &packet);
	if (listener)
		learn_answer(skb, &packet, listener, context.now_ns);
	return TC_ACT_UNSPEC;
}
