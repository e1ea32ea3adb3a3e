/* The table of pending handshakes: 2^18 buckets of seven slots, each bucket under its own lock.
 *
 * A slot is found by the four-tuple's keyed hash (18 bits choose the bucket, 16 are kept) and always
 * also by a 32-bit sequence number, so two handshakes are confused with probability 2^-48 a pair.
 * A full bucket gives up its oldest finished slot, else its oldest one.
 */

enum syn_verdict {
	SYN_NEW,
	SYN_REPEATED, /* a copy that counts as an attempt, but owns no slot */
	SYN_RETRANSMIT,
	SYN_DUPLICATE,
};

/* What a slot said, read under its lock. */
struct handshake {
	u64 epoch; /* of the attempt, in listener cohorts */
	u16 answer_ticks;
	u8 flags;
	u8 found;
	u8 again; /* a SYN-ACK sent before */
	u8 overwritten;
};

static __always_inline int repeat_syn(struct handshake_bucket *bucket, int slot, u16 tick)
{
	u16 gap = tick - bucket->last_syn_tick[slot];
	u8 flags = bucket->flags[slot];

	bucket->last_syn_tick[slot] = tick;
	if (gap < DUPLICATE_TICKS) {
		bucket->flags[slot] = flags | SLOT_DUPLICATED;
		return flags & SLOT_DUPLICATED ? SYN_REPEATED : SYN_DUPLICATE;
	}
	if ((flags & SLOT_RETRANSMITS) >= RETRANSMITS_MAX)
		return SYN_REPEATED;
	bucket->flags[slot] = (flags & ~SLOT_DUPLICATED) + 1;
	return SYN_RETRANSMIT;
}

static __always_inline int find_attempt(struct handshake_bucket *bucket, u16 fingerprint, u32 isn)
{
	int found = BUCKET_SLOTS;

#pragma unroll
	for (int slot = 0; slot < BUCKET_SLOTS; slot++)
		if (bucket->fingerprint[slot] == fingerprint && bucket->client_isn[slot] == isn &&
		    slot_phase(bucket, slot) != PHASE_FREE)
			found = slot;
	return found;
}

/* Gives the attempt the slot that is missed least; says whether a young handshake was waiting there. */
static __always_inline int take_slot(struct handshake_bucket *bucket, u16 fingerprint, u32 isn, u64 now_ns, u8 flags)
{
	u16 tick = now_ns >> TICK_SHIFT;
	u32 best_rank = 0, rank;
	int best = 0;

#pragma unroll
	for (int slot = 0; slot < BUCKET_SLOTS; slot++) {
		rank = eviction_rank(bucket, slot, tick);
		if (rank >= best_rank) {
			best_rank = rank;
			best = slot;
		}
	}
	bucket->fingerprint[best] = fingerprint;
	bucket->client_isn[best] = isn;
	bucket->server_isn[best] = 0;
	bucket->last_syn_tick[best] = tick;
	bucket->cohort_phase[best] = (now_ns >> LISTENER_COHORT_SHIFT) << 4 | PHASE_SYN_SEEN;
	bucket->flags[best] = flags;
	return best_rank < LISTENER_COHORTS << (LISTENER_COHORT_SHIFT - TICK_SHIFT);
}

/* A copy that counts as an attempt may be refused or aborted like the one before it. */
static __always_inline void reopen_slot(struct handshake_bucket *bucket, int slot, u64 now_ns, u8 flags)
{
	bucket->cohort_phase[slot] = (now_ns >> LISTENER_COHORT_SHIFT) << 4 | PHASE_SYN_SEEN;
	bucket->flags[slot] = (bucket->flags[slot] & (SLOT_RETRANSMITS | SLOT_DUPLICATED)) | flags;
}

static __always_inline int record_syn(struct handshake_bucket *bucket, u16 fingerprint, u32 isn, u64 now_ns,
				      u8 flags, struct handshake *handshake)
{
	int slot, verdict = SYN_NEW;

	bpf_spin_lock(&bucket->lock);
	slot = find_attempt(bucket, fingerprint, isn);
	if (slot < BUCKET_SLOTS) {
		verdict = repeat_syn(bucket, slot, now_ns >> TICK_SHIFT);
		if (verdict == SYN_REPEATED && slot_phase(bucket, slot) == PHASE_ENDED)
			reopen_slot(bucket, slot, now_ns, flags);
	} else {
		handshake->overwritten = take_slot(bucket, fingerprint, isn, now_ns, flags);
	}
	bpf_spin_unlock(&bucket->lock);
	return verdict;
}

static __always_inline void read_slot(struct handshake_bucket *bucket, int slot, u64 now_ns,
				      struct handshake *handshake)
{
	handshake->found = 1;
	handshake->flags = bucket->flags[slot];
	handshake->epoch = slot_epoch(bucket->cohort_phase[slot], now_ns);
	handshake->answer_ticks = (u16)(now_ns >> TICK_SHIFT) - bucket->answered_tick[slot];
}

/* The attempt that `acknowledged` answers, in one of the phases of the mask: the nearest ISN before it, for
 * the SYN may have carried data.
 */
