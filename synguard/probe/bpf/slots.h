/* One slot of a pending handshake: its fields, its bucket, and which slot is missed least. */

#define TICK_SHIFT 20 /* 1.05 ms; a slot's 16-bit times wrap after 68.7 s */
#define DUPLICATE_TICKS 190 /* 199.2 ms: whichever way the ticks fall, 200 ms are never less */
#define RETRANSMITS_MAX 10
#define EARLY_DATA_MAX 65535 /* data that TCP Fast Open may send before the handshake completes */
#define SYN_PAYLOAD_MAX 65535 /* jumbo frames carry more than an Ethernet segment */
#define COHORT_BITS 12

enum handshake_phase {
	PHASE_FREE,
	PHASE_SYN_SEEN,
	PHASE_ANSWERED,
	PHASE_COMPLETED,
	PHASE_ENDED, /* aborted or refused */
};

#define SLOT_RETRANSMITS 0x0f
#define SLOT_DUPLICATED 0x10
#define SLOT_SOURCE_KNOWN 0x20 /* the attempt was booked to its source */
#define SLOT_EARLY_DATA 0x40   /* our SYN-ACK acknowledged data: TCP Fast Open */
#define SLOT_IN_CLOSED 0x80    /* the attempt was booked to its address's closed bucket */

/* The peer is the packet's source here, also on egress, where it was turned round. */
static __always_inline u64 tuple_hash(struct settings *current, struct packet *packet)
{
	struct siphash s;
	u64 words[4];

	__builtin_memcpy(words, &packet->source, 16);
	__builtin_memcpy(words + 2, &packet->destination, 16);
	siphash_start(&s, current->secret);
	siphash_word(&s, words[0]);
	siphash_word(&s, words[1]);
	siphash_word(&s, words[2]);
	siphash_word(&s, words[3]);
	return siphash_finish(&s, 36, (u32)packet->source_port << 16 | packet->destination_port);
}

static __always_inline struct handshake_bucket *find_bucket(struct context *context, struct packet *packet,
							    u16 *fingerprint)
{
	u64 hash = tuple_hash(context->settings, packet);
	u32 index = hash & (HANDSHAKE_BUCKETS - 1);

	*fingerprint = hash >> 32;
	return handshakes.lookup(&index);
}

/* Read without the lock, so that ACKs of established connections write nothing that is shared. */
static __always_inline int may_await_ack(struct handshake_bucket *bucket, u16 fingerprint)
{
	int awaits = 0;

#pragma unroll
	for (int slot = 0; slot < BUCKET_SLOTS; slot++)
		awaits |= bucket->fingerprint[slot] == fingerprint &&
			  (bucket->cohort_phase[slot] & 0xf) == PHASE_ANSWERED;
	return awaits;
}

static __always_inline u8 slot_phase(struct handshake_bucket *bucket, int slot)
{
	return bucket->cohort_phase[slot] & 0xf;
}

static __always_inline void set_phase(struct handshake_bucket *bucket, int slot, u8 phase)
{
	bucket->cohort_phase[slot] = (bucket->cohort_phase[slot] & ~0xf) | phase;
}

/* A slot keeps the low bits of its attempt's epoch; the rest follows from the present. */
static __always_inline u64 slot_epoch(u16 cohort_phase, u64 now_ns)
{
	u64 epoch = now_ns >> LISTENER_COHORT_SHIFT;
	u64 age = (epoch - (cohort_phase >> 4)) & ((1 << COHORT_BITS) - 1);

	return epoch - age;
}

/* Finished slots go first, then the oldest. Free ones have the highest rank of all. Without a branch, for
 * with seven slots each one multiplies what the verifier has to walk.
 */
static __always_inline u32 eviction_rank(struct handshake_bucket *bucket, int slot, u16 tick)
{
	u32 finished = 1 << PHASE_FREE | 1 << PHASE_COMPLETED | 1 << PHASE_ENDED;
	u32 phase = slot_phase(bucket, slot);
	u32 age = (u16)(tick - bucket->last_syn_tick[slot]);

	return age | (finished >> phase & 1) << 17 | (1 << PHASE_FREE >> phase & 1) << 18;
}
