/* The codes of a block: one look-up for a code with its extra bits, matches copied in words. */
#include "inflate_state.h"

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

/* Nothing stands before it that a match may take. */
static const uint8_t *oldest_of(const struct decoder *d) {
  return d->unsummed - (d->size < INFLATE_WINDOW_BYTES ? d->size : INFLATE_WINDOW_BYTES);
}

static inline __attribute__((always_inline)) bool decode_block(struct decoder *d) {
  /* In registers: a store of a byte could change `d`, as far as the compiler knows. */
  const uint8_t *in = d->in;
  uint64_t bits = d->bits;
  uint32_t count = d->count; /* only its lowest 8 bits count */
  uint8_t *out = d->out;
  uint8_t *limit = d->limit;
  const uint8_t *in_last = d->in_end - INPUT_SLACK / 2;
  const uint8_t *oldest = oldest_of(d);
  const uint32_t *litlen = d->litlen;
  const uint32_t *distances = d->distance;
#define SAVE() (d->in = in, d->bits = bits, d->count = count & 0xff, d->out = out)
#define RESTORE() (in = d->in, bits = d->bits, count = d->count, out = d->out, limit = d->limit, \
                   in_last = d->in_end - INPUT_SLACK / 2, oldest = oldest_of(d))
#define REFILL() (bits |= load64(in) << (count & 63), in += 7 - ((count >> 3) & 7), count |= 56)
/* Subtracts more than is meant: above the bits that count. */
#define DROP(entry) (bits >>= (entry) & 63, count -= (entry))
#define FIRST (bits & ((1u << LITLEN_BITS) - 1))
#define EXTRA(from, entry) ((uint32_t)(((from) & ((1ull << ((entry) & 0xff)) - 1)) >> CODE_BITS(entry)))
#define PUT_LITERAL(entry) (*out++ = (uint8_t)VALUE(entry))
  for (;;) {
    if (in > in_last || out >= limit) {
      SAVE();
      if (!need_input(d) || (d->out >= d->limit && !inflate_more_room(d))) return false;
      RESTORE();
    }
    REFILL();
    uint32_t entry = litlen[FIRST];
    do {
      uint64_t before = bits;
      DROP(entry);
      if ((entry & (MATCH | UNUSUAL)) == 0) {
        /* Two, no more: a third would save a refill and cost wrong guesses of the processor. */
        PUT_LITERAL(entry);
        entry = litlen[FIRST];
        before = bits;
        DROP(entry);
        if ((entry & (MATCH | UNUSUAL)) == 0) {
          PUT_LITERAL(entry);
          entry = litlen[FIRST];
          REFILL();
          continue;
        }
      }
      if ((entry & UNUSUAL) != 0) {
        if ((entry & SECOND) == 0) {
          SAVE();
          return (entry & BLOCK_END) != 0 ? true : broken(d, "invalid literal or length code");
        }
        /* At least 34 bits are left. A length of the second table takes 4 + 5 of them. */
        entry = litlen[VALUE(entry) + (bits & ((1u << CODE_BITS(entry)) - 1))];
        before = bits;
        DROP(entry);
        if ((entry & MATCH) == 0) {
          if ((entry & UNUSUAL) != 0) {
            SAVE();
            return (entry & BLOCK_END) != 0 ? true : broken(d, "invalid literal or length code");
          }
          PUT_LITERAL(entry);
          entry = litlen[FIRST];
          REFILL();
          continue;
        }
      }
      uint32_t length = VALUE(entry) + EXTRA(before, entry);
      /* At least 25 bits are left for this look-up, then a distance takes 15 + 13. */
      entry = distances[bits & ((1u << DISTANCE_BITS) - 1)];
      REFILL();
      if ((entry & UNUSUAL) != 0) {
        if ((entry & SECOND) != 0) {
          uint32_t place = VALUE(entry) + ((uint32_t)(bits >> DISTANCE_BITS) & ((1u << CODE_BITS(entry)) - 1));
          DROP(entry);
          entry = distances[place];
        }
        if ((entry & UNUSUAL) != 0) {
          SAVE();
          return broken(d, "invalid distance code");
        }
      }
      uint32_t distance = VALUE(entry) + EXTRA(bits, entry);
      DROP(entry);
      if (distance > (size_t)(out - oldest)) {
        SAVE();
        return broken(d, "invalid distance too far back");
      }
      /* The next look-up is under way while the match is copied. */
      entry = litlen[FIRST];
      REFILL();
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

bool inflate_coded_block(struct decoder *d) {
  return has_bmi2() ? decode_block_bmi2(d) : decode_block(d);
}
