/*
 * native/hashing.c: bodies that are hashed at once, in parts of any size by any number of threads, or by nobody but those that wait, have
 * the digests that each has alone. Parts lie in memory that is overwritten as soon as that is allowed.
 */
#include "hashing.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BODIES_MAX = 9, HASHERS_MAX = 3, ROUNDS = 20, PART_MAX = 150000 };

static _Noreturn void fail(const char *what) {
  fprintf(stderr, "hashing: %s\n", what);
  exit(1);
}

static uint32_t below(uint32_t *state, uint32_t most) {
  *state = *state * 1664525u + 1013904223u;
  return (*state >> 8) % most;
}

static void *hash_bodies(void *number) {
  uint32_t state = (uint32_t)(uintptr_t)number;
  uint8_t *parts[2] = {malloc(PART_MAX), malloc(PART_MAX)};
  if (parts[0] == NULL || parts[1] == NULL) fail("no memory");
  for (int round = 0; round < ROUNDS; round++) {
    struct sha256 alone, beside;
    struct hashing body;
    char expected[65], got[65];
    sha256_begin(&alone);
    sha256_begin(&beside);
    hashing_begin(&body, &beside);
    for (uint32_t part = 0, count = below(&state, 8); part < count; part++) {
      uint8_t *at = parts[part % 2];
      size_t size = below(&state, 3) == 0 ? below(&state, 200) : below(&state, PART_MAX);
      memset(at, (int)below(&state, 256), size);
      sha256_update(&alone, at, size);
      hashing_add(&body, at, size);
    }
    hashing_end(&body);
    if (beside.size != alone.size) fail("bytes are missing");
    sha256_hex(&alone, expected);
    sha256_hex(&beside, got);
    if (strcmp(expected, got) != 0) fail("another digest");
  }
  free(parts[0]);
  free(parts[1]);
  return NULL;
}

static void hash_at_once(uintptr_t count) {
  pthread_t bodies[BODIES_MAX];
  for (uintptr_t i = 0; i < count; i++) {
    if (pthread_create(&bodies[i], NULL, hash_bodies, (void *)(i + 1)) != 0) fail("no thread");
  }
  for (uintptr_t i = 0; i < count; i++) pthread_join(bodies[i], NULL);
}

int main(void) {
  if (hashing_threads() < 1 || hashing_threads() > HASHING_THREADS_MAX) fail("a number of threads");
  for (int hashers = 0;; hashers++) {
    hash_at_once(1);
    hash_at_once(2);
    hash_at_once(BODIES_MAX);
    pthread_t hasher;
    if (hashers == HASHERS_MAX) break;
    if (pthread_create(&hasher, NULL, hashing_thread, NULL) != 0) fail("no thread");
  }
  printf("hashing: up to %d bodies at a time, beside up to %d threads\n", BODIES_MAX, HASHERS_MAX);
  return 0;
}
