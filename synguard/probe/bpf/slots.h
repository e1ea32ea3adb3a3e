/* One slot of a pending handshake: its fields, its bucket, and which slot is missed least. */

#define TICK_SHIFT 20 /* 1.05 ms; a slot's 16-bit times wrap after 68.7 s */
#define DUPLICATE_TICKS 190 /* 199.2 ms: whichever way these ticks fall; the coarse clock adds up to one of its own */
#define RETRANSMITS_MAX 10
#define EARLY_DATA_MAX 65535 /* data that TCP Fast Open may send before the handshake completes */
#define SYN_PAYLOAD_MAX 65535 /* jumbo frames carry more than an Ethernet segment */
#define PHASE_BITS 3
#define PHASE_MASK ((1 << PHASE_BITS) - 1)
#define COHORT_BITS (16 - PHASE_BITS) /* 137 s: longer than a server sends its SYN-ACK again */
#define GENERATION_BITS 4 /* 36 min in all, by which what is older than 137 s is known to be */
/* By so much may another CPU's time be ahead: whoever takes the time first need not get the lock first. */
#define SKEW_TICKS 16
#define RANK_MAX (1U << 20)

enum handshake_phase {
	PHASE_FREE,
	PHASE_SYN_SEEN,
	PHASE_ANSWERED,
	PHASE_COMPLETED,
	PHASE_ENDED, /* aborted or refused */
	PHASE_ASKED_AGAIN, /* then the peer sent its SYN again, and may be answered after all */
};

#define IN(phase) (1U << (phase))

#define SLOT_RETRANSMITS 0x0f
#define SLOT_DUPLICATED 0x10
#define SLOT_SOURCE_KNOWN 0x20 /* the attempt was booked to its source */
#define SLOT_EARLY_DATA 0x40   /* our SYN-ACK acknowledged data: TCP Fast Open */
#define SLOT_IN_CLOSED 0x80    /* the attempt was booked to its address's closed bucket */

/* Without a branch, as is_equal() and is_more(), which LLVM 19 would make of what it knows to be 0 or 1. */
static __always_inline u64 lesser(u64 a, u64 b)
{
	u64 a_is_less = is_more(b, a);

	barrier_var(a_is_less);
	return b ^ ((a ^ b) & -a_is_less);
}

/* Where a four-tuple's handshake is kept: the bucket, its filter, and what tells it from others there. */
struct place {
	struct handshake_bucket *bucket;
	u64 *buckets; /* the word of `pending_buckets`, in which its bit is that of the hash's lowest six */
	u32 *filter;
	u64 hash;
	u32 bit; /* of the filter */
	u32 completable; /* the phases that an ACK may complete */
	u16 fingerprint;
};

/* Finds the filter; to look at the bucket is left to those who must. */
static __always_inline int find_filter(struct context *context, struct packet *packet, struct place *place)
{
	struct pending_line *line;
	u32 index;

	place->hash = tuple_hash(context->settings, packet);
	place->fingerprint = place->hash >> 32;
	place->bit = 1U << (place->fingerprint & 31);
	/* Where answers cannot be seen, an attempt may be completed without one. */
	place->completable = IN(PHASE_ANSWERED) | (context->settings->one_way & 1) << PHASE_SYN_SEEN;
	index = (place->hash & (HANDSHAKE_BUCKETS - 1)) / PENDING_FILTERS;
	line = pending.lookup(&index);
	index = (place->hash & (HANDSHAKE_BUCKETS - 1)) / 64;
	place->buckets = pending_buckets.lookup(&index);
	if (!line || !place->buckets)
		return 0;
	place->filter = &line->filters[place->hash & (PENDING_FILTERS - 1)];
	return 1;
}

static __always_inline int find_place(struct context *context, struct packet *packet, struct place *place)
{
	u32 index;

	if (!find_filter(context, packet, place))
		return 0;
	index = place->hash & (HANDSHAKE_BUCKETS - 1);
	place->bucket = handshakes.lookup(&index);
	return place->bucket != 0;
}

static __always_inline u8 slot_phase(struct handshake_bucket *bucket, int slot)
{
	return bucket->cohort_phase[slot] & PHASE_MASK;
}

