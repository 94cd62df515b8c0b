/*
 * The decoder of native/inflate.c on a file of cases, each a u32 length (little endian) and that many bytes. A line for each: `ok SIZE
 * SHA256` of the plain bytes, or what is wrong. Input and room come in small and uneven pieces, and nothing is readable or writable
 * beyond what the decoder may touch: under AddressSanitizer every step outside shows.
 */
#include "inflate.h"
#include "sha256.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TURN_BYTES 5000u
#define OUTPUT_MAX (64u * 1024 * 1024)

struct run {
  const uint8_t *in;
  size_t left;
  uint32_t random;
  uint8_t *window; /* INFLATE_WINDOW_BYTES, then a turn, then the slack */
  uint8_t *at;
  uint64_t size;
  struct sha256 hash;
};

static uint32_t next_random(struct run *run) {
  run->random = run->random * 1664525u + 1013904223u;
  return run->random >> 8;
}

static ptrdiff_t read_some(void *context, uint8_t *buffer, size_t size) {
  struct run *run = context;
  size_t count = 1 + next_random(run) % 3000;
  if (count > size) count = size;
  if (count > run->left) count = run->left;
  memcpy(buffer, run->in, count);
  run->in += count;
  run->left -= count;
  return (ptrdiff_t)count;
}

static uint8_t *advance(void *context, uint8_t *out, uint8_t **limit) {
  struct run *run = context;
  if (out != NULL) {
    sha256_update(&run->hash, run->at, (size_t)(out - run->at));
    run->size += (uint64_t)(out - run->at);
    memmove(run->window, out - INFLATE_WINDOW_BYTES, INFLATE_WINDOW_BYTES);
  }
  if (run->size > OUTPUT_MAX) return NULL;
  run->at = run->window + INFLATE_WINDOW_BYTES;
  *limit = run->at + 1 + next_random(run) % TURN_BYTES;
  return run->at;
}

static bool same_crc(struct run *run) {
  uint8_t bytes[700];
  size_t size = next_random(run) % sizeof bytes;
  for (size_t i = 0; i < size; i++) bytes[i] = (uint8_t)next_random(run);
  return crc32_update(size & 0xff, bytes, size) == crc32_by_table(size & 0xff, bytes, size);
}

/* Two hashes side by side, in uneven pieces, are those that each gives alone. */
static bool same_hashes(struct run *run) {
  uint8_t bytes[2][700];
  struct sha256 beside[2];
  size_t size = next_random(run) % sizeof bytes[0];
  size_t begin = next_random(run) % 3 == 0 ? next_random(run) % (size + 1) : 0;
  for (size_t i = 0; i < sizeof bytes; i++) bytes[i / sizeof bytes[0]][i % sizeof bytes[0]] = (uint8_t)next_random(run);
  for (int i = 0; i < 2; i++) sha256_begin(&beside[i]);
  sha256_update(&beside[0], bytes[0], begin);
  sha256_update_both(&beside[0], bytes[0] + begin, &beside[1], bytes[1], size - begin);
  sha256_update(&beside[1], bytes[1] + size - begin, begin);
  for (int i = 0; i < 2; i++) {
    struct sha256 alone;
    char hex[2][65];
    sha256_begin(&alone);
    sha256_update(&alone, bytes[i], size);
    sha256_hex(&alone, hex[0]);
    sha256_hex(&beside[i], hex[1]);
    if (strcmp(hex[0], hex[1]) != 0) return false;
  }
  return true;
}

int main(int argc, char **argv) {
  FILE *file = argc == 2 ? fopen(argv[1], "rb") : NULL;
  uint8_t head[4];
  if (file == NULL) return 2;
  for (uint32_t number = 1; fread(head, 1, 4, file) == 4; number++) {
    size_t size = (size_t)head[0] | (size_t)head[1] << 8 | (size_t)head[2] << 16 | (size_t)head[3] << 24;
    uint8_t *bytes = malloc(size == 0 ? 1 : size);
    struct run run = {.in = bytes, .left = size, .random = number};
    run.window = calloc(1, INFLATE_WINDOW_BYTES + TURN_BYTES + INFLATE_SLACK_BYTES);
    if (bytes == NULL || run.window == NULL || fread(bytes, 1, size, file) != size) return 2;
    const struct inflate_io io = {&run, read_some, advance};
    char hex[65];
    sha256_begin(&run.hash);
    const char *problem = inflate_gzip(&io);
    sha256_hex(&run.hash, hex);
    if (problem == NULL) printf("ok %llu %s\n", (unsigned long long)run.size, hex);
    else printf("%s\n", problem);
    if (!same_crc(&run) || !same_hashes(&run)) return 3;
    free(run.window);
    free(bytes);
  }
  return 0;
}
