/* What each segment of a handshake does to the counts of its source, its listener and the totals. */

struct attempt {
	struct address source_key;
	u64 source_hash;
	struct source *source;
	struct listener *listener;
	u8 slot_flags;
};

/* Finds where an attempt would be booked. */
static __always_inline void locate(struct context *context, struct packet *packet, struct attempt *attempt)
{
	source_key(context->settings, packet, &attempt->source_key);
	attempt->source_hash = address_hash(context->settings, &attempt->source_key);
	attempt->source = find_source(context, &attempt->source_key, attempt->source_hash);
	attempt->slot_flags = attempt->source ? SLOT_SOURCE_KNOWN : 0;
	attempt->listener = find_listener(&packet->destination, packet->destination_port);
	if (!attempt->listener) {
		attempt->listener = closed_bucket(context, &packet->destination);
		attempt->slot_flags |= SLOT_IN_CLOSED;
	}
}

static __always_inline void book_attempt(struct context *context, struct packet *packet, struct attempt *attempt)
{
	struct address target = packet->destination;
	u64 target_hash;

	context->totals->attempts++;
	if (attempt->source) {
		target.bytes[0] ^= packet->destination_port & 0xff;
		target.bytes[1] ^= packet->destination_port >> 8;
		target_hash = address_hash(context->settings, &target);
		source_attempt(context, attempt->source, &attempt->source_key, 1ULL << (target_hash & (TARGET_BITS - 1)));
	}
	if (attempt->listener)
		listener_attempt(context, attempt->listener, packet->bare, attempt->source_hash);
}

#define COUNT_EVERYWHERE(counter)                                                  \
	do {                                                                       \
		context->totals->counter++;                                        \
		if (attempt.source)                                                \
			__sync_fetch_and_add(&attempt.source->counts.counter, 1);  \
		if (attempt.listener)                                              \
			attempt.listener->counts.counter++;                        \
	} while (0)

/* A SYN that we drop is an attempt, and takes no slot: nothing can complete it. */
static __always_inline int drop_syn(struct context *context, struct packet *packet)
{
	struct attempt attempt = {};

	locate(context, packet, &attempt);
	book_attempt(context, packet, &attempt);
	COUNT_EVERYWHERE(dropped_by_us);
	return XDP_DROP;
}

static __always_inline void count_syn(struct context *context, struct packet *packet)
{
	struct handshake handshake = {};
	struct handshake_bucket *bucket;
	struct attempt attempt = {};
	u16 fingerprint;
	int verdict;

	locate(context, packet, &attempt);
	bucket = find_bucket(context, packet, &fingerprint);
	if (!bucket)
		return;
	verdict = record_syn(bucket, fingerprint, packet->sequence, context->now_ns, attempt.slot_flags, &handshake);
	context->totals->handshakes_overwritten += handshake.overwritten;
	if (verdict == SYN_RETRANSMIT)
		COUNT_EVERYWHERE(syn_retransmits);
	else if (verdict == SYN_DUPLICATE)
		COUNT_EVERYWHERE(syn_duplicates);
	else
		book_attempt(context, packet, &attempt);
}

/* The source and listener of an attempt that was booked before; neither is made anew. An entry that the
 * source got only after its attempt, in place of an older one, knows nothing of that attempt.
 */
static __always_inline void recall(struct context *context, struct packet *packet, struct handshake *handshake,
				   struct attempt *attempt)
{
	source_key(context->settings, packet, &attempt->source_key);
	if (handshake->flags & SLOT_SOURCE_KNOWN)
		attempt->source = sources.lookup(&attempt->source_key);
	if (attempt->source && attempt->source->first_ns >> LISTENER_COHORT_SHIFT > handshake->epoch)
		attempt->source = 0;
	attempt->listener = find_listener(&packet->destination, packet->destination_port);
}

static __always_inline void count_ack(struct context *context, struct packet *packet)
{
	struct handshake handshake = {};
	struct handshake_bucket *bucket;
	struct attempt attempt = {};
	u16 fingerprint;

	bucket = find_bucket(context, packet, &fingerprint);
	if (!bucket || !may_await_ack(bucket, fingerprint))
		return;
	record_completion(bucket, fingerprint, packet->acknowledgement, context->now_ns, &handshake);
	if (!handshake.found)
		return;
	recall(context, packet, &handshake, &attempt);
	context->totals->completed++;
	if (attempt.source)
		source_completion(attempt.source, context->now_ns, handshake.epoch);
	/* A listener that found no room goes on in its address's closed bucket: its floods still show. */
	if (!attempt.listener)
		attempt.listener = closed_bucket(context, &packet->destination);
	if (attempt.listener)
		listener_completion(context, attempt.listener, handshake.epoch, handshake.answer_ticks);
}

static __always_inline void count_peer_reset(struct context *context, struct packet *packet)
{
	struct handshake handshake = {};
	struct handshake_bucket *bucket;
	struct attempt attempt = {};
	u16 fingerprint;

	bucket = find_bucket(context, packet, &fingerprint);
	if (!bucket || !may_await_ack(bucket, fingerprint))
		return;
	record_abort(bucket, fingerprint, packet, context->now_ns, &handshake);
	if (!handshake.found)
		return;
	recall(context, packet, &handshake, &attempt);
	COUNT_EVERYWHERE(aborted);
}

static __always_inline void count_answer(struct context *context, struct packet *packet)
{
	struct handshake handshake = {};
	struct handshake_bucket *bucket;
	struct attempt attempt = {};
	u16 fingerprint;

	bucket = find_bucket(context, packet, &fingerprint);
	if (!bucket)
		return;
	record_answer(bucket, fingerprint, packet->sequence, packet->acknowledgement, context->now_ns, &handshake);
	if (handshake.again)
		context->totals->synack_retransmits++;
	if (!handshake.found || handshake.again)
		return;
	recall(context, packet, &handshake, &attempt);
	if (!attempt.listener)
		attempt.listener = make_listener(context, &packet->destination, packet->destination_port);
	if (attempt.listener && handshake.flags & SLOT_IN_CLOSED)
		move_attempt(context, closed_bucket(context, &packet->destination), attempt.listener, handshake.epoch);
	COUNT_EVERYWHERE(answered);
}

static __always_inline void count_refusal(struct context *context, struct packet *packet)
{
	struct handshake handshake = {};
	struct handshake_bucket *bucket;
	struct attempt attempt = {};
	u16 fingerprint;

	bucket = find_bucket(context, packet, &fingerprint);
	if (!bucket)
		return;
	record_refusal(bucket, fingerprint, packet->acknowledgement, context->now_ns, &handshake);
	if (!handshake.found)
		return;
	recall(context, packet, &handshake, &attempt);
	if (!attempt.listener)
		attempt.listener = closed_bucket(context, &packet->destination);
	COUNT_EVERYWHERE(refused);
}
