/* The tables of a block's codes: what they are is described in inflate_state.h, what they mean in RFC 1951 section 3.2. */
#include "inflate_state.h"

#define LENGTHS_BITS 7

/* A canonical code's words in order: shorter ones first, as they are read (their first bit is bit 0). */
struct words {
  unsigned counts[CODE_BITS_MAX + 1];
  unsigned longest;
  bool incomplete;
  uint16_t symbols[LITLEN_SYMBOLS];
};

/* RFC 1951 section 3.2.2. What may be incomplete is a code of one bit, as zlib has it. */
static bool order_words(struct decoder *d, const uint8_t *lengths, unsigned symbols, struct words *words) {
  unsigned places[CODE_BITS_MAX + 2] = {0};
  memset(words->counts, 0, sizeof words->counts);
  for (unsigned symbol = 0; symbol < symbols; symbol++) words->counts[lengths[symbol]]++;
  words->longest = 0;
  int left = 1;
  for (unsigned length = 1; length <= CODE_BITS_MAX; length++) {
    left = left * 2 - (int)words->counts[length];
    if (left < 0) return broken(d, "a code is oversubscribed");
    if (words->counts[length] > 0) words->longest = length;
    places[length + 1] = places[length] + words->counts[length];
  }
  words->incomplete = left > 0;
  if (words->incomplete && words->longest > 1) return broken(d, "a code is incomplete");
  /* Symbols without a code go where no one looks: behind the others. */
  places[0] = places[CODE_BITS_MAX + 1];
  for (unsigned symbol = 0; symbol < symbols; symbol++) words->symbols[places[lengths[symbol]]++] = (uint16_t)symbol;
  return true;
}

/* Behind the last comes 0. A longer word begins with the bits of the one that would follow. */
static uint32_t next_word(uint32_t word, unsigned length) {
  /* One more, carried from the highest bit to the lowest. */
  uint32_t bit = 1u << (length - 1);
  while ((word & bit) != 0) {
    word ^= bit;
    bit >>= 1;
  }
  return word | bit;
}

static inline uint32_t entry_of(uint32_t meaning, unsigned length) {
  return (meaning & ~0xffu) | length << 8 | (length + (meaning & 0xffu));
}

/* Words longer than `root` bits: those that begin in the same way share a second table. */
static bool build_second(struct decoder *d, uint32_t *table, size_t capacity, unsigned root, const struct words *words, unsigned at, unsigned length,
                         uint32_t word, const uint32_t *meaning) {
  const uint32_t mask = (1u << root) - 1;
  unsigned end = 0;
  for (unsigned each = 1; each <= CODE_BITS_MAX; each++) end += words->counts[each];
  unsigned left = words->counts[length];
  size_t used = (size_t)mask + 1;
  size_t begin = 0;
  unsigned bits = 0;
  for (uint32_t prefix = ~0u; at < end; at++) {
    while (left == 0) left = words->counts[++length];
    left--;
    if ((word & mask) != prefix) {
      prefix = word & mask;
      /* As long as its longest word; of each length as many fit as the shorter ones leave. */
      bits = length - root;
      unsigned held = left + 1;
      while (held < 1u << bits && root + bits < CODE_BITS_MAX) {
        bits++;
        held = held * 2 + words->counts[root + bits];
      }
      begin = used;
      used += (size_t)1 << bits;
      if (used > capacity) return broken(d, "a code is too large");
      table[prefix] = (uint32_t)begin << 16 | UNUSUAL | SECOND | bits << 8 | root;
    }
    uint32_t entry = entry_of(meaning[words->symbols[at]], length - root);
    for (size_t i = word >> root; i < (size_t)1 << bits; i += (size_t)1 << (length - root)) table[begin + i] = entry;
    word = next_word(word, length);
  }
  return true;
}

static bool build(struct decoder *d, uint32_t *table, size_t capacity, unsigned root, const uint8_t *lengths, unsigned symbols,
                  const uint32_t *meaning) {
  struct words words;
  if (!order_words(d, lengths, symbols, &words)) return false;
  if (words.incomplete) table[0] = table[1] = UNUSUAL | 1u;
  /* What is known of the first `length` bits holds for both values of the next. */
  uint32_t word = 0;
  unsigned at = 0;
  const unsigned last = words.longest < root ? words.longest : root;
  unsigned length = 1;
  for (;; length++) {
    for (unsigned left = length <= last ? words.counts[length] : 0; left > 0; left--) {
      table[word] = entry_of(meaning[words.symbols[at++]], length);
      word = next_word(word, length);
    }
    if (length == root) break;
    memcpy(table + ((size_t)1 << length), table, sizeof *table << length);
  }
  while (length < words.longest && words.counts[length + 1] == 0) length++;
  return words.longest <= root || build_second(d, table, capacity, root, &words, at, length + 1, word, meaning);
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
    for (uint32_t i = 0; i < 256; i++) of_litlen[i] = i << 16;
    for (uint32_t i = 0; i < 29; i++) of_litlen[257 + i] = (uint32_t)length_base[i] << 16 | MATCH | length_extra[i];
    for (uint32_t i = 0; i < 30; i++) of_distance[i] = (uint32_t)distance_base[i] << 16 | distance_extra[i];
    of_litlen[286] = of_litlen[287] = of_distance[30] = of_distance[31] = UNUSUAL;
    of_litlen[256] = UNUSUAL | BLOCK_END;
  }
  return build(d, d->litlen, LITLEN_ENTRIES, LITLEN_BITS, litlens, litlen_count, of_litlen) &&
         build(d, d->distance, DISTANCE_ENTRIES, DISTANCE_BITS, distances, distance_count, of_distance);
}

/* RFC 1951 section 3.2.6 */
bool inflate_fixed_codes(struct decoder *d) {
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
bool inflate_dynamic_codes(struct decoder *d) {
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
