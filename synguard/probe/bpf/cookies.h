/* Answers SYNs with the kernel's own SYN cookies, which it validates by itself when the peer comes back. */

#define COOKIE_MSS_BYTES 24 /* TCP header with an MSS */
#define COOKIE_FULL_BYTES 40 /* and SACK, timestamps and window scale */
#define COOKIE_FLOW 0x434f4f4bU /* in the place of an ISN: stands for the whole flow in the greylist's table */
#define CURRENT_NAMESPACE ((u64)-1)
#define TCP_LISTEN 10
#define GROUP_ADDRESS 1 /* of a MAC address's first byte: broadcast and multicast */
#define TCP_SIGNED NET32(0x01011312) /* RFC 2385: only the kernel has the key */

/* What net/ipv4/syncookies.c keeps in the lowest bits of a cookie's timestamp. */
#define COOKIE_CLOCK_BITS 6
#define COOKIE_NO_SCALE 0xf
#define COOKIE_SCALE_MAX 14 /* RFC 7323 */
#define COOKIE_SACK (1 << 4)

/* What the peer's SYN offers. */
struct offer {
	u32 scale; /* or COOKIE_NO_SCALE */
	u32 sack;
};

/* A checksum from a sum of words in one's complement. */
static __always_inline u16 folded(u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~((sum & 0xffff) + (sum >> 16));
}

/* The sum of so many words of 32 bits, a constant: for so few it costs less than to ask a helper. */
static __always_inline u64 sum_of(const void *words, int count)
{
	u64 sum = 0;

#pragma unroll
	for (int word = 0; word < count; word++)
		sum += ((const u32 *)words)[word];
	return sum;
}

/* Copies a TCP header of so many bytes; nearly all SYNs have 40, and are copied without a call. */
static __always_inline int load_tcp(struct xdp_md *frame, void *tcp, void *end, struct headers *into, u32 tcp_bytes)
{
	if (tcp_bytes == COOKIE_FULL_BYTES && tcp + COOKIE_FULL_BYTES <= end) {
		__builtin_memcpy(into->tcp, tcp, COOKIE_FULL_BYTES);
		return 1;
	}
	if (tcp_bytes < sizeof(struct tcphdr) || tcp_bytes > 60)
		return 0;
	return !bpf_xdp_load_bytes(frame, (u32)(tcp - (void *)(long)frame->data) & 127, into->tcp, tcp_bytes);
}

/* Copies the IP header and as much of the TCP header as is asked for. Returns where the IP header begins, or 0 for one
 * with options or extension headers, which the kernel answers better, and for what was sent to all: that it ignores.
 */
static __always_inline u32 load_headers(struct xdp_md *frame, struct packet *packet, struct headers *into,
					u32 tcp_bytes)
{
	struct cursor cursor = {.at = (void *)(long)frame->data, .end = (void *)(long)frame->data_end};
	struct ethhdr *ethernet = cursor.at;
	u16 protocol;
	u32 ip_at;

	if ((void *)(ethernet + 1) > cursor.end || ethernet->h_dest[0] & GROUP_ADDRESS)
		return 0;
	protocol = ethernet->h_proto;
	cursor.at = ethernet + 1;
	if (parse_tags(&cursor, &protocol) != PARSED_TCP || cursor.at + sizeof(into->ip) > cursor.end)
		return 0;
	__builtin_memcpy(into->ip, cursor.at, sizeof(into->ip));
	ip_at = (u32)(cursor.at - (void *)(long)frame->data) & 31;
	if (packet->ipv6 ? ((struct ipv6hdr *)into->ip)->nexthdr != IPPROTO_TCP : into->ip[0] != 0x45)
		return 0;
	return load_tcp(frame, cursor.at + (packet->ipv6 ? 40 : 20), cursor.end, into, tcp_bytes) ? ip_at : 0;
}

