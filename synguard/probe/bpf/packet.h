/* Parses a frame down to its TCP header; compiles for the kernel and for the host. */
#ifndef SYNGUARD_PACKET_H
#define SYNGUARD_PACKET_H

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>

#define VLAN_TAGS_MAX 2
#define IP_FRAGMENT_OFFSET 0x1fff
#define NEXT_AUTHENTICATION 51
#define NEXT_DESTINATION 60

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_PSH 0x08
#define TCP_ACK 0x10
#define TCP_URG 0x20

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define NET16(x) __builtin_bswap16(x)
#define NET32(x) __builtin_bswap32(x)
#define NET64(x) __builtin_bswap64(x)
#else
#define NET16(x) (x)
#define NET32(x) (x)
#define NET64(x) (x)
#endif

/* Hides from the compiler what it knows of a variable. */
#define barrier_var(variable) asm volatile("" : "+r"(variable))

/* Choices without a branch: each branch multiplies what the verifier has to walk. Below 2^63. */
static __always_inline u64 is_equal(u64 a, u64 b)
{
	u64 difference = a ^ b;

	barrier_var(difference);
	return (difference - 1) >> 63;
}

static __always_inline u64 is_more(u64 a, u64 b)
{
	u64 difference = b - a;

	barrier_var(difference);
	return difference >> 63;
}

enum parse_result {
	PARSED_TCP,
	PARSED_NOT_IP,
	PARSED_NOT_TCP,
	TRUNCATED_LINK,
	VLAN_DEPTH,
	TRUNCATED_IP,
	BAD_IP_HEADER,
	EXTENSION_DEPTH,
	FRAGMENT,
	TRUNCATED_TCP,
	BAD_TCP_HEADER,
};

struct packet {
	struct address source;
	struct address destination;
	u16 source_port;      /* network order */
	u16 destination_port; /* network order */
	u32 sequence;	      /* host order */
	u32 acknowledgement;  /* host order */
	u8 flags;
	u8 bare; /* no TCP option */
	u8 ipv6;
	u8 ttl; /* or hop limit */
	u8 has_timestamp;
	u16 shape;     /* what a SYN's header says of the stack that made it */
	u32 timestamp; /* host order; 0 without */
	u16 tcp_at;    /* where in the frame the TCP header begins */
	u16 tcp_bytes; /* of the header */
	u16 window;    /* host order */
};

struct cursor {
	void *at;
	void *end;
	void *begin; /* of the frame */
	u32 datagram_bytes; /* from `at` on, once it is behind an IP header */
};

struct vlan_tag {
	u16 control;
	u16 protocol;
};

struct ipv6_extension {
	u8 next;
	u8 length;
	u16 fragment_offset;
	u32 rest;
};

/* Steps over 802.1Q and 802.1ad tags; `protocol` is what stands before them, then what stands behind. */
static __always_inline int parse_tags(struct cursor *cursor, u16 *protocol)
{
	struct vlan_tag *tag;

#pragma unroll
	for (int depth = 0; depth <= VLAN_TAGS_MAX; depth++) {
		if (*protocol != NET16(ETH_P_8021Q) && *protocol != NET16(ETH_P_8021AD))
			return PARSED_TCP;
		if (depth == VLAN_TAGS_MAX)
			break;
		tag = cursor->at;
		if ((void *)(tag + 1) > cursor->end)
			return TRUNCATED_LINK;
		*protocol = tag->protocol;
		cursor->at = tag + 1;
	}
	return VLAN_DEPTH;
}

static __always_inline void map_ipv4(struct address *address, u32 ipv4)
{
	__builtin_memset(address->bytes, 0, 10);
	address->bytes[10] = 0xff;
	address->bytes[11] = 0xff;
	__builtin_memcpy(address->bytes + 12, &ipv4, 4);
}

/* 0 for IPv4, 1 for IPv6, read from the header once more: a constant would make the verifier walk all that
 * follows once for each version.
 */
static __always_inline u8 is_ipv6(void *ip)
{
	return *(volatile u8 *)ip >> 5 & 1;
}

