/* Counts per source and per prefix of sources: two tables of the same records. */

#define MEMBER_BITS 64
#define NAME_EVERY 16
#define TELL_EVERY 16
#define CREDIT_MAX 64
#define SLICE_COUNT_BITS 20
#define SLICE_COUNT_MASK ((1ULL << SLICE_COUNT_BITS) - 1)
/* Some less than fit, for what other CPUs add at the same moment. */
#define SLICE_FULL ((1ULL << SLICE_COUNT_BITS) - 4096)

/* Found by the first attempt of a slice: the attempts of the youngest one before. */
struct preceding {
	u64 attempts;
	u64 epoch;
	u64 is_first;
};

/* IPv6 sources are prefixes: whoever holds a /64 has 2^64 addresses. */
static __always_inline void source_key(struct settings *current, struct packet *packet, struct address *key)
{
	u64 words[2];

	__builtin_memcpy(words, &packet->source, 16);
	if (packet->ipv6) {
		words[0] &= current->source_mask[0];
		words[1] &= current->source_mask[1];
	}
	__builtin_memcpy(key, words, 16);
}

static __always_inline void prefix_key(struct settings *current, struct packet *packet, struct address *key)
{
	u32 ipv4 = ipv4_of(&packet->source) & current->prefix_mask_ipv4;
	u64 words[2];

	map_ipv4(key, ipv4);
	if (!packet->ipv6)
		return;
	__builtin_memcpy(words, &packet->source, 16);
	words[0] &= current->prefix_mask_ipv6;
	words[1] = 0;
	__builtin_memcpy(key, words, 16);
}

static __always_inline u64 *source_cell(u64 hash)
{
	u32 index = (hash / DOORKEEPER_CELLS) & ((1 << (SOURCE_CELL_BITS - 3)) - 1);
	struct doorkeeper_line *line = source_doorkeeper.lookup(&index);

	return line ? &line->cells[hash & (DOORKEEPER_CELLS - 1)] : 0;
}

static __always_inline u64 *prefix_cell(u64 hash)
{
	u32 index = (hash / DOORKEEPER_CELLS) & ((1 << (PREFIX_CELL_BITS - 3)) - 1);
	struct doorkeeper_line *line = prefix_doorkeeper.lookup(&index);

	return line ? &line->cells[hash & (DOORKEEPER_CELLS - 1)] : 0;
}

/* The source's entry, made if it is admitted. (As find_prefix() is; bcc wants a map's name where it is used.) */
static __always_inline struct source *find_source(struct context *context, struct address *key, u64 hash, u64 *cell)
{
	struct admission *admission = current_admission(context, ADMISSION_SOURCES);
	struct source *source = 0, *blank;
	u32 zero = 0;

	if (!admission)
		return 0;
	if (may_be_known(admission, cell, hash))
		source = sources.lookup(key);
	if (source) {
		leave_hint(cell, hint_of(hash));
		return source;
	}
	if (!admit(admission, ADMISSION_SOURCES, SOURCE_CELL_BITS - 3, cell, hash)) {
		context->totals->sources_not_admitted++;
		return 0;
	}
	blank = blank_source.lookup(&zero);
	if (!blank)
		return 0;
	sources.insert(key, blank);
	source = sources.lookup(key);
	if (source)
		__sync_val_compare_and_swap(&source->first_ns, 0, context->now_ns);
	else
		context->totals->entries_insert_failed++;
	return source;
}

/* Where a packet's prefix is looked for. */
struct prefix_place {
	struct address key;
	u64 hash;
	u64 *cell;
};

static __always_inline void locate_prefix(struct context *context, struct packet *packet, struct prefix_place *place)
{
	prefix_key(context->settings, packet, &place->key);
	place->hash = address_hash(context->settings, &place->key, packet->ipv6);
	place->cell = prefix_cell(place->hash);
}

static __always_inline struct source *find_prefix(struct context *context, struct prefix_place *place)
{
	struct admission *admission = current_admission(context, ADMISSION_PREFIXES);
	struct source *prefix = 0, *blank;
	u32 zero = 0;

	if (!admission || !place->cell)
		return 0;
	if (may_be_known(admission, place->cell, place->hash))
		prefix = prefixes.lookup(&place->key);
	if (prefix) {
		leave_hint(place->cell, hint_of(place->hash));
		return prefix;
	}
	if (!admit(admission, ADMISSION_PREFIXES, PREFIX_CELL_BITS - 2, place->cell, place->hash)) {
		context->totals->prefixes_not_admitted++;
		return 0;
	}
	blank = blank_source.lookup(&zero);
	if (!blank)
		return 0;
	prefixes.insert(&place->key, blank);
	prefix = prefixes.lookup(&place->key);
	if (prefix)
		__sync_val_compare_and_swap(&prefix->first_ns, 0, context->now_ns);
	else
		context->totals->entries_insert_failed++;
	return prefix;
}

static __always_inline u64 slice_stamp(u64 epoch)
{
	return (epoch & 0xffffff) << (2 * SLICE_COUNT_BITS);
}

