/*
 * The decoder of launch records against bytes that are cut and damaged. Every buffer has its exact size, so that
 * AddressSanitizer sees a read past its end; nothing is done, since only dry walks are made. Deterministic.
 */
#include "check.h"
#include "launch.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* A part of its own. */
static void captured(unsigned index) { u8(32), u8(index); }
static void padded(unsigned index) { u8(35), u8(index); }
static void fresh(unsigned index, unsigned kind, unsigned length) { u8(33), u8(index), u8(kind), u32(length); }

/* Values that were seen, then one note of every kind, with a program at the end. */
static void make_body(void) {
  u32(6);
  u8(1), plain("/bundle/1");
  u8(1), plain("0123456789ab");
  u8(1), plain("2026-01-02T03:04:05Z");
  u8(1), u32(2), u8(1), u8(0);
  u8(1), plain("4711");
  u8(1), plain("99");
  u32(0);
  u32(10);
  plain("able red");
  plain("abbe newton");
  u8(FACT_ACCESS), u8(2), u32(0), text("/etc", 0);
  u8(FACT_STAT), u8(1), u32(0), text("/etc/passwd", 0);
  for (int i = 0; i < 9; i++) u64((uint64_t)i);
  u8(FACT_CONTENT), u32(0), u8(0), text("/proc/", SLOT_PARENT), u8(1), plain("word"), text("a word\n", 0);
  u8(FACT_CONTENT), u32(0), u8(0), u32(2), captured(0), u8(0), plain("/config.json"), u8(0);
  u32(6), u8(0), plain("{"), fresh(1, CAPTURE_HEX, 12), u8(0), plain(" "), fresh(2, CAPTURE_DATE, 0);
  u8(34), u8(3), u8(2), plain(","), text("A=", 0), u32(2), u8(0), plain("B="), captured(1);
  u8(0), plain("}");
  u8(FACT_KIND), u8(1), u32(0), u32(0100000), u32(1), captured(0);
  u8(FACT_CONTENT), u32(0), u8(0), text("/state/process", 0), u8(0);
  u32(4), fresh(4, CAPTURE_PID, 0), u8(0), plain(" "), fresh(5, CAPTURE_NUMBER, 0), u8(0), plain("\n");
  u8(FACT_PROCESS), u32(1), captured(4), u32(1), captured(5);
  u8(FACT_NAMESPACES), u32(3), u8(0), plain("/proc/"), captured(4), u8(0), plain("/ns"), u32(5);
  u8(FACT_LINK), u32(0), text("/proc/self/ns/pid", 0), text("pid:[1]", 0);
  u8(FACT_REAL_PATH), text("/usr", 0), text("/usr", 0);
  u8(FACT_MONITORS), text("/run/vitrine/containers", 0), u32(8);
  u8(FACT_TEMPORARIES), text("/run/x", 0);
  u8(FACT_PROCESS), text("1", 0), text("12", 0);
  u8(FACT_ENDED), text("/nowhere/exit", 0);
  u8(FACT_ANSWER), text("localhost:1", 0), plain("HEAD / HTTP/1.1\r\n\r\n"), u8(1), plain("content-length"), plain("0");
  u8(FACT_IDS), text("/nowhere/containers", 0), text("0a", 0), u32(0);
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
  u8(STEP_EXECUTE), text("/nowhere/program", 0), u64(1024), u32(3), text("a", 0), text("b", SLOT_PID), u32(3), u8(0), plain("/proc"), padded(4), u8(0), plain("/ns"),
    u32(1), text("A=b", 0);
}

