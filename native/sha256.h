/* SHA-256 (FIPS 180-4). */
#ifndef VITRINE_SHA256_H
#define VITRINE_SHA256_H
#include <stddef.h>
#include <stdint.h>

struct sha256 {
  uint32_t state[8];
  uint64_t size;
  uint8_t block[64];
};

void sha256_begin(struct sha256 *hash);
void sha256_update(struct sha256 *hash, const uint8_t *at, size_t size);
/* Two hashes, as many bytes of each: a processor with instructions for it has time for another between any two of one. */
void sha256_update_both(struct sha256 *first, const uint8_t *of_first, struct sha256 *second, const uint8_t *of_second, size_t size);
/* Lower-case digits and a null. Ends it. */
void sha256_hex(struct sha256 *hash, char out[static 65]);
#endif
