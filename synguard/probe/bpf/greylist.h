/* The greylist: drops a SYN, and lets it pass when it is sent again as a real client does.
 *
 * A table of 184,320 lines, a cache line each, of 16 cells: a SYN's fingerprint, when it came, and whether a copy came
 * too soon. A line is chosen by the four-tuple's keyed hash; the fingerprint depends on the ISN, too. A new SYN
 * takes the oldest cell, so one that comes again after `hold` seconds is found unless 16 others came to its line
 * meanwhile: loss = P(N >= 16), N Poisson with mean SYNs per second * hold / 184,320.
 */

#define GREY_TICK_SHIFT 23 /* 8.4 ms */
#define GREY_TICK_MASK ((1U << 11) - 1) /* 17.2 s */
#define GREY_FINGERPRINT_SHIFT 12
#define GREY_COPIED 1U
#define GREY_ADMIT_TICKS 48 /* 0.4 s */
#define GREY_FORGET_TICKS 953 /* 8 s */
#define GREY_DUPLICATE_TICKS 24 /* 0.2 s */
#define GREY_LINGER_NS (8ULL * 1000 * 1000 * 1000)
#define GREY_NONE (1ULL << 40)

enum grey_verdict {
	GREY_NOT_ASKED,
	GREY_FIRST,	/* or one so late that it is as good as the first */
	GREY_DUPLICATE, /* as networks make them */
	GREY_COPY,	/* too soon: it must begin anew */
	GREY_ADMITTED,
};

/* A SYN, where it is looked for, and what was found. */
struct grey {
	struct grey_line *line;
	u32 fingerprint;
	u32 tick;
	u32 found;  /* which cell has it, or GREY_CELLS */
	u32 oldest; /* which cell is missed least */
	u32 age_ticks; /* of what was found */
	u32 is_copied;
};

static __always_inline u32 grey_age(u32 word, u32 tick)
{
	return (tick - (word >> 1)) & GREY_TICK_MASK;
}

/* Ranks are without a branch, for the verifier: what is missing, empty or stale is in high bits, the cell in the
 * lowest.
 */
static __always_inline void grey_search(struct grey *grey)
{
	u64 nearest = GREY_NONE, oldest = GREY_NONE;

#pragma unroll
	for (int cell = 0; cell < GREY_CELLS; cell++) {
		u32 word = *(volatile u32 *)&grey->line->cells[cell];
		u64 age = grey_age(word, grey->tick);
		u64 other = is_equal(word >> GREY_FINGERPRINT_SHIFT, grey->fingerprint) ^ 1;
		u64 stale = is_more(age, GREY_FORGET_TICKS);
		u64 empty = is_equal(word, 0);

		nearest = lesser(nearest, ((other | stale | empty) << 16 | age) << 4 | cell);
		oldest = lesser(oldest, (GREY_TICK_MASK - (age | GREY_TICK_MASK * empty)) << 4 | cell);
	}
	grey->found = nearest >> 20 ? GREY_CELLS : nearest & (GREY_CELLS - 1);
	grey->age_ticks = nearest >> 4 & GREY_TICK_MASK;
	grey->oldest = oldest & (GREY_CELLS - 1);
}

static __always_inline int grey_find(struct context *context, u64 hash, u32 isn, struct grey *grey)
{
	u32 index = (u64)(u32)hash * GREY_LINES >> 32;

	grey->line = greylist.lookup(&index);
	if (!grey->line)
		return 0;
	grey->fingerprint = ((u32)(hash >> 32) ^ isn * 0x9e3779b1) >> GREY_FINGERPRINT_SHIFT;
	grey->tick = context->now_ns >> GREY_TICK_SHIFT & GREY_TICK_MASK;
	grey_search(grey);
	grey->is_copied = 0;
	if (grey->found < GREY_CELLS)
		grey->is_copied = *(volatile u32 *)&grey->line->cells[grey->found & (GREY_CELLS - 1)] & GREY_COPIED;
	return 1;
}

static __always_inline void grey_write(struct grey *grey, u32 copied)
{
	u32 cell = grey->found < GREY_CELLS ? grey->found : grey->oldest;

	*(volatile u32 *)&grey->line->cells[cell & (GREY_CELLS - 1)] =
		grey->fingerprint << GREY_FINGERPRINT_SHIFT | grey->tick << 1 | copied;
}

static __always_inline enum grey_verdict grey_judge(struct grey *grey)
{
	if (grey->found >= GREY_CELLS)
		return GREY_FIRST;
	if (grey->age_ticks >= GREY_ADMIT_TICKS)
		return grey->is_copied ? GREY_FIRST : GREY_ADMITTED;
	return grey->is_copied || grey->age_ticks >= GREY_DUPLICATE_TICKS ? GREY_COPY : GREY_DUPLICATE;
}

/* Judges a SYN and remembers it. */
static __always_inline enum grey_verdict greylist_syn(struct context *context, struct packet *packet, struct grey *grey)
{
	enum grey_verdict verdict;

	if (!grey_find(context, tuple_hash(context->settings, packet), packet->sequence, grey))
		return GREY_NOT_ASKED;
	verdict = grey_judge(grey);
	grey_write(grey, verdict == GREY_COPY || verdict == GREY_DUPLICATE);
	return verdict;
}

/* A client whose first SYN passed and was lost, in the flood that this greylist is to end, need not begin anew. Only a
 * greylist that is younger than it remembers has such clients.
 */
static __always_inline int came_before_greylist(struct context *context, struct packet *packet, u32 since_tick)
{
	u32 now_tick = context->now_ns >> GREY_TICK_SHIFT;

	return now_tick - since_tick <= GREY_FORGET_TICKS &&
	       was_let_pass(context, packet, GREY_ADMIT_TICKS << (GREY_TICK_SHIFT - TICK_SHIFT),
			    GREY_FORGET_TICKS << (GREY_TICK_SHIFT - TICK_SHIFT));
}

/* After the end nothing is dropped any more, but what comes again is still the attempt that it was. */
static __always_inline enum grey_verdict remember_syn(struct context *context, struct packet *packet, struct grey *grey)
{
	if (!grey_find(context, tuple_hash(context->settings, packet), packet->sequence, grey))
		return GREY_NOT_ASKED;
	if (grey_judge(grey) != GREY_ADMITTED)
		return GREY_NOT_ASKED;
	grey_write(grey, 0);
	return GREY_ADMITTED;
}
