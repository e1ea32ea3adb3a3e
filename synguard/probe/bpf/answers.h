/* What a listener's own SYN-ACKs look like, and whether it is a socket of this very machine that sends them. */

#define ANSWER_KEPT_NS (1ULL * 1000 * 1000 * 1000)
#define MSS_OPTION NET32(0x02040000)
#define SCALE_OPTION NET32(0x01030300)
#define SACK_FIRST NET32(0x04020000)
#define SACK_LAST NET32(0x00000402)

/* Linux writes its options in words: MSS; SACK and timestamp, or two NOPs and SACK; window scale behind a NOP. */
static __always_inline void note_option(volatile struct answer *answer, u32 word)
{
	if ((word & NET32(0xffff0000)) == MSS_OPTION)
		answer->mss = NET32(word);
	if ((word & NET32(0xffffff00)) == SCALE_OPTION)
		answer->window_scale = NET32(word);
	if ((word & NET32(0xffff0000)) == SACK_FIRST || (word & NET32(0x0000ffff)) == SACK_LAST)
		answer->sack = 1;
	if (is_timestamp(word))
		answer->timestamps = 1;
}

/* Options that the peer did not offer are missing in its answer: those seen once are kept. */
static __always_inline void note_answer(struct __sk_buff *skb, struct packet *packet, struct listener *listener,
					u64 now_ns)
{
	u32 words[5] = {}, bytes = packet->tcp_bytes - sizeof(struct tcphdr);

	if (bytes > sizeof(words))
		bytes = sizeof(words);
	if (bytes && bpf_skb_load_bytes(skb, packet->tcp_at + sizeof(struct tcphdr), words, bytes))
		return;
	if (!listener->answer_ns)
		listener->answer.window_scale = NO_WINDOW_SCALE;
	listener->answer_ns = now_ns;
	listener->answer.ttl = packet->ttl;
	listener->answer.window = packet->window;
	for (u32 word = 0; word < 5; word++) {
		/* The clock's two words may look like anything. */
		if ((word & 6) == 2 && is_timestamp(words[1]))
			continue;
		note_option(&listener->answer, ((volatile u32 *)words)[word]);
	}
}

/* Whether a socket is bound to the address and port from which its packet leaves: else that was translated. */
static __always_inline int is_bound_there(struct bpf_sock *socket, struct packet *packet)
{
	volatile struct bpf_sock *bound = socket;
	u32 words[4], ipv4 = bound->src_ip4, port = bound->src_port, other = 0;

	__builtin_memcpy(words, &packet->destination, 16);
	for (int word = 0; word < 4; word++)
		other |= words[word] ^ bound->src_ip6[word];
	return port == NET16(packet->destination_port) && (packet->ipv6 ? !other : ipv4 == words[3]);
}

/* A forwarded packet came in by an interface. One of a socket here knows to which address and port that is bound. The
 * kernel's cookies come from here, too, but from no socket.
 */
static __always_inline void learn_answer(struct __sk_buff *skb, struct packet *packet, struct listener *listener,
					 u64 now_ns)
{
	struct bpf_sock *socket = skb->sk;

	if (skb->ingress_ifindex || (socket && !is_bound_there(socket, packet)))
		listener->foreign_answers++;
	else
		listener->local_answers++;
	if (now_ns - listener->answer_ns >= ANSWER_KEPT_NS || listener->answer.window_scale == NO_WINDOW_SCALE)
		note_answer(skb, packet, listener, now_ns);
}
