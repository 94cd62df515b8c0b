/* The decoder's state, shared by inflate.c, inflate_codes.c and inflate_block.c. */
#ifndef VITRINE_INFLATE_STATE_H
#define VITRINE_INFLATE_STATE_H
#include "inflate.h"
#include <string.h>

#define INPUT_BYTES (128u * 1024)
/* Readable behind the input, so that the loop need not look at the end. */
#define INPUT_SLACK 64u

#define LITLEN_BITS 11
#define DISTANCE_BITS 9
#define CODE_BITS_MAX 15
#define LITLEN_SYMBOLS 288
#define DISTANCE_SYMBOLS 32
/*
 * A second table of N entries needs log2(N)+1 codes at least, and has 1 << (15 - the first table's bits) entries at most: 16 for 5 codes of
 * 288, 64 for 7 of 32.
 */
#define LITLEN_ENTRIES ((1u << LITLEN_BITS) + 16u * LITLEN_SYMBOLS / 5u)
#define DISTANCE_ENTRIES ((1u << DISTANCE_BITS) + 64u * DISTANCE_SYMBOLS / 7u)

/*
 * An entry tells what the next bits say. Bits 0 to 7: how many of them code and extra bits take together, 8 to 11: how many the code alone,
 * 16 on the value: a literal, or the base of a length or distance.
 */
#define MATCH 0x8000u /* a length */
#define UNUSUAL 0x4000u /* one of the following, without MATCH */
#define SECOND 0x2000u /* a second table begins at the value, in which the next bits choose, as many as bits 8 to 11 say */
#define BLOCK_END 0x1000u /* else no code at all */
#define VALUE(entry) ((entry) >> 16)
#define CODE_BITS(entry) (((entry) >> 8) & 0xfu)

struct decoder {
  const struct inflate_io *io;
  uint8_t *out, *limit;
  uint8_t *unsummed; /* output from here on is not in `crc` yet */
  uint64_t size; /* of the member, up to `unsummed` */
  uint32_t crc;
  const uint8_t *in, *in_end; /* in_end: of what was read; zeros follow */
  uint64_t bits;
  unsigned count; /* of valid bits */
  bool input_ended;
  const char *problem;
  uint32_t litlen[LITLEN_ENTRIES];
  uint32_t distance[DISTANCE_ENTRIES];
  uint8_t input[INPUT_BYTES + INPUT_SLACK];
};

static inline bool broken(struct decoder *d, const char *problem) {
  if (d->problem == NULL) d->problem = problem;
  return false;
}

static inline uint64_t load64(const uint8_t *at) {
  uint64_t value;
  memcpy(&value, at, sizeof value);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
  value = __builtin_bswap64(value);
#endif
  return value;
}

/* At least 56 bits. Needs 8 readable bytes. */
static inline void refill(struct decoder *d) {
  d->bits |= load64(d->in) << d->count;
  d->in += (63 - d->count) >> 3;
  d->count |= 56;
}

static inline uint32_t take(struct decoder *d, unsigned count) {
  uint32_t value = (uint32_t)(d->bits & ((1ull << count) - 1));
  d->bits >>= count;
  d->count -= count;
  return value;
}

/* --- inflate.c --- */
/* At least INPUT_SLACK bytes to read, zeros behind the end. */
bool inflate_more_input(struct decoder *d);
/* Gives away what is there, and waits for room. */
bool inflate_more_room(struct decoder *d);

static inline bool need_input(struct decoder *d) {
  return d->in_end - d->in >= (ptrdiff_t)INPUT_SLACK / 2 || inflate_more_input(d);
}

/* --- inflate_codes.c: the tables of a block --- */
bool inflate_fixed_codes(struct decoder *d);
bool inflate_dynamic_codes(struct decoder *d);

/* --- inflate_block.c: what the tables say, until the block's end --- */
bool inflate_coded_block(struct decoder *d);

#endif
