/* Counts per listener, one copy for each CPU, so that nothing here is shared. */

static __always_inline struct listener *find_listener(struct address *address, u16 port)
{
	struct listener_key key = {.address = *address, .port = port};

	return listeners.lookup(&key);
}

static __always_inline struct listener *make_listener(struct context *context, struct address *address, u16 port)
{
	struct listener_key key = {.address = *address, .port = port};
	struct listener *blank;
	u32 zero = 0;

	blank = blank_listener.lookup(&zero);
	if (blank && listeners.insert(&key, blank) && !listeners.lookup(&key))
		context->totals->listeners_full++;
	return listeners.lookup(&key);
}

static __always_inline struct listener *closed_bucket(struct context *context, struct address *address)
{
	struct listener_key key = {.address = *address};
	struct listener *bucket = closed_buckets.lookup(&key);
	struct listener *blank;
	u32 zero = 0;

	if (bucket)
		return bucket;
	blank = blank_listener.lookup(&zero);
	if (blank)
		closed_buckets.insert(&key, blank);
	bucket = closed_buckets.lookup(&key);
	if (!bucket)
		context->totals->closed_buckets_full++;
	return bucket;
}

static __always_inline struct cohort *listener_cohort(struct listener *listener, u32 epoch)
{
	struct cohort *cohort = &listener->cohorts[epoch & (LISTENER_COHORTS - 1)];

	if (cohort->epoch != epoch) {
		cohort->epoch = epoch;
		cohort->attempts = 0;
		cohort->completed = 0;
	}
	return cohort;
}

/* The sketch is a fair sample of the sources: of those whose hash leads to a register, the one with the rarest hash
 * stays, with how often it came (1, 2, 3 or more). The rarity is a small floating-point number: trailing zero
 * bits of a random word (5 bits), then the bits above them (9). Whoever is the rarest was so when it first came,
 * so its count is whole.
 */
#define SKETCH_COUNT_BITS 2
#define SKETCH_COUNT_MAX 3
#define SKETCH_MANTISSA_BITS 9

static __always_inline u16 rarity(u32 word)
{
	u32 lowest, zeros = 0;

	word |= 1U << 31;
	lowest = word & -word;
	zeros |= (lowest & 0xffff0000 ? 16 : 0);
	zeros |= (lowest & 0xff00ff00 ? 8 : 0);
	zeros |= (lowest & 0xf0f0f0f0 ? 4 : 0);
	zeros |= (lowest & 0xcccccccc ? 2 : 0);
	zeros |= (lowest & 0xaaaaaaaa ? 1 : 0);
	return zeros << SKETCH_MANTISSA_BITS | ((u64)word >> (zeros + 1) & ((1 << SKETCH_MANTISSA_BITS) - 1));
}

static __always_inline void sketch_source(struct listener *listener, u64 hash, u64 now_ns)
{
	u32 epoch = now_ns >> SKETCH_EPOCH_SHIFT, bank = epoch & 1;
	u16 *cell = &listener->sketch[bank][hash >> 8 & (SKETCH_REGISTERS - 1)];
	u16 rare = rarity(hash >> 32) << SKETCH_COUNT_BITS, held;

	if (listener->sketch_epoch[bank] != epoch) {
		listener->sketch_epoch[bank] = epoch;
		__builtin_memset(listener->sketch[bank], 0, sizeof(listener->sketch[bank]));
	}
	held = *cell;
	if (rare > held || !held)
		*cell = rare | 1;
	else if (rare == (held & ~SKETCH_COUNT_MAX) && (held & SKETCH_COUNT_MAX) < SKETCH_COUNT_MAX)
		*cell = held + 1;
}

/* 0/8, 224/3 and, but from a machine to itself, 127/8 (RFC 6890). Left out is what is seen inside networks and in
 * laboratories: private and shared addresses, link-local ones, those of documentation and of benchmarks.
 */
