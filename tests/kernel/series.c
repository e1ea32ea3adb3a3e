// SPDX-License-Identifier: MIT
/*
 * Turns one frame into a series: BPF_PROG_TEST_RUN repeats a frame, and this program, before it calls the
 * probe's as a tail call, writes the next number's address, ports and sequence number into it.
 *
 * Two CPUs that run one series take their tickets from one counter; with a `share` of 1 two tickets in a row
 * are the same number, so that both CPUs have the same segment at almost the same moment.
 */
#include <linux/pkt_cls.h>

#define OFFSET_MASK 0x7f

/* A 32-bit field of the frame, in network order: first + number * step. */
struct field {
	__u32 at;
	__u32 first;
	__u32 step;
	__u32 unused;
};

struct series {
	__u64 ticket;
	__u64 share;
	struct field fields[3];
};

BPF_ARRAY(plan, struct series, 1);
BPF_PROG_ARRAY(xdp_target, 1);
BPF_PROG_ARRAY(tc_target, 1);

static __always_inline int write_field(void *data, void *end, struct field *field, __u32 number)
{
	void *at = data + (field->at & OFFSET_MASK);

	if (at + sizeof(__u32) > end)
		return -1;
	*(__u32 *)at = __builtin_bswap32(field->first + number * field->step);
	return 0;
}

static __always_inline int write_number(void *data, void *end)
{
	struct series *series;
	__u32 zero = 0;
	__u64 number;

	series = plan.lookup(&zero);
	if (!series)
		return -1;
	number = __sync_fetch_and_add(&series->ticket, 1) >> (series->share & 1);
	if (write_field(data, end, &series->fields[0], number) ||
	    write_field(data, end, &series->fields[1], number) ||
	    write_field(data, end, &series->fields[2], number))
		return -1;
	return 0;
}

int series_xdp(struct xdp_md *frame)
{
	if (write_number((void *)(long)frame->data, (void *)(long)frame->data_end))
		return XDP_ABORTED;
	xdp_target.call(frame, 0);
	return XDP_ABORTED;
}

int series_tc(struct __sk_buff *skb)
{
	if (write_number((void *)(long)skb->data, (void *)(long)skb->data_end))
		return TC_ACT_SHOT;
	tc_target.call(skb, 0);
	return TC_ACT_SHOT;
}
