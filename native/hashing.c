#include "hashing.h"
#include <sched.h>
#include <unistd.h>

/* A part that is alone is hashed in such pieces: one that comes meanwhile joins it after that. */
#define ALONE_BYTES (32u * 1024)
#define BLOCK_BYTES 64u

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t work = PTHREAD_COND_INITIALIZER;
/* Parts that nobody has taken, in the order in which they came. */
static struct hashing *first, *last;
/* Bodies that have begun and not ended, parts that wait, threads that do. */
static unsigned bodies, queued, idle;

static unsigned processors(void) {
  static unsigned known; /* several threads may find out */
  unsigned count = __atomic_load_n(&known, __ATOMIC_RELAXED);
  if (count == 0) {
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    count = online < 1 ? 1 : (unsigned)online;
    __atomic_store_n(&known, count, __ATOMIC_RELAXED);
  }
  return count;
}

unsigned hashing_threads(void) {
  unsigned wanted = processors() < 2 ? 1 : processors() / 2;
  return wanted < HASHING_THREADS_MAX ? wanted : HASHING_THREADS_MAX;
}

/* --- the queue --- */

/* Every processor has enough to do: those that carry hash as well, which costs no change from one thread to another. */
static bool crowded(void) { return bodies > processors(); }

static void put(struct hashing *body) {
  body->state = HASHING_QUEUED;
  body->next = NULL;
  body->before = last;
  if (last != NULL) last->next = body;
  else first = body;
  last = body;
  queued++;
}

static struct hashing *take(struct hashing *body) {
  if (body == NULL) return NULL;
  if (body->before != NULL) body->before->next = body->next;
  else first = body->next;
  if (body->next != NULL) body->next->before = body->before;
  else last = body->before;
  body->state = HASHING_TAKEN;
  queued--;
  return body;
}

/* --- hashing --- */

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
  pthread_mutex_unlock(&lock);
  if (lanes[0] != NULL && lanes[1] != NULL) hash_both(lanes[0], lanes[1]);
  else hash_alone(lanes[0] != NULL ? lanes[0] : lanes[1]);
  pthread_mutex_lock(&lock);
}

/* What is left of a part waits again. */
static void give_back(struct hashing **lane) {
  struct hashing *body = *lane;
  if (body == NULL) return;
  *lane = NULL;
  if (body->left > 0) put(body);
  else body->state = HASHING_SETTLED;
  if (body->awaited) pthread_cond_signal(&body->changed);
}

static void give_back_done(struct hashing *lanes[2]) {
  for (int i = 0; i < 2; i++) {
    if (lanes[i] != NULL && lanes[i]->left == 0) give_back(&lanes[i]);
  }
}

/* --- those that wait for it --- */

void hashing_begin(struct hashing *body, struct sha256 *hash) {
  *body = (struct hashing){.hash = hash, .state = HASHING_SETTLED};
  pthread_cond_init(&body->changed, NULL);
  pthread_mutex_lock(&lock);
  bodies++;
  pthread_mutex_unlock(&lock);
}

static void hash_own(struct hashing *body) {
  struct hashing *lanes[2] = {take(body), NULL};
  do {
    if (lanes[1] == NULL) lanes[1] = take(first);
    hash_some(lanes);
    give_back_done(lanes);
  } while (lanes[0] != NULL);
  give_back(&lanes[1]);
}

static void settle(struct hashing *body) {
  bool yielded = false;
  while (body->state != HASHING_SETTLED) {
    if (body->state == HASHING_QUEUED && queued == 1 && crowded() && !yielded) {
      /* Whoever carries another body brings a part to hash with this one, where he gets this processor. */
      pthread_mutex_unlock(&lock);
      sched_yield();
      pthread_mutex_lock(&lock);
      yielded = true;
    } else if (body->state == HASHING_QUEUED) {
      hash_own(body);
    } else {
      body->awaited = true;
      pthread_cond_wait(&body->changed, &lock);
      body->awaited = false;
    }
  }
}

void hashing_add(struct hashing *body, const uint8_t *at, size_t size) {
  pthread_mutex_lock(&lock);
  settle(body);
  if (size > 0) {
    body->at = at;
    body->left = size;
    put(body);
    if (idle > 0 && !crowded()) pthread_cond_signal(&work);
  }
  pthread_mutex_unlock(&lock);
}

void hashing_end(struct hashing *body) {
  pthread_mutex_lock(&lock);
  settle(body);
  bodies--;
  pthread_mutex_unlock(&lock);
  pthread_cond_destroy(&body->changed);
}

/* --- those that only do it --- */

static bool has_work(struct hashing *lanes[2]) {
  give_back_done(lanes);
  for (int i = 0; i < 2; i++) {
    if (lanes[i] == NULL && !crowded()) lanes[i] = take(first);
  }
  return lanes[0] != NULL || lanes[1] != NULL;
}

void *hashing_thread(void *unused) {
  (void)unused;
  struct hashing *lanes[2] = {NULL, NULL};
  pthread_mutex_lock(&lock);
  for (;;) {
    while (!has_work(lanes)) {
      idle++;
      pthread_cond_wait(&work, &lock);
      idle--;
    }
    hash_some(lanes);
  }
}