static __always_inline struct bpf_sock *find_socket(struct xdp_md *frame, struct packet *packet)
{
	struct bpf_sock_tuple tuple = {};

	if (packet->ipv6) {
		__builtin_memcpy(tuple.ipv6.saddr, &packet->source, 16);
		__builtin_memcpy(tuple.ipv6.daddr, &packet->destination, 16);
		tuple.ipv6.sport = packet->source_port;
		tuple.ipv6.dport = packet->destination_port;
		return bpf_skc_lookup_tcp(frame, &tuple, sizeof(tuple.ipv6), CURRENT_NAMESPACE, 0);
	}
	tuple.ipv4.saddr = ipv4_of(&packet->source);
	tuple.ipv4.daddr = ipv4_of(&packet->destination);
	tuple.ipv4.sport = packet->source_port;
	tuple.ipv4.dport = packet->destination_port;
	return bpf_skc_lookup_tcp(frame, &tuple, sizeof(tuple.ipv4), CURRENT_NAMESPACE, 0);
}

/* The cookie for a SYN; negative where the kernel gives none: no listening socket, or tcp_syncookies is 0, or 1 and the
 * SYN queue is not full.
 */
static __always_inline s64 make_cookie(struct xdp_md *frame, struct packet *packet, struct headers *headers,
				       u32 tcp_bytes)
{
	struct bpf_sock *socket = find_socket(frame, packet);
	s64 cookie = -1;

	if (!socket)
		return -1;
	if (socket->state == TCP_LISTEN)
		cookie = bpf_tcp_gen_syncookie(socket, headers->ip, sizeof(headers->ip), (void *)headers->tcp,
					       tcp_bytes);
	bpf_sk_release(socket);
	return cookie;
}

/* What a SYN with a timestamp in one of the places that packet.h knows offers beside it. */
static __always_inline void read_offer(struct headers *headers, u32 tcp_bytes, struct offer *offer)
{
	u32 *words = (u32 *)(headers->tcp + sizeof(struct tcphdr));
	u32 second = is_timestamp(words[1]), scale = second ? words[4] : words[1];

	offer->sack = second ? (words[1] & NET32(0xffff0000)) == SACK_FIRST :
			       (words[2] & NET32(0xffff0000)) == SACK_FIRST;
	if (!second && tcp_bytes > sizeof(struct tcphdr) + 20)
		offer->sack |= (words[5] & NET32(0xffff0000)) == SACK_FIRST;
	offer->scale = COOKIE_NO_SCALE;
	if ((scale & NET32(0xffffff00)) == SCALE_OPTION) {
		scale = NET32(scale) & 0xff;
		offer->scale = scale > COOKIE_SCALE_MAX ? COOKIE_SCALE_MAX : scale;
	}
}

/* The clock of tcp_timestamps=2, which is the kernel's own whatever time the probe goes by, as its last timer tick left
 * it. The lowest bits say what the peer offered.
 */
static __always_inline u32 cookie_clock(struct offer *offer, struct answer *answer)
{
	u64 now = bpf_ktime_get_coarse_ns() / NS_PER_TICK;
	u64 clock = now >> COOKIE_CLOCK_BITS << COOKIE_CLOCK_BITS;

	clock |= answer->window_scale == NO_WINDOW_SCALE ? COOKIE_NO_SCALE : offer->scale;
	clock |= answer->sack && offer->sack ? COOKIE_SACK : 0;
	return clock > now ? clock - (1 << COOKIE_CLOCK_BITS) : clock;
}

/* Five words: MSS, SACK and timestamps, and the window scale; NOPs for what is not offered. */
static __always_inline void write_full_options(u32 *words, struct packet *packet, struct headers *headers,
					       u32 tcp_bytes, struct answer *answer)
{
	struct offer offer;

	read_offer(headers, tcp_bytes, &offer);
	words[1] = NET32(answer->sack && offer.sack ? 0x0402080a : 0x0101080a);
	words[2] = NET32(cookie_clock(&offer, answer));
	words[3] = NET32(packet->timestamp);
	if (answer->window_scale == NO_WINDOW_SCALE || offer.scale == COOKIE_NO_SCALE)
		words[4] = NET32(0x01010101);
	else
		words[4] = NET32(0x01030300 | answer->window_scale);
}

