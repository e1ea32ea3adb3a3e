/* Drops the SYNs of blocked prefixes until a moment that needs no daemon to come. */

#define MAPPED_PREFIX_BITS 96

static __always_inline int block_hit(struct context *context, struct packet *packet, u32 length)
{
	struct block_key key = {.address = packet->source, .prefix_length = length};
	struct block *block;

	/* A block of ::/64 must not catch ::ffff:a.b.c.d, which is all of IPv4. */
	if (!packet->ipv6 && length < MAPPED_PREFIX_BITS)
		return 0;
	mask_address(&key.address, length);
	block = blocks.lookup(&key);
	if (!block || block->until_ns <= context->now_ns)
		return 0;
	__sync_fetch_and_add(&block->hits, 1);
	return 1;
}

/* One lookup for each prefix length in use; none when nothing is blocked. */
static __always_inline int blocked(struct context *context, struct packet *packet)
{
	for (u32 index = 0; index < BLOCK_LENGTHS_MAX; index++) {
		if (index >= context->settings->block_lengths_count)
			return 0;
		if (block_hit(context, packet, context->settings->block_lengths[index] & 0xff))
			return 1;
	}
	return 0;
}
