/* Gzip (RFC 1952) of deflate data (RFC 1951): from a source that waits for input into a window that somebody empties. */
#ifndef VITRINE_INFLATE_H
#define VITRINE_INFLATE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A match reaches so far back; the bytes before `out` are kept for it. */
#define INFLATE_WINDOW_BYTES 32768u
/* What one turn of the decoder's loop may write beyond its limit. */
#define INFLATE_SLACK_BYTES 1024u

struct inflate_io {
  void *context;
  /* Reads up to `size` bytes. 0 at the end, -1 on failure. */
  ptrdiff_t (*read)(void *context, uint8_t *buffer, size_t size);
  /* `out` is written up to there: makes it known, waits for room, and gives the place to go on at (the same byte; before it
     still INFLATE_WINDOW_BYTES of what was written) and `*limit`, INFLATE_SLACK_BYTES behind which may be written. */
  uint8_t *(*advance)(void *context, uint8_t *out, uint8_t **limit);
};

/* NULL, or what is wrong with the data. Any number of members; zeros behind the last are padding. */
const char *inflate_gzip(const struct inflate_io *io);

/* CRC-32 of RFC 1952 section 8, going on from `crc` (0 at first). */
uint32_t crc32_update(uint32_t crc, const uint8_t *at, size_t size);
/* The same by tables alone: what processors without carry-less multiplication use. */
uint32_t crc32_by_table(uint32_t crc, const uint8_t *at, size_t size);
#endif
