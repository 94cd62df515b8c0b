/*
 * SHA-256 of several bodies at once, in threads beside those that carry them: two bodies a thread, since a processor that has instructions
 * for it hashes two in little more than the time of one. A single body is hashed while its next bytes come.
 */
#ifndef VITRINE_HASHING_H
#define VITRINE_HASHING_H
#include "sha256.h"
#include <pthread.h>
#include <stdbool.h>

#define HASHING_THREADS_MAX 32u

/* Of one body, of which one part is hashed at a time. Zeros but for `hash` and `settled`. */
struct hashing {
  struct sha256 *hash;
  pthread_cond_t settled;
  const uint8_t *at; /* what is left of the part */
  size_t left;
  bool wanted; /* it is under way */
  struct hashing *next;
};

/* Of a program that waits for work; one for two of the machine's processors is enough. Never returns. */
void *hashing_thread(void *unused);
unsigned hashing_threads(void);

void hashing_begin(struct hashing *body, struct sha256 *hash);
/* Waits until the part before is hashed. These bytes stay as they are until `hashing_end`, or the next call, has returned. */
void hashing_add(struct hashing *body, const uint8_t *at, size_t size);
/* Afterwards `hash` has seen every part. */
void hashing_end(struct hashing *body);
#endif
