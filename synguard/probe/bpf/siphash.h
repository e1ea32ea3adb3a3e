/* SipHash-1-3 (Aumasson and Bernstein, 2012): a keyed hash, so that nobody can aim at a bucket. */
#ifndef SYNGUARD_SIPHASH_H
#define SYNGUARD_SIPHASH_H

struct siphash {
	u64 v0, v1, v2, v3;
};

static __always_inline u64 rotate_left(u64 word, int bits)
{
	return (word << bits) | (word >> (64 - bits));
}

static __always_inline void siphash_round(struct siphash *s)
{
	s->v0 += s->v1;
	s->v1 = rotate_left(s->v1, 13) ^ s->v0;
	s->v0 = rotate_left(s->v0, 32);
	s->v2 += s->v3;
	s->v3 = rotate_left(s->v3, 16) ^ s->v2;
	s->v0 += s->v3;
	s->v3 = rotate_left(s->v3, 21) ^ s->v0;
	s->v2 += s->v1;
	s->v1 = rotate_left(s->v1, 17) ^ s->v2;
	s->v2 = rotate_left(s->v2, 32);
}

static __always_inline void siphash_start(struct siphash *s, const u64 secret[2])
{
	s->v0 = 0x736f6d6570736575ULL ^ secret[0];
	s->v1 = 0x646f72616e646f6dULL ^ secret[1];
	s->v2 = 0x6c7967656e657261ULL ^ secret[0];
	s->v3 = 0x7465646279746573ULL ^ secret[1];
}

static __always_inline void siphash_word(struct siphash *s, u64 word)
{
	s->v3 ^= word;
	siphash_round(s);
	s->v0 ^= word;
}

/* The last word carries the length in its top byte, as the paper has it. */
static __always_inline u64 siphash_finish(struct siphash *s, u64 length_bytes, u64 tail)
{
	siphash_word(s, (length_bytes << 56) | tail);
	s->v2 ^= 0xff;
	siphash_round(s);
	siphash_round(s);
	siphash_round(s);
	return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

#endif
