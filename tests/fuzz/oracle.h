/* A second parser, slow and plain, written from the standards: what packet.h is compared with.
 *
 * IEEE 802.1Q (tags), RFC 791 (IPv4), RFC 8200 (IPv6 and its extension headers), RFC 4302 (the authentication
 * header's length), RFC 9293 (TCP), RFC 7323 (its timestamps). It reads single bytes by their number and overlays no structure. Ours alone
 * are the caps (two tags, eight extension headers), that mapped addresses are refused, where timestamps are looked
 * for and what makes a SYN's shape, and the order of checks: a header's own errors come before what it carries, and
 * a declared length before the frame's.
 */
#ifndef SYNGUARD_ORACLE_H
#define SYNGUARD_ORACLE_H

/* The fields that the oracle knows; a test compares them with those of struct packet. */
#define ORACLE_FIELDS(X)                                                                          \
	X(source) X(destination) X(source_port) X(destination_port) X(sequence) X(acknowledgement) \
	X(flags) X(bare) X(ipv6) X(ttl) X(has_timestamp) X(shape) X(timestamp) X(tcp_at)          \
	X(tcp_bytes) X(window)

struct frame {
	const u8 *bytes;
	size_t size;
	size_t at; /* where the next header begins */
	size_t end; /* of the IP datagram; none for a jumbogram */
};

static int has(const struct frame *frame, size_t bytes)
{
	return frame->size >= frame->at && frame->size - frame->at >= bytes;
}

/* So many bytes behind the next header's begin, first the most significant. */
static u32 number(const struct frame *frame, size_t offset, int bytes)
{
	u32 value = 0;

	for (int i = 0; i < bytes; i++)
		value = value * 256 + frame->bytes[frame->at + offset + i];
	return value;
}

static int oracle_link(struct frame *frame, u32 *type)
{
	int tags = 0;

	if (!has(frame, 14))
		return TRUNCATED_LINK;
	*type = number(frame, 12, 2);
	frame->at = 14;
	while (*type == 0x8100 || *type == 0x88a8) {
		if (++tags > 2)
			return VLAN_DEPTH;
		if (!has(frame, 4))
			return TRUNCATED_LINK;
		*type = number(frame, 2, 2);
		frame->at += 4;
	}
	return PARSED_TCP;
}

static int oracle_ipv4(struct frame *frame, struct packet *packet)
{
	static const u8 prefix[12] = {[10] = 0xff, [11] = 0xff};
	u32 header, total;

	if (!has(frame, 20))
		return TRUNCATED_IP;
	header = number(frame, 0, 1) % 16 * 4;
	total = number(frame, 2, 2);
	if (number(frame, 0, 1) / 16 != 4 || header < 20 || header > total)
		return BAD_IP_HEADER;
	if (number(frame, 9, 1) != 6)
		return PARSED_NOT_TCP;
	if (number(frame, 6, 2) % 8192 != 0)
		return FRAGMENT;
	if (total - header < 20)
		return TRUNCATED_TCP;
	packet->ipv6 = 0;
	packet->ttl = number(frame, 8, 1);
	memcpy(packet->source.bytes, prefix, 12);
	memcpy(packet->source.bytes + 12, frame->bytes + frame->at + 12, 4);
	memcpy(packet->destination.bytes, prefix, 12);
	memcpy(packet->destination.bytes + 12, frame->bytes + frame->at + 16, 4);
	frame->end = frame->at + total;
	frame->at += header;
	return PARSED_TCP;
}

static int is_extension(u32 next)
{
	return next == 0 || next == 43 || next == 44 || next == 51 || next == 60;
}

static int oracle_extensions(struct frame *frame, u32 next)
{
	int seen = 0;
	u32 length;

	while (is_extension(next)) {
		if (++seen > 8)
			return EXTENSION_DEPTH;
		if (!has(frame, 8))
			return TRUNCATED_IP;
		length = number(frame, 1, 1);
		if (next == 44 && number(frame, 2, 2) / 8 != 0)
			return number(frame, 0, 1) == 6 ? FRAGMENT : PARSED_NOT_TCP;
		if (next == 44)
			length = 8;
		else if (next == 51)
			length = length * 4 + 8;
		else
			length = length * 8 + 8;
		next = number(frame, 0, 1);
		frame->at += length;
	}
	return next == 6 ? PARSED_TCP : PARSED_NOT_TCP;
}

static int is_ipv4_mapped(const u8 *address)
{
	for (int i = 0; i < 10; i++)
		if (address[i] != 0)
			return 0;
	return address[10] == 0xff && address[11] == 0xff;
}