static __always_inline u64 *slice_at(struct source *source, u64 epoch)
{
	return &source->cohorts[epoch & (SOURCE_COHORTS - 1)];
}

/* Whether the slice at an epoch's place in the ring is that epoch's. */
static __always_inline int is_slice_of(u64 word, u64 epoch)
{
	return !((word ^ slice_stamp(epoch)) >> (2 * SLICE_COUNT_BITS));
}

static __always_inline u64 slice_attempts(u64 word)
{
	return word >> SLICE_COUNT_BITS & SLICE_COUNT_MASK;
}

/* Adds to an earlier slice; returns whether the ring still has it. */
static __always_inline int add_to_slice(struct source *source, u64 epoch, u64 what)
{
	u64 *slice = slice_at(source, epoch);
	u64 word = *(volatile u64 *)slice;

	if (!is_slice_of(word, epoch) || slice_attempts(word) >= SLICE_FULL)
		return 0;
	__sync_fetch_and_add(slice, what);
	return 1;
}

/* Lets the present slice begin, in the place of one that has left the ring; that one's attempts go to the sum of all
 * that have. Whoever loses the race finds it done. Returns those of the youngest slice before of which the prefix has
 * not heard: of the present one it hears of the first.
 */
static __always_inline struct preceding begin_slice(struct source *source, u64 epoch, u64 old)
{
	struct preceding before = {.epoch = (u32)*(volatile u64 *)&source->youngest};
	u64 word = *(volatile u64 *)slice_at(source, before.epoch), attempts, youngest;

	if (__sync_val_compare_and_swap(slice_at(source, epoch), old, slice_stamp(epoch)) != old)
		return before;
	before.is_first = 1;
	if (slice_attempts(old))
		__sync_fetch_and_add(&source->counts.attempts, slice_attempts(old));
	youngest = __sync_lock_test_and_set(&source->youngest, 1ULL << 32 | (u32)epoch);
	if (!is_slice_of(word, before.epoch))
		return before;
	attempts = slice_attempts(word);
	*(volatile u64 *)&source->base += attempts;
	if (attempts > youngest >> 32)
		before.attempts = attempts - (youngest >> 32);
	return before;
}

/* Those of the youngest slice's attempts of which the prefix has not heard; it does now. */
static __always_inline u64 take_untold(struct source *source, u64 epoch, u64 attempts)
{
	u64 youngest = *(volatile u64 *)&source->youngest, told = youngest >> 32;

	if ((u32)youngest != (u32)epoch || attempts <= told)
		return 0;
	if (__sync_val_compare_and_swap(&source->youngest, youngest, attempts << 32 | (u32)epoch) != youngest)
		return 0;
	return attempts - told;
}

/* Books to a prefix what a source has not told before; returns how many of them are of the present slice. */
static __always_inline u64 hear(struct source *prefix, u64 epoch, u64 untold)
{
	if (!untold)
		return 0;
	if (!add_to_slice(prefix, epoch, untold << SLICE_COUNT_BITS))
		__sync_fetch_and_add(&prefix->counts.attempts, untold);
	if ((u32)*(volatile u64 *)&prefix->youngest == (u32)epoch)
		return untold;
	*(volatile u64 *)&prefix->base += untold;
	return 0;
}

/* Counts an attempt of the present, by one atomic addition. */
static __always_inline u64 count_attempt(struct context *context, struct source *source, struct preceding *before)
{
	u64 epoch = context->now_ns >> SOURCE_COHORT_SHIFT;
	s64 silent_ns = context->now_ns - *(volatile u64 *)&source->last_ns;
	u64 *slice = slice_at(source, epoch);
	u64 old = *(volatile u64 *)slice;

	if (!is_slice_of(old, epoch))
		*before = begin_slice(source, epoch, old);
	/* A source that was silent for a whole ring starts over. Another CPU's stamp may be a little ahead. */
	if (silent_ns > (s64)SOURCE_COHORTS << SOURCE_COHORT_SHIFT) {
		*(volatile u64 *)&source->base = *(volatile u64 *)&source->counts.completed;
		*(volatile u64 *)&source->named = 0;
	}
	/* Not for nothing: another CPU may have the line. The coarse clock seldom moves. */
	if (silent_ns)
		*(volatile u64 *)&source->last_ns = context->now_ns;
	/* A slice holds 15.6 million attempts a second; of more the sum alone knows. */
	if (is_slice_of(old, epoch) && slice_attempts(old) >= SLICE_FULL) {
		__sync_fetch_and_add(&source->counts.attempts, 1);
		return SLICE_FULL;
	}
	return slice_attempts(__sync_fetch_and_add(slice, 1ULL << SLICE_COUNT_BITS)) + 1;
}

/* Whether the daemon should hear of it: sixteen more attempts are unfinished than when it last did, which was in
 * another slice.
 */
