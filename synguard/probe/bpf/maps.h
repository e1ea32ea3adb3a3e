/* Every map of the probe, its settings, its counters and its one clock. */

#ifndef MAX_SOURCES
#define MAX_SOURCES 8192
#endif
#ifndef MAX_LISTENERS
#define MAX_LISTENERS 512
#endif
#ifndef MAX_BLOCKS
#define MAX_BLOCKS 4096
#endif
#define MAX_CLOSED_BUCKETS 256
#define MAX_CANDIDATES 1024
#define HANDSHAKE_BUCKETS (1 << 18)
#define BUCKET_SLOTS 7
#define DOORKEEPER_LINES (1 << 16)

/* Pending handshakes; 128 bytes, see handshakes.h. */
struct handshake_bucket {
	struct bpf_spin_lock lock;
	u32 client_isn[BUCKET_SLOTS];
	u32 server_isn[BUCKET_SLOTS];
	u16 fingerprint[BUCKET_SLOTS];
	u16 last_syn_tick[BUCKET_SLOTS];
	u16 answered_tick[BUCKET_SLOTS];
	u16 cohort_phase[BUCKET_SLOTS]; /* cohort of the attempt (12 bits) | phase (4 bits) */
	u8 flags[BUCKET_SLOTS];
	u8 unused;
};

/* Who came lately; see sources.h. */
/* A cache line of cells: epoch (32 bits) | SYNs seen in it (32). */
struct doorkeeper_line {
	u64 words[8];
};

struct admission {
	u64 epoch;
	u64 strangers; /* SYNs of sources not in the table, in this epoch on this CPU */
};

/* BPF_F_MMAPABLE is here for its page alignment alone: a bucket then lies in two cache lines. */
BPF_F_TABLE("array", u32, struct handshake_bucket, handshakes, HANDSHAKE_BUCKETS, BPF_F_MMAPABLE);
BPF_F_TABLE("array", u32, struct doorkeeper_line, doorkeeper, DOORKEEPER_LINES, BPF_F_MMAPABLE);
BPF_TABLE("lru_hash", struct address, struct source, sources, MAX_SOURCES);
BPF_TABLE("percpu_hash", struct listener_key, struct listener, listeners, MAX_LISTENERS);
BPF_TABLE("lru_percpu_hash", struct listener_key, struct listener, closed_buckets, MAX_CLOSED_BUCKETS);
BPF_TABLE("hash", struct block_key, struct block, blocks, MAX_BLOCKS);
BPF_QUEUE(candidates, struct address, MAX_CANDIDATES);
BPF_TABLE("percpu_array", u32, struct totals, totals, 1);
BPF_TABLE("percpu_array", u32, struct admission, admissions, 1);
BPF_TABLE("array", u32, struct settings, settings, 1);
/* New entries start as copies of these: their values are larger than the stack. */
BPF_TABLE("array", u32, struct source, blank_source, 1);
BPF_TABLE("array", u32, struct listener, blank_listener, 1);

struct context {
	struct settings *settings;
	struct totals *totals;
	u64 now_ns;
};

/* The one place where time enters the probe. */
static __always_inline u64 current_ns(struct settings *current)
{
	return current->replay_now_ns ? current->replay_now_ns : bpf_ktime_get_ns();
}

static __always_inline int enter(struct context *context)
{
	u32 zero = 0;

	context->settings = settings.lookup(&zero);
	context->totals = totals.lookup(&zero);
	if (!context->settings || !context->totals)
		return 0;
	context->now_ns = current_ns(context->settings);
	return 1;
}
