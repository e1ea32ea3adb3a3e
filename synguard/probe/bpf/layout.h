/* The byte layouts that kernel and daemon share: declared here, mirrored in synguard/probe/layout.py. */
#ifndef SYNGUARD_LAYOUT_H
#define SYNGUARD_LAYOUT_H

/* A listener's time slice is 2^24 ns (16.8 ms); its ring holds 4.29 s: the longest allowance and more. */
#define LISTENER_COHORT_SHIFT 24
#define LISTENER_COHORTS 256
/* A source's slice is 2^26 ns (67 ms): fewer and coarser, for there are many more sources. */
#define SOURCE_COHORT_SHIFT 26
#define SOURCE_COHORTS 64
/* Bin 0 counts handshakes below 2^20 ns (1.05 ms), bin i those below 2^i times that. */
#define HANDSHAKE_TIME_BINS 16
/* A packet's TTL falls into bin TTL / 8. */
#define TTL_BINS 32
/* A sample of 256 sources in each of two banks, one a 2^30 ns (1.07 s); see listeners.h. */
#define SKETCH_REGISTERS 256
#define SKETCH_EPOCH_SHIFT 30
#define BLOCK_LENGTHS_MAX 8

/* An IPv4 address is mapped to ::ffff:a.b.c.d; all in network order. Aligned, or else LLVM copies it by bytes. */
struct address {
	u8 bytes[16];
} __attribute__((aligned(8)));

struct listener_key {
	struct address address;
	u16 port; /* network order; 0 is the address's closed bucket */
	u16 zero[3];
};

struct block_key {
	struct address address; /* bits behind the prefix are zero */
	u32 prefix_length;	/* 0..128, of the mapped address */
	u32 zero;
};

/* What is done about SYNs of a source or prefix. */
enum source_action {
	SOURCE_DROP = 1,
	SOURCE_GREYLIST,
	SOURCE_COUNT, /* somebody else drops them, behind us */
};

struct block {
	u64 until_ns; /* monotonic clock */
	u64 hits;
	u32 action;
	u32 since_tick; /* of GREY_TICK_SHIFT */
};

/* What is done about SYNs to a listener, whoever sends them. */
enum listener_action {
	LISTENER_GREYLIST = 1,
	LISTENER_COOKIE,
};

#define NO_WINDOW_SCALE 255

/* What a listener's own SYN-ACKs look like; 0 where an option is missing. */
struct answer {
	u16 mss;
	u16 window;
	u8 window_scale; /* or NO_WINDOW_SCALE */
	u8 sack;
	u8 timestamps;
	u8 ttl;
};

/* Of the canaries: everybody is answered, and nobody greylisted. */
#define CANARIES_EVERYBODY -1

struct listener_rule {
	u64 until_ns; /* monotonic clock */
	s64 canaries; /* SYNs admitted by the greylist that may still be answered with a cookie */
	struct answer answer;
	u32 action;
	u32 since_tick; /* of GREY_TICK_SHIFT */
};

/* A network that no rule about a prefix or a listener touches, of mapped addresses; under it its IP version. */
struct spared_key {
	u32 prefix_length;
	u8 address[16];
};

#define HANDSHAKE_COUNTERS(X) \
	X(attempts)           \
	X(syn_retransmits)    \
	X(syn_duplicates)     \
	X(answered)           \
	X(completed)          \
	X(aborted)            \
	X(refused)            \
	X(dropped_by_us)

#define TOTAL_COUNTERS(X)          \
	HANDSHAKE_COUNTERS(X)      \
	X(synack_retransmits)      \
	X(fin_probes)              \
	X(null_probes)             \
	X(xmas_probes)             \
	X(nonsense_flags)          \
	X(ack_segments)            \
	X(egress_tcp)              \
	X(greylisted)              \
	X(greylist_admitted)       \
	X(cookies_sent)            \
	X(cookies_valid)           \
	X(cookies_connected)       \
	X(not_ip)                  \
	X(not_tcp)                 \
	X(truncated_link)          \
	X(vlan_depth)              \
	X(truncated_ip)            \
	X(bad_ip_header)           \
	X(extension_depth)         \
	X(fragment)                \
	X(truncated_tcp)           \
	X(bad_tcp_header)          \
	X(handshakes_overwritten)  \
	X(sources_not_admitted)    \
	X(prefixes_not_admitted)   \
	X(entries_insert_failed)   \
	X(candidates_lost)         \
	X(listeners_full)          \
	X(closed_buckets_full)

#define DECLARE_COUNTER(name) u64 name;

struct handshake_counts {
	HANDSHAKE_COUNTERS(DECLARE_COUNTER)
};

struct totals {
	TOTAL_COUNTERS(DECLARE_COUNTER)
};

