/* Whether a source's SYNs continue the clock of a handshake that it completed.
 *
 * The timestamps of RFC 7323 start at a value that nobody off the path knows, for each pair of addresses. SYNs that go
 * on from that of a completed handshake, at 1,000 ticks a second as nearly every stack has them, with its TTL and in
 * the shape of its SYN, come from the host that completed it.
 */

#define CLOCK_KEPT_NS (60ULL * 1000 * 1000 * 1000)
#define CLOCK_SLACK_TICKS 512
#define CLOCK_SLACK_SHIFT 4 /* and a sixteenth of the time since */
#define NS_PER_TICK 1000000
#define CLOCK_MISSED (1ULL << 32)

static __always_inline u64 clock_word(struct packet *packet, u16 shape)
{
	return (u64)packet->ttl << 56 | (u64)shape << 40 | packet->timestamp;
}

static __always_inline int clock_runs(struct source *source, u64 now_ns)
{
	u64 began_ns = *(volatile u64 *)&source->clock_ns;

	return began_ns && (s64)(now_ns - began_ns) <= (s64)CLOCK_KEPT_NS;
}

/* Whether the timestamp is what the clock must show by now, and the TTL is the same. */
static __always_inline int continues_clock(struct source *source, struct packet *packet, u64 now_ns)
{
	u64 clock = *(volatile u64 *)&source->clock;
	s64 passed_ns = now_ns - *(volatile u64 *)&source->clock_ns;
	u32 passed = passed_ns < 0 ? 0 : (u64)passed_ns / NS_PER_TICK;
	u32 slack = CLOCK_SLACK_TICKS + (passed >> CLOCK_SLACK_SHIFT);
	u32 ahead = packet->timestamp - (u32)clock - passed + slack;

	return packet->has_timestamp && ahead <= 2 * slack && clock >> 56 == packet->ttl;
}

static __always_inline u16 clock_shape(struct source *source)
{
	return *(volatile u64 *)&source->clock >> 40;
}

/* A source's SYN: notes its shape, and compares it with the handshake completed last. */
static __always_inline void clock_syn(struct source *source, struct packet *packet, u64 now_ns)
{
	u64 seen = (u64)packet->source_port << 48 | (u64)packet->shape << 32 | packet->has_timestamp;
	int is_same;

	if (packet->has_timestamp)
		*(volatile u64 *)&source->last_syn = seen;
	if (!clock_runs(source, now_ns))
		return;
	is_same = continues_clock(source, packet, now_ns) && clock_shape(source) == packet->shape;
	__sync_fetch_and_add(&source->clock_syns, is_same ? 1 : CLOCK_MISSED);
}

/* A source completes a handshake. The shape of its SYN is known if no other came meanwhile. */
static __always_inline void clock_completion(struct source *source, struct packet *packet, u64 now_ns)
{
	u64 last = *(volatile u64 *)&source->last_syn;
	u16 shape = last >> 32;
	int is_known = last && last >> 48 == packet->source_port;

	if (clock_runs(source, now_ns)) {
		if (!continues_clock(source, packet, now_ns) || (is_known && shape != clock_shape(source))) {
			__sync_fetch_and_add(&source->clock_others, 1);
			return;
		}
		shape = clock_shape(source);
	} else if (!is_known || !packet->has_timestamp) {
		return;
	} else {
		*(volatile u64 *)&source->clock_others = 0;
	}
	*(volatile u64 *)&source->clock = clock_word(packet, shape);
	*(volatile u64 *)&source->clock_ns = now_ns;
	*(volatile u64 *)&source->clock_syns = 0;
}
