/*
 * The plan decoder against plans that are whole, cut and damaged. Every buffer is allocated at its exact size, so that
 * AddressSanitizer sees a read past its end. Deterministic: a failure comes again.
 */
#include "check.h"
#include "plan.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The fuzzer's function, over the same decoder. */
#include "fuzz.c"

struct plan_bytes {
  uint8_t at[4096];
  size_t size;
  uint32_t count;
  size_t frame;
};

static void put_u32(struct plan_bytes *plan, uint32_t value) {
  for (int i = 0; i < 4; i++) plan->at[plan->size++] = (uint8_t)(value >> (8 * i));
}

static void set_u32(struct plan_bytes *plan, size_t at, uint32_t value) {
  for (size_t i = 0; i < 4; i++) plan->at[at + i] = (uint8_t)(value >> (8 * i));
}

static void put_str(struct plan_bytes *plan, const char *text) {
  put_u32(plan, (uint32_t)strlen(text));
  memcpy(plan->at + plan->size, text, strlen(text) + 1);
  plan->size += strlen(text) + 1;
}

static void begin(struct plan_bytes *plan) {
  memset(plan, 0, sizeof *plan);
  put_u32(plan, PLAN_MAGIC);
  put_u32(plan, PLAN_VERSION);
  put_u32(plan, 0);
  put_u32(plan, 0);
}

static void begin_op(struct plan_bytes *plan, uint16_t code, uint8_t stage) {
  plan->frame = plan->size;
  plan->at[plan->size++] = (uint8_t)code;
  plan->at[plan->size++] = (uint8_t)(code >> 8);
  plan->at[plan->size++] = stage;
  plan->at[plan->size++] = 0;
  put_u32(plan, 0);
  put_u32(plan, 0);
}

static void end_op(struct plan_bytes *plan) {
  set_u32(plan, plan->frame + 8, (uint32_t)(plan->size - plan->frame - FRAME_HEADER_BYTES));
  plan->count++;
}

static void end(struct plan_bytes *plan) {
  set_u32(plan, 8, plan->count);
  set_u32(plan, 12, (uint32_t)(plan->size - PLAN_HEADER_BYTES));
}

static void put_clone(struct plan_bytes *plan) {
  begin_op(plan, OP_CLONE, STAGE_MONITOR);
  put_u32(plan, 0);
  put_u32(plan, 0);
  plan->at[plan->size++] = 1;
  end_op(plan);
}

/* A plan with every shape of argument. */
static void whole_plan(struct plan_bytes *plan) {
  begin(plan);
  put_clone(plan);
  begin_op(plan, OP_ID_MAP, STAGE_MONITOR);
  for (int i = 0; i < 2; i++) {
    put_u32(plan, 1);
    put_u32(plan, 0);
    put_u32(plan, 100000);
    put_u32(plan, 65536);
  }
  plan->at[plan->size++] = 0;
  put_str(plan, "");
  put_str(plan, "");
  end_op(plan);
  begin_op(plan, OP_WRITE_FILE, STAGE_INIT);
  plan->at[plan->size++] = BASE_ROOT;
  put_str(plan, "etc/hosts");
  put_str(plan, "127.0.0.1"); /* as bytes: the NUL is one too many */
  plan->size--;
  plan->at[plan->size++] = 1;
  put_u32(plan, 0644);
  end_op(plan);
  begin_op(plan, OP_SET_USER, STAGE_INIT);
  put_u32(plan, 1);
  put_u32(plan, 2);
  put_u32(plan, 2);
  put_u32(plan, 3);
  put_u32(plan, 4);
  plan->at[plan->size++] = 0;
  end_op(plan);
  begin_op(plan, OP_EXECUTE, STAGE_INIT);
  put_u32(plan, 2);
  put_str(plan, "/bin/true");
  put_str(plan, "");
  put_u32(plan, 0);
  end_op(plan);
  begin_op(plan, OP_REMOVE_TREE, STAGE_CLEANUP);
  plan->at[plan->size++] = BASE_HOST;
  put_str(plan, "/run/x");
  end_op(plan);
  end(plan);
}

/* Parses a copy of exactly this size. */
static bool parses(const uint8_t *bytes, size_t size) {
  uint8_t *copy = malloc(size == 0 ? 1 : size);
  CHECK(copy != NULL);
  memcpy(copy, bytes, size);
  struct plan plan;
  const char *problem = NULL;
  bool ok = plan_parse(copy, size, &plan, &problem);
  CHECK(problem != NULL);
  LLVMFuzzerTestOneInput(copy, size);
  free(copy);
  return ok;
}