static __always_inline int parse_ipv4(struct cursor *cursor, struct packet *packet)
{
	struct iphdr *ip = cursor->at;
	u32 header_bytes;

	if ((void *)(ip + 1) > cursor->end)
		return TRUNCATED_IP;
	header_bytes = ip->ihl * 4;
	if (ip->version != 4 || header_bytes < sizeof(*ip) || NET16(ip->tot_len) < header_bytes)
		return BAD_IP_HEADER;
	if (ip->protocol != IPPROTO_TCP)
		return PARSED_NOT_TCP;
	if (ip->frag_off & NET16(IP_FRAGMENT_OFFSET))
		return FRAGMENT;
	/* What lies behind the datagram is Ethernet padding, not a TCP header. */
	if (NET16(ip->tot_len) < header_bytes + sizeof(struct tcphdr))
		return TRUNCATED_TCP;
	cursor->datagram_bytes = NET16(ip->tot_len) - header_bytes;
	packet->ipv6 = is_ipv6(ip);
	packet->ttl = ip->ttl;
	map_ipv4(&packet->source, ip->saddr);
	map_ipv4(&packet->destination, ip->daddr);
	cursor->at = (void *)ip + header_bytes;
	return PARSED_TCP;
}

/* What `next` leads to: TCP, something that cannot lead there, or EXTENSION_DEPTH where it names an extension header. */
static __always_inline int leads_to(u8 next)
{
	if (next == IPPROTO_TCP)
		return PARSED_TCP;
	if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_FRAGMENT &&
	    next != NEXT_AUTHENTICATION && next != NEXT_DESTINATION)
		return PARSED_NOT_TCP;
	return EXTENSION_DEPTH;
}

/* Steps over the extension header that `next` names; returns what the one behind it leads to. */
static __always_inline int step_over(struct cursor *cursor, u8 *next)
{
	struct ipv6_extension *extension = cursor->at;
	u32 bytes;

	if ((void *)(extension + 1) > cursor->end)
		return TRUNCATED_IP;
	bytes = (extension->length + 1) * 8;
	if (*next == IPPROTO_FRAGMENT) {
		bytes = 8;
		if (extension->fragment_offset & NET16(0xfff8))
			return extension->next == IPPROTO_TCP ? FRAGMENT : PARSED_NOT_TCP;
	} else if (*next == NEXT_AUTHENTICATION) {
		bytes = (extension->length + 2) * 4;
	}
	*next = extension->next;
	cursor->at = (void *)extension + bytes;
	return leads_to(*next);
}

#define STEP_OVER(cursor, next, result) \
	if (result == EXTENSION_DEPTH)  \
		result = step_over(cursor, next)

/* Steps over up to eight extension headers. Written out, since LLVM 19 leaves some of such loops as they are, and the
 * verifier gives up walking them.
 */
static __always_inline int parse_extensions(struct cursor *cursor, u8 next)
{
	int result = leads_to(next);

	STEP_OVER(cursor, &next, result);
	STEP_OVER(cursor, &next, result);
	STEP_OVER(cursor, &next, result);
	STEP_OVER(cursor, &next, result);
	STEP_OVER(cursor, &next, result);
	STEP_OVER(cursor, &next, result);
	STEP_OVER(cursor, &next, result);
	STEP_OVER(cursor, &next, result);
	return result;
}

/* ::ffff:a.b.c.d stands for IPv4 here; as an IPv6 packet's address it is forged, and Linux discards it. */
static __always_inline int is_mapped(struct in6_addr *address)
{
	u32 words[3];

	__builtin_memcpy(words, address, 12);
	return !(words[0] | words[1] | (words[2] ^ NET32(0xffff)));
}

static __always_inline int parse_ipv6(struct cursor *cursor, struct packet *packet)
{
	struct ipv6hdr *ip = cursor->at;
	u32 extensions_bytes;
	u16 last_byte;
	int result;

	if ((void *)(ip + 1) > cursor->end)
		return TRUNCATED_IP;
	if (ip->version != 6)
		return BAD_IP_HEADER;
	/* A length of 0 is a jumbogram, or a segment that the kernel merged beyond 64 KiB: no bound. */
	last_byte = NET16(ip->payload_len) - 1;
	if (last_byte < 7 || is_mapped(&ip->saddr) || is_mapped(&ip->daddr))
		return BAD_IP_HEADER;
	packet->ipv6 = is_ipv6(ip);
	packet->ttl = ip->hop_limit;
	__builtin_memcpy(&packet->source, &ip->saddr, 16);
	__builtin_memcpy(&packet->destination, &ip->daddr, 16);
	cursor->at = ip + 1;
	result = parse_extensions(cursor, ip->nexthdr);
	if (result != PARSED_TCP)
		return result;
	extensions_bytes = cursor->at - (void *)(ip + 1);
	if (extensions_bytes + sizeof(struct tcphdr) - 1 > last_byte)
		return TRUNCATED_TCP;
	cursor->datagram_bytes = (u32)last_byte + 1 - extensions_bytes;
	return PARSED_TCP;
}

/* The timestamp option lies in one of three places: first in an ACK, behind MSS and SACK in a SYN of Linux, behind MSS
 * and window scale in one of the BSDs' and of macOS. Elsewhere it is not looked for. The shape is made of the options
 * but for the timestamp, and of the window. Words are in network order.
 */
