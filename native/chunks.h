/* The chunked transfer coding (RFC 9112 section 7.1) of a request's body, as it comes: strict, and bounded in all but the content. */
#ifndef VITRINE_CHUNKS_H
#define VITRINE_CHUNKS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A size has as many hexadecimal digits at most: less than 2^60. */
#define CHUNKS_DIGITS_MAX 15
/* Bytes of one chunk's extensions, and of all trailers. */
#define CHUNKS_LINE_MAX 1024u
#define CHUNKS_TRAILER_MAX 8192u

enum chunks_state { CHUNKS_SIZE, CHUNKS_EXTENSION, CHUNKS_SIZE_LF, CHUNKS_DATA, CHUNKS_DATA_CR, CHUNKS_DATA_LF,
                    CHUNKS_TRAILER, CHUNKS_TRAILER_LINE, CHUNKS_TRAILER_LF, CHUNKS_END_LF, CHUNKS_DONE, CHUNKS_BROKEN };

/* Zeros at the beginning of a body. */
struct chunks {
  enum chunks_state state;
  uint64_t left;   /* of this chunk */
  unsigned digits; /* of its size, so far */
  uint32_t line;   /* bytes of its extensions, or of trailers */
};

/* For somebody who has read the body until so many bytes before the next chunk, the CRLF there among them. */
struct chunks chunks_from(uint64_t until_next);

/*
 * Takes `size` bytes out of their chunks, in place; returns how many bytes of content `bytes` then begins with. What comes after the body's
 * end is not looked at. `state` says whether the body has ended (CHUNKS_DONE), or is none (CHUNKS_BROKEN).
 */
size_t chunks_take(struct chunks *chunks, uint8_t *bytes, size_t size);
#endif