static void test_values(void) {
  struct plan_bytes bytes;
  struct plan plan;
  const char *problem;
  struct frame frame;
  union op_args args;
  whole_plan(&bytes);
  CHECK(plan_parse(bytes.at, bytes.size, &plan, &problem));
  CHECK(plan.count == 6);
  const uint8_t *at = plan.at;
  CHECK(plan_next(&plan, &at, &frame) && frame.code == OP_CLONE && frame_decode(&frame, &args));
  CHECK(args.clone.die_with_monitor && args.clone.flags == 0);
  CHECK(plan_next(&plan, &at, &frame) && frame_decode(&frame, &args) && args.id_map.uids.count == 1);
  struct id_range range = list_range(&args.id_map.uids);
  CHECK(range.container == 0 && range.host == 100000 && range.size == 65536);
  CHECK(plan_next(&plan, &at, &frame) && frame_decode(&frame, &args));
  CHECK(args.write_file.path.base == BASE_ROOT && strcmp(args.write_file.path.path.at, "etc/hosts") == 0);
  CHECK(args.write_file.data.length == 9 && memcmp(args.write_file.data.at, "127.0.0.1", 9) == 0);
  CHECK(plan_next(&plan, &at, &frame) && frame_decode(&frame, &args) && args.set_user.gid == 2);
  CHECK(list_u32(&args.set_user.groups) == 3 && list_u32(&args.set_user.groups) == 4);
  CHECK(plan_next(&plan, &at, &frame) && frame_decode(&frame, &args) && args.execute.argv.count == 2);
  CHECK(strcmp(list_str(&args.execute.argv).at, "/bin/true") == 0 && list_str(&args.execute.argv).length == 0);
}

static void test_order(void) {
  struct plan_bytes bytes;
  begin(&bytes);
  put_clone(&bytes);
  put_clone(&bytes);
  end(&bytes);
  CHECK(!parses(bytes.at, bytes.size)); /* two clones */
  begin(&bytes);
  begin_op(&bytes, OP_NEW_SESSION, STAGE_INIT);
  end_op(&bytes);
  end(&bytes);
  CHECK(!parses(bytes.at, bytes.size)); /* nobody to run it */
  begin(&bytes);
  begin_op(&bytes, OP_NEW_SESSION, STAGE_APPLY);
  end_op(&bytes);
  end(&bytes);
  CHECK(!parses(bytes.at, bytes.size));
  whole_plan(&bytes);
  begin_op(&bytes, OP_NEW_SESSION, STAGE_INIT);
  end_op(&bytes);
  end(&bytes);
  CHECK(!parses(bytes.at, bytes.size)); /* after execute */
}

static void test_damage(void) {
  struct plan_bytes bytes;
  whole_plan(&bytes);
  CHECK(parses(bytes.at, bytes.size));
  for (size_t size = 0; size < bytes.size; size++) CHECK(!parses(bytes.at, size));
  /* Every length, count and code one off, and wide off. */
  uint8_t damaged[sizeof bytes.at];
  for (size_t at = 0; at < bytes.size; at++) {
    static const uint8_t values[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
    for (size_t i = 0; i < sizeof values; i++) {
      memcpy(damaged, bytes.at, bytes.size);
      damaged[at] = values[i];
      parses(damaged, bytes.size);
      damaged[at] = (uint8_t)(bytes.at[at] + values[i]);
      parses(damaged, bytes.size);
    }
  }
}

static void test_noise(void) {
  struct plan_bytes bytes;
  uint8_t damaged[sizeof bytes.at];
  uint32_t state = 12345;
  whole_plan(&bytes);
  for (int round = 0; round < 200000; round++) {
    memcpy(damaged, bytes.at, bytes.size);
    for (int changes = 1 + round % 5; changes > 0; changes--) {
      state = state * 1664525u + 1013904223u;
      damaged[(state >> 8) % bytes.size] = (uint8_t)(state >> 24);
    }
    parses(damaged, bytes.size);
  }
}

int main(void) {
  test_values();
  test_order();
  test_damage();
  test_noise();
  puts("decoder: ok");
  return 0;
}
