/* The kernel's build of the parser: puts what it says of a frame before that frame. */
#include <uapi/linux/bpf.h>
#include "layout.h"
#include "packet.h"
#include "parsed.h"

int parses(struct xdp_md *frame)
{
	struct parsed answer;
	struct parsed *front;
	u32 frame_bytes = frame->data_end - frame->data;

	__builtin_memset(&answer, UNSET, sizeof(answer));
	answer.result = parse_packet((void *)(long)frame->data, (void *)(long)frame->data_end, &answer.packet);
	answer.masked = answer.packet.source;
	mask_address(&answer.masked, PREFIX_LENGTH(frame_bytes));
	if (bpf_xdp_adjust_head(frame, -(int)sizeof(answer)))
		return XDP_ABORTED;
	front = (void *)(long)frame->data;
	if ((void *)(front + 1) > (void *)(long)frame->data_end)
		return XDP_ABORTED;
	__builtin_memcpy(front, &answer, sizeof(answer));
	return XDP_PASS;
}
