/* The table of pending handshakes: 2^18 buckets of seven slots, each bucket under its own lock.
 *
 * A slot is found by the four-tuple's keyed hash (18 bits choose the bucket, 16 are kept) and always
 * also by a 32-bit sequence number, so two handshakes of one bucket are confused with probability 2^-48; answers and
 * refusals allow for data in the SYN, which makes it 2^-32 for those.
 * A full bucket gives up its oldest finished slot, else its oldest one.
 *
 * Beside each bucket goes a filter of the fingerprints that wait for an ACK, 1 MiB for all, and a bit that says whether
 * it is empty, 32 KiB for all: nearly every ACK of an established connection is told by the bit in quiet times, and by
 * the filter under a flood, without the bucket's cache lines, the clock or the lock.
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

#define NO_SLOT (1ULL << 40)

/* The least of the slots' distances from what is looked for, with the slot in the lowest three bits. */
static __always_inline u64 nearer(u64 best, u64 distance, u32 slots, int slot)
{
	u64 apart = NO_SLOT * (~slots >> slot & 1);

	return lesser(best, (distance | apart) << 3 | slot);
}

#define NEAREST_NONE (NO_SLOT << 4)

/* The slot if it is near enough, else BUCKET_SLOTS. */
static __always_inline u32 within(u64 nearest, u64 most)
{
	return nearest >> 3 <= most ? nearest & 7 : BUCKET_SLOTS;
}

static __always_inline int repeat_syn(struct handshake_bucket *bucket, u32 slot, u16 tick)
{
	u16 gap = tick - bucket->last_syn_tick[slot] + SKEW_TICKS;
	u8 flags = bucket->flags[slot];

	bucket->last_syn_tick[slot] = tick;
	if (gap < DUPLICATE_TICKS + SKEW_TICKS) {
		bucket->flags[slot] = flags | SLOT_DUPLICATED;
		return flags & SLOT_DUPLICATED ? SYN_REPEATED : SYN_DUPLICATE;
	}
	if ((flags & SLOT_RETRANSMITS) >= RETRANSMITS_MAX)
		return SYN_REPEATED;
	bucket->flags[slot] = (flags & ~SLOT_DUPLICATED) + 1;
	if (slot_phase(bucket, slot) == PHASE_ENDED)
		set_phase(bucket, slot, PHASE_ASKED_AGAIN);
	return SYN_RETRANSMIT;
}

static __always_inline u32 find_attempt(struct handshake_bucket *bucket, u16 fingerprint, u32 isn)
{
	u32 slots = slots_in(bucket, fingerprint, ~IN(PHASE_FREE));
	u64 nearest = NEAREST_NONE;
	u32 first = lowest_slot(slots);

	if (!slots)
		return BUCKET_SLOTS;
	if (first < BUCKET_SLOTS && bucket->client_isn[first] == isn)
		return first;
#pragma unroll
	for (int slot = 0; slot < BUCKET_SLOTS; slot++)
		nearest = nearer(nearest, isn ^ bucket->client_isn[slot], slots, slot);
	return within(nearest, 0);
}

/* Gives the attempt the slot that is missed least; says whether a young handshake was waiting there. */
static __always_inline int take_slot(struct place *place, u32 isn, u64 now_ns, u8 flags)
{
	struct handshake_bucket *bucket = place->bucket;
	u16 tick = now_ns >> TICK_SHIFT;
	u64 worst = NO_SLOT;
	u32 rank, best;

#pragma unroll
	for (int slot = 0; slot < BUCKET_SLOTS; slot++)
		worst = lesser(worst, (RANK_MAX - eviction_rank(bucket, slot, tick)) << 3 | slot);
	best = worst & 7;
	rank = RANK_MAX - (worst >> 3);
	if (best >= BUCKET_SLOTS)
		return 0;
	bucket->fingerprint[best] = place->fingerprint;
	bucket->client_isn[best] = isn;
	bucket->server_isn[best] = 0;
	bucket->last_syn_tick[best] = tick;
	set_attempt_time(bucket, best, now_ns);
	bucket->flags[best] = flags;
	return rank < (LISTENER_COHORTS << (LISTENER_COHORT_SHIFT - TICK_SHIFT)) + SKEW_TICKS;
}

/* A copy that counts as an attempt may be refused or aborted like the one before it. */
static __always_inline void reopen_slot(struct handshake_bucket *bucket, u32 slot, u64 now_ns, u8 flags)
{
	set_attempt_time(bucket, slot, now_ns);
	bucket->flags[slot] = (bucket->flags[slot] & (SLOT_RETRANSMITS | SLOT_DUPLICATED)) | flags;
}

