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

static __always_inline void listener_attempt(struct context *context, struct listener *listener,
					     struct packet *packet, u64 source_hash)
{
	listener->last_ns = context->now_ns;
	listener->counts.attempts++;
	listener->bare_attempts += packet->bare;
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