static __always_inline int is_ipv4_bogon(struct packet *packet)
{
	u32 first = packet->source.bytes[12];

	if (first == 127)
		return packet->destination.bytes[12] != 127;
	return first - 1 >= 223;
}

/* ff00::/8, :: and, but from a machine to itself, ::1; and what IANA has given to nobody: from 4000:: to
 * fbff::, but not 5f00::/16 (RFC 9602). The lowest eighth is left out: NAT64 has sources there, and some overlays.
 */
static __always_inline int is_ipv6_bogon(struct packet *packet)
{
	u64 words[2], to[2], low;
	u32 first = packet->source.bytes[0];

	if (first >= 0x40)
		return (first < 0xfc && first != 0x5f) || first == 0xff;
	__builtin_memcpy(words, &packet->source, 16);
	__builtin_memcpy(to, &packet->destination, 16);
	low = NET64(words[1]);
	if (words[0] || low > 1)
		return 0;
	return !low || to[0] || to[1] != words[1];
}

/* Whether an attempt repeats the ISN or the port of the one before it, which among real clients one in 28,000 does,
 * or has its destination for an ISN, as Mirai's have.
 */
static __always_inline int is_patterned(struct listener *listener, struct packet *packet)
{
	return packet->sequence == listener->last_isn || packet->source_port == listener->last_port ||
	       packet->sequence == NET32(ipv4_of(&packet->destination));
}

static __always_inline void listener_attempt(struct context *context, struct listener *listener,
					     struct packet *packet, u64 source_hash)
{
	listener->last_ns = context->now_ns;
	listener->counts.attempts++;
	listener->bare_attempts += packet->bare;
	if (packet->ipv6 ? is_ipv6_bogon(packet) : is_ipv4_bogon(packet))
		listener->bogon_attempts++;
	if (is_patterned(listener, packet))
		listener->patterned_attempts++;
	listener->last_isn = packet->sequence;
	listener->last_port = packet->source_port;
	listener->syn_ttl[packet->ttl / (256 / TTL_BINS)]++;
	listener_cohort(listener, context->now_ns >> LISTENER_COHORT_SHIFT)->attempts++;
	sketch_source(listener, source_hash, context->now_ns);
}

/* Books a completion to the cohort of its own attempt, if the ring still has it.
 *
 * Another CPU may have counted the attempt: this CPU's copy of the cohort then has a completion
 * without an attempt, and the sum over CPUs is right.
 */
static __always_inline void cohort_completion(struct listener *listener, u64 now_ns, u32 epoch)
{
	if ((u32)(now_ns >> LISTENER_COHORT_SHIFT) - epoch < LISTENER_COHORTS)
		listener_cohort(listener, epoch)->completed++;
}

static __always_inline void listener_completion(struct context *context, struct listener *listener, u8 ttl,
						u32 epoch, u16 ticks)
{
	u32 bin = 0;

#pragma unroll
	for (u32 bit = 0; bit < HANDSHAKE_TIME_BINS - 1; bit++)
		bin += ticks >= 1 << bit;
	listener->counts.completed++;
	listener->completed_ttl[ttl / (256 / TTL_BINS)]++;
	listener->handshake_time[bin & (HANDSHAKE_TIME_BINS - 1)]++;
	cohort_completion(listener, context->now_ns, epoch);
}

/* An attempt was booked to the closed bucket before its port was known to answer. */
static __always_inline void move_attempt(struct context *context, struct listener *bucket, struct listener *listener,
					 u32 epoch)
{
	if (bucket) {
		bucket->counts.answered++;
		cohort_completion(bucket, context->now_ns, epoch);
	}
	listener->last_ns = context->now_ns;
	listener->counts.attempts++;
	if ((u32)(context->now_ns >> LISTENER_COHORT_SHIFT) - epoch < LISTENER_COHORTS)
		listener_cohort(listener, epoch)->attempts++;
}
