/* CRC-32 of RFC 1952: by carry-less multiplication (Gopal and others, "Fast CRC computation using PCLMULQDQ", 2009), or by tables. */
#include "inflate.h"
#include <string.h>

#define POLYNOMIAL 0xedb88320u

static uint32_t table[8][256];

static void make_table(void) {
  for (uint32_t byte = 0; byte < 256; byte++) {
    uint32_t value = byte;
    for (int bit = 0; bit < 8; bit++) value = (value >> 1) ^ ((value & 1) != 0 ? POLYNOMIAL : 0);
    table[0][byte] = value;
  }
  for (int more = 1; more < 8; more++) {
    for (int byte = 0; byte < 256; byte++)
      table[more][byte] = (table[more - 1][byte] >> 8) ^ table[0][table[more - 1][byte] & 0xff];
  }
}

/* `crc` is inverted already. */
static uint32_t by_table(uint32_t crc, const uint8_t *at, size_t size) {
  if (table[0][1] == 0) make_table();
  for (; size >= 8; size -= 8, at += 8) {
    uint32_t low = crc ^ ((uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24);
    crc = table[7][low & 0xff] ^ table[6][(low >> 8) & 0xff] ^ table[5][(low >> 16) & 0xff] ^ table[4][low >> 24] ^
          table[3][at[4]] ^ table[2][at[5]] ^ table[1][at[6]] ^ table[0][at[7]];
  }
  for (; size > 0; size--, at++) crc = (crc >> 8) ^ table[0][(crc ^ *at) & 0xff];
  return crc;
}

uint32_t crc32_by_table(uint32_t crc, const uint8_t *at, size_t size) {
  return ~by_table(~crc, at, size);
}

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>

#define FOLDING __attribute__((target("pclmul,sse4.1")))

FOLDING static __m128i fold(__m128i value, __m128i by, __m128i next) {
  __m128i low = _mm_clmulepi64_si128(value, by, 0x00);
  __m128i high = _mm_clmulepi64_si128(value, by, 0x11);
  return _mm_xor_si128(_mm_xor_si128(low, high), next);
}

#define FOLDING_WIDELY __attribute__((target("vpclmulqdq,avx2,sse4.1")))

FOLDING_WIDELY static __m256i fold_two(__m256i value, __m256i by, const __m128i *next) {
  __m256i low = _mm256_clmulepi64_epi128(value, by, 0x00);
  __m256i high = _mm256_clmulepi64_epi128(value, by, 0x11);
  return _mm256_xor_si256(_mm256_xor_si256(low, high), _mm256_loadu_si256((const __m256i *)(const void *)next));
}

/* What by_folding keeps of the first 128 bytes and of each 128 that follow: eight values, of which the last stands for the last 16 bytes. */
FOLDING_WIDELY static const __m128i *fold_widely(uint32_t crc, const __m128i *from, size_t blocks, __m128i out[8]) {
  const __m256i by128 = _mm256_set_epi64x(0x14a7fe880, 0x1e88ef372, 0x14a7fe880, 0x1e88ef372);
  __m256i value[4];
  for (int i = 0; i < 4; i++) value[i] = _mm256_loadu_si256((const __m256i *)(const void *)(from + 2 * i));
  value[0] = _mm256_xor_si256(value[0], _mm256_set_epi32(0, 0, 0, 0, 0, 0, 0, (int)crc));
  for (from += 8; blocks > 1; from += 8, blocks--) {
    for (int i = 0; i < 4; i++) value[i] = fold_two(value[i], by128, from + 2 * i);
  }
  for (int i = 0; i < 4; i++) _mm256_storeu_si256((__m256i *)(void *)(out + 2 * i), value[i]);
  return from;
}

static bool can_fold_widely(void) {
  static int known; /* 1: no, 2: yes */
  if (known == 0) {
    unsigned a, b, c, d;
    unsigned low = 0;
    unsigned high;
    known = 1;
    /* The kernel must keep the wide registers as well. */
    if (__get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_OSXSAVE) != 0) __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    if ((low & 6) == 6 && __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (b & bit_AVX2) != 0 && (c & bit_VPCLMULQDQ) != 0) known = 2;
  }
  return known == 2;
}

/* `size` is a multiple of 16 and at least 64. The constants are powers of x modulo the polynomial, bits reversed. */
FOLDING static uint32_t by_folding(uint32_t crc, const uint8_t *at, size_t size) {
  const __m128i by64 = _mm_set_epi64x(0x1c6e41596, 0x154442bd4);
  const __m128i by16 = _mm_set_epi64x(0x0ccaa009e, 0x1751997d0);
  const __m128i last = _mm_set_epi64x(0, 0x163cd6124);
  const __m128i barrett = _mm_set_epi64x(0x1f7011641, 0x1db710641);
  const __m128i low32 = _mm_set_epi32(0, 0, 0, -1);
  const __m128i *from = (const __m128i *)(const void *)at;
  __m128i a;
  if (size >= 256 && can_fold_widely()) {
    __m128i value[8];
    from = fold_widely(crc, from, size / 128, value);
    size %= 128;
    a = value[0];
    for (int i = 1; i < 8; i++) a = fold(a, by16, value[i]);
  } else {
    a = _mm_xor_si128(_mm_loadu_si128(from), _mm_cvtsi32_si128((int)crc));
    __m128i b = _mm_loadu_si128(from + 1);
    __m128i c = _mm_loadu_si128(from + 2);
    __m128i d = _mm_loadu_si128(from + 3);
    for (from += 4, size -= 64; size >= 64; from += 4, size -= 64) {
      a = fold(a, by64, _mm_loadu_si128(from));
      b = fold(b, by64, _mm_loadu_si128(from + 1));
      c = fold(c, by64, _mm_loadu_si128(from + 2));
      d = fold(d, by64, _mm_loadu_si128(from + 3));
    }
    a = fold(fold(fold(a, by16, b), by16, c), by16, d);
  }
  for (; size >= 16; from++, size -= 16) a = fold(a, by16, _mm_loadu_si128(from));
  /* 128 bits to 64, to 32, then Barrett's reduction. */
  a = _mm_xor_si128(_mm_clmulepi64_si128(a, by16, 0x10), _mm_srli_si128(a, 8));
  a = _mm_xor_si128(_mm_clmulepi64_si128(_mm_and_si128(a, low32), last, 0x00), _mm_srli_si128(a, 4));
  __m128i t = _mm_clmulepi64_si128(_mm_and_si128(a, low32), barrett, 0x10);
  t = _mm_clmulepi64_si128(_mm_and_si128(t, low32), barrett, 0x00);
  return (uint32_t)_mm_extract_epi32(_mm_xor_si128(a, t), 1);
}

static bool can_fold(void) {
  static int known; /* 1: no, 2: yes */
  unsigned a, b, c, d;
  if (known == 0) known = __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_PCLMUL) != 0 && (c & bit_SSE4_1) != 0 ? 2 : 1;
  return known == 2;
}
#else
static bool can_fold(void) { return false; }
static uint32_t by_folding(uint32_t crc, const uint8_t *at, size_t size) { return by_table(crc, at, size); }
#endif

uint32_t crc32_update(uint32_t crc, const uint8_t *at, size_t size) {
  crc = ~crc;
  if (size >= 64 && can_fold()) {
    size_t whole = size & ~(size_t)15;
    crc = by_folding(crc, at, whole);
    at += whole;
    size -= whole;
  }
  return ~by_table(crc, at, size);
}
