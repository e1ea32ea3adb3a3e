/* The keyed hashes of what tells packets apart: four-tuples, sources and prefixes, targets. */

static __always_inline u32 ipv4_of(struct address *mapped)
{
	u32 ipv4;

	__builtin_memcpy(&ipv4, mapped->bytes + 12, 4);
	return ipv4;
}

/* The peer is the packet's source here, also on egress, where it was turned round. */
static __always_inline u64 tuple_hash(struct settings *current, struct packet *packet)
{
	u64 words[4] = {}, ports = (u32)packet->source_port << 16 | packet->destination_port;
	u32 is_ipv6 = packet->ipv6;
	struct siphash s;

	siphash_start(&s, current->secret);
	if (is_ipv6) {
		__builtin_memcpy(words, &packet->source, 16);
		__builtin_memcpy(words + 2, &packet->destination, 16);
		siphash_word(&s, words[0]);
		siphash_word(&s, words[1]);
		siphash_word(&s, words[2]);
	} else {
		words[3] = (u64)ipv4_of(&packet->source) << 32 | ipv4_of(&packet->destination);
	}
	siphash_word(&s, words[3]);
	return siphash_finish(&s, is_ipv6 ? 36 : 12, ports);
}

static __always_inline u64 address_hash(struct settings *current, struct address *key, u32 is_ipv6)
{
	struct siphash s;
	u64 words[2];

	siphash_start(&s, current->secret);
	if (!is_ipv6)
		return siphash_finish(&s, 4, ipv4_of(key));
	__builtin_memcpy(words, key, 16);
	siphash_word(&s, words[0]);
	/* Most IPv6 keys are prefixes of 64 bits at most. */
	if (words[1])
		siphash_word(&s, words[1]);
	return siphash_finish(&s, 16, 0);
}

/* Distinct targets are told apart by a keyed hash that costs little: to learn the key would gain a scanner no more
 * than to look like a flooder.
 */
static __always_inline u64 target_hash(struct settings *current, struct packet *packet)
{
	u64 words[2], mixed;

	__builtin_memcpy(words, &packet->destination, 16);
	mixed = words[0] * (current->secret[0] | 1) + words[1] * (current->secret[1] | 1) +
		packet->destination_port * ((current->secret[0] ^ current->secret[1]) | 1);
	mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9ULL;
	mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebULL;
	return mixed ^ mixed >> 31;
}
