/*
 * The decoder of launch records against bytes that are cut and damaged. Every buffer has its exact size, so that
 * AddressSanitizer sees a read past its end; nothing is done, since only dry walks are made. Deterministic.
 */
#include "launch.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                                               \
  do {                                                                                                                 \
    if (!(condition)) {                                                                                                \
      fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                                  \
      exit(1);                                                                                                         \
    }                                                                                                                  \
  } while (0)

static uint8_t body[4096];
static size_t used;

static void u8(unsigned value) { body[used++] = (uint8_t)value; }

static void u32(uint32_t value) {
  for (unsigned shift = 0; shift < 32; shift += 8) u8(value >> shift & 0xff);
}

static void u64(uint64_t value) {
  u32((uint32_t)value);
  u32((uint32_t)(value >> 32));
}

static void plain(const char *text) {
  u32((uint32_t)strlen(text));
  memcpy(body + used, text, strlen(text));
  used += strlen(text);
}

/* With a slot after it. */
static void text(const char *literal, unsigned slot) {
  u32(slot == 0 ? 1 : 2);
  u8(0);
  plain(literal);
  if (slot != 0) u8(slot);
}

/* One note of every kind, with a program at the end. */
static void make_body(void) {
  u32(0);
  u32(10);
  plain("able red");
  plain("abbe newton");
  u8(FACT_ACCESS), u8(2), u32(0), text("/etc", 0);
  u8(FACT_STAT), u8(1), u32(0), text("/etc/passwd", 0);
  for (int i = 0; i < 9; i++) u64((uint64_t)i);
  u8(FACT_CONTENT), u32(0), u8(0), text("/proc/", SLOT_PARENT), u8(1), plain("word"), plain("a word\n");
  u8(FACT_LINK), u32(0), text("/proc/self/ns/pid", 0), plain("pid:[1]");
  u8(FACT_REAL_PATH), text("/usr", 0), plain("/usr");
  u8(FACT_MONITORS), text("/run/vitrine/containers", 0), u32(8);
  u8(FACT_TEMPORARIES), text("/run/x", 0);
  u8(FACT_PROCESS), text("1", 0), plain("12");
  u8(FACT_ENDED), text("/nowhere/exit", 0);
  u8(FACT_IDS), text("/nowhere/containers", 0), plain("0a"), plain("");
  u8(STEP_MAKE_DIRECTORY), u32(0700), u8(0), text("/nowhere/", SLOT_ID);
  u8(STEP_OPEN), u32(0101), u32(0600), text("/nowhere/", SLOT_NAME);
  u8(STEP_BELOW), u64(1 << 20);
  u8(STEP_WRITE), text("{", SLOT_NANOSECONDS);
  u8(STEP_SYNC), u8(STEP_CLOSE);
  u8(STEP_RENAME), text("/nowhere/a", SLOT_TEMPORARY), text("/nowhere/b", SLOT_SHORT);
  u8(STEP_SYMLINK), text("", SLOT_ID), text("/nowhere/c", 0);
  u8(STEP_MODE), u32(0755), text("/nowhere/d", 0);
  u8(STEP_OWNER), u8(1), u32(1), u32(2), text("/nowhere/d", 0);
  u8(STEP_TIMES), u64(0), u64(1), text("/nowhere/d", SLOT_DATE);
  u8(STEP_REMOVE), text("/nowhere/e", SLOT_ID);
  u8(STEP_PRINT), u8(2), text("warning\n", 0);
  u8(STEP_EXECUTE), text("/nowhere/program", 0), u64(1024), u32(2), text("a", 0), text("b", SLOT_PID), u32(1), text("A=b", 0);
}

static bool is_whole(const uint8_t *bytes, size_t size) {
  uint8_t *copy = malloc(size == 0 ? 1 : size);
  CHECK(copy != NULL);
  memcpy(copy, bytes, size);
  bool whole = launch_is_whole(copy, size);
  free(copy);
  return whole;
}

/* xorshift32: the same numbers each time. */
static uint32_t next(uint32_t *state) {
  *state ^= *state << 13;
  *state ^= *state >> 17;
  *state ^= *state << 5;
  return *state;
}

static void test_names(void) {
  static struct launch_values values;
  struct launch_text first = {(char *)(uintptr_t)"able red", 8};
  struct launch_text second = {(char *)(uintptr_t)"abbe newton", 11};
  CHECK(launch_make_values(&values, NULL));
  CHECK(strlen(values.text[SLOT_ID]) == 64 && strlen(values.text[SLOT_SHORT]) == 12);
  CHECK(strspn(values.text[SLOT_SHORT], "0123456789") < 12);
  CHECK(launch_choose_name(&values, 10, first, second) && strcmp(values.text[SLOT_NAME], "red_newton") == 0);
  CHECK(launch_name_temporaries(&values, 45) && strlen(values.text[SLOT_TEMPORARY]) == 45);
  CHECK(!launch_name_temporaries(&values, 5) && !launch_name_temporaries(&values, 200));
  CHECK(!launch_choose_name(&values, 50, first, second));
  CHECK(launch_choose_name(&values, 0, first, second) && values.text[SLOT_NAME][0] == 0);
}

int main(void) {
  test_names();
  make_body();
  CHECK(is_whole(body, used));
  for (size_t size = 0; size < used; size++) CHECK(!is_whole(body, size));
  uint32_t state = 2463534242u;
  unsigned accepted = 0;
  for (unsigned round = 0; round < 200000; round++) {
    uint8_t damaged[sizeof body];
    memcpy(damaged, body, used);
    for (unsigned count = 1 + next(&state) % 4; count > 0; count--) damaged[next(&state) % used] = (uint8_t)next(&state);
    accepted += is_whole(damaged, used - next(&state) % 8);
  }
  printf("launch records: %zu bytes whole, each cut of them refused, %u of 200000 damaged ones could be walked\n", used, accepted);
  return 0;
}
