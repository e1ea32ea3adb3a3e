/* Drops the SYNs of blocked prefixes until a moment that needs no daemon to come. */

static __always_inline int block_hit(struct context *context, struct address *source, u32 length)
{
	struct block_key key = {.address = *source, .prefix_length = length};
	struct block *block;

	mask_address(&key.address, length);
	block = blocks.lookup(&key);
	if (!block || block->until_ns <= context->now_ns)
		return 0;
	__sync_fetch_and_add(&block->hits, 1);
	return 1;
}

/* One lookup for each prefix length in use; none when nothing is blocked. */
static __always_inline int blocked(struct context *context, struct address *source)
{
	for (u32 index = 0; index < BLOCK_LENGTHS_MAX; index++) {
		if (index >= context->settings->block_lengths_count)
			return 0;
		if (block_hit(context, source, context->settings->block_lengths[index] & 0xff))
			return 1;
	}
	return 0;
}
