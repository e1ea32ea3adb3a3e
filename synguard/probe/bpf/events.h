/* What each segment of a handshake does to the counts of its source, its prefix, its listener and the totals. */

struct attempt {
	struct address source_key;
	struct prefix_place prefix; /* located where the source has no entry of its own */
	struct source *source;
	struct listener *listener;
	u8 slot_flags;
};

#define COUNT_EVERYWHERE(counter)                                                  \
	do {                                                                       \
		context->totals->counter++;                                        \
		if (attempt.source)                                                \
			__sync_fetch_and_add(&attempt.source->counts.counter, 1);  \
		if (attempt.listener)                                              \
			attempt.listener->counts.counter++;                        \
	} while (0)

/* Asks for memory that is needed soon: what comes before the next atomic operation is fetched at the same time. */
#define FETCH(at) ((void)*(volatile u16 *)(at))

/* Books an attempt to its source and its prefix. The prefix hears at once of those who have no entry of their own
 * and of a source's first attempt in a slice; of the others when sixteen have come, or the source's next slice
 * begins, all at once: so a flood from one source costs its prefix next to nothing.
 */
static __always_inline void book_source(struct context *context, struct packet *packet, struct attempt *attempt,
					u64 source_hash)
{
	u64 target = target_hash(context->settings, packet);
	struct preceding untold = {};

	if (attempt->source) {
		if (!count_in_source(context, attempt->source, &attempt->source_key, target, &untold))
			return;
		locate_prefix(context, packet, &attempt->prefix);
	}
	tell_prefix(context, &attempt->prefix, source_hash, &untold);
}

/* Finds who asks and whom: the source, or where its prefix is looked for, and the listener or its address's closed
 * bucket. Without a cell neither source nor prefix is asked for.
 */
static __always_inline void find_parties(struct context *context, struct packet *packet, struct attempt *attempt,
					 u64 source_hash, u64 *cell)
{
	attempt->source = 0;
	if (cell)
		attempt->source = find_source(context, &attempt->source_key, source_hash, cell);
	if (cell && !attempt->source) {
		locate_prefix(context, packet, &attempt->prefix);
		if (attempt->prefix.cell)
			FETCH(attempt->prefix.cell);
	}
	attempt->slot_flags = attempt->source ? SLOT_SOURCE_KNOWN : 0;
	attempt->listener = find_listener(&packet->destination, packet->destination_port);
	if (!attempt->listener) {
		attempt->listener = closed_bucket(context, &packet->destination);
		attempt->slot_flags |= SLOT_IN_CLOSED;
	}
}

/* Who is answered by us need not have been answered before. */
static __always_inline void meet_listener(struct context *context, struct packet *packet, struct attempt *attempt)
{
	struct listener *made;

	if (!(attempt->slot_flags & SLOT_IN_CLOSED))
		return;
	made = make_listener(context, &packet->destination, packet->destination_port);
	attempt->listener = made ? made : attempt->listener;
}

/* What becomes of a SYN. */
enum fate {
	FATE_PASSES,
	FATE_DROPPED,
	FATE_GREYLISTED,
	FATE_DUPLICATE, /* a duplicate of a greylisted one */
	FATE_ANSWERED,  /* with a cookie */
};

/* An entry that was made only after the attempt, in place of an older one, knows nothing of that attempt. */
static __always_inline struct source *unless_younger(struct source *entry, u64 epoch)
{
	return entry && entry->first_ns >> LISTENER_COHORT_SHIFT > epoch ? 0 : entry;
}

/* Takes an attempt out of the cohorts of the time when it was dropped, for its age begins now. */
static __always_inline void leave_cohort(struct context *context, struct packet *packet, struct attempt *attempt,
					 u32 age_ticks)
{
	u64 began = (context->now_ns >> GREY_TICK_SHIFT) - age_ticks;
	u64 listener_epoch = began >> (LISTENER_COHORT_SHIFT - GREY_TICK_SHIFT);
	u64 source_epoch = began >> (SOURCE_COHORT_SHIFT - GREY_TICK_SHIFT);
	struct source *prefix;

	if (attempt->listener) {
		cohort_completion(attempt->listener, context->now_ns, listener_epoch);
		listener_cohort(attempt->listener, context->now_ns >> LISTENER_COHORT_SHIFT)->attempts++;
		attempt->listener->last_ns = context->now_ns;
	}
	if (attempt->source)
		restart_in_source(unless_younger(attempt->source, listener_epoch), source_epoch);
	prefix_key(context->settings, packet, &attempt->prefix.key);
	prefix = prefixes.lookup(&attempt->prefix.key);
	if (prefix)
		restart_in_source(unless_younger(prefix, listener_epoch), source_epoch);
}

