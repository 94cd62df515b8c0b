/*
 * Gzip's members and blocks, and their input and output: 64 bits at once. Codes are in inflate_codes.c and inflate_block.c. The process
 * that runs it holds nothing and may do nothing (unpacker.c).
 */
#include "inflate_state.h"

/* --- input --- */

/* Whether bits were taken that never came. */
static bool overdrawn(const struct decoder *d) {
  return d->in > d->in_end && (size_t)(d->in - d->in_end) > d->count / 8;
}

bool inflate_more_input(struct decoder *d) {
  if (d->input_ended) {
    return !overdrawn(d) || broken(d, "unexpected end of data");
  }
  /* What `bits` holds may go back: those bytes stay in front. */
  size_t held = (size_t)(d->in - d->input);
  if (held > 8) held = 8;
  size_t filled = held + (size_t)(d->in_end - d->in);
  memmove(d->input, d->in - held, filled);
  d->in = d->input + held;
  while (filled < held + INPUT_SLACK) {
    ptrdiff_t got = d->io->read(d->io->context, d->input + filled, INPUT_BYTES - filled);
    if (got < 0) return broken(d, "the input cannot be read");
    if (got == 0) {
      d->input_ended = true;
      break;
    }
    filled += (size_t)got;
  }
  d->in_end = d->input + filled;
  memset(d->input + filled, 0, INPUT_SLACK);
  return true;
}

/* --- output --- */

bool inflate_more_room(struct decoder *d) {
  d->crc = crc32_update(d->crc, d->unsummed, (size_t)(d->out - d->unsummed));
  d->size += (uint64_t)(d->out - d->unsummed);
  d->out = d->io->advance(d->io->context, d->out, &d->limit);
  if (d->out == NULL) return broken(d, "the output is gone");
  d->unsummed = d->out;
  return true;
}

/* --- blocks --- */

static bool stored_block(struct decoder *d) {
  /* The bits that are left of this byte are nothing; whole bytes go back. */
  take(d, d->count & 7);
  d->in -= d->count / 8;
  d->bits = 0;
  d->count = 0;
  if (d->in_end - d->in < 4 && !inflate_more_input(d)) return false;
  if (d->in_end - d->in < 4) return broken(d, "unexpected end of data");
  size_t left = (size_t)d->in[0] | (size_t)d->in[1] << 8;
  size_t check = (size_t)d->in[2] | (size_t)d->in[3] << 8;
  d->in += 4;
  if (left != (check ^ 0xffff)) return broken(d, "invalid stored block lengths");
  while (left > 0) {
    if (d->in == d->in_end && !inflate_more_input(d)) return false;
    if (d->in >= d->in_end) return broken(d, "unexpected end of data");
    if (d->out >= d->limit && !inflate_more_room(d)) return false;
    size_t count = (size_t)(d->in_end - d->in);
    if (count > left) count = left;
    if (count > (size_t)(d->limit - d->out)) count = (size_t)(d->limit - d->out);
    memcpy(d->out, d->in, count);
    d->in += count;
    d->out += count;
    left -= count;
  }
  return true;
}

static bool inflate_blocks(struct decoder *d) {
  for (;;) {
    if (!need_input(d)) return false;
    refill(d);
    bool last = take(d, 1) != 0;
    bool done;
    switch (take(d, 2)) {
    case 0:
      done = stored_block(d);
      break;
    case 1:
      done = inflate_fixed_codes(d) && inflate_coded_block(d);
      break;
    case 2:
      done = inflate_dynamic_codes(d) && inflate_coded_block(d);
      break;
    default:
      return broken(d, "invalid block type");
    }
    if (!done) return false;
    if (overdrawn(d)) return broken(d, "unexpected end of data");
    if (last) return true;
  }
}

/* --- members (RFC 1952 section 2.3) --- */

/* One byte, -1 at the end. Only between members: no bits are held. */
static int next_byte(struct decoder *d) {
  if (d->in >= d->in_end) {
    if (d->input_ended || !inflate_more_input(d)) return -1;
    if (d->in >= d->in_end) return -1;
  }
  return *d->in++;
}

static bool skip_text(struct decoder *d) {
  int byte;
  while ((byte = next_byte(d)) > 0) continue;
  return byte == 0;
}

static bool member_header(struct decoder *d) {
  /* The magic was read. */
  int method = next_byte(d);
  int flags = next_byte(d);
  if (flags < 0) return broken(d, "unexpected end of data");
  if (method != 8) return broken(d, "unknown compression method");
  if ((flags & 0xe0) != 0) return broken(d, "unknown header flags set");
  bool whole = true;
  for (int i = 0; i < 6; i++) whole = next_byte(d) >= 0 && whole;
  if ((flags & 4) != 0) {
    int low = next_byte(d);
    int high = next_byte(d);
    whole = whole && high >= 0;
    for (int left = whole ? low | high << 8 : 0; left > 0 && whole; left--) whole = next_byte(d) >= 0;
  }
  if ((flags & 8) != 0) whole = whole && skip_text(d);
  if ((flags & 16) != 0) whole = whole && skip_text(d);
  if ((flags & 2) != 0) whole = whole && next_byte(d) >= 0 && next_byte(d) >= 0;
  return whole || broken(d, "unexpected end of data");
}

static bool member_trailer(struct decoder *d) {
  uint32_t words[2] = {0, 0};
  for (int i = 0; i < 8; i++) {
    int byte = next_byte(d);
    if (byte < 0) return broken(d, "unexpected end of data");
    words[i / 4] |= (uint32_t)byte << (8 * (i % 4));
  }
  if (words[0] != d->crc) return broken(d, "incorrect data check");
  if (words[1] != (uint32_t)d->size) return broken(d, "incorrect length check");
  return true;
}

static bool inflate_member(struct decoder *d) {
  if (!member_header(d)) return false;
  d->crc = 0;
  d->size = 0;
  d->unsummed = d->out;
  d->bits = 0;
  d->count = 0;
  if (!inflate_blocks(d)) return false;
  /* Whole bytes that were looked at go back. */
  d->in -= d->count / 8;
  d->bits = 0;
  d->count = 0;
  if (d->in > d->in_end) return broken(d, "unexpected end of data");
  return inflate_more_room(d) && member_trailer(d);
}

static const char *inflate_all(struct decoder *d) {
  d->out = d->io->advance(d->io->context, NULL, &d->limit);
  if (d->out == NULL) return "the output is gone";
  for (bool first = true;; first = false) {
    int byte = next_byte(d);
    /* Behind a member zeros may fill up a block of a tape. */
    while (!first && byte == 0) byte = next_byte(d);
    if (byte < 0) return d->problem != NULL ? d->problem : first ? "unexpected end of data" : NULL;
    if (byte != 0x1f || next_byte(d) != 0x8b) return "something that is no gzip follows";
    if (!inflate_member(d)) return d->problem;
  }
}

const char *inflate_gzip(const struct inflate_io *io) {
  static struct decoder d;
  memset(&d, 0, offsetof(struct decoder, litlen));
  d.io = io;
  d.in = d.in_end = d.input;
  return inflate_all(&d);
}
