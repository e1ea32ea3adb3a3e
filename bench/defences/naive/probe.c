/* A SYN-flood detector's kernel part as it is usually written: it sees ingress alone.
 *
 * For each source it counts SYNs and completed handshakes, for each connection it remembers that there was a
 * SYN. An ACK for a connection that it remembers completes it: nothing is asked of its numbers. Both tables
 * forget what was used least recently.
 */
#include <uapi/linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>

#ifndef MAX_SOURCES
#define MAX_SOURCES (1 << 20)
#endif
#ifndef MAX_CONNECTIONS
#define MAX_CONNECTIONS (1 << 20)
#endif
#define MAX_BLOCKED 10240
#define VLAN_TAGS_MAX 2

/* An IPv4 address is mapped to ::ffff:a.b.c.d. */
struct address {
	u8 bytes[16];
};

struct connection {
	struct address source;
	struct address destination;
	u16 source_port;
	u16 destination_port;
};

struct tally {
	u64 syns;
	u64 completed;
	u64 last_ns;
};

struct totals {
	u64 packets;
	u64 syns;
	u64 completed;
	u64 dropped;
};

BPF_TABLE("lru_hash", struct address, struct tally, sources, MAX_SOURCES);
BPF_TABLE("lru_hash", struct connection, u64, connections, MAX_CONNECTIONS);
BPF_TABLE("percpu_array", u32, struct totals, totals, 1);
#ifdef BLOCKING
BPF_TABLE("hash", struct address, u64, blocked, MAX_BLOCKED);
#endif

struct cursor {
	void *at;
	void *end;
};

static __always_inline u16 parse_ethernet(struct cursor *cursor)
{
	struct ethhdr *ethernet = cursor->at;
	u16 protocol;

	if ((void *)(ethernet + 1) > cursor->end)
		return 0;
	protocol = ethernet->h_proto;
	cursor->at = ethernet + 1;
#pragma unroll
	for (int depth = 0; depth < VLAN_TAGS_MAX; depth++) {
		if (protocol != __builtin_bswap16(ETH_P_8021Q) && protocol != __builtin_bswap16(ETH_P_8021AD))
			break;
		if (cursor->at + 4 > cursor->end)
			return 0;
		protocol = *(u16 *)(cursor->at + 2);
		cursor->at += 4;
	}
	return protocol;
}

static __always_inline void map_ipv4(struct address *address, u32 ipv4)
{
	address->bytes[10] = 0xff;
	address->bytes[11] = 0xff;
	__builtin_memcpy(address->bytes + 12, &ipv4, 4);
}

static __always_inline int parse_ipv4(struct cursor *cursor, struct connection *connection)
{
	struct iphdr *ip = cursor->at;

	if ((void *)(ip + 1) > cursor->end || ip->protocol != IPPROTO_TCP || ip->ihl < 5)
		return 0;
	map_ipv4(&connection->source, ip->saddr);
	map_ipv4(&connection->destination, ip->daddr);
	cursor->at += ip->ihl * 4;
	return 1;
}

static __always_inline int parse_ipv6(struct cursor *cursor, struct connection *connection)
{
	struct ipv6hdr *ip = cursor->at;

	if ((void *)(ip + 1) > cursor->end || ip->nexthdr != IPPROTO_TCP)
		return 0;
	__builtin_memcpy(&connection->source, &ip->saddr, 16);
	__builtin_memcpy(&connection->destination, &ip->daddr, 16);
	cursor->at = ip + 1;
	return 1;
}

static __always_inline struct tcphdr *parse(struct cursor *cursor, struct connection *connection)
{
	u16 protocol = parse_ethernet(cursor);
	struct tcphdr *tcp;
	int found = 0;

	if (protocol == __builtin_bswap16(ETH_P_IP))
		found = parse_ipv4(cursor, connection);
	else if (protocol == __builtin_bswap16(ETH_P_IPV6))
		found = parse_ipv6(cursor, connection);
	tcp = cursor->at;
	if (!found || (void *)(tcp + 1) > cursor->end)
		return 0;
	connection->source_port = tcp->source;
	connection->destination_port = tcp->dest;
	return tcp;
}

static __always_inline void count_syn(struct totals *total, struct connection *connection)
{
	struct tally first = {.syns = 1};
	u64 now_ns = bpf_ktime_get_ns();
	struct tally *tally = sources.lookup(&connection->source);

	total->syns++;
	if (tally) {
		__sync_fetch_and_add(&tally->syns, 1);
		tally->last_ns = now_ns;
	} else {
		first.last_ns = now_ns;
		sources.update(&connection->source, &first);
	}
	connections.update(connection, &now_ns);
}

static __always_inline void count_ack(struct totals *total, struct connection *connection)
{
	struct tally *tally;

	if (!connections.lookup(connection))
		return;
	connections.delete(connection);
	total->completed++;
	tally = sources.lookup(&connection->source);
	if (tally)
		__sync_fetch_and_add(&tally->completed, 1);
}

/* A blocked source's packets are dropped whatever they are. */
static __always_inline int is_blocked(struct totals *total, struct connection *connection)
{
#ifdef BLOCKING
	u64 *hits = blocked.lookup(&connection->source);

	if (!hits)
		return 0;
	__sync_fetch_and_add(hits, 1);
	return 1;
#else
	return 0;
#endif
}

int naive_ingress(struct xdp_md *frame)
{
	struct cursor cursor = {.at = (void *)(long)frame->data, .end = (void *)(long)frame->data_end};
	struct connection connection = {};
	struct totals *total;
	struct tcphdr *tcp;
	u32 zero = 0;
	int syn;

	total = totals.lookup(&zero);
	if (!total)
		return XDP_PASS;
	total->packets++;
	tcp = parse(&cursor, &connection);
	if (!tcp)
		return XDP_PASS;
	syn = tcp->syn && !tcp->ack;
	if (is_blocked(total, &connection)) {
		total->syns += syn;
		total->dropped += syn;
		return XDP_DROP;
	}
	if (syn)
		count_syn(total, &connection);
	else if (tcp->ack && !tcp->syn && !tcp->rst)
		count_ack(total, &connection);
	return XDP_PASS;
}