/* Of the handshakes that cookies stand for one in so many is booked to its source and prefix: while a listener is
 * answered so, nobody is judged by them. The final ACK is chosen as its SYN was.
 */
#define SAMPLE_OF_COOKIES 8

static __always_inline int is_chosen(struct settings *current, u32 isn, u16 port)
{
	u64 mixed = ((u64)isn << 16 ^ port ^ current->secret[0]) * (current->secret[1] | 1);

	return !(mixed >> 40 & (SAMPLE_OF_COOKIES - 1));
}

static __always_inline int is_sampled(struct settings *current, struct packet *packet)
{
	return is_chosen(current, packet->sequence, packet->source_port);
}

/* Counts what is new: the attempt itself, and what we did about it. A SYN that the greylist admits is an attempt that
 * was counted, and is booked anew.
 */
static __always_inline void count_attempted(struct context *context, struct packet *packet, struct attempt *attempt,
					    u64 source_hash, u32 admitted_ticks, int is_booked)
{
	if (admitted_ticks) {
		leave_cohort(context, packet, attempt, admitted_ticks);
	} else {
		context->totals->attempts++;
		if (attempt->listener)
			listener_attempt(context, attempt->listener, packet, source_hash);
		if (attempt->source)
			clock_syn(attempt->source, packet, context->now_ns);
	}
	if (is_booked)
		book_source(context, packet, attempt, source_hash);
}

/* A SYN that we drop is an attempt, and takes no slot: nothing can complete it. Nor does one that is answered with a
 * cookie, which says itself what a slot would. `admitted_ticks`: how long ago the greylist dropped the one of which
 * this is the retransmission; 0: none.
 */
static __always_inline void count_syn(struct context *context, struct packet *packet, enum fate fate,
				      u32 admitted_ticks)
{
	struct handshake handshake = {};
	u32 verdict = fate == FATE_DUPLICATE ? SYN_DUPLICATE : SYN_NEW;
	struct attempt attempt = {};
	u64 source_hash, *cell;
	struct place place;

	place.bucket = 0;
	source_key(context->settings, packet, &attempt.source_key);
	source_hash = address_hash(context->settings, &attempt.source_key, packet->ipv6);
	cell = fate == FATE_ANSWERED && !is_sampled(context->settings, packet) ? 0 : source_cell(source_hash);
	if (fate == FATE_PASSES && !find_place(context, packet, &place))
		return;
	if (place.bucket) {
		FETCH(place.bucket->fingerprint);
		FETCH(place.bucket->client_isn);
	}
	find_parties(context, packet, &attempt, source_hash, cell);
	if (fate == FATE_ANSWERED)
		meet_listener(context, packet, &attempt);
	if (place.bucket)
		verdict = record_syn(&place, packet->sequence, context->now_ns, attempt.slot_flags, &handshake);
	/* One that has its slot was admitted before. */
	if (verdict != SYN_NEW)
		admitted_ticks = 0;
	context->totals->handshakes_overwritten += handshake.overwritten;
	context->totals->greylist_admitted += admitted_ticks != 0;
	if (verdict == SYN_RETRANSMIT || admitted_ticks)
		COUNT_EVERYWHERE(syn_retransmits);
	if (verdict == SYN_DUPLICATE)
		COUNT_EVERYWHERE(syn_duplicates);
	if (verdict == SYN_NEW || verdict == SYN_REPEATED)
		count_attempted(context, packet, &attempt, source_hash, admitted_ticks, cell != 0);
	if (fate == FATE_ANSWERED) {
		COUNT_EVERYWHERE(answered);
		context->totals->cookies_sent++;
		if (attempt.listener)
			attempt.listener->cookies_sent++;
	} else if (fate != FATE_PASSES) {
		COUNT_EVERYWHERE(dropped_by_us);
	}
	if (fate == FATE_GREYLISTED || fate == FATE_DUPLICATE) {
		context->totals->greylisted++;
		if (attempt.listener)
			attempt.listener->greylisted++;
	}
}

/* The source and listener of an attempt that was booked before; neither is made anew. */
static __always_inline void recall(struct context *context, struct packet *packet, struct handshake *handshake,
				   struct attempt *attempt)
{
	source_key(context->settings, packet, &attempt->source_key);
	if (handshake->flags & SLOT_SOURCE_KNOWN)
		attempt->source = unless_younger(sources.lookup(&attempt->source_key), handshake->epoch);
	attempt->listener = find_listener(&packet->destination, packet->destination_port);
}

/* The listener that an attempt turns out to have asked, made if it is new. An attempt that was booked to the closed
 * bucket, before its port was known to answer, is moved.
 */
static __always_inline struct listener *settle(struct context *context, struct packet *packet,
					       struct listener *listener, struct handshake *handshake)
{
	if (!listener)
		listener = make_listener(context, &packet->destination, packet->destination_port);
	if (listener && handshake->flags & SLOT_IN_CLOSED)
		move_attempt(context, closed_bucket(context, &packet->destination), listener, handshake->epoch);
	return listener;
}

