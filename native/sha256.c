/* SHA-256, by the processor's own instructions where it has them. */
#include "sha256.h"
#include <stdbool.h>
#include <string.h>

static const uint32_t constants[64] __attribute__((aligned(16))) = {
  0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
  0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
  0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
  0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t turned(uint32_t value, unsigned by) { return value >> by | value << (32 - by); }

static void blocks_in_c(uint32_t state[8], const uint8_t *at, size_t count) {
  for (; count > 0; count--, at += 64) {
    uint32_t w[64];
    uint32_t s[8];
    for (int i = 0; i < 16; i++) {
      const uint8_t *word = at + (size_t)i * 4;
      w[i] = (uint32_t)word[0] << 24 | (uint32_t)word[1] << 16 | (uint32_t)word[2] << 8 | word[3];
    }
    for (int i = 16; i < 64; i++) {
      uint32_t a = turned(w[i - 15], 7) ^ turned(w[i - 15], 18) ^ w[i - 15] >> 3;
      uint32_t b = turned(w[i - 2], 17) ^ turned(w[i - 2], 19) ^ w[i - 2] >> 10;
      w[i] = w[i - 16] + a + w[i - 7] + b;
    }
    memcpy(s, state, sizeof s);
    for (int i = 0; i < 64; i++) {
      uint32_t e = turned(s[4], 6) ^ turned(s[4], 11) ^ turned(s[4], 25);
      uint32_t one = s[7] + e + ((s[4] & s[5]) ^ (~s[4] & s[6])) + constants[i] + w[i];
      uint32_t a = turned(s[0], 2) ^ turned(s[0], 13) ^ turned(s[0], 22);
      uint32_t two = a + ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
      memmove(s + 1, s, 7 * sizeof *s);
      s[4] += one;
      s[0] = one + two;
    }
    for (int i = 0; i < 8; i++) state[i] += s[i];
  }
}

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>

#define BY_PROCESSOR __attribute__((target("sha,sse4.1")))

/* One hash in registers. The instructions want its state as ABEF and CDGH. */
struct lane {
  __m128i abef, cdgh, w[4];
};

BY_PROCESSOR static inline struct lane lane_of(const uint32_t state[8]) {
  __m128i low = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(const void *)state), 0xb1);
  __m128i high = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(const void *)(state + 4)), 0x1b);
  return (struct lane){.abef = _mm_alignr_epi8(low, high, 8), .cdgh = _mm_blend_epi16(high, low, 0xf0)};
}

BY_PROCESSOR static inline void lane_store(const struct lane *lane, uint32_t state[8]) {
  __m128i low = _mm_shuffle_epi32(lane->abef, 0x1b);
  __m128i high = _mm_shuffle_epi32(lane->cdgh, 0xb1);
  _mm_storeu_si128((__m128i *)(void *)state, _mm_blend_epi16(low, high, 0xf0));
  _mm_storeu_si128((__m128i *)(void *)(state + 4), _mm_alignr_epi8(high, low, 8));
}

BY_PROCESSOR static inline __attribute__((always_inline)) void lane_load(struct lane *lane, const uint8_t *at) {
  const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
  for (int i = 0; i < 4; i++) lane->w[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(const void *)(at + (size_t)i * 16)), swap);
}

/* Four rounds of the 64; `i` is a constant once the loop is unrolled. */
BY_PROCESSOR static inline __attribute__((always_inline)) void lane_rounds(struct lane *lane, int i) {
  __m128i words = lane->w[i & 3];
  __m128i sum = _mm_add_epi32(words, _mm_load_si128((const __m128i *)(const void *)(constants + (size_t)i * 4)));
  lane->cdgh = _mm_sha256rnds2_epu32(lane->cdgh, lane->abef, sum);
  lane->abef = _mm_sha256rnds2_epu32(lane->abef, lane->cdgh, _mm_shuffle_epi32(sum, 0x0e));
  if (i < 12) {
    __m128i next = _mm_sha256msg1_epu32(words, lane->w[(i + 1) & 3]);
    next = _mm_add_epi32(next, _mm_alignr_epi8(lane->w[(i + 3) & 3], lane->w[(i + 2) & 3], 4));
    lane->w[i & 3] = _mm_sha256msg2_epu32(next, lane->w[(i + 3) & 3]);
  }
}

