// SPDX-License-Identifier: MIT
/*
 * Puts the packet at hand onto a wire once it is due. Behind a writer (bench/cost/ladder.c), as live frames of
 * BPF_PROG_TEST_RUN, it is a generator.
 */

/* Packets that leave at once: as many as the kernel hands over to a veth at once. */
#define BURST 16
/* Looks at the clock in one run; a packet that is not due by then is dropped here, unsent. */
#define LOOKS_MAX 400
/* After a stall there is no catching up beyond this. */
#define LATE_NS_MAX 20000

/* Mirrored by bench/live/wire.py. Written by one CPU, the one that sends. */
struct wire_plan {
	/* Between two bursts; 0: as fast as can be. */
	__u64 gap_ns;
	__u64 due_ns;
	__u64 sent;
	__u32 interface;
	__u32 unused;
};

_Static_assert(sizeof(struct wire_plan) == PLAN_BYTES, "wire.py's layout is another");
_Static_assert(BURST == BURST_PACKETS, "wire.py's is another");

BPF_ARRAY(wires, struct wire_plan, 1);

static __always_inline int is_due(struct wire_plan *wire)
{
	__u64 now_ns = 0;

	if (!wire->gap_ns || wire->sent % BURST)
		return 1;
	for (int looks = 0; looks < LOOKS_MAX; looks++) {
		now_ns = bpf_ktime_get_ns();
		if (now_ns >= wire->due_ns)
			break;
	}
	if (now_ns < wire->due_ns)
		return 0;
	if (wire->due_ns + LATE_NS_MAX < now_ns)
		wire->due_ns = now_ns;
	wire->due_ns += wire->gap_ns;
	return 1;
}

int send_on(struct xdp_md *frame)
{
	struct wire_plan *wire;
	__u32 zero = 0;

	wire = wires.lookup(&zero);
	if (!wire || !is_due(wire))
		return XDP_DROP;
	wire->sent++;
	return bpf_redirect(wire->interface, 0);
}
