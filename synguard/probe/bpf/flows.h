/* Established flows, noted only while the daemon asks whether egress shows those that ingress carries.
 *
 * A flow is live when its segments go on in both numbers, by no more than a window at a time, as those of a
 * connection do. A scan with bare ACKs never does, nor do random numbers, of which one in 16 million goes on by chance;
 * whoever chooses them can feign it, so the daemon asks for more. Each of two cells goes to whoever comes first, and is
 * given up by a flow that does not go on.
 */

static __always_inline u32 flow_tag(u64 hash)
{
	return hash >> 32 | 1 << 31;
}

static __always_inline struct flow *flow_cell(struct flows *noted, u64 hash, u32 tag)
{
	struct flow *first = &noted->cells[hash & (FLOW_CELLS - 1)];
	struct flow *second = &noted->cells[(hash >> 16) & (FLOW_CELLS - 1)];

	if (first->tag == tag)
		return first;
	if (second->tag == tag)
		return second;
	if (!first->advances)
		return first;
	return second->advances ? 0 : second;
}

static __always_inline void note_flow(struct packet *packet, u64 hash)
{
	u32 zero = 0, tag = flow_tag(hash), sent, received;
	struct flows *noted = flows.lookup(&zero);
	struct flow *cell;

	if (!noted)
		return;
	cell = flow_cell(noted, hash, tag);
	if (!cell)
		return;
	sent = packet->sequence - cell->sequence;
	received = packet->acknowledgement - cell->acknowledgement;
	if (cell->tag == tag && sent <= FLOW_WINDOW && received <= FLOW_WINDOW) {
		if (!sent || !received)
			return;
		cell->advances++;
	}
	cell->tag = tag;
	cell->sequence = packet->sequence;
	cell->acknowledgement = packet->acknowledgement;
}

/* A bit for many tags: what is not shown may look so, if egress carries very many flows, but never the other
 * way round. No cell is asked for, which may be another CPU's.
 */
static __always_inline void show_flow(u64 hash)
{
	u32 zero = 0, bit = flow_tag(hash) & (FLOW_SHOWN_BITS - 1);
	struct flows *noted = flows.lookup(&zero);

	if (noted)
		noted->shown[bit >> 3] |= 1 << (bit & 7);
}