static __always_inline int record_syn(struct place *place, u32 isn, u64 now_ns, u8 flags, struct handshake *handshake)
{
	struct handshake_bucket *bucket = place->bucket;
	int verdict = SYN_NEW;
	u32 slot;

	bpf_spin_lock(&bucket->lock);
	slot = find_attempt(bucket, place->fingerprint, isn);
	if (slot < BUCKET_SLOTS) {
		verdict = repeat_syn(bucket, slot, now_ns >> TICK_SHIFT);
		if (verdict == SYN_REPEATED && slot_phase(bucket, slot) >= PHASE_ENDED)
			reopen_slot(bucket, slot, now_ns, flags);
	} else {
		handshake->overwritten = take_slot(place, isn, now_ns, flags);
	}
	if (place->completable & IN(PHASE_SYN_SEEN))
		refresh_filter(place);
	bpf_spin_unlock(&bucket->lock);
	return verdict;
}

/* Whether this SYN came before, and not a moment ago: it was let pass, and had no answer, or none that arrived. */
static __always_inline int was_let_pass(struct context *context, struct packet *packet, u32 least_ticks, u32 most_ticks)
{
	struct place place;
	u32 slot, came_before = 0;
	u16 gap;

	if (!find_place(context, packet, &place))
		return 0;
	bpf_spin_lock(&place.bucket->lock);
	slot = find_attempt(place.bucket, place.fingerprint, packet->sequence);
	if (slot < BUCKET_SLOTS) {
		gap = (u16)(context->now_ns >> TICK_SHIFT) - place.bucket->last_syn_tick[slot];
		came_before = gap >= least_ticks && gap <= most_ticks &&
			      !(place.bucket->flags[slot] & SLOT_DUPLICATED);
	}
	bpf_spin_unlock(&place.bucket->lock);
	return came_before;
}

static __always_inline void read_slot(struct handshake_bucket *bucket, u32 slot, u64 now_ns,
				      struct handshake *handshake)
{
	u16 began = slot_phase(bucket, slot) == PHASE_SYN_SEEN ? bucket->last_syn_tick[slot]
							       : bucket->answered_tick[slot];

	handshake->found = 1;
	handshake->flags = bucket->flags[slot];
	handshake->epoch = (now_ns >> LISTENER_COHORT_SHIFT) - slot_age(bucket, slot, now_ns);
	handshake->answer_ticks = (u16)(now_ns >> TICK_SHIFT) - began;
}

/* The attempt that `acknowledged` answers, in one of the phases: the nearest ISN before it, for the SYN may have
 * carried data.
 */
static __always_inline u32 find_acknowledged(struct place *place, u32 acknowledged, u32 phases)
{
	u32 slots = slots_in(place->bucket, place->fingerprint, phases);
	u64 nearest = NEAREST_NONE;

#pragma unroll
	for (int slot = 0; slot < BUCKET_SLOTS; slot++)
		nearest = nearer(nearest, acknowledged - place->bucket->client_isn[slot] - 1, slots, slot);
	return within(nearest, SYN_PAYLOAD_MAX);
}

static __always_inline void answer_slot(struct place *place, u32 slot, u32 isn, u32 acknowledged, u64 now_ns)
{
	struct handshake_bucket *bucket = place->bucket;

	bucket->server_isn[slot] = isn;
	if (acknowledged != bucket->client_isn[slot] + 1)
		bucket->flags[slot] |= SLOT_EARLY_DATA;
	if (slot_phase(bucket, slot) == PHASE_ANSWERED)
		return;
	bucket->answered_tick[slot] = now_ns >> TICK_SHIFT;
	bucket->flags[slot] &= ~SLOT_IN_CLOSED;
	set_phase(bucket, slot, PHASE_ANSWERED);
	refresh_filter(place);
}

/* Whether our SYN-ACK was sent before; of what ended, a refusal had none, and no ISN of ours. */
static __always_inline u32 was_answered(struct handshake_bucket *bucket, u32 slot)
{
	u32 phase = slot_phase(bucket, slot);

	return phase == PHASE_ASKED_AGAIN ? bucket->server_isn[slot] != 0 : phase != PHASE_SYN_SEEN;
}

/* Our SYN-ACK: the first one for its attempt, or one sent again. */
static __always_inline void record_answer(struct place *place, u32 isn, u32 acknowledged, u64 now_ns,
					  struct handshake *handshake)
{
	u32 phases = IN(PHASE_SYN_SEEN) | IN(PHASE_ANSWERED) | IN(PHASE_COMPLETED) | IN(PHASE_ASKED_AGAIN);
	struct handshake_bucket *bucket = place->bucket;
	u32 slot;

	bpf_spin_lock(&bucket->lock);
	slot = unless_stale(bucket, find_acknowledged(place, acknowledged, phases), now_ns);
	if (slot < BUCKET_SLOTS) {
		read_slot(bucket, slot, now_ns, handshake);
		handshake->again = was_answered(bucket, slot);
		if (slot_phase(bucket, slot) != PHASE_COMPLETED)
			answer_slot(place, slot, isn, acknowledged, now_ns);
	}
	bpf_spin_unlock(&bucket->lock);
}

