#include "plan.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

bool plan_next(const struct plan *plan, const uint8_t **at, struct frame *out) {
  if (*at >= plan->end) return false;
  if (!frame_header(*at, out)) return false;
  *at += FRAME_HEADER_BYTES + out->length;
  return true;
}

/* The order that the two processes rely on: one clone, init's ops only with it, nothing of init's after execute,
   nothing of the monitor's after supervise or release. */
struct order {
  uint32_t clones, init_ops;
  bool executed, supervised;
};

static bool check_order(struct order *order, const struct frame *frame, const char **problem) {
  if (frame->stage == STAGE_APPLY) {
    *problem = "an apply op in a plan";
    return false;
  }
  if (frame->code == OP_CLONE && (frame->stage != STAGE_MONITOR || ++order->clones > 1)) {
    *problem = "more than one clone, or clone outside the monitor";
    return false;
  }
  if (frame->stage == STAGE_MONITOR) {
    if (order->supervised) {
      *problem = "a monitor op after supervise or release";
      return false;
    }
    order->supervised = frame->code == OP_SUPERVISE || frame->code == OP_RELEASE;
  }
  if (frame->stage == STAGE_INIT) {
    order->init_ops++;
    if (order->executed) {
      *problem = "an init op after execute";
      return false;
    }
    order->executed = frame->code == OP_EXECUTE;
  }
  return true;
}

bool plan_parse(const uint8_t *bytes, size_t size, struct plan *out, const char **problem) {
  *problem = "not a plan";
  if (size < PLAN_HEADER_BYTES || size > PLAN_BYTES_MAX || wire_u32(bytes) != PLAN_MAGIC) return false;
  *problem = "a plan of another version";
  if (wire_u32(bytes + 4) != PLAN_VERSION) return false;
  *problem = "the plan's length is wrong";
  if (wire_u32(bytes + 12) != size - PLAN_HEADER_BYTES) return false;
  const uint8_t *at = bytes + PLAN_HEADER_BYTES;
  const uint8_t *end = bytes + size;
  struct order order = {0};
  uint32_t count = 0;
  while (at < end) {
    struct frame frame;
    union op_args args;
    *problem = "a malformed op";
    if ((size_t)(end - at) < FRAME_HEADER_BYTES || !frame_header(at, &frame)) return false;
    if (frame.length > (size_t)(end - frame.body)) return false;
    if (!frame_decode(&frame, &args)) return false;
    if (!check_order(&order, &frame, problem)) return false;
    at = frame.body + frame.length;
    count++;
  }
  *problem = "the plan's op count is wrong";
  if (count != wire_u32(bytes + 8)) return false;
  *problem = "init ops without a clone";
  if (order.init_ops > 0 && order.clones == 0) return false;
  *out = (struct plan){.at = bytes + PLAN_HEADER_BYTES, .end = end, .count = count};
  return true;
}

bool plan_load(const char *path, struct plan *out, const char **problem) {
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
  struct stat st;
  *problem = "cannot be opened";
  if (fd < 0) return false;
  void *memory = NULL;
  size_t size = 0;
  bool ok = false;
  *problem = "not a regular file of a plan's size";
  if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size <= 0 || st.st_size > PLAN_BYTES_MAX) goto done;
  size = (size_t)st.st_size;
  /* Anonymous memory, filled by read: a mapped file could be truncated under the decoder. */
  memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  *problem = "no memory";
  if (memory == MAP_FAILED) {
    memory = NULL;
    goto done;
  }
  *problem = "cannot be read";
  for (size_t have = 0; have < size;) {
    ssize_t got = read(fd, (char *)memory + have, size - have);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) goto done;
    have += (size_t)got;
  }
  ok = plan_parse(memory, size, out, problem);
done:
  close(fd);
  if (ok) {
    out->memory = memory;
    out->size = size;
  } else if (memory != NULL) {
    munmap(memory, size);
  }
  return ok;
}

void plan_free(struct plan *plan) {
  if (plan->memory != NULL) munmap(plan->memory, plan->size);
  *plan = (struct plan){0};
}

static bool outlives_setup(const struct frame *frame) {
  return frame->stage == STAGE_CLEANUP || frame->code == OP_REPORT_FAILURE;
}

bool plan_shrink(struct plan *plan) {
  size_t size = 0;
  uint32_t count = 0;
  const uint8_t *at = plan->at;
  struct frame frame;
  while (plan_next(plan, &at, &frame)) {
    if (outlives_setup(&frame)) size += FRAME_HEADER_BYTES + frame.length;
  }
  uint8_t *memory = malloc(size + 1);
  if (memory == NULL) return false;
  uint8_t *to = memory;
  at = plan->at;
  while (plan_next(plan, &at, &frame)) {
    if (!outlives_setup(&frame)) continue;
    memcpy(to, frame.body - FRAME_HEADER_BYTES, FRAME_HEADER_BYTES + frame.length);
    to += FRAME_HEADER_BYTES + frame.length;
    count++;
  }
  plan_free(plan);
  *plan = (struct plan){.at = memory, .end = to, .count = count};
  return true;
}
