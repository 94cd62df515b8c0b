/*
 * SHA-256 of several bodies at once, two at a time wherever two wait: a processor that has instructions for it hashes two in little more
 * than the time of one. A single body is hashed by a thread beside the one that carries it, while its next bytes come. Where there
 * are more bodies than processors, whoever must wait for his own hashes it, with another one that waits: nobody sleeps while there is work.
 */
#ifndef VITRINE_HASHING_H
#define VITRINE_HASHING_H
#include "sha256.h"
#include <pthread.h>
#include <stdbool.h>

#define HASHING_THREADS_MAX 32u

enum hashing_state { HASHING_SETTLED, HASHING_QUEUED, HASHING_TAKEN };

/* Of one body, of which one part is hashed at a time. */
struct hashing {
  struct sha256 *hash;
  pthread_cond_t changed; /* no longer HASHING_TAKEN */
  bool awaited;
  const uint8_t *at; /* what is left of the part */
  size_t left;
  enum hashing_state state;
  struct hashing *next, *before; /* HASHING_QUEUED */
};

/* Of a program that waits for work; one for two of the machine's processors is enough. Never returns. */
void *hashing_thread(void *unused);
unsigned hashing_threads(void);

void hashing_begin(struct hashing *body, struct sha256 *hash);
/* Until the part before is hashed. These bytes stay as they are until `hashing_end`, or the next call, has returned. */
void hashing_add(struct hashing *body, const uint8_t *at, size_t size);
/* Afterwards `hash` has seen every part. */
void hashing_end(struct hashing *body);
#endif
