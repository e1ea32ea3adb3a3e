/* Scanners' probes: segments that no connection has, counted in all and for their source. */

/* Whether the daemon should hear of it: the sixteenth more of a kind has come, and it did not hear of this source in
 * this slice before.
 */
static __always_inline int worth_naming_probes(struct source *source, u64 probes, u32 epoch)
{
	u64 named = *(volatile u64 *)&source->named;

	if (probes % NAME_EVERY || named >> 32 == epoch)
		return 0;
	*(volatile u64 *)&source->named = (u64)epoch << 32 | (u32)named;
	return 1;
}

/* The doorkeeper is the one that SYNs meet: random addresses get no further by probes. */
static __always_inline void count_source_probe(struct context *context, struct packet *packet, enum probe_kind kind)
{
	struct source *source;
	struct address key;
	u64 hash, *cell, probes;

	read_clock(context, CLOCK_COARSE);
	source_key(context->settings, packet, &key);
	hash = address_hash(context->settings, &key, packet->ipv6);
	cell = source_cell(hash);
	source = cell ? find_source(context, &key, hash, cell) : 0;
	if (!source)
		return;
	if (*(volatile u64 *)&source->last_ns != context->now_ns)
		*(volatile u64 *)&source->last_ns = context->now_ns;
	add_member(source, target_hash(context->settings, packet));
	probes = __sync_fetch_and_add(&source->probes[kind], 1) + 1;
	if (worth_naming_probes(source, probes, context->now_ns >> SOURCE_COHORT_SHIFT) && candidates.push(&key, 0))
		context->totals->candidates_lost++;
}

/* A FIN of a live connection always has an ACK with it. */
static __always_inline void count_probe(struct context *context, struct packet *packet, u8 flags)
{
	enum probe_kind kind;

	if (!flags) {
		context->totals->null_probes++;
		kind = PROBE_NULL;
	} else if (flags == (TCP_FIN | TCP_PSH | TCP_URG)) {
		context->totals->xmas_probes++;
		kind = PROBE_XMAS;
	} else if (flags == TCP_FIN) {
		context->totals->fin_probes++;
		kind = PROBE_FIN;
	} else {
		context->totals->nonsense_flags++;
		return;
	}
	count_source_probe(context, packet, kind);
}
