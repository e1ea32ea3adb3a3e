/* The host's build of the parser, of the oracle and of the hash, as a library for the tests. */
#include "host.h"
#include "layout.h"
#include "packet.h"
#include "siphash.h"
#include "hashes.h"
#include "parsed.h"
#include "oracle.h"
#include "packet_fields.h"

struct field {
	const char *name;
	u32 offset;
	u32 bytes;
};

const u32 answer_bytes = sizeof(struct parsed);

#define FIELD(field) {#field, offsetof(struct parsed, packet.field), sizeof(((struct packet *)0)->field)},
const struct field fields[] = {PACKET_FIELDS(FIELD){0}};
#undef FIELD
const u32 masked_at = offsetof(struct parsed, masked);

#define NAME(field) #field,
const char *const oracle_fields[] = {ORACLE_FIELDS(NAME) 0};
#undef NAME

void host_parse(void *data, size_t size, struct parsed *answer)
{
	memset(answer, UNSET, sizeof(*answer));
	answer->result = parse_packet(data, data + size, &answer->packet);
	answer->masked = answer->packet.source;
	mask_address(&answer->masked, PREFIX_LENGTH(size));
}

void oracle_parse(void *data, size_t size, struct parsed *answer)
{
	memset(answer, UNSET, sizeof(*answer));
	answer->result = oracle(data, size, &answer->packet);
}

/* SipHash of whole words and what is left of a message, as the probe puts them together. */
u64 host_siphash(const u64 secret[2], const u8 *message, size_t bytes)
{
	struct siphash s;
	u64 word;
	size_t at;

	siphash_start(&s, secret);
	for (at = 0; at + 8 <= bytes; at += 8) {
		memcpy(&word, message + at, 8);
		siphash_word(&s, word);
	}
	word = 0;
	memcpy(&word, message + at, bytes - at);
	return siphash_finish(&s, bytes, word);
}

u64 host_tuple_hash(const u64 secret[2], const struct parsed *answer)
{
	struct settings settings = {.secret = {secret[0], secret[1]}};
	struct packet packet = answer->packet;

	return tuple_hash(&settings, &packet);
}

u64 host_source_hash(const u64 secret[2], const struct parsed *answer)
{
	struct settings settings = {.secret = {secret[0], secret[1]}};
	struct address source = answer->packet.source;

	return address_hash(&settings, &source, answer->packet.ipv6);
}
