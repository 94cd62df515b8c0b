#include "chunks.h"
#include <string.h>

static int digit(uint8_t c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/* What may stand in an extension or a trailer (field-vchar, space, tab): no line break of another kind hides in it. */
static bool plain(uint8_t c) { return c == '\t' || (c >= ' ' && c != 0x7f); }

static enum chunks_state in_line(struct chunks *chunks, uint8_t c, uint32_t most, enum chunks_state here, enum chunks_state after) {
  if (c == '\r') return after;
  return plain(c) && ++chunks->line <= most ? here : CHUNKS_BROKEN;
}

static enum chunks_state in_size(struct chunks *chunks, uint8_t c) {
  int value = digit(c);
  if (value >= 0) {
    if (++chunks->digits > CHUNKS_DIGITS_MAX) return CHUNKS_BROKEN;
    chunks->left = chunks->left << 4 | (uint64_t)value;
    return CHUNKS_SIZE;
  }
  if (chunks->digits == 0) return CHUNKS_BROKEN;
  chunks->line = 0;
  if (c == '\r') return CHUNKS_SIZE_LF;
  return c == ';' || c == ' ' || c == '\t' ? CHUNKS_EXTENSION : CHUNKS_BROKEN;
}

/* One byte that is no content. */
static enum chunks_state step(struct chunks *chunks, uint8_t c) {
  switch (chunks->state) {
  case CHUNKS_SIZE: return in_size(chunks, c);
  case CHUNKS_EXTENSION: return in_line(chunks, c, CHUNKS_LINE_MAX, CHUNKS_EXTENSION, CHUNKS_SIZE_LF);
  case CHUNKS_SIZE_LF:
    chunks->line = 0;
    if (c != '\n') return CHUNKS_BROKEN;
    return chunks->left > 0 ? CHUNKS_DATA : CHUNKS_TRAILER;
  case CHUNKS_DATA_CR: return c == '\r' ? CHUNKS_DATA_LF : CHUNKS_BROKEN;
  case CHUNKS_DATA_LF:
    chunks->digits = 0;
    return c == '\n' ? CHUNKS_SIZE : CHUNKS_BROKEN;
  case CHUNKS_TRAILER:
    if (c == '\r') return CHUNKS_END_LF;
    return in_line(chunks, c, CHUNKS_TRAILER_MAX, CHUNKS_TRAILER_LINE, CHUNKS_BROKEN);
  case CHUNKS_TRAILER_LINE: return in_line(chunks, c, CHUNKS_TRAILER_MAX, CHUNKS_TRAILER_LINE, CHUNKS_TRAILER_LF);
  case CHUNKS_TRAILER_LF: return c == '\n' ? CHUNKS_TRAILER : CHUNKS_BROKEN;
  case CHUNKS_END_LF: return c == '\n' ? CHUNKS_DONE : CHUNKS_BROKEN;
  case CHUNKS_DATA:
  case CHUNKS_DONE:
  case CHUNKS_BROKEN: break;
  }
  return CHUNKS_BROKEN;
}

struct chunks chunks_from(uint64_t until_next) {
  static const enum chunks_state states[] = {CHUNKS_SIZE, CHUNKS_DATA_LF, CHUNKS_DATA_CR};
  if (until_next <= 2) return (struct chunks){.state = states[until_next]};
  return (struct chunks){.state = CHUNKS_DATA, .left = until_next - 2};
}

size_t chunks_take(struct chunks *chunks, uint8_t *bytes, size_t size) {
  size_t content = 0;
  for (size_t at = 0; at < size && chunks->state != CHUNKS_DONE && chunks->state != CHUNKS_BROKEN;) {
    if (chunks->state != CHUNKS_DATA) {
      chunks->state = step(chunks, bytes[at++]);
      continue;
    }
    size_t part = chunks->left < size - at ? (size_t)chunks->left : size - at;
    if (content != at) memmove(bytes + content, bytes + at, part);
    content += part;
    at += part;
    chunks->left -= part;
    if (chunks->left == 0) chunks->state = CHUNKS_DATA_CR;
  }
  return content;
}
