/* Counts per source, behind a doorkeeper that keeps one-time addresses out of the table. */

/* bcc's LLVM has 64-bit atomics only. */
#define DOORKEEPER_EPOCH_SHIFT 28 /* 0.27 s */
#define ADMITTED_FREELY 64	  /* a CPU and doorkeeper epoch: quiet times know every source */
#define TARGET_BITS 64
#define ANNOUNCE_EVERY 16

/* IPv6 sources are prefixes: whoever holds a /64 has 2^64 addresses. */
static __always_inline void source_key(struct settings *current, struct packet *packet, struct address *key)
{
	*key = packet->source;
	if (packet->ipv6)
		mask_address(key, current->ipv6_prefix_length);
}

static __always_inline u64 address_hash(struct settings *current, struct address *key)
{
	struct siphash s;
	u64 words[2];

	__builtin_memcpy(words, key, 16);
	siphash_start(&s, current->secret);
	siphash_word(&s, words[0]);
	siphash_word(&s, words[1]);
	return siphash_finish(&s, 16, 0);
}

/* Counts one SYN in the source's cell and returns how many the cell has in this epoch. */
static __always_inline u32 knock(u64 hash, u32 epoch)
{
	u32 index = (hash >> 3) & (DOORKEEPER_LINES - 1);
	struct doorkeeper_line *line = doorkeeper.lookup(&index);
	u64 *word, old;
	u32 counted;

	if (!line)
		return 0;
	word = &line->words[hash & 7];
	old = *(volatile u64 *)word;
	counted = old >> 32 == epoch ? (u32)old + 1 : 1;
	/* Losing this race to another CPU loses one count of one epoch. */
	__sync_val_compare_and_swap(word, old, (u64)epoch << 32 | counted);
	return counted;
}

/* The more strangers there are, the more often one must come back before it gets an entry. */
static __always_inline int admitted(struct context *context, u64 hash)
{
	u64 epoch = context->now_ns >> DOORKEEPER_EPOCH_SHIFT;
	struct admission *admission;
	u32 zero = 0;

	admission = admissions.lookup(&zero);
	if (!admission)
		return 0;
	if (admission->epoch != epoch) {
		admission->epoch = epoch;
		admission->strangers = 0;
	}
	admission->strangers++;
	if (admission->strangers <= ADMITTED_FREELY)
		return 1;
	return knock(hash, epoch) >= 4 + (admission->strangers >> 15);
}

static __always_inline struct source *find_source(struct context *context, struct address *key, u64 hash)
{
	struct source *source = sources.lookup(key);
	struct source *blank;
	u32 zero = 0;

	if (source)
		return source;
	blank = blank_source.lookup(&zero);
	if (!blank)
		return 0;
	if (!admitted(context, hash)) {
		context->totals->sources_not_admitted++;
		return 0;
	}
	sources.insert(key, blank);
	source = sources.lookup(key);
	if (source)
		__sync_val_compare_and_swap(&source->first_ns, 0, context->now_ns);
	return source;
}

#define SLICE_COUNT_BITS 20

/* Starts the slice anew where it still holds an older epoch; whoever loses the race finds it done. */
static __always_inline u64 *source_slice(struct source *source, u32 epoch)
{
	u64 *slice = &source->cohorts[epoch & (SOURCE_COHORTS - 1)];
	u64 stamp = (u64)(epoch & 0xffffff) << (2 * SLICE_COUNT_BITS);
	u64 old = *(volatile u64 *)slice;

	if (old >> (2 * SLICE_COUNT_BITS) << (2 * SLICE_COUNT_BITS) != stamp)
		__sync_val_compare_and_swap(slice, old, stamp);
	return slice;
}

/* Tells the daemon of a source with many unfinished attempts, at most once a slice. */
static __always_inline void announce(struct context *context, struct source *source, struct address *key, u64 epoch)
{
	u64 before = *(volatile u64 *)&source->announced_epoch;

	if (before == epoch || __sync_val_compare_and_swap(&source->announced_epoch, before, epoch) != before)
		return;
	if (candidates.push(key, 0))
		context->totals->candidates_lost++;
}

static __always_inline void source_attempt(struct context *context, struct source *source, struct address *key,
					   u64 target)
{
	u32 epoch = context->now_ns >> SOURCE_COHORT_SHIFT;
	u64 last_ns = *(volatile u64 *)&source->last_ns;
	u64 *slice = source_slice(source, epoch);

	/* A source that was silent for a whole ring starts over. Another CPU's stamp may be a little ahead. */
	if ((s64)(context->now_ns - last_ns) > (s64)SOURCE_COHORTS << SOURCE_COHORT_SHIFT)
		*(volatile u64 *)&source->unfinished = 0;
	*(volatile u64 *)&source->last_ns = context->now_ns;
	__sync_fetch_and_add(&source->counts.attempts, 1);
	__sync_fetch_and_add(slice, 1ULL << SLICE_COUNT_BITS);
	if (!(*(volatile u64 *)&source->targets & target))
		__sync_fetch_and_or(&source->targets, target);
	if (__sync_fetch_and_add(&source->unfinished, 1) % ANNOUNCE_EVERY == ANNOUNCE_EVERY - 1)
		announce(context, source, key, epoch);
}

static __always_inline void source_completion(struct source *source, u64 now_ns, u64 listener_epoch)
{
	/* 64 bits, for the listener's epoch in 32 would begin again after 2.28 years of uptime. */
	u64 epoch = listener_epoch >> (SOURCE_COHORT_SHIFT - LISTENER_COHORT_SHIFT);
	u64 current_epoch = now_ns >> SOURCE_COHORT_SHIFT;
	u64 *slice = &source->cohorts[epoch & (SOURCE_COHORTS - 1)];

	__sync_fetch_and_add(&source->counts.completed, 1);
	if (*(volatile u64 *)&source->unfinished)
		__sync_fetch_and_add(&source->unfinished, -1);
	if (current_epoch - epoch < SOURCE_COHORTS &&
	    *(volatile u64 *)slice >> (2 * SLICE_COUNT_BITS) == (epoch & 0xffffff))
		__sync_fetch_and_add(slice, 1);
}