static __always_inline void complete_prefix(struct context *context, struct packet *packet, struct source *source,
					    u64 epoch)
{
	struct source *prefix;
	struct address key;

	prefix_key(context->settings, packet, &key);
	prefix = unless_younger(prefixes.lookup(&key), epoch);
	if (!prefix)
		return;
	if (source)
		tell_of_youngest(prefix, source);
	source_completion(prefix, context->now_ns, epoch);
}

/* Whether an ACK or RST may have to do with a pending handshake. Nothing is written, no clock is read. */
static __always_inline int may_be_pending(struct context *context, struct packet *packet, struct place *place)
{
	u32 index;

	if (!(*(volatile u64 *)place->buckets & bucket_mark(place)) || !(*(volatile u32 *)place->filter & place->bit))
		return 0;
	index = place->hash & (HANDSHAKE_BUCKETS - 1);
	place->bucket = handshakes.lookup(&index);
	return place->bucket && slots_in(place->bucket, place->fingerprint, place->completable);
}

static __always_inline void count_completion(struct context *context, struct packet *packet,
					     struct handshake *handshake)
{
	struct attempt attempt = {};

	recall(context, packet, handshake, &attempt);
	context->totals->completed++;
	if (attempt.source) {
		source_completion(attempt.source, context->now_ns, handshake->epoch);
		clock_completion(attempt.source, packet, context->now_ns);
	}
	complete_prefix(context, packet, attempt.source, handshake->epoch);
	/* Without an answer to be seen it is the first completion that tells of a listener. */
	if (handshake->flags & SLOT_IN_CLOSED)
		attempt.listener = settle(context, packet, attempt.listener, handshake);
	/* A listener that found no room goes on in its address's closed bucket: its floods still show. */
	if (!attempt.listener)
		attempt.listener = closed_bucket(context, &packet->destination);
	if (attempt.listener)
		listener_completion(context, attempt.listener, packet->ttl, handshake->epoch, handshake->answer_ticks);
}

/* Returns the hash of its four-tuple, or 0 for one that completes a handshake. */
static __always_inline u64 count_ack(struct context *context, struct packet *packet)
{
	struct handshake handshake = {};
	struct place place;

	if (!find_filter(context, packet, &place))
		return 0;
	if (may_be_pending(context, packet, &place)) {
		read_clock(context, CLOCK_FINE);
		record_completion(&place, packet, context->now_ns, &handshake);
	}
	if (handshake.found) {
		count_completion(context, packet, &handshake);
		return 0;
	}
	context->totals->ack_segments++;
	if (context->settings->watches_flows)
		note_flow(packet, place.hash);
	return place.hash;
}

static __always_inline void count_peer_reset(struct context *context, struct packet *packet)
{
	struct handshake handshake = {};
	struct attempt attempt = {};
	struct place place;

	if (!find_filter(context, packet, &place) || !may_be_pending(context, packet, &place))
		return;
	read_clock(context, CLOCK_FINE);
	record_abort(&place, packet, context->now_ns, &handshake);
	if (!handshake.found)
		return;
	recall(context, packet, &handshake, &attempt);
	if (handshake.flags & SLOT_IN_CLOSED)
		attempt.listener = closed_bucket(context, &packet->destination);
	COUNT_EVERYWHERE(aborted);
}

/* Returns the listener whose first answer to an attempt it is, or none. */
static __always_inline struct listener *count_answer(struct context *context, struct packet *packet)
{
	struct handshake handshake = {};
	struct attempt attempt = {};
	struct place place;

	if (!find_place(context, packet, &place))
		return 0;
	read_clock(context, CLOCK_FINE);
	record_answer(&place, packet->sequence, packet->acknowledgement, context->now_ns, &handshake);
	if (handshake.again)
		context->totals->synack_retransmits++;
	if (!handshake.found || handshake.again)
		return 0;
	recall(context, packet, &handshake, &attempt);
	attempt.listener = settle(context, packet, attempt.listener, &handshake);
	COUNT_EVERYWHERE(answered);
	return attempt.listener;
}

static __always_inline void count_refusal(struct context *context, struct packet *packet)
{
	struct handshake handshake = {};
	struct attempt attempt = {};
	struct place place;

	if (!find_place(context, packet, &place))
		return;
	read_clock(context, CLOCK_FINE);
	record_refusal(&place, packet->acknowledgement, context->now_ns, &handshake);
	if (!handshake.found)
		return;
	recall(context, packet, &handshake, &attempt);
	if (!attempt.listener)
		attempt.listener = closed_bucket(context, &packet->destination);
	COUNT_EVERYWHERE(refused);
}