static bool is_whole(const uint8_t *bytes, size_t size) {
  uint8_t *copy = malloc(size == 0 ? 1 : size);
  CHECK(copy != NULL);
  memcpy(copy, bytes, size);
  char path[] = "/bundle/2";
  struct launch_captures captures = {.list = {{CAPTURE_PATH, {path, sizeof path - 1}}}, .count = 1};
  struct launch_start start = {.captures = &captures};
  bool whole = launch_is_whole(copy, size, &start);
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
  CHECK(launch_make_values(&values, NULL, NULL));
  CHECK(strlen(values.text[SLOT_ID]) == 64 && strlen(values.text[SLOT_SHORT]) == 12);
  CHECK(strspn(values.text[SLOT_SHORT], "0123456789") < 12);
  CHECK(launch_choose_name(&values, 10, first, second) && strcmp(values.text[SLOT_NAME], "red_newton") == 0);
  CHECK(launch_name_temporaries(&values, 45) && strlen(values.text[SLOT_TEMPORARY]) == 45);
  CHECK(!launch_name_temporaries(&values, 5) && !launch_name_temporaries(&values, 200));
  CHECK(!launch_choose_name(&values, 50, first, second));
  CHECK(launch_choose_name(&values, 0, first, second) && values.text[SLOT_NAME][0] == 0);
}

/* A container's own file against a text with captures: what is found in it, and what is another file. */
static bool matches(const char *bytes, bool any, struct launch_values *values) {
  used = 0;
  u32(5), u8(0), plain("{\""), fresh(0, CAPTURE_HEX, 12), u8(0), plain("\":");
  u8(34), u8(1), u8(3), plain(","), text("\"A=1\"", 0), text("\"B=2\"", 0), text("\"C=3\"", 0);
  u8(0), plain("}");
  launch_forget_texts();
  CHECK(launch_make_values(values, "c1", NULL));
  values->seen_count = 2;
  for (int i = 0; i < 2; i++) values->seen[i].any = any;
  static char digits[] = "0123456789ab";
  static char places[] = {0, 1, 2};
  values->seen[0].text = (struct launch_text){digits, 12};
  values->seen[1].text = (struct launch_text){places, 3};
  values->in_fact = true;
  struct launch_reader r = {body, body + used, false};
  size_t size = strlen(bytes);
  char *exact = malloc(size + 1);
  CHECK(exact != NULL);
  memcpy(exact, bytes, size);
  bool same = launch_match(&r, values, exact, size, false);
  free(exact);
  return same;
}

static void test_captures(void) {
  static struct launch_values v;
  CHECK(matches("{\"abcdef012345\":\"A=1\",\"B=2\",\"C=3\"}", true, &v) && v.captures.count == 2);
  CHECK(v.captures.list[0].text.length == 12 && memcmp(v.captures.list[0].text.at, "abcdef012345", 12) == 0);
  CHECK(launch_values_are_apart(&v));
  CHECK(matches("{\"abcdef012345\":\"C=3\",\"A=1\",\"B=2\"}", true, &v) && memcmp(v.captures.list[1].text.at, "\2\0\1", 3) == 0);
  /* What is captured is put where it was, in the same order. */
  struct launch_reader r = {body, body + used, false};
  u32(3), u8(0), plain("<"), captured(0), u8(34), u8(1), u8(3), plain(";"), text("a", 0), text("b", 0), text("c", 0);
  r = (struct launch_reader){r.end, body + used, false};
  CHECK(strcmp(launch_string(&r, &v), "<abcdef012345c;a;b") == 0 && !r.bad);
  static const char *const others[] = {
    "{\"abcdef012345\":\"A=1\",\"B=2\",\"C=3\"} ", "{\"abcdef012345\":\"A=1\",\"B=2\",\"B=2\"}", "{\"abcdef012345\":\"A=1\",\"B=2\"}",
    "{\"abcdef01234\":\"A=1\",\"B=2\",\"C=3\"}", "{\"abcdef0123456\":\"A=1\",\"B=2\",\"C=3\"}", "{\"ABCDEF012345\":\"A=1\",\"B=2\",\"C=3\"}",
    "{\"../../../../\":\"A=1\",\"B=2\",\"C=3\"}", "{\"abcdefabcdef\":\"A=1\",\"B=2\",\"C=3\"}", "{\"012345678901\":\"A=1\",\"B=2\",\"C=3\"}",
    "{\"abcdef012345", "{", "",
  };
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) CHECK(!matches(others[i], true, &v));
  /* A value that never differed. */
  CHECK(!matches("{\"abcdef012345\":\"A=1\",\"B=2\",\"C=3\"}", false, &v) && v.is_news);
  CHECK(matches("{\"0123456789ab\":\"A=1\",\"B=2\",\"C=3\"}", false, &v) && !v.is_news);
  CHECK(!matches("{\"0123456789ab\":\"B=2\",\"A=1\",\"C=3\"}", false, &v) && v.is_news);
  const char *date = "2026-01-02T03:04:05.123+01:00\"";
  CHECK(launch_date_length(date, date + strlen(date)) == strlen(date) - 1);
  used = 0;
}