#define TIMESTAMP_KIND NET32(0x0000080a)
#define ACK_TIMESTAMP NET32(0x0101080a)

static __always_inline u32 is_timestamp(u32 word)
{
	return is_equal(word & NET32(0xffff), TIMESTAMP_KIND);
}

static __always_inline void parse_options(struct cursor *cursor, struct tcphdr *tcp, struct packet *packet)
{
	u32 word[5] = {}, *words = (u32 *)(tcp + 1), shape, in_ack, second, third;

	if ((void *)(words + 2) <= cursor->end) {
		word[0] = words[0];
		word[1] = words[1];
	}
	if ((void *)(words + 5) <= cursor->end) {
		word[2] = words[2];
		word[3] = words[3];
		word[4] = words[4];
	}
	in_ack = is_equal(tcp->doff, 8) & is_equal(word[0], ACK_TIMESTAMP);
	second = is_more(tcp->doff, 9) & is_timestamp(word[1]);
	third = is_more(tcp->doff, 9) & is_timestamp(word[2]) & ~second;
	packet->has_timestamp = in_ack | second | third;
	packet->timestamp = NET32((-in_ack & word[1]) | (-second & word[2]) | (-third & word[3]));
	shape = (word[0] ^ tcp->doff) * 0x9e3779b1 ^ (word[1] + tcp->window) * 0x85ebca6b;
	shape ^= ((-second & word[4]) | (-third & word[2])) * 0xc2b2ae35;
	packet->shape = (-(second | third) & (shape ^ shape >> 15) * 0x2c1b3c6d) >> 16;
}

/* More than eight extension headers of 2 KiB; the difference of two pointers, then, is all the same to the verifier,
 * which would walk what follows once for each way that leads here.
 */
#define TCP_AT_MAX 0x7fff

static __always_inline int parse_tcp(struct cursor *cursor, struct packet *packet)
{
	u32 tcp_at = (cursor->at - cursor->begin) & TCP_AT_MAX;
	struct tcphdr *tcp;

	barrier_var(tcp_at);
	tcp = cursor->begin + tcp_at;
	if ((void *)(tcp + 1) > cursor->end)
		return TRUNCATED_TCP;
	/* Linux discards a header that goes on behind its datagram. */
	if (tcp->doff < 5 || tcp->doff * 4U > cursor->datagram_bytes)
		return BAD_TCP_HEADER;
	packet->source_port = tcp->source;
	packet->destination_port = tcp->dest;
	packet->sequence = NET32(tcp->seq);
	packet->acknowledgement = NET32(tcp->ack_seq);
	packet->flags = ((u8 *)tcp)[13];
	packet->bare = tcp->doff == 5;
	packet->tcp_at = tcp_at;
	packet->tcp_bytes = tcp->doff * 4;
	packet->window = NET16(tcp->window);
	parse_options(cursor, tcp, packet);
	return PARSED_TCP;
}

/* The first `bits` bits of a word in network order; 0 or less: none, 64 or more: all. */
static __always_inline u64 prefix_mask(int bits)
{
	if (bits <= 0)
		return 0;
	if (bits >= 64)
		return ~0ULL;
	return NET64(~0ULL << (64 - bits));
}

static __always_inline void mask_address(struct address *address, u32 length)
{
	u64 words[2];

	__builtin_memcpy(words, address, 16);
	words[0] &= prefix_mask(length);
	words[1] &= prefix_mask((int)length - 64);
	__builtin_memcpy(address, words, 16);
}

/* As parse_packet(), from behind the Ethernet header on, which names `protocol`. */
static __always_inline int parse_payload(struct cursor cursor, u16 protocol, struct packet *packet)
{
	int result = parse_tags(&cursor, &protocol);

	if (result != PARSED_TCP)
		return result;
	if (protocol == NET16(ETH_P_IP))
		result = parse_ipv4(&cursor, packet);
	else if (protocol == NET16(ETH_P_IPV6))
		result = parse_ipv6(&cursor, packet);
	else
		return PARSED_NOT_IP;
	if (result != PARSED_TCP)
		return result;
	return parse_tcp(&cursor, packet);
}

/* Returns PARSED_TCP with every field of `packet` set, or what stood in the way. */
static __always_inline int parse_packet(void *data, void *data_end, struct packet *packet)
{
	struct ethhdr *ethernet = data;
	struct cursor cursor = {.at = ethernet + 1, .end = data_end, .begin = data};

	if (cursor.at > data_end)
		return TRUNCATED_LINK;
	return parse_payload(cursor, ethernet->h_proto, packet);
}

#endif
