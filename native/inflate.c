/*
 * Gzip, decoded as fast as a processor looks up tables: 64 bits of input at once, one look-up for a code with its extra
 * bits, matches copied in words. The process that runs it holds nothing and may do nothing (unpacker.c).
 */
#include "inflate.h"
#include <string.h>

#define INPUT_BYTES (128u * 1024)
/* Readable behind the input, so that the loop need not look at the end. */
#define INPUT_SLACK 64u

#define LITLEN_BITS 11
#define DISTANCE_BITS 9
#define LENGTHS_BITS 7
#define CODE_BITS_MAX 15
#define LITLEN_SYMBOLS 288
#define DISTANCE_SYMBOLS 32
/* The most entries that a complete code with these root bits takes (zlib's enough.c): 2342 and 594. */
#define LITLEN_ENTRIES 2400
#define DISTANCE_ENTRIES 640

/*
 * An entry: bits 0 to 7 how many bits the code and its extra bits take together, 8 to 12 how many the code alone, 16 on the value: a literal,
 * the base of a length or distance, or where a second table begins (its bits are then the extra ones).
 */
#define LITERAL 0x80000000u
#define UNUSUAL 0x8000u /* one of the following */
#define SECOND 0x4000u
#define BLOCK_END 0x2000u /* else no code at all */
#define VALUE(entry) (((entry) >> 16) & 0x7fffu)

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

static bool broken(struct decoder *d, const char *problem) {
  if (d->problem == NULL) d->problem = problem;
  return false;
}

/* --- input --- */

/* Whether bits were taken that never came. */
static bool overdrawn(const struct decoder *d) {
  return d->in > d->in_end && (size_t)(d->in - d->in_end) > d->count / 8;
}