/* A process that is told by two numbers, and what is put in their place. */
static bool process_matches(const char *bytes, bool any, struct launch_values *values) {
  used = 0;
  u32(4), fresh(0, CAPTURE_PID, 0), u8(0), plain(" "), fresh(1, CAPTURE_NUMBER, 0), u8(0), plain("\n");
  launch_forget_texts();
  CHECK(launch_make_values(values, "c1", NULL));
  values->seen_count = 2;
  static char pid[] = "4711";
  static char time[] = "99";
  for (int i = 0; i < 2; i++) values->seen[i].any = any;
  values->seen[0].text = (struct launch_text){pid, 4};
  values->seen[1].text = (struct launch_text){time, 2};
  struct launch_reader r = {body, body + used, false};
  return launch_match(&r, values, bytes, strlen(bytes), false);
}

static void test_processes(void) {
  static struct launch_values v;
  CHECK(process_matches("1234567 99\n", true, &v));
  used = 0;
  u32(3), u8(0), plain("/proc"), padded(0), u8(0), plain("/ns");
  struct launch_reader r = {body, body + used, false};
  CHECK(strcmp(launch_string(&r, &v), "/proc////1234567/ns") == 0 && !r.bad);
  /* The number of another value, or of a text: what stands at certain places alone need not be apart. */
  CHECK(process_matches("99 99\n", true, &v) && launch_values_are_apart(&v));
  static const char *const others[] = {"4711 99", "4711  99\n", "04711 99\n", "4711 99 \n", "x4711 99\n", "-1 99\n", "4711x 99\n", " 99\n", "123456789012345678901 9\n", ""};
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) CHECK(!process_matches(others[i], true, &v));
  CHECK(process_matches("4711 99\n", false, &v) && !v.is_news);
  CHECK(!process_matches("4711 98\n", false, &v) && v.is_news);
  used = 0;
}

/* The same command line but for values: one key; another word: another. */
static void test_words(void) {
  struct launch_key keys[4];
  char *const lines[][9] = {
    {"v", "runtime", "create", "--bundle", "/b/1", "--pid-file", "/b/1/pid", "abcd", NULL},
    {"v", "runtime", "create", "--bundle", "/b/2", "--pid-file", "/b/2/pid", "efgh", NULL},
    {"v", "runtime", "create", "--bundle", "/b/../1", "--pid-file", "/b/1/pid", "abcd", NULL},
    {"v", "runtime", "create", "--bundle", "/b/1", "--console-socket", "/b/1/pid", "abcd", NULL},
  };
  for (size_t i = 0; i < 4; i++) {
    static struct launch_captures captures;
    char *words[9];
    memcpy(words, lines[i], sizeof words);
    captures.count = 0;
    struct launch_start start = {.argv = words, .id = words[7], .engine = "/e", .helper = "/h", .captures = &captures};
    CHECK(launch_capture_words(&start, words + 2, true));
    CHECK(captures.count == (i == 2 ? 1 : 2) && strncmp(start.file, "/b/", 3) == 0);
    CHECK(launch_key_of(&start, &keys[i]));
  }
  CHECK(strcmp(keys[0].name, keys[1].name) == 0);
  CHECK(strcmp(keys[0].name, keys[2].name) != 0 && strcmp(keys[0].name, keys[3].name) != 0);
}

int main(void) {
  test_names();
  test_captures();
  test_processes();
  test_words();
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
