/* A plan in memory: validated once, then walked by the monitor and by init. */
#ifndef VITRINE_PLAN_H
#define VITRINE_PLAN_H
#include "ops.gen.h"

struct plan {
  const uint8_t *at; /* the first frame */
  const uint8_t *end;
  uint32_t count;
  void *memory;
  size_t size;
};

/* Checks every frame of a plan file's bytes. On failure `problem` says what is wrong. */
bool plan_parse(const uint8_t *bytes, size_t size, struct plan *out, const char **problem);

/* Reads and checks the file. */
bool plan_load(const char *path, struct plan *out, const char **problem);
void plan_free(struct plan *plan);

/* Leaves only what is still to come once init is the user's program: cleanup and reportFailure. False without memory
   for it (then all stays). */
bool plan_shrink(struct plan *plan);

/* The frame at `*at`, which must be in a parsed plan; advances. False at the end. */
bool plan_next(const struct plan *plan, const uint8_t **at, struct frame *out);
#endif
