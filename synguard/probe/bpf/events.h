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
 * bucket.
 */
static __always_inline void find_parties(struct context *context, struct packet *packet, struct attempt *attempt,
					 u64 source_hash, u64 *cell)
{
	attempt->source = find_source(context, &attempt->source_key, source_hash, cell);
	if (!attempt->source) {
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

/* A SYN that we drop is an attempt, and takes no slot: nothing can complete it. */
static __always_inline void count_syn(struct context *context, struct packet *packet, u32 is_dropped)
{
	struct handshake handshake = {};
	u32 verdict = SYN_NEW;
	struct attempt attempt = {};
	u64 source_hash, *cell;
	struct place place;

	place.bucket = 0;
	source_key(context->settings, packet, &attempt.source_key);
	source_hash = address_hash(context->settings, &attempt.source_key, packet->ipv6);
	cell = source_cell(source_hash);
	if (!cell || (!is_dropped && !find_place(context, packet, &place)))
		return;
	if (place.bucket) {
		FETCH(place.bucket->fingerprint);
		FETCH(place.bucket->client_isn);
	}
	find_parties(context, packet, &attempt, source_hash, cell);
	if (place.bucket)
		verdict = record_syn(&place, packet->sequence, context->now_ns, attempt.slot_flags, &handshake);
	context->totals->handshakes_overwritten += handshake.overwritten;
	if (verdict == SYN_RETRANSMIT) {
		COUNT_EVERYWHERE(syn_retransmits);
		return;
	}
	if (verdict == SYN_DUPLICATE) {
		COUNT_EVERYWHERE(syn_duplicates);
		return;
	}
	context->totals->attempts++;
	if (attempt.listener)
		listener_attempt(context, attempt.listener, packet, source_hash);
	book_source(context, packet, &attempt, source_hash);
	if (is_dropped)
		COUNT_EVERYWHERE(dropped_by_us);
}

/* An entry that was made only after the attempt, in place of an older one, knows nothing of that attempt. */
static __always_inline struct source *unless_younger(struct source *entry, u64 epoch)
{
	return entry && entry->first_ns >> LISTENER_COHORT_SHIFT > epoch ? 0 : entry;
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
	if (attempt.source)
		source_completion(attempt.source, context->now_ns, handshake->epoch);
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

static __always_inline void count_ack(struct context *context, struct packet *packet)
{
	struct handshake handshake = {};
	struct place place;

	if (!find_filter(context, packet, &place))
		return;
	if (may_be_pending(context, packet, &place)) {
		read_clock(context, CLOCK_FINE);
		record_completion(&place, packet, context->now_ns, &handshake);
	}
	if (handshake.found) {
		count_completion(context, packet, &handshake);
		return;
	}
	context->totals->ack_segments++;
	if (context->settings->watches_flows)
		note_flow(packet, place.hash);
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

static __always_inline void count_answer(struct context *context, struct packet *packet)
{
	struct handshake handshake = {};
	struct attempt attempt = {};
	struct place place;

	if (!find_place(context, packet, &place))
		return;
	read_clock(context, CLOCK_FINE);
	record_answer(&place, packet->sequence, packet->acknowledgement, context->now_ns, &handshake);
	if (handshake.again)
		context->totals->synack_retransmits++;
	if (!handshake.found || handshake.again)
		return;
	recall(context, packet, &handshake, &attempt);
	attempt.listener = settle(context, packet, attempt.listener, &handshake);
	COUNT_EVERYWHERE(answered);
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
