/* What is to be done about a SYN: rules about sources, then those about listeners, each until a moment that needs no
 * daemon to come.
 */

#define MAPPED_PREFIX_BITS 96

/* Whether there may be such a block: for nearly everybody who is not blocked there is not. */
static __always_inline int may_be_blocked(struct settings *current, struct block_key *key)
{
	u64 words[2], mixed, *word;
	u32 index;

	__builtin_memcpy(words, &key->address, 16);
	mixed = words[0] * (current->secret[0] | 1) + words[1] * (current->secret[1] | 1) +
		key->prefix_length * ((current->secret[0] ^ current->secret[1]) | 1);
	mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9ULL >> BLOCK_FILTER_SHIFT;
	index = mixed >> 6;
	word = block_filter.lookup(&index);
	return word && *word >> (mixed & 63) & 1;
}

static __always_inline struct block *find_block(struct context *context, struct packet *packet, u32 length)
{
	struct block_key key = {.address = packet->source, .prefix_length = length};

	/* A block of ::/64 must not catch ::ffff:a.b.c.d, which is all of IPv4. */
	if (!packet->ipv6 && length < MAPPED_PREFIX_BITS)
		return 0;
	mask_address(&key.address, length);
	return may_be_blocked(context->settings, &key) ? blocks.lookup(&key) : 0;
}

/* The rule about a source: to drop goes before to greylist. One lookup for each prefix length in use; none when nothing
 * is blocked. A greylist that is over is found, too, see greylist.h.
 */
static __always_inline struct block *source_rule(struct context *context, struct packet *packet)
{
	struct block *found = 0, *block;

	for (u32 index = 0; index < BLOCK_LENGTHS_MAX; index++) {
		if (index >= context->settings->block_lengths_count)
			break;
		block = find_block(context, packet, context->settings->block_lengths[index] & 0xff);
		if (!block)
			continue;
		if (block->action == SOURCE_GREYLIST) {
			if (block->until_ns + GREY_LINGER_NS > context->now_ns)
				found = block;
		} else if (block->until_ns > context->now_ns) {
			return block;
		}
	}
	return found;
}

static __always_inline struct listener_rule *listener_rule(struct context *context, struct packet *packet)
{
	struct listener_key key = {.address = packet->destination, .port = packet->destination_port};
	struct listener_rule *rule = listener_rules.lookup(&key);

	return rule && rule->until_ns + GREY_LINGER_NS > context->now_ns ? rule : 0;
}

/* ::/0 must not spare ::ffff:a.b.c.d, which is all of IPv4. */
static __always_inline int is_spared(struct packet *packet)
{
	struct spared_key key = {.prefix_length = 128};
	u64 *version;

	__builtin_memcpy(key.address, &packet->source, 16);
	version = spared.lookup(&key);
	return version && *version == (packet->ipv6 ? 6 : 4);
}

/* Takes one of the canaries that are left. */
static __always_inline int take_canary(struct listener_rule *rule)
{
	s64 left = *(volatile s64 *)&rule->canaries;

	if (left == CANARIES_EVERYBODY)
		return 1;
	return left > 0 && __sync_val_compare_and_swap(&rule->canaries, left, left - 1) == left;
}