static int oracle_ipv6(struct frame *frame, struct packet *packet)
{
	const u8 *header = frame->bytes + frame->at;
	u32 payload;
	int result;

	if (!has(frame, 40))
		return TRUNCATED_IP;
	payload = number(frame, 4, 2);
	if (header[0] / 16 != 6 || (payload > 0 && payload < 8))
		return BAD_IP_HEADER;
	if (is_ipv4_mapped(header + 8) || is_ipv4_mapped(header + 24))
		return BAD_IP_HEADER;
	packet->ipv6 = 1;
	packet->ttl = number(frame, 7, 1);
	memcpy(packet->source.bytes, header + 8, 16);
	memcpy(packet->destination.bytes, header + 24, 16);
	frame->at += 40;
	/* Without a length, as a jumbogram is, only the frame ends it. */
	frame->end = payload > 0 ? frame->at + payload : SIZE_MAX;
	result = oracle_extensions(frame, header[6]);
	if (result == PARSED_TCP && frame->at + 20 > frame->end)
		return TRUNCATED_TCP;
	return result;
}

/* Where behind the TCP header's 20 bytes the timestamp option begins; 0: in none of the places where it is looked for. */
static size_t timestamp_at(const struct frame *frame, u32 words)
{
	if (words == 8 && has(frame, 28) && number(frame, 20, 4) == 0x0101080a)
		return 2;
	if (words >= 10 && has(frame, 28) && number(frame, 26, 2) == 0x080a)
		return 6;
	if (words >= 10 && has(frame, 40) && number(frame, 30, 2) == 0x080a)
		return 10;
	return 0;
}

/* A word of a header as this machine reads it; 0 where the frame has ended. */
static u32 native(const struct frame *frame, size_t offset)
{
	u32 word = 0;

	if (has(frame, offset + 4))
		memcpy(&word, frame->bytes + frame->at + offset, 4);
	return word;
}

/* Where a SYN has its clock in the second word, its window scale is in the last, else in the first but one. */
static u16 oracle_shape(const struct frame *frame, size_t clock_at, u32 words)
{
	u32 rest = native(frame, has(frame, 40) ? (clock_at == 6 ? 36 : 28) : SIZE_MAX / 2), window = 0, shape;

	memcpy(&window, frame->bytes + frame->at + 14, 2);
	shape = (native(frame, 20) ^ words) * 0x9e3779b1U;
	shape ^= (native(frame, 24) + window) * 0x85ebca6bU;
	shape ^= rest * 0xc2b2ae35U;
	return (shape ^ shape >> 15) * 0x2c1b3c6dU >> 16;
}

static void oracle_options(const struct frame *frame, struct packet *packet, u32 words)
{
	size_t at = timestamp_at(frame, words);

	packet->has_timestamp = at > 0;
	packet->timestamp = at > 0 && has(frame, at == 2 ? 28 : 40) ? number(frame, 22 + at, 4) : 0;
	packet->shape = at > 2 ? oracle_shape(frame, at, words) : 0;
}

static int oracle_tcp(struct frame *frame, struct packet *packet)
{
	u32 words;

	if (!has(frame, 20))
		return TRUNCATED_TCP;
	words = number(frame, 12, 1) / 16;
	if (words < 5 || frame->at + words * 4 > frame->end)
		return BAD_TCP_HEADER;
	memcpy(&packet->source_port, frame->bytes + frame->at, 2);
	memcpy(&packet->destination_port, frame->bytes + frame->at + 2, 2);
	packet->sequence = number(frame, 4, 4);
	packet->acknowledgement = number(frame, 8, 4);
	packet->flags = number(frame, 13, 1);
	packet->bare = words == 5;
	packet->tcp_at = frame->at;
	packet->tcp_bytes = words * 4;
	packet->window = number(frame, 14, 2);
	oracle_options(frame, packet, words);
	return PARSED_TCP;
}

static int oracle(const u8 *bytes, size_t size, struct packet *packet)
{
	struct frame frame = {bytes, size, 0, SIZE_MAX};
	u32 type = 0;
	int result = oracle_link(&frame, &type);

	if (result != PARSED_TCP)
		return result;
	if (type != 0x0800 && type != 0x86dd)
		return PARSED_NOT_IP;
	result = type == 0x0800 ? oracle_ipv4(&frame, packet) : oracle_ipv6(&frame, packet);
	return result == PARSED_TCP ? oracle_tcp(&frame, packet) : result;
}

#endif
