/* Drops blocked SYNs for little: of those that are alike within a tick of 8.4 ms the first is counted as any attempt
 * is, the others in the totals alone, and at their source and listener all at once. What waits to be booked the daemon
 * adds.
 */

static __always_inline int is_alike(struct dropped *last, struct address *source, struct packet *packet, u64 tick)
{
	u64 held[4], come[4];

	__builtin_memcpy(held, &last->source, 32);
	__builtin_memcpy(come, source, 16);
	__builtin_memcpy(come + 2, &packet->destination, 16);
	return last->tick == tick && last->port == packet->destination_port && held[0] == come[0] &&
	       held[1] == come[1] && held[2] == come[2] && held[3] == come[3];
}

static __always_inline void book_at_listener(struct context *context, struct dropped *last)
{
	struct listener *listener = find_listener(&last->destination, last->port);
	u32 epoch = last->tick >> (LISTENER_COHORT_SHIFT - GREY_TICK_SHIFT);

	if (!listener)
		listener = closed_bucket(context, &last->destination);
	if (!listener)
		return;
	listener->counts.attempts += last->more;
	listener->counts.dropped_by_us += last->more;
	if ((u32)(context->now_ns >> LISTENER_COHORT_SHIFT) - epoch < LISTENER_COHORTS)
		listener_cohort(listener, epoch)->attempts += last->more;
}

/* Its prefix hears of them by what it was not told. */
static __always_inline void book_at_source(struct dropped *last)
{
	struct source *source = sources.lookup(&last->source);
	u64 epoch = last->tick >> (SOURCE_COHORT_SHIFT - GREY_TICK_SHIFT);

	if (!source)
		return;
	__sync_fetch_and_add(&source->counts.dropped_by_us, last->more);
	if (!add_to_slice(source, epoch, last->more << SLICE_COUNT_BITS))
		__sync_fetch_and_add(&source->counts.attempts, last->more);
}

/* Counts a SYN that is like the one dropped before; returns whether it is. */
static __always_inline int drop_alike(struct context *context, struct packet *packet, struct block *block)
{
	struct dropped *last;
	struct address source;
	u32 zero = 0;

	last = dropped.lookup(&zero);
	if (!last)
		return 0;
	source_key(context->settings, packet, &source);
	if (!is_alike(last, &source, packet, context->now_ns >> GREY_TICK_SHIFT))
		return 0;
	last->more++;
	context->totals->attempts++;
	context->totals->dropped_by_us++;
	__sync_fetch_and_add(&block->hits, 1);
	return 1;
}

/* Books those that were alike, and begins anew with another one. */
static __always_inline void drop_another(struct context *context, struct packet *packet)
{
	struct dropped *last;
	u32 zero = 0;

	last = dropped.lookup(&zero);
	if (!last)
		return;
	if (last->more) {
		book_at_listener(context, last);
		book_at_source(last);
	}
	source_key(context->settings, packet, &last->source);
	last->destination = packet->destination;
	last->port = packet->destination_port;
	last->tick = context->now_ns >> GREY_TICK_SHIFT;
	last->more = 0;
}