static __always_inline void write_ipv4(struct iphdr *ip, struct headers *headers, u32 tcp_bytes, u8 ttl)
{
	struct iphdr *asked = (struct iphdr *)headers->ip;

	__builtin_memset(ip, 0, sizeof(*ip));
	ip->version = 4;
	ip->ihl = 5;
	ip->tot_len = NET16(sizeof(*ip) + tcp_bytes);
	ip->frag_off = NET16(0x4000); /* do not fragment */
	ip->ttl = ttl;
	ip->protocol = IPPROTO_TCP;
	ip->saddr = asked->daddr;
	ip->daddr = asked->saddr;
	ip->check = folded(sum_of(ip, 5));
}

static __always_inline void write_ipv6(struct ipv6hdr *ip, struct headers *headers, u32 tcp_bytes, u8 ttl)
{
	struct ipv6hdr *asked = (struct ipv6hdr *)headers->ip;

	__builtin_memset(ip, 0, 8);
	ip->version = 6;
	ip->payload_len = NET16(tcp_bytes);
	ip->nexthdr = IPPROTO_TCP;
	ip->hop_limit = ttl;
	__builtin_memcpy(&ip->saddr, &asked->daddr, 16);
	__builtin_memcpy(&ip->daddr, &asked->saddr, 16);
}

static __always_inline void write_tcp(struct tcphdr *tcp, struct packet *packet, u32 cookie, u32 tcp_bytes,
				      struct answer *answer)
{
	__builtin_memset(tcp, 0, sizeof(*tcp));
	tcp->source = packet->destination_port;
	tcp->dest = packet->source_port;
	tcp->seq = NET32(cookie);
	tcp->ack_seq = NET32(packet->sequence + 1);
	tcp->doff = tcp_bytes / 4;
	((u8 *)tcp)[13] = TCP_SYN | TCP_ACK;
	tcp->window = NET16(answer->window);
	*(u32 *)(tcp + 1) = NET32(0x02040000 | answer->mss);
}

/* Writes the answer over the SYN, in a frame that has the answer's length. Returns whether it did: a frame that is not
 * as it was a moment ago cannot be.
 */
static __always_inline int write_answer(struct xdp_md *frame, struct packet *packet, struct headers *headers, u32 ip_at,
					u32 cookie, u32 syn_bytes, u32 tcp_bytes, struct answer *answer)
{
	void *data = (void *)(long)frame->data, *end = (void *)(long)frame->data_end;
	u32 ip_bytes = packet->ipv6 ? 40 : 20;
	void *ip = data + (ip_at & 31);
	struct tcphdr *tcp = ip + ip_bytes;
	u8 link[6];
	u64 sum;

	if (data + 14 > end || ip + 40 > end || (void *)tcp + COOKIE_MSS_BYTES > end)
		return 0;
	__builtin_memcpy(link, data, 6);
	__builtin_memcpy(data, data + 6, 6);
	__builtin_memcpy(data + 6, link, 6);
	if (packet->ipv6) {
		write_ipv6(ip, headers, tcp_bytes, answer->ttl);
		sum = sum_of(ip + 8, 8);
	} else {
		write_ipv4(ip, headers, tcp_bytes, answer->ttl);
		sum = sum_of(ip + 12, 2);
	}
	sum += NET32(IPPROTO_TCP + tcp_bytes);
	write_tcp(tcp, packet, cookie, tcp_bytes, answer);
	if (tcp_bytes == COOKIE_MSS_BYTES) {
		tcp->check = folded(sum + sum_of(tcp, COOKIE_MSS_BYTES / 4));
		return 1;
	}
	if ((void *)tcp + COOKIE_FULL_BYTES > end)
		return 0;
	write_full_options((u32 *)(tcp + 1), packet, headers, syn_bytes, answer);
	tcp->check = folded(sum + sum_of(tcp, COOKIE_FULL_BYTES / 4));
	return 1;
}