/* Segments that belong to no connection, which scanners send. */
enum probe_kind {
	PROBE_FIN,
	PROBE_NULL,
	PROBE_XMAS,
	PROBE_KINDS,
};

/* A source, or a prefix of sources. Shared by all CPUs, so each field is one 64-bit word: bcc's LLVM has no
 * narrower atomics. A slice is one word that can be compared and exchanged:
 * epoch (24 bits) | attempts (20) | completed (20), the epoch being time >> SOURCE_COHORT_SHIFT.
 */
struct source {
	struct handshake_counts counts; /* its attempts are those of slices that have left the ring */
	u64 first_ns;
	u64 last_ns;
	u64 members; /* linear counting, a bit for each hash: a source's targets, or a prefix's sources */
	u64 base; /* attempts before the youngest slice, less those unfinished at its last silence */
	u64 named; /* the slice in which the daemon was told of it (32 bits) | unfinished attempts then (32) */
	u64 youngest; /* slice: how many of its attempts the prefix has heard of (32 bits) | its epoch (32) */
	u64 last_syn; /* port (16 bits) | shape (16) | 0 (32), see clocks.h */
	u64 clock; /* of a completed handshake: TTL (8 bits) | shape (16) | 0 (8) | timestamp (32) */
	u64 clock_ns; /* when that was; 0: never */
	u64 clock_syns; /* SYNs since that miss its clock (32 bits) | that continue it (32) */
	u64 clock_others; /* handshakes completed since by another clock */
	u64 cohorts[SOURCE_COHORTS];
	u64 probes[PROBE_KINDS]; /* of a prefix none are counted */
};

struct cohort {
	u32 epoch; /* time >> LISTENER_COHORT_SHIFT */
	u32 attempts;
	u32 completed;
};

/* One copy for every CPU, so nothing in it is shared. */
struct listener {
	struct handshake_counts counts;
	u64 last_ns;
	u64 bare_attempts;
	u64 bogon_attempts;
	u64 patterned_attempts;
	u64 greylisted; /* SYNs that its greylist dropped */
	u64 cookies_sent;
	u64 cookies_valid;
	u64 cookies_connected;
	u64 local_answers; /* SYN-ACKs that this machine made, for all that can be seen */
	u64 foreign_answers; /* forwarded ones, and those of a socket that is bound to another port */
	u64 answer_ns; /* when `answer` was seen */
	struct answer answer;
	u32 last_isn;
	u32 last_port; /* network order */
	u64 handshake_time[HANDSHAKE_TIME_BINS];
	u64 syn_ttl[TTL_BINS];
	u64 completed_ttl[TTL_BINS];
	u32 sketch_epoch[2];
	u16 sketch[2][SKETCH_REGISTERS] __attribute__((aligned(8)));
	struct cohort cohorts[LISTENER_COHORTS];
};

/* SYNs that were dropped like the one before them, from one source to one listener within a tick: they are booked at
 * once, with the next that is another; see dropped.h.
 */
struct dropped {
	struct address source; /* the key of its entry */
	struct address destination;
	u16 port; /* network order */
	u16 zero[3];
	u64 tick;
	u64 more;
};

/* Masks are words in network order, as the addresses are. */
struct settings {
	u64 secret[2];
	u64 replay_now_ns; /* 0: the kernel's monotonic clock */
	u64 source_mask[2]; /* of an IPv6 source */
	u64 prefix_mask_ipv6; /* of the upper half */
	u32 prefix_mask_ipv4;
	u32 one_way; /* answers cannot be seen */
	u32 watches_flows;
	u32 block_lengths_count;
	u32 block_lengths[BLOCK_LENGTHS_MAX];
	u32 responding; /* a SYN may meet a rule about a listener, or a greylist */
	u32 checking_cookies;
};

/* What passed an interface; one copy for every CPU. Its slot is the interface's index modulo INTERFACE_SLOTS. */
#define INTERFACE_SLOTS 64

struct interface_packets {
	u64 ingress;
	u64 egress;
};

struct interfaces {
	struct interface_packets slots[INTERFACE_SLOTS];
};

/* Established flows, noted while the daemon asks for them; one copy for every CPU. */
#define FLOW_CELLS 1024
#define FLOW_WINDOW (1 << 20) /* bytes that a connection goes on by between two of its segments, at most */
#define FLOW_SHOWN_BITS (1 << 17)

struct flow {
	u32 tag; /* 0: nobody's */
	u32 sequence;
	u32 acknowledgement;
	u32 advances; /* segments that went on in both numbers */
};

struct flows {
	struct flow cells[FLOW_CELLS];
	u8 shown[FLOW_SHOWN_BITS / 8]; /* whether egress had a flow of such a tag */
};

#endif
