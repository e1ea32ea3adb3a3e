/* libFuzzer's target: the probe's frame parser on the host, held against what must be true of it.
 *
 * AddressSanitizer watches that nothing outside the frame is read: the parser gets a copy of just the frame's
 * size. Whatever else is wrong aborts with a line that begins with "finding:".
 */
#include <stdio.h>
#include <stdlib.h>
#include <sanitizer/asan_interface.h>
#include "host.h"
#include "layout.h"
#include "packet.h"
#include "oracle.h"
#include "packet_fields.h"

#define TAIL_BYTES 64

#define REQUIRE(true_of_every_parser, ...)                         \
	do {                                                       \
		if (!(true_of_every_parser)) {                     \
			fprintf(stderr, "finding: " __VA_ARGS__);  \
			fprintf(stderr, "\n");                     \
			abort();                                   \
		}                                                  \
	} while (0)

#define SAME(a, b, field) (!memcmp(&(a)->field, &(b)->field, sizeof((a)->field)))

/* Parses a copy from which not one byte can be read too much. */
static int parse_exactly(const u8 *data, size_t size, struct packet *packet)
{
	u8 *copy = malloc(size ? size : 1);
	int result;

	memcpy(copy, data, size);
	if (!size)
		ASAN_POISON_MEMORY_REGION(copy, 1);
	result = parse_packet(copy, copy + size, packet);
	REQUIRE(!size || !memcmp(copy, data, size), "the parser wrote into the frame");
	free(copy);
	return result;
}

static int is_truncated(int result)
{
	return result == TRUNCATED_LINK || result == TRUNCATED_IP || result == TRUNCATED_TCP;
}

/* A frame may end within the options: then nothing is said of them. */
static void forget_options(struct packet *packet)
{
	packet->has_timestamp = 0;
	packet->timestamp = 0;
	packet->shape = 0;
}

static int has_options_in(const struct packet *packet, size_t size)
{
	return (size_t)packet->tcp_at + packet->tcp_bytes <= size;
}

static void require_same(const char *other, int result, const struct packet *packet, int result_b,
			 const struct packet *packet_b)
{
	REQUIRE(result == result_b, "result %d, and %d %s", result, result_b, other);
	if (result != PARSED_TCP)
		return;
#define CHECK(field) REQUIRE(SAME(packet, packet_b, field), "%s is another %s", #field, other);
	PACKET_FIELDS(CHECK)
#undef CHECK
}

static void check_oracle(const u8 *data, size_t size, int result, const struct packet *packet)
{
	struct packet expected;
	int expected_result = oracle(data, size, &expected);

	REQUIRE(result == expected_result, "result %d, and %d by the oracle", result, expected_result);
	if (result != PARSED_TCP)
		return;
#define CHECK(field) REQUIRE(SAME(packet, &expected, field), "%s is another by the oracle", #field);
	ORACLE_FIELDS(CHECK)
#undef CHECK
}

/* What follows a frame changes nothing once its headers are there. */
static void check_longer(const u8 *data, size_t size, int result, const struct packet *packet)
{
	struct packet whole = *packet, other;
	u8 *longer = malloc(size + TAIL_BYTES);
	int other_result;

	memcpy(longer, data, size);
	memset(longer + size, size ? ~data[size / 2] : 0, TAIL_BYTES);
	other_result = parse_exactly(longer, size + TAIL_BYTES, &other);
	if (result == PARSED_TCP && !has_options_in(packet, size)) {
		forget_options(&whole);
		forget_options(&other);
	}
	if (!is_truncated(result))
		require_same("with a tail", result, &whole, other_result, &other);
	free(longer);
}

/* The front of a frame says the same as all of it, or that it was cut off. */
static void check_shorter(const u8 *data, size_t size, int result, const struct packet *packet)
{
	size_t cut = size * data[size - 1] / 256;
	struct packet whole = *packet, other;
	int other_result = parse_exactly(data, cut, &other);

	if (other_result == PARSED_TCP && !has_options_in(&other, cut)) {
		forget_options(&whole);
		forget_options(&other);
	}
	if (!is_truncated(other_result))
		require_same("when cut", result, &whole, other_result, &other);
}

/* The bits behind the prefix are cleared. */
static void mask_bit_by_bit(u8 address[16], u32 length)
{
	for (u32 bit = length; bit < 128; bit++)
		address[bit / 8] &= ~(0x80 >> bit % 8);
}

static void check_mask(const u8 *data, u8 length)
{
	struct address masked;
	u8 expected[16];

	memcpy(&masked, data, 16);
	memcpy(expected, data, 16);
	mask_address(&masked, length);
	mask_bit_by_bit(expected, length);
	REQUIRE(!memcmp(&masked, expected, 16), "an address's first %d bits are others", length);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct packet packet, other;
	int result, other_result;

	/* A field that the parser leaves alone differs between these two. */
	memset(&packet, 0x5a, sizeof(packet));
	memset(&other, 0xa5, sizeof(other));
	result = parse_exactly(data, size, &packet);
	other_result = parse_exactly(data, size, &other);
	require_same("from another memory", result, &packet, other_result, &other);
	check_oracle(data, size, result, &packet);
	check_longer(data, size, result, &packet);
	if (size)
		check_shorter(data, size, result, &packet);
	if (size > 16)
		check_mask(data, data[16]);
	return 0;
}
