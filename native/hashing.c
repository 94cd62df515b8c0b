#include "hashing.h"
#include <unistd.h>

/* A part that is alone is hashed in such pieces: one that comes meanwhile joins it after that. */
#define ALONE_BYTES (32u * 1024)
#define BLOCK_BYTES 64u

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t work = PTHREAD_COND_INITIALIZER;
/* Parts that no thread has taken, in the order in which they came. */
static struct hashing *first, **last = &first;
static unsigned idle;

unsigned hashing_threads(void) {
  long processors = sysconf(_SC_NPROCESSORS_ONLN);
  unsigned wanted = processors < 2 ? 1 : (unsigned)processors / 2;
  return wanted < HASHING_THREADS_MAX ? wanted : HASHING_THREADS_MAX;
}

/* --- those that wait for it --- */

void hashing_begin(struct hashing *body, struct sha256 *hash) {
  *body = (struct hashing){.hash = hash};
  pthread_cond_init(&body->settled, NULL);
}

static void settle(struct hashing *body) {
  while (body->wanted) pthread_cond_wait(&body->settled, &lock);
}

void hashing_add(struct hashing *body, const uint8_t *at, size_t size) {
  pthread_mutex_lock(&lock);
  settle(body);
  if (size > 0) {
    body->at = at;
    body->left = size;
    body->wanted = true;
    body->next = NULL;
    *last = body;
    last = &body->next;
    if (idle > 0) pthread_cond_signal(&work);
  }
  pthread_mutex_unlock(&lock);
}

void hashing_end(struct hashing *body) {
  pthread_mutex_lock(&lock);
  settle(body);
  pthread_mutex_unlock(&lock);
  pthread_cond_destroy(&body->settled);
}

/* --- those that do it --- */

static struct hashing *take(void) {
  struct hashing *body = first;
  if (body == NULL) return NULL;
  first = body->next;
  if (first == NULL) last = &first;
  return body;
}

static void advance(struct hashing *body, size_t size) {
  sha256_update(body->hash, body->at, size);
  body->at += size;
  body->left -= size;
}

/* Up to where a block begins. */
static void align(struct hashing *body) {
  size_t over = (size_t)(body->hash->size % BLOCK_BYTES), missing = over == 0 ? 0 : BLOCK_BYTES - over;
  advance(body, missing < body->left ? missing : body->left);
}

static size_t whole_blocks(size_t size) { return size / BLOCK_BYTES * BLOCK_BYTES; }

/* Until one of them has less than a block. */
static void hash_both(struct hashing *a, struct hashing *b) {
  align(a);
  align(b);
  size_t size = whole_blocks(a->left < b->left ? a->left : b->left);
  sha256_update_both(a->hash, a->at, b->hash, b->at, size);
  struct hashing *both[2] = {a, b};
  for (int i = 0; i < 2; i++) {
    both[i]->at += size;
    both[i]->left -= size;
    if (both[i]->left < BLOCK_BYTES) advance(both[i], both[i]->left);
  }
}

static void hash_alone(struct hashing *body) { advance(body, body->left < ALONE_BYTES ? body->left : ALONE_BYTES); }

static void hash_some(struct hashing *lanes[2]) {
  if (lanes[0] != NULL && lanes[1] != NULL) hash_both(lanes[0], lanes[1]);
  else hash_alone(lanes[0] != NULL ? lanes[0] : lanes[1]);
}

/* Gives back what is done and takes what waits. */
static void change_lanes(struct hashing *lanes[2]) {
  for (int i = 0; i < 2; i++) {
    if (lanes[i] != NULL && lanes[i]->left == 0) {
      lanes[i]->wanted = false;
      pthread_cond_signal(&lanes[i]->settled);
      lanes[i] = NULL;
    }
    if (lanes[i] == NULL) lanes[i] = take();
  }
}

void *hashing_thread(void *unused) {
  (void)unused;
  struct hashing *lanes[2] = {NULL, NULL};
  for (;;) {
    pthread_mutex_lock(&lock);
    for (change_lanes(lanes); lanes[0] == NULL && lanes[1] == NULL; change_lanes(lanes)) {
      idle++;
      pthread_cond_wait(&work, &lock);
      idle--;
    }
    pthread_mutex_unlock(&lock);
    hash_some(lanes);
  }
}
