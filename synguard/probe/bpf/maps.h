/* Every map of the probe, its settings, its counters and its one clock. */

#ifndef MAX_SOURCES
#define MAX_SOURCES 8192
#endif
#ifndef MAX_PREFIXES
#define MAX_PREFIXES 2048
#endif
#ifndef MAX_LISTENERS
#define MAX_LISTENERS 512
#endif
#ifndef MAX_BLOCKS
#define MAX_BLOCKS 16384
#endif
#define MAX_LISTENER_RULES 512
#define BLOCK_FILTER_WORDS (1 << 13)
#define BLOCK_FILTER_SHIFT 45 /* 19 bits of a word tell one of 2^19 */
#define MAX_SPARED 4096
#define GREY_LINES 184320 /* 11.25 MiB; see greylist.h */
#define GREY_CELLS 16
#define MAX_CLOSED_BUCKETS 256
#define MAX_CANDIDATES 1024
#define HANDSHAKE_BUCKETS (1 << 18)
#define BUCKET_SLOTS 7
#define PENDING_FILTERS 16 /* a cache line of them */
#define DOORKEEPER_CELLS 8
#define SOURCE_CELL_BITS 18
#define PREFIX_CELL_BITS 16

/* Pending handshakes; 128 bytes, see handshakes.h. What every segment looks at comes first: of a SYN that is
 * new the second cache line is only written, and nobody waits for that.
 */
struct handshake_bucket {
	struct bpf_spin_lock lock;
	u16 fingerprint[BUCKET_SLOTS];
	u16 cohort_phase[BUCKET_SLOTS]; /* cohort of the attempt (13 bits) | phase (3 bits) */
	u16 last_syn_tick[BUCKET_SLOTS];
	u8 flags[BUCKET_SLOTS];
	u8 unused;
	u16 answered_tick[BUCKET_SLOTS];
	u32 client_isn[BUCKET_SLOTS];
	u32 server_isn[BUCKET_SLOTS];
	u32 generations; /* the cohorts' next higher bits (4 a slot) */
};

/* Which fingerprints of a bucket wait for an ACK: bit `fingerprint % 32` of the bucket's word. */
struct pending_line {
	u32 filters[PENDING_FILTERS];
};

/* SYNs that were dropped, waiting for their retransmission; see greylist.h. */
struct grey_line {
	u32 cells[GREY_CELLS];
};

/* A packet, and its headers as a helper of the kernel's wants to read them: more than the stack has room for. */
struct headers {
	struct packet packet;
	u8 ip[40];
	u8 tcp[64];
	/* What is kept here is unknown to the verifier, which else walks all that follows once for each value. */
	u32 fate;
	u32 action;
	u32 grey;
	u32 age_ticks;
	u64 hash;
};

/* Programs that the one on the interface goes on in: what they do would be too much for one program. */
enum continuation {
	RESPOND_TO_SYN,
	CHECK_COOKIE,
	CONTINUATIONS,
};

/* Who came lately: cells of epoch (16 bits) | SYNs seen in it (16) | hints at two entries (16 each), see admission.h. */
struct doorkeeper_line {
	u64 cells[DOORKEEPER_CELLS];
};

/* SYNs of those not in the table, in this epoch: on this CPU, and on all as far as it knows. */
struct admission {
	u32 epoch;
	u32 strangers;
	u64 crowd;
};

enum admission_kind {
	ADMISSION_SOURCES,
	ADMISSION_PREFIXES,
	ADMISSION_KINDS,
};

/* As in bcc's helpers.h, of whose members it finds these by their names; but for the first two of them, whatever they
 * are, it makes native functions that print and parse, which nobody calls: for our structs, the flows above all, they
 * would be a twelfth of the time to compile.
 */
#undef BPF_F_TABLE
#define BPF_F_TABLE(_table_type, _key_type, _leaf_type, _name, _max_entries, _flags) \
struct _name##_table_t { \
	int printed_as_key, printed_as_leaf; \
	_key_type key; \
	_leaf_type leaf; \
	_leaf_type *(*lookup)(_key_type *); \
	int (*update)(_key_type *, _leaf_type *); \
	int (*insert)(_key_type *, _leaf_type *); \
	int (*delete)(_key_type *); \
	void (*call)(void *, int); \
	u32 max_entries; \
	int flags; \
}; \
__attribute__((section("maps/" _table_type))) \
struct _name##_table_t _name = { .flags = (_flags), .max_entries = (_max_entries) }; \
BPF_ANNOTATE_KV_PAIR(_name, _key_type, _leaf_type)