BY_PROCESSOR static void blocks_by_processor(uint32_t state[8], const uint8_t *at, size_t count) {
  struct lane lane = lane_of(state);
  for (; count > 0; count--, at += 64) {
    struct lane before = lane;
    lane_load(&lane, at);
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++) lane_rounds(&lane, i);
    lane.abef = _mm_add_epi32(lane.abef, before.abef);
    lane.cdgh = _mm_add_epi32(lane.cdgh, before.cdgh);
  }
  lane_store(&lane, state);
}

BY_PROCESSOR static void pairs_by_processor(uint32_t first[8], const uint8_t *of_first, uint32_t second[8], const uint8_t *of_second, size_t count) {
  struct lane a = lane_of(first);
  struct lane b = lane_of(second);
  for (; count > 0; count--, of_first += 64, of_second += 64) {
    __m128i before[4] = {a.abef, a.cdgh, b.abef, b.cdgh};
    lane_load(&a, of_first);
    lane_load(&b, of_second);
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++) {
      lane_rounds(&a, i);
      lane_rounds(&b, i);
    }
    a.abef = _mm_add_epi32(a.abef, before[0]);
    a.cdgh = _mm_add_epi32(a.cdgh, before[1]);
    b.abef = _mm_add_epi32(b.abef, before[2]);
    b.cdgh = _mm_add_epi32(b.cdgh, before[3]);
  }
  lane_store(&a, first);
  lane_store(&b, second);
}

static bool has_instructions(void) {
  static int known; /* 1: no, 2: yes; several threads may find out */
  unsigned a, b, c, d;
  int here = __atomic_load_n(&known, __ATOMIC_RELAXED);
  if (here == 0) {
    bool sse = __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_SSE4_1) != 0;
    here = sse && __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (b & bit_SHA) != 0 ? 2 : 1;
    __atomic_store_n(&known, here, __ATOMIC_RELAXED);
  }
  return here == 2;
}
#else
static bool has_instructions(void) { return false; }
static void blocks_by_processor(uint32_t state[8], const uint8_t *at, size_t count) { blocks_in_c(state, at, count); }
static void pairs_by_processor(uint32_t first[8], const uint8_t *of_first, uint32_t second[8], const uint8_t *of_second, size_t count) {
  blocks_in_c(first, of_first, count);
  blocks_in_c(second, of_second, count);
}
#endif

static void blocks(uint32_t state[8], const uint8_t *at, size_t count) {
  if (has_instructions()) blocks_by_processor(state, at, count);
  else blocks_in_c(state, at, count);
}

void sha256_begin(struct sha256 *hash) {
  static const uint32_t start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  memcpy(hash->state, start, sizeof start);
  hash->size = 0;
}

void sha256_update(struct sha256 *hash, const uint8_t *at, size_t size) {
  size_t held = (size_t)(hash->size % 64);
  hash->size += size;
  if (held > 0) {
    size_t count = size < 64 - held ? size : 64 - held;
    memcpy(hash->block + held, at, count);
    at += count;
    size -= count;
    if (held + count < 64) return;
    blocks(hash->state, hash->block, 1);
  }
  blocks(hash->state, at, size / 64);
  memcpy(hash->block, at + size / 64 * 64, size % 64);
}

void sha256_update_both(struct sha256 *first, const uint8_t *of_first, struct sha256 *second, const uint8_t *of_second, size_t size) {
  /* Between blocks only: whoever wants it fast gives whole ones. */
  bool together = first->size % 64 == 0 && second->size % 64 == 0 && has_instructions();
  size_t whole = together ? size / 64 : 0;
  if (whole > 0) {
    pairs_by_processor(first->state, of_first, second->state, of_second, whole);
    first->size += whole * 64;
    second->size += whole * 64;
  }
  sha256_update(first, of_first + whole * 64, size - whole * 64);
  sha256_update(second, of_second + whole * 64, size - whole * 64);
}

void sha256_hex(struct sha256 *hash, char out[static 65]) {
  static const char digits[] = "0123456789abcdef";
  uint8_t end[72] = {0x80};
  uint64_t bits = hash->size * 8;
  size_t padding = (size_t)(119 - hash->size % 64) % 64 + 1;
  for (int i = 0; i < 8; i++) end[padding + (size_t)i] = (uint8_t)(bits >> (56 - 8 * i));
  sha256_update(hash, end, padding + 8);
  for (size_t i = 0; i < 64; i++) {
    uint32_t word = hash->state[i / 8];
    out[i] = digits[word >> (28 - 4 * (i % 8)) & 0xf];
  }
  out[64] = 0;
}