static __always_inline int worth_naming(struct source *source, u64 attempts, u32 epoch)
{
	s64 unfinished = *(volatile u64 *)&source->base + attempts - *(volatile u64 *)&source->counts.completed;
	u64 named = *(volatile u64 *)&source->named;
	u32 level = named, named_epoch = named >> 32;

	/* A prefix hears of some completions before their attempts, and of some attempts never: little credit for it. */
	if (unfinished < -CREDIT_MAX)
		*(volatile u64 *)&source->base -= unfinished + CREDIT_MAX;
	unfinished = unfinished < 0 ? 0 : unfinished;
	if (unfinished < level)
		*(volatile u64 *)&source->named = (u64)named_epoch << 32 | (u32)unfinished;
	if (unfinished - level < NAME_EVERY || named_epoch == epoch)
		return 0;
	*(volatile u64 *)&source->named = (u64)epoch << 32 | (u32)unfinished;
	return 1;
}

static __always_inline void add_member(struct source *source, u64 hash)
{
	u64 member = 1ULL << (hash & (MEMBER_BITS - 1));

	if (!(*(volatile u64 *)&source->members & member))
		__sync_fetch_and_or(&source->members, member);
}

/* Tells a prefix of an attempt, and of those of a source's earlier slice that it has not heard of. */
static __always_inline void tell_prefix(struct context *context, struct prefix_place *place, u64 source_hash,
					struct preceding *untold)
{
	struct source *prefix = find_prefix(context, place);
	struct preceding before = {};
	u64 attempts;

	if (!prefix)
		return;
	attempts = count_attempt(context, prefix, &before);
	attempts += hear(prefix, untold->epoch, untold->attempts);
	add_member(prefix, source_hash);
	if (worth_naming(prefix, attempts, context->now_ns >> SOURCE_COHORT_SHIFT) &&
	    prefix_candidates.push(&place->key, 0))
		context->totals->candidates_lost++;
}

/* Counts an attempt of a source that has an entry. Returns whether its prefix must be told now, and of how many
 * earlier ones. It hears of the first in a slice, then of every sixteenth with those before.
 */
static __always_inline int count_in_source(struct context *context, struct source *source, struct address *key,
					   u64 target_hash, struct preceding *untold)
{
	u64 attempts = count_attempt(context, source, untold);

	add_member(source, target_hash);
	if (!untold->is_first && attempts % TELL_EVERY == 1) {
		untold->epoch = context->now_ns >> SOURCE_COHORT_SHIFT;
		untold->attempts = take_untold(source, untold->epoch, attempts);
		untold->is_first = untold->attempts != 0;
		/* Of this one tell_prefix knows. */
		untold->attempts -= untold->is_first;
	}
	if (worth_naming(source, attempts, context->now_ns >> SOURCE_COHORT_SHIFT) && candidates.push(key, 0))
		context->totals->candidates_lost++;
	return untold->is_first;
}

/* Tells a prefix of all its source's attempts before one of them completes. Good sources that come in bursts and stay
 * away would else give it a credit, or, were that taken away, seem unfinished when the rest is told.
 */
static __always_inline void tell_of_youngest(struct source *prefix, struct source *source)
{
	u64 epoch = (u32)*(volatile u64 *)&source->youngest;
	u64 word = *(volatile u64 *)slice_at(source, epoch);

	if (is_slice_of(word, epoch))
		hear(prefix, epoch, take_untold(source, epoch, slice_attempts(word)));
}

#define LATE_SLICES 16 /* 1.07 s */

/* Books a completion whose attempt's slice nobody noted: to the youngest that has an open one. */
static __always_inline void complete_youngest(struct source *source, u64 now_ns)
{
	u64 epoch = now_ns >> SOURCE_COHORT_SHIFT, word;

	__sync_fetch_and_add(&source->counts.completed, 1);
	for (int back = 0; back < LATE_SLICES; back++) {
		word = *(volatile u64 *)slice_at(source, epoch - back);
		if (!is_slice_of(word, epoch - back) || (word & SLICE_COUNT_MASK) >= slice_attempts(word))
			continue;
		__sync_fetch_and_add(slice_at(source, epoch - back), 1);
		return;
	}
}

/* Takes an attempt out of its slice, where it counts as one that is no longer open: it is booked anew. */
static __always_inline void restart_in_source(struct source *entry, u64 epoch)
{
	if (!entry || !add_to_slice(entry, epoch, 1))
		return;
	__sync_fetch_and_add(&entry->counts.attempts, -1ULL);
	*(volatile u64 *)&entry->base -= 1;
}

static __always_inline void source_completion(struct source *source, u64 now_ns, u64 listener_epoch)
{
	/* 64 bits, for the listener's epoch in 32 would begin again after 2.28 years of uptime. */
	u64 epoch = listener_epoch >> (SOURCE_COHORT_SHIFT - LISTENER_COHORT_SHIFT);
	u64 age = (now_ns >> SOURCE_COHORT_SHIFT) - epoch;

	__sync_fetch_and_add(&source->counts.completed, 1);
	if (age < SOURCE_COHORTS)
		add_to_slice(source, epoch, 1);
}