/* Our RST refuses an attempt that was not answered: a closed port. */
static __always_inline void record_refusal(struct place *place, u32 acknowledged, u64 now_ns,
					   struct handshake *handshake)
{
	struct handshake_bucket *bucket = place->bucket;
	u32 slot;

	bpf_spin_lock(&bucket->lock);
	slot = unless_stale(bucket, find_acknowledged(place, acknowledged, IN(PHASE_SYN_SEEN)), now_ns);
	if (slot < BUCKET_SLOTS) {
		read_slot(bucket, slot, now_ns, handshake);
		set_phase(bucket, slot, PHASE_ENDED);
	}
	bpf_spin_unlock(&bucket->lock);
}

/* An ACK completes an answered attempt only if its number proves that our SYN-ACK arrived: exactly the one behind
 * our ISN, or some of the data that TCP Fast Open may have sent early. Of an attempt whose answer cannot be
 * seen all that can be asked is that the peer goes on right behind its own ISN.
 */
static __always_inline u64 distance_from_proof(struct handshake_bucket *bucket, int slot, struct packet *packet)
{
	u32 is_unanswered = IN(PHASE_SYN_SEEN) >> slot_phase(bucket, slot) & 1;
	u32 is_early = (u32)bucket->flags[slot] / SLOT_EARLY_DATA & 1;
	u32 behind_ours = packet->acknowledgement - bucket->server_isn[slot] - 1;
	u32 behind_theirs = packet->sequence - bucket->client_isn[slot] - 1;
	u32 allowed = EARLY_DATA_MAX * (is_early | is_unanswered);
	u32 distance = behind_ours ^ ((behind_ours ^ behind_theirs) & -is_unanswered);

	return distance | NO_SLOT * is_more(distance, allowed);
}

static __always_inline u32 find_proven(struct place *place, struct packet *packet)
{
	u32 slots = slots_in(place->bucket, place->fingerprint, place->completable);
	u64 nearest = NEAREST_NONE;

#pragma unroll
	for (int slot = 0; slot < BUCKET_SLOTS; slot++)
		nearest = nearer(nearest, distance_from_proof(place->bucket, slot, packet), slots, slot);
	return within(nearest, EARLY_DATA_MAX);
}

static __always_inline void record_completion(struct place *place, struct packet *packet, u64 now_ns,
					      struct handshake *handshake)
{
	struct handshake_bucket *bucket = place->bucket;
	u32 slot;

	bpf_spin_lock(&bucket->lock);
	slot = unless_stale(bucket, find_proven(place, packet), now_ns);
	if (slot < BUCKET_SLOTS) {
		read_slot(bucket, slot, now_ns, handshake);
		set_phase(bucket, slot, PHASE_COMPLETED);
		refresh_filter(place);
	}
	bpf_spin_unlock(&bucket->lock);
}

/* The peer's RST aborts what we answered; its numbers must show that it belongs to that handshake. */
static __always_inline u32 find_aborted(struct place *place, struct packet *packet)
{
	u32 slots = slots_in(place->bucket, place->fingerprint, place->completable);
	u64 no_acknowledgement = NO_SLOT * (~(u32)packet->flags / TCP_ACK & 1);
	u64 nearest = NEAREST_NONE, by_sequence, by_acknowledgement, is_unanswered;

#pragma unroll
	for (int slot = 0; slot < BUCKET_SLOTS; slot++) {
		by_sequence = (u32)(packet->sequence - place->bucket->client_isn[slot] - 1);
		/* A host without a socket takes the number from our SYN-ACK, which may have acknowledged data. */
		by_sequence *= is_more(by_sequence, (place->bucket->flags[slot] / SLOT_EARLY_DATA & 1) * SYN_PAYLOAD_MAX);
		by_acknowledgement = (u32)(packet->acknowledgement - place->bucket->server_isn[slot] - 1);
		/* Of what was not answered our ISN is not known. */
		is_unanswered = IN(PHASE_SYN_SEEN) >> slot_phase(place->bucket, slot) & 1;
		by_acknowledgement |= no_acknowledgement | NO_SLOT * is_unanswered;
		nearest = nearer(nearest, lesser(by_sequence, by_acknowledgement), slots, slot);
	}
	return within(nearest, 0);
}

static __always_inline void record_abort(struct place *place, struct packet *packet, u64 now_ns,
					 struct handshake *handshake)
{
	struct handshake_bucket *bucket = place->bucket;
	u32 slot;

	bpf_spin_lock(&bucket->lock);
	slot = unless_stale(bucket, find_aborted(place, packet), now_ns);
	if (slot < BUCKET_SLOTS) {
		read_slot(bucket, slot, now_ns, handshake);
		set_phase(bucket, slot, PHASE_ENDED);
		refresh_filter(place);
	}
	bpf_spin_unlock(&bucket->lock);
}
