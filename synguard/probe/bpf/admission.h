/* The doorkeeper: keeps one-time addresses out of the tables of sources and prefixes. */

#define DOORKEEPER_EPOCH_SHIFT 28 /* 0.27 s */
#define ADMITTED_FREELY 64	  /* a CPU and doorkeeper epoch: quiet times know everybody */
#define KNOCKS_AT_LEAST 4
#define CROWD_STEP 64

#define CELL_EPOCH(word) ((u16)((word) >> 48))
#define CELL_COUNT(word) ((u16)((word) >> 32))

/* What a cell remembers of an entry's key; never 0. */
static __always_inline u16 hint_of(u64 hash)
{
	return hash >> 48 | 1;
}

static __always_inline int has_hint(u64 word, u16 hint)
{
	return (u16)word == hint || (u16)(word >> 16) == hint;
}

/* Notes that a key of this cell has an entry. Of more than two in a cell the older is forgotten, and knocks anew. */
static __always_inline void leave_hint(u64 *cell, u16 hint)
{
	u64 word = *(volatile u64 *)cell;

	if (!has_hint(word, hint))
		*(volatile u64 *)cell = word >> 32 << 32 | (u32)(word << 16) | hint;
}

/* Counts one SYN in a cell and returns how many the cell has in this epoch. Losing a race to another CPU loses one
 * count of one epoch, which a plain store does as well as an atomic one, for less.
 */
static __always_inline u32 knock(u64 *cell, u16 epoch)
{
	u64 word = *(volatile u64 *)cell;
	u32 counted = CELL_EPOCH(word) == epoch ? CELL_COUNT(word) + 1 : 1;

	counted = counted > 0xffff ? 0xffff : counted;
	*(volatile u64 *)cell = (u64)epoch << 48 | (u64)counted << 32 | (u32)word;
	return counted;
}

/* Adds this CPU's strangers to all CPUs' now and then, so that they share a cache line seldom. */
static __always_inline void join_crowd(struct admission *admission, u32 kind, u32 epoch)
{
	u64 *crowd = crowds.lookup(&kind);
	u64 old;

	if (!crowd)
		return;
	old = *(volatile u64 *)crowd;
	if (old >> 32 != epoch)
		__sync_val_compare_and_swap(crowd, old, (u64)epoch << 32);
	admission->crowd = (u32)__sync_fetch_and_add(crowd, CROWD_STEP) + CROWD_STEP;
}

/* How many strangers came in this epoch; 0 at its beginning. */
static __always_inline struct admission *current_admission(struct context *context, u32 kind)
{
	u32 epoch = context->now_ns >> DOORKEEPER_EPOCH_SHIFT;
	struct admission *admission = admissions.lookup(&kind);

	if (admission && admission->epoch != epoch) {
		admission->epoch = epoch;
		admission->strangers = 0;
		admission->crowd = 0;
	}
	return admission;
}

/* Whether a table may have an entry for this key. In a crowd it is worth looking only where the cell has a hint: the
 * cell must be read anyway, and most are strangers.
 */
static __always_inline int may_be_known(struct admission *admission, u64 *cell, u64 hash)
{
	return admission->strangers <= ADMITTED_FREELY || has_hint(*(volatile u64 *)cell, hint_of(hash));
}

/* The more strangers there are on all CPUs, the more often one must come back before it gets an entry: four times,
 * and once more for each 2^knock_bits of them: eight times, of prefixes four times, as often as chance fills a cell.
 */
static __always_inline int admit(struct admission *admission, u32 kind, u32 knock_bits, u64 *cell, u64 hash)
{
	if (++admission->strangers % CROWD_STEP == 0)
		join_crowd(admission, kind, admission->epoch);
	if (admission->strangers > ADMITTED_FREELY &&
	    knock(cell, admission->epoch) < KNOCKS_AT_LEAST + (admission->crowd >> knock_bits))
		return 0;
	leave_hint(cell, hint_of(hash));
	return 1;
}
