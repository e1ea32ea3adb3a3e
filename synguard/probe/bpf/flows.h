/* Established flows, noted only while the daemon asks whether egress shows those that ingress carries.
 *
 * A flow is live when its segments go on in both numbers: the peer receives what this side sends. A scan with
 * bare ACKs never does. Cells go to whoever comes first and are given up by flows that do not go on.
 */

static __always_inline u32 flow_tag(u64 hash)
{
	return hash >> 32 | 1 << 31;
}

static __always_inline void note_flow(struct packet *packet, u64 hash)
{
	u32 zero = 0, tag = flow_tag(hash);
	struct flows *noted = flows.lookup(&zero);
	struct flow *cell;

	if (!noted)
		return;
	cell = &noted->cells[hash & (FLOW_CELLS - 1)];
	if (cell->tag != tag && cell->advances)
		return;
	if (cell->tag != tag)
		cell->tag = tag;
	else if ((s32)(packet->sequence - cell->sequence) > 0 &&
		 (s32)(packet->acknowledgement - cell->acknowledgement) > 0)
		cell->advances++;
	else
		return;
	cell->sequence = packet->sequence;
	cell->acknowledgement = packet->acknowledgement;
}

static __always_inline void show_flow(u64 hash)
{
	struct flows *noted;
	u32 zero = 0;

	noted = flows.lookup(&zero);
	if (noted)
		noted->shown[flow_tag(hash) & (FLOW_SHOWN_CELLS - 1)] = 1;
}