/* The slots of that fingerprint in one of the phases, a bit each, from the first cache line alone. */
static __always_inline u32 slots_in(struct handshake_bucket *bucket, u16 fingerprint, u32 phases)
{
	u32 slots = 0;

#pragma unroll
	for (int slot = 0; slot < BUCKET_SLOTS; slot++)
		slots |= (is_equal(bucket->fingerprint[slot], fingerprint) & phases >> slot_phase(bucket, slot)) << slot;
	return slots;
}

/* The number of the lowest bit set among the lowest eight, by a De Bruijn sequence. */
static __always_inline u32 lowest_slot(u32 slots)
{
	return 0x34572610U >> (((slots & -slots) * 0x1d & 0xff) >> 5) * 4 & 7;
}

static __always_inline u64 bucket_mark(struct place *place)
{
	return 1ULL << (place->hash & 63);
}

/* Under the lock. A slot that is taken over leaves its bit until then: that costs some ACK a look, no more. */
static __always_inline void refresh_filter(struct place *place)
{
	u64 mark = bucket_mark(place), is_marked;
	u32 filter = 0;

#pragma unroll
	for (int slot = 0; slot < BUCKET_SLOTS; slot++)
		filter |= (place->completable >> slot_phase(place->bucket, slot) & 1) << (place->bucket->fingerprint[slot] & 31);
	*(volatile u32 *)place->filter = filter;
	is_marked = *(volatile u64 *)place->buckets & mark;
	if (filter && !is_marked)
		__sync_fetch_and_or(place->buckets, mark);
	if (!filter && is_marked)
		__sync_fetch_and_and(place->buckets, ~mark);
}

static __always_inline void set_phase(struct handshake_bucket *bucket, int slot, u8 phase)
{
	bucket->cohort_phase[slot] = (bucket->cohort_phase[slot] & ~PHASE_MASK) | phase;
}

static __always_inline void set_attempt_time(struct handshake_bucket *bucket, u32 slot, u64 now_ns)
{
	u32 epoch = now_ns >> LISTENER_COHORT_SHIFT, shift = slot * GENERATION_BITS;
	u32 mask = (1 << GENERATION_BITS) - 1, generation = epoch >> COHORT_BITS & mask;

	bucket->cohort_phase[slot] = epoch << PHASE_BITS | PHASE_SYN_SEEN;
	bucket->generations = (bucket->generations & ~(mask << shift)) | generation << shift;
}

/* The age of a slot's attempt in listener cohorts; another CPU's time may be one ahead. */
static __always_inline u32 slot_age(struct handshake_bucket *bucket, u32 slot, u64 now_ns)
{
	u32 generation = bucket->generations >> slot * GENERATION_BITS & ((1 << GENERATION_BITS) - 1);
	u32 epoch = bucket->cohort_phase[slot] >> PHASE_BITS | generation << COHORT_BITS;
	u32 mask = (1 << (COHORT_BITS + GENERATION_BITS)) - 1;
	u32 age = ((u32)(now_ns >> LISTENER_COHORT_SHIFT) - epoch) & mask;

	return age == mask ? 0 : age;
}

/* The slot, unless its attempt is so old that nothing of that handshake can be under way any more. */
static __always_inline u32 unless_stale(struct handshake_bucket *bucket, u32 slot, u64 now_ns)
{
	if (slot >= BUCKET_SLOTS)
		return BUCKET_SLOTS;
	return slot_age(bucket, slot, now_ns) >> COHORT_BITS ? BUCKET_SLOTS : slot;
}

/* Finished slots go first, then the oldest. Free ones have the highest rank of all. */
static __always_inline u32 eviction_rank(struct handshake_bucket *bucket, int slot, u16 tick)
{
	u32 finished = IN(PHASE_FREE) | IN(PHASE_COMPLETED) | IN(PHASE_ENDED);
	u32 phase = slot_phase(bucket, slot);
	u32 age = (u16)(tick - bucket->last_syn_tick[slot] + SKEW_TICKS);

	return age | (finished >> phase & 1) << 17 | (IN(PHASE_FREE) >> phase & 1) << 18;
}