/* At least INPUT_SLACK bytes to read, zeros behind the end. */
static bool more_input(struct decoder *d) {
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

static inline bool need_input(struct decoder *d) {
  return d->in_end - d->in >= (ptrdiff_t)INPUT_SLACK / 2 || more_input(d);
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

/* --- output --- */

static bool more_room(struct decoder *d) {
  d->crc = crc32_update(d->crc, d->unsummed, (size_t)(d->out - d->unsummed));
  d->size += (uint64_t)(d->out - d->unsummed);
  d->out = d->io->advance(d->io->context, d->out, &d->limit);
  if (d->out == NULL) return broken(d, "the output is gone");
  d->unsummed = d->out;
  return true;
}

/* --- codes --- */

static uint32_t reversed(uint32_t code, unsigned bits) {
  uint32_t value = 0;
  for (unsigned i = 0; i < bits; i++, code >>= 1) value = value << 1 | (code & 1);
  return value;
}

/*
 * The tables of a canonical code (RFC 1951 section 3.2.2). `meaning` gives for each symbol its value, flags, and in bits 0 to 7 its extra bits.
 * What may be incomplete is a code of one bit, as zlib has it.
 */
static bool build(struct decoder *d, uint32_t *table, size_t capacity, unsigned root, const uint8_t *lengths, unsigned symbols,
                  const uint32_t *meaning) {
  unsigned counts[CODE_BITS_MAX + 1] = {0};
  uint32_t next[CODE_BITS_MAX + 1];
  unsigned longest = 0;
  for (unsigned symbol = 0; symbol < symbols; symbol++) counts[lengths[symbol]]++;
  counts[0] = 0;
  int left = 1;
  uint32_t code = 0;
  for (unsigned length = 1; length <= CODE_BITS_MAX; length++) {
    left = left * 2 - (int)counts[length];
    if (left < 0) return broken(d, "a code is oversubscribed");
    code = (code + counts[length - 1]) << 1;
    next[length] = code;
    if (counts[length] > 0) longest = length;
  }
  if (left > 0 && longest > 1) return broken(d, "a code is incomplete");
  size_t used = (size_t)1 << root;
  if (left > 0) {
    for (size_t i = 0; i < used; i++) table[i] = UNUSUAL | 1u;
  }
  /* Long codes share a second table with those of the same first bits: `root_bits` of it, and how long it has to be. */
  uint8_t longer[1 << LITLEN_BITS];
  if (longest > root) {
    memset(longer, 0, used);
    uint32_t place[CODE_BITS_MAX + 1];
    memcpy(place, next, sizeof place);
    for (unsigned symbol = 0; symbol < symbols; symbol++) {
      unsigned length = lengths[symbol];
      if (length == 0) continue;
      uint32_t at = place[length]++;
      if (length <= root) continue;
      uint32_t first = reversed(at >> (length - root), root);
      if (length - root > longer[first]) longer[first] = (uint8_t)(length - root);
    }
    for (size_t first = 0; first < ((size_t)1 << root); first++) {
      if (longer[first] == 0) continue;
      table[first] = UNUSUAL | SECOND | (uint32_t)used << 16 | root << 8 | longer[first];
      used += (size_t)1 << longer[first];
      if (used > capacity) return broken(d, "a code is too large");
    }
  }
  for (unsigned symbol = 0; symbol < symbols; symbol++) {
    unsigned length = lengths[symbol];
    if (length == 0) continue;
    uint32_t value = next[length]++;
    uint32_t *at = table;
    size_t size = (size_t)1 << root;
    unsigned taken = length;
    uint32_t start;
    if (length <= root) {
      start = reversed(value, length);
    } else {
      uint32_t first = reversed(value >> (length - root), root);
      taken = length - root;
      at = table + VALUE(table[first]);
      size = (size_t)1 << longer[first];
      start = reversed(value & ((1u << taken) - 1), taken);
    }
    uint32_t extra = meaning[symbol] & 0xff;
    uint32_t entry = (meaning[symbol] & ~0xffu) | taken << 8 | (taken + extra);
    for (size_t i = start; i < size; i += (size_t)1 << taken) at[i] = entry;
  }
  return true;
}

/* RFC 1951 section 3.2.5 */
static const uint16_t length_base[29] = {3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258};
static const uint8_t length_extra[29] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
static const uint16_t distance_base[30] = {1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577};
static const uint8_t distance_extra[30] = {0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13};

static bool build_both(struct decoder *d, const uint8_t *litlens, unsigned litlen_count, const uint8_t *distances, unsigned distance_count) {
  static uint32_t of_litlen[LITLEN_SYMBOLS];
  static uint32_t of_distance[DISTANCE_SYMBOLS];
  if (of_litlen[256] == 0) {
    for (uint32_t i = 0; i < 256; i++) of_litlen[i] = LITERAL | i << 16;
    for (uint32_t i = 0; i < 29; i++) of_litlen[257 + i] = (uint32_t)length_base[i] << 16 | length_extra[i];
    for (uint32_t i = 0; i < 30; i++) of_distance[i] = (uint32_t)distance_base[i] << 16 | distance_extra[i];
    of_litlen[286] = of_litlen[287] = of_distance[30] = of_distance[31] = UNUSUAL;
    of_litlen[256] = UNUSUAL | BLOCK_END;
  }
  return build(d, d->litlen, LITLEN_ENTRIES, LITLEN_BITS, litlens, litlen_count, of_litlen) &&
         build(d, d->distance, DISTANCE_ENTRIES, DISTANCE_BITS, distances, distance_count, of_distance);
}

/* RFC 1951 section 3.2.6 */
static bool fixed_codes(struct decoder *d) {
  uint8_t litlens[LITLEN_SYMBOLS];
  uint8_t distances[DISTANCE_SYMBOLS];
  memset(litlens, 8, 144);
  memset(litlens + 144, 9, 112);
  memset(litlens + 256, 7, 24);
  memset(litlens + 280, 8, 8);
  memset(distances, 5, sizeof distances);
  return build_both(d, litlens, LITLEN_SYMBOLS, distances, DISTANCE_SYMBOLS);
}

/* RFC 1951 section 3.2.7 */
static bool dynamic_codes(struct decoder *d) {
  static const uint8_t order[19] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
  uint8_t lengths[LITLEN_SYMBOLS + DISTANCE_SYMBOLS + 138] = {0};
  uint8_t of_lengths[19] = {0};
  uint32_t meaning[19];
  uint32_t table[1 << LENGTHS_BITS];
  if (!need_input(d)) return false;
  refill(d);
  unsigned litlens = take(d, 5) + 257;
  unsigned distances = take(d, 5) + 1;
  unsigned count = take(d, 4) + 4;
  if (litlens > 286 || distances > 30) return broken(d, "too many length or distance symbols");
  for (unsigned i = 0; i < count; i++) {
    if (d->count < 3) refill(d);
    of_lengths[order[i]] = (uint8_t)take(d, 3);
  }
  for (uint32_t i = 0; i < 19; i++) meaning[i] = i << 16;
  unsigned kinds = 0;
  for (unsigned i = 0; i < 19; i++) kinds += of_lengths[i] != 0;
  /* Here even one code alone has to be complete, which it never is. */
  if (kinds < 2) return broken(d, "invalid code lengths set");
  if (!build(d, table, sizeof table / sizeof *table, LENGTHS_BITS, of_lengths, 19, meaning)) return false;
  for (unsigned at = 0; at < litlens + distances;) {
    if (!need_input(d)) return false;
    refill(d);
    uint32_t entry = table[d->bits & ((1u << LENGTHS_BITS) - 1)];
    take(d, entry & 0xff);
    unsigned symbol = VALUE(entry);
    if (symbol < 16) {
      lengths[at++] = (uint8_t)symbol;
      continue;
    }
    uint8_t value = 0;
    unsigned times;
    if (symbol == 16) {
      if (at == 0) return broken(d, "invalid bit length repeat");
      value = lengths[at - 1];
      times = 3 + take(d, 2);
    } else {
      times = symbol == 17 ? 3 + take(d, 3) : 11 + take(d, 7);
    }
    if (at + times > litlens + distances) return broken(d, "invalid bit length repeat");
    memset(lengths + at, value, times);
    at += times;
  }
  if (lengths[256] == 0) return broken(d, "missing end-of-block code");
  return build_both(d, lengths, litlens, lengths + litlens, distances);
}

/* --- blocks --- */

/* `length` is 3 to 258; up to 31 bytes more may be written. */
static inline void copy_match(uint8_t *out, uint32_t distance, uint32_t length) {
  const uint8_t *from = out - distance;
  const uint8_t *end = out + length;
  if (distance >= 16) {
    /* Most matches are short: twice without a look at the length, which the processor would guess wrong. */
    memcpy(out, from, 16);
    memcpy(out + 16, from + 16, 16);
    while (out + 32 < end) {
      out += 32;
      from += 32;
      memcpy(out, from, 16);
      memcpy(out + 16, from + 16, 16);
    }
  } else if (distance == 1) {
    memset(out, *from, length);
  } else if (distance >= 8) {
    do {
      memcpy(out, from, 8);
      out += 8;
      from += 8;
    } while (out < end);
  } else {
    while (out < end) *out++ = *from++;
  }
}

static bool stored_block(struct decoder *d) {
  /* The bits that are left of this byte are nothing; whole bytes go back. */
  take(d, d->count & 7);
  d->in -= d->count / 8;
  d->bits = 0;
  d->count = 0;
  if (d->in_end - d->in < 4 && !more_input(d)) return false;
  if (d->in_end - d->in < 4) return broken(d, "unexpected end of data");
  size_t left = (size_t)d->in[0] | (size_t)d->in[1] << 8;
  size_t check = (size_t)d->in[2] | (size_t)d->in[3] << 8;
  d->in += 4;
  if (left != (check ^ 0xffff)) return broken(d, "invalid stored block lengths");
  while (left > 0) {
    if (d->in == d->in_end && !more_input(d)) return false;
    if (d->in >= d->in_end) return broken(d, "unexpected end of data");
    if (d->out >= d->limit && !more_room(d)) return false;
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

static inline __attribute__((always_inline)) bool decode_block(struct decoder *d) {
  /* In registers: a store of a byte could change `d`, as far as the compiler knows. */
  const uint8_t *in = d->in;
  uint64_t bits = d->bits;
  unsigned count = d->count;
  uint8_t *out = d->out;
  uint8_t *limit = d->limit;
  const uint8_t *in_last = d->in_end - INPUT_SLACK / 2;
  const uint8_t *unsummed = d->unsummed;
  uint64_t before = d->size;
  const uint32_t *litlen = d->litlen;
  const uint32_t *distances = d->distance;
#define SAVE() (d->in = in, d->bits = bits, d->count = count, d->out = out)
#define RESTORE() (in = d->in, bits = d->bits, count = d->count, out = d->out, limit = d->limit, \
                   in_last = d->in_end - INPUT_SLACK / 2, unsummed = d->unsummed, before = d->size)
#define REFILL() (bits |= load64(in) << count, in += (63 - count) >> 3, count |= 56)
#define DROP(n) (bits >>= (n), count -= (n))
#define FIRST (bits & ((1u << LITLEN_BITS) - 1))
#define EXTRA(entry) ((uint32_t)((bits & ((1ull << ((entry) & 0xff)) - 1)) >> (((entry) >> 8) & 0x1f)))
#define PUT_LITERAL(entry) (bits >>= (entry) & 0xff, count -= (entry) & 0xff, *out++ = (uint8_t)((entry) >> 16))
  for (;;) {
    if (in > in_last || out >= limit) {
      SAVE();
      if (!need_input(d) || (d->out >= d->limit && !more_room(d))) return false;
      RESTORE();
    }
    REFILL();
    uint32_t entry = litlen[FIRST];
    do {
      if ((entry & LITERAL) != 0) {
        /* Three codes of the first table take 33 bits at most: 23 are left, enough for another look-up. */
        PUT_LITERAL(entry);
        entry = litlen[FIRST];
        if ((entry & LITERAL) != 0) {
          PUT_LITERAL(entry);
          entry = litlen[FIRST];
          if ((entry & LITERAL) != 0) {
            PUT_LITERAL(entry);
            REFILL();
            entry = litlen[FIRST];
            continue;
          }
        }
        REFILL();
      }
      if ((entry & UNUSUAL) != 0) {
        if ((entry & SECOND) != 0) {
          DROP(LITLEN_BITS);
          entry = litlen[VALUE(entry) + (bits & ((1u << (entry & 0xff)) - 1))];
          if ((entry & LITERAL) != 0) {
            PUT_LITERAL(entry);
            REFILL();
            entry = litlen[FIRST];
            continue;
          }
        }
        if ((entry & UNUSUAL) != 0) {
          DROP(entry & 0xff);
          SAVE();
          return (entry & BLOCK_END) != 0 ? true : broken(d, "invalid literal or length code");
        }
      }
      /* A length takes 15 + 5 bits at most, a distance 15 + 13: 48 of 56. */
      uint32_t length = VALUE(entry) + EXTRA(entry);
      DROP(entry & 0xff);
      entry = distances[bits & ((1u << DISTANCE_BITS) - 1)];
      if ((entry & UNUSUAL) != 0) {
        if ((entry & SECOND) != 0) {
          DROP(DISTANCE_BITS);
          entry = distances[VALUE(entry) + (bits & ((1u << (entry & 0xff)) - 1))];
        }
        if ((entry & UNUSUAL) != 0) {
          SAVE();
          return broken(d, "invalid distance code");
        }
      }
      uint32_t distance = VALUE(entry) + EXTRA(entry);
      DROP(entry & 0xff);
      if (distance > before + (uint64_t)(out - unsummed)) {
        SAVE();
        return broken(d, "invalid distance too far back");
      }
      /* The next look-up is under way while the match is copied. */
      REFILL();
      entry = litlen[FIRST];
      copy_match(out, distance, length);
      out += length;
    } while (in <= in_last && out < limit);
  }
#undef EXTRA
#undef PUT_LITERAL
#undef SAVE
#undef RESTORE
#undef REFILL
#undef DROP
#undef FIRST
}

#if defined(__x86_64__)
#include <cpuid.h>

/* The same with shifts and masks that take their count from any register: a twentieth faster. */
__attribute__((target("bmi,bmi2"))) static bool decode_block_bmi2(struct decoder *d) { return decode_block(d); }

static bool has_bmi2(void) {
  static int known; /* 1: no, 2: yes */
  unsigned a, b, c, e;
  if (known == 0) known = __get_cpuid_count(7, 0, &a, &b, &c, &e) != 0 && (b & bit_BMI) != 0 && (b & bit_BMI2) != 0 ? 2 : 1;
  return known == 2;
}
#else
static bool has_bmi2(void) { return false; }
static bool decode_block_bmi2(struct decoder *d) { return decode_block(d); }
#endif

static bool coded_block(struct decoder *d) {
  return has_bmi2() ? decode_block_bmi2(d) : decode_block(d);
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
      done = fixed_codes(d) && coded_block(d);
      break;
    case 2:
      done = dynamic_codes(d) && coded_block(d);
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
    if (d->input_ended || !more_input(d)) return -1;
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
  return more_room(d) && member_trailer(d);
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