static __always_inline int find_acknowledged(struct handshake_bucket *bucket, u16 fingerprint, u32 acknowledged,
					     u32 phases)
{
	u32 nearest = SYN_PAYLOAD_MAX + 1, distance;
	int found = BUCKET_SLOTS;

#pragma unroll
	for (int slot = 0; slot < BUCKET_SLOTS; slot++) {
		distance = acknowledged - bucket->client_isn[slot] - 1;
		if (bucket->fingerprint[slot] == fingerprint && phases & 1 << slot_phase(bucket, slot) &&
		    distance < nearest) {
			nearest = distance;
			found = slot;
		}
	}
	return found;
}

static __always_inline void answer_slot(struct handshake_bucket *bucket, int slot, u32 isn, u32 acknowledged,
					u64 now_ns)
{
	bucket->server_isn[slot] = isn;
	if (acknowledged != bucket->client_isn[slot] + 1)
		bucket->flags[slot] |= SLOT_EARLY_DATA;
	if (slot_phase(bucket, slot) != PHASE_SYN_SEEN)
		return;
	bucket->answered_tick[slot] = now_ns >> TICK_SHIFT;
	bucket->flags[slot] &= ~SLOT_IN_CLOSED;
	set_phase(bucket, slot, PHASE_ANSWERED);
}

/* Our SYN-ACK: the first one for its attempt, or one sent again. */
static __always_inline void record_answer(struct handshake_bucket *bucket, u16 fingerprint, u32 isn, u32 acknowledged,
					  u64 now_ns, struct handshake *handshake)
{
	u32 phases = 1 << PHASE_SYN_SEEN | 1 << PHASE_ANSWERED | 1 << PHASE_COMPLETED;
	int slot;

	bpf_spin_lock(&bucket->lock);
	slot = find_acknowledged(bucket, fingerprint, acknowledged, phases);
	if (slot < BUCKET_SLOTS) {
		read_slot(bucket, slot, now_ns, handshake);
		handshake->again = slot_phase(bucket, slot) != PHASE_SYN_SEEN;
		if (slot_phase(bucket, slot) != PHASE_COMPLETED)
			answer_slot(bucket, slot, isn, acknowledged, now_ns);
	}
	bpf_spin_unlock(&bucket->lock);
}

/* Our RST refuses an attempt that was not answered: a closed port. */
static __always_inline void record_refusal(struct handshake_bucket *bucket, u16 fingerprint, u32 acknowledged,
					   u64 now_ns, struct handshake *handshake)
{
	int slot;

	bpf_spin_lock(&bucket->lock);
	slot = find_acknowledged(bucket, fingerprint, acknowledged, 1 << PHASE_SYN_SEEN);
	if (slot < BUCKET_SLOTS) {
		read_slot(bucket, slot, now_ns, handshake);
		set_phase(bucket, slot, PHASE_ENDED);
	}
	bpf_spin_unlock(&bucket->lock);
}

/* An ACK completes an answered attempt only if its number proves that our SYN-ACK arrived. */
static __always_inline int find_proven(struct handshake_bucket *bucket, u16 fingerprint, u32 acknowledged)
{
	int found = BUCKET_SLOTS;
	u32 allowed;

#pragma unroll
	for (int slot = 0; slot < BUCKET_SLOTS; slot++) {
		allowed = bucket->flags[slot] & SLOT_EARLY_DATA ? EARLY_DATA_MAX : 0;
		if (bucket->fingerprint[slot] == fingerprint && slot_phase(bucket, slot) == PHASE_ANSWERED &&
		    acknowledged - bucket->server_isn[slot] - 1 <= allowed)
			found = slot;
	}
	return found;
}

static __always_inline void record_completion(struct handshake_bucket *bucket, u16 fingerprint, u32 acknowledged,
					      u64 now_ns, struct handshake *handshake)
{
	int slot;

	bpf_spin_lock(&bucket->lock);
	slot = find_proven(bucket, fingerprint, acknowledged);
	if (slot < BUCKET_SLOTS) {
		read_slot(bucket, slot, now_ns, handshake);
		set_phase(bucket, slot, PHASE_COMPLETED);
	}
	bpf_spin_unlock(&bucket->lock);
}

/* The peer's RST aborts what we answered; its numbers must show that it belongs to that handshake. */
static __always_inline void record_abort(struct handshake_bucket *bucket, u16 fingerprint, struct packet *packet,
					 u64 now_ns, struct handshake *handshake)
{
	int found = BUCKET_SLOTS;

	bpf_spin_lock(&bucket->lock);
#pragma unroll
	for (int slot = 0; slot < BUCKET_SLOTS; slot++)
		if (bucket->fingerprint[slot] == fingerprint && slot_phase(bucket, slot) == PHASE_ANSWERED &&
		    (packet->sequence == bucket->client_isn[slot] + 1 ||
		     (packet->flags & TCP_ACK && packet->acknowledgement == bucket->server_isn[slot] + 1)))
			found = slot;
	if (found < BUCKET_SLOTS) {
		read_slot(bucket, found, now_ns, handshake);
		set_phase(bucket, found, PHASE_ENDED);
	}
	bpf_spin_unlock(&bucket->lock);
}