/* BPF_F_MMAPABLE is here for its page alignment alone: a bucket then lies in two cache lines, a line in one. */
BPF_F_TABLE("array", u32, struct handshake_bucket, handshakes, HANDSHAKE_BUCKETS, BPF_F_MMAPABLE);
BPF_F_TABLE("array", u32, struct pending_line, pending, HANDSHAKE_BUCKETS / PENDING_FILTERS, BPF_F_MMAPABLE);
/* A bit for each bucket whose filter is not empty: 32 KiB, which is all that an ACK reads in quiet times. */
BPF_TABLE("array", u32, u64, pending_buckets, HANDSHAKE_BUCKETS / 64);
BPF_F_TABLE("array", u32, struct doorkeeper_line, source_doorkeeper, 1 << (SOURCE_CELL_BITS - 3), BPF_F_MMAPABLE);
BPF_F_TABLE("array", u32, struct doorkeeper_line, prefix_doorkeeper, 1 << (PREFIX_CELL_BITS - 3), BPF_F_MMAPABLE);
BPF_TABLE("lru_hash", struct address, struct source, sources, MAX_SOURCES);
BPF_TABLE("lru_hash", struct address, struct source, prefixes, MAX_PREFIXES);
BPF_TABLE("percpu_hash", struct listener_key, struct listener, listeners, MAX_LISTENERS);
BPF_TABLE("lru_percpu_hash", struct listener_key, struct listener, closed_buckets, MAX_CLOSED_BUCKETS);
BPF_TABLE("hash", struct block_key, struct block, blocks, MAX_BLOCKS);
/* A bit for each block, see rules.h: 64 KiB, which a CPU keeps near where the table of blocks is too large for that. */
BPF_TABLE("array", u32, u64, block_filter, BLOCK_FILTER_WORDS);
BPF_TABLE("hash", struct listener_key, struct listener_rule, listener_rules, MAX_LISTENER_RULES);
BPF_F_TABLE("lpm_trie", struct spared_key, u64, spared, MAX_SPARED, BPF_F_NO_PREALLOC);
BPF_F_TABLE("array", u32, struct grey_line, greylist, GREY_LINES, BPF_F_MMAPABLE);
BPF_TABLE("percpu_array", u32, struct headers, headers, 1);
BPF_TABLE("percpu_array", u32, struct dropped, dropped, 1);
BPF_PROG_ARRAY(continuations, CONTINUATIONS);
BPF_QUEUE(candidates, struct address, MAX_CANDIDATES);
BPF_QUEUE(prefix_candidates, struct address, MAX_CANDIDATES);
BPF_TABLE("percpu_array", u32, struct totals, totals, 1);
BPF_TABLE("percpu_array", u32, struct admission, admissions, ADMISSION_KINDS);
/* Epoch (32 bits) | strangers on all CPUs (32). */
BPF_TABLE("array", u32, u64, crowds, ADMISSION_KINDS);
BPF_TABLE("percpu_array", u32, struct interfaces, interfaces, 1);
BPF_TABLE("percpu_array", u32, struct flows, flows, 1);
BPF_TABLE("array", u32, struct settings, settings, 1);
/* New entries start as copies of these: their values are larger than the stack. */
BPF_TABLE("array", u32, struct source, blank_source, 1);
BPF_TABLE("array", u32, struct listener, blank_listener, 1);

struct context {
	struct settings *settings;
	struct totals *totals;
	u64 now_ns;
};

enum clock {
	CLOCK_COARSE, /* the last timer tick, 1 to 10 ms ago */
	CLOCK_FINE,
};

/* The one place where time enters the probe. An ACK of an established connection never asks, and a SYN is content
 * with the last timer tick: reading the fine clock costs 27 ns here, the coarse one 4.
 */
static __always_inline void read_clock(struct context *context, enum clock clock)
{
	u64 replay_now_ns = context->settings->replay_now_ns;

	if (replay_now_ns)
		context->now_ns = replay_now_ns;
	else if (clock == CLOCK_COARSE)
		context->now_ns = bpf_ktime_get_coarse_ns();
	else
		context->now_ns = bpf_ktime_get_ns();
}

static __always_inline struct interface_packets *enter(struct context *context, u32 interface_index)
{
	struct interfaces *all;
	u32 zero = 0;

	context->settings = settings.lookup(&zero);
	context->totals = totals.lookup(&zero);
	all = interfaces.lookup(&zero);
	context->now_ns = 0;
	if (!context->settings || !context->totals || !all)
		return 0;
	return &all->slots[interface_index % INTERFACE_SLOTS];
}