/* Turns a SYN into the answer to it. Returns XDP_TX; XDP_PASS, the frame as it came, where the kernel must answer. */
static __always_inline int answer_with_cookie(struct xdp_md *frame, struct headers *into, struct answer *answer)
{
	struct packet *packet = &into->packet;
	u32 frame_bytes = frame->data_end - frame->data, syn_bytes = packet->tcp_bytes, ip_at, tcp_bytes;
	s64 cookie;

	ip_at = load_headers(frame, packet, into, syn_bytes);
	if (!ip_at || (syn_bytes > sizeof(struct tcphdr) && *(u32 *)(into->tcp + sizeof(struct tcphdr)) == TCP_SIGNED))
		return XDP_PASS;
	cookie = make_cookie(frame, packet, into, syn_bytes);
	if (cookie < 0)
		return XDP_PASS;
	tcp_bytes = answer->timestamps && packet->has_timestamp ? COOKIE_FULL_BYTES : COOKIE_MSS_BYTES;
	if (bpf_xdp_adjust_tail(frame, (int)(ip_at + (packet->ipv6 ? 40 : 20) + tcp_bytes) - (int)frame_bytes))
		return XDP_PASS;
	if (!write_answer(frame, packet, into, ip_at, cookie, syn_bytes, tcp_bytes, answer))
		return XDP_DROP;
	return XDP_TX;
}

/* An ACK that brings a valid cookie back, for the first time: the handshake is complete. */
static __always_inline void complete_cookie(struct context *context, struct packet *packet)
{
	struct listener *listener = find_listener(&packet->destination, packet->destination_port);
	struct source *source, *prefix;
	struct address key;

	context->totals->completed++;
	context->totals->cookies_valid++;
	if (listener) {
		listener->counts.completed++;
		listener->cookies_valid++;
		listener->completed_ttl[packet->ttl / (256 / TTL_BINS)]++;
		cohort_completion(listener, context->now_ns, context->now_ns >> LISTENER_COHORT_SHIFT);
	}
	if (!is_chosen(context->settings, packet->sequence - 1, packet->source_port))
		return;
	source_key(context->settings, packet, &key);
	source = sources.lookup(&key);
	if (source)
		complete_youngest(source, context->now_ns);
	prefix_key(context->settings, packet, &key);
	prefix = prefixes.lookup(&key);
	if (prefix && source)
		tell_of_youngest(prefix, source);
	if (prefix)
		complete_youngest(prefix, context->now_ns);
}

/* A flow whose cookie was valid has a connection by now. */
static __always_inline void connect_cookie(struct context *context, struct packet *packet)
{
	struct listener *listener = find_listener(&packet->destination, packet->destination_port);

	context->totals->cookies_connected++;
	if (listener)
		listener->cookies_connected++;
}

static __always_inline int is_cookie_valid(struct bpf_sock *socket, struct headers *headers)
{
	return !bpf_tcp_check_syncookie(socket, headers->ip, sizeof(headers->ip), (void *)headers->tcp,
					sizeof(struct tcphdr));
}

/* What an ACK at a listener that answers with cookies may mean. */
enum meaning {
	MEANS_NOTHING,
	MEANS_COOKIE,
	MEANS_CONNECTION,
};

static __always_inline enum meaning ask_socket(struct xdp_md *frame, struct headers *asked)
{
	struct bpf_sock *socket;
	enum meaning meaning = MEANS_CONNECTION;

	if (!load_headers(frame, &asked->packet, asked, sizeof(struct tcphdr)))
		return MEANS_NOTHING;
	socket = find_socket(frame, &asked->packet);
	if (!socket)
		return MEANS_NOTHING;
	if (socket->state == TCP_LISTEN)
		meaning = is_cookie_valid(socket, asked) ? MEANS_COOKIE : MEANS_NOTHING;
	bpf_sk_release(socket);
	return meaning;
}

/* Data that follows the ACK may find the listener, too, before the connection is there: a flow counts once. */
static __always_inline void check_cookie(struct xdp_md *frame, struct context *context, struct headers *asked)
{
	volatile u32 *meaning = &asked->fate;
	struct grey flow = {};

	*meaning = ask_socket(frame, asked);
	if (*meaning == MEANS_NOTHING || !grey_find(context, *(volatile u64 *)&asked->hash, COOKIE_FLOW, &flow))
		return;
	if (*meaning == MEANS_COOKIE && flow.found >= GREY_CELLS) {
		grey_write(&flow, GREY_COPIED);
		complete_cookie(context, &asked->packet);
	} else if (*meaning == MEANS_CONNECTION && flow.is_copied) {
		grey_write(&flow, 0);
		connect_cookie(context, &asked->packet);
	}
}
