/*
 * native/chunks.c: bodies that are well formed give their content however they are cut; what is damaged is refused or gives no more than it
 * holds, the same however it is cut. Each read is of memory of its own size: under AddressSanitizer every step outside shows.
 */
#include "chunks.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BODY_MAX (64u * 1024)
#define ROUNDS 20000

static uint32_t state = 20261127;
static uint32_t below(uint32_t most) {
  state = state * 1664525u + 1013904223u;
  return (state >> 8) % most;
}

static _Noreturn void fail(const char *what, const char *detail) {
  fprintf(stderr, "chunks: %s: %s\n", what, detail);
  exit(1);
}

struct result {
  enum chunks_state state;
  size_t content, taken; /* taken: bytes given until it ended */
  uint8_t bytes[BODY_MAX];
};

/* `most`: bytes of one read; 0: all at once. */
static void run(const uint8_t *body, size_t size, uint32_t most, struct result *result) {
  struct chunks chunks = {0};
  result->content = result->taken = 0;
  while (result->taken < size && chunks.state != CHUNKS_DONE && chunks.state != CHUNKS_BROKEN) {
    size_t left = size - result->taken, part = most == 0 ? left : 1 + below(most);
    if (part > left) part = left;
    uint8_t *piece = malloc(part);
    if (piece == NULL) fail("no memory", "");
    memcpy(piece, body + result->taken, part);
    size_t got = chunks_take(&chunks, piece, part);
    if (got > part) fail("more content than bytes", "");
    memcpy(result->bytes + result->content, piece, got);
    result->content += got;
    result->taken += part;
    free(piece);
  }
  result->state = chunks.state;
}

static struct result one, other;

static void expect(const char *text, enum chunks_state wanted, const char *content) {
  for (uint32_t most = 0; most < 8; most++) {
    run((const uint8_t *)text, strlen(text), most, &one);
    if (one.state != wanted) fail("another end", text);
    if (content != NULL && (one.content != strlen(content) || memcmp(one.bytes, content, one.content) != 0)) fail("other content", text);
  }
}

static void known(void) {
  expect("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", CHUNKS_DONE, "hello world");
  expect("0\r\n\r\n", CHUNKS_DONE, "");
  expect("000005\r\nhello\r\n0\r\n\r\n", CHUNKS_DONE, "hello");
  expect("A\r\n0123456789\r\n0\r\nName: value\r\nOther:\r\n\r\n", CHUNKS_DONE, "0123456789");
  expect("5;a=\"b\"\r\nhello\r\n0 ;x\r\n\r\n", CHUNKS_DONE, "hello");
  expect("5\r\nhello\r\n", CHUNKS_SIZE, "hello");
  expect("5\r\nhel", CHUNKS_DATA, "hel");
  static const char *const broken[] = {
    "\r\n", "x\r\n", "-5\r\nhello", " 5\r\nhello", "0x5\r\nhello", "5\nhello", "5\rhello", "5\r\r\nhello", "5\r\nhelloX", "5\r\nhello\nX",
    "5\r\nhello\r\n\r\n", "5\r\nhello\r\n0\r\n\n", "5;a\nb\r\n", "5;\x01\r\n", "5;\x7f\r\n", "0\r\nName: a\nb\r\n\r\n", "0\r\nName\r\r\n",
    "1000000000000000\r\n", "0000000000000005\r\nhello", "0\r\n\rX",
  };
  for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) expect(broken[i], CHUNKS_BROKEN, NULL);
}

/* Whoever goes on anywhere but in a size gets the rest. */
static void going_on(void) {
  static const char body[] = "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n";
  for (uint64_t until_next = 0; until_next <= 7; until_next++) {
    static const char *const rests[] = {" world", " world", " world", "o world", "lo world", "llo world", "ello world", "hello world"};
    uint8_t copy[sizeof body];
    struct chunks chunks = chunks_from(until_next);
    size_t from = 10 - (size_t)until_next, size = sizeof body - 1 - from;
    memcpy(copy, body + from, size);
    size_t got = chunks_take(&chunks, copy, size);
    if (chunks.state != CHUNKS_DONE || got != strlen(rests[until_next]) || memcmp(copy, rests[until_next], got) != 0)
      fail("going on", rests[until_next]);
  }
}

static void bounds(void) {
  static char text[3 * CHUNKS_TRAILER_MAX];
  for (uint32_t length = CHUNKS_LINE_MAX; length < CHUNKS_LINE_MAX + 4; length++) {
    int head = sprintf(text, "5;%0*d\r\nhello\r\n0\r\n\r\n", (int)length, 1);
    if (head < 0) fail("sprintf", "");
    expect(text, length > CHUNKS_LINE_MAX ? CHUNKS_BROKEN : CHUNKS_DONE, NULL);
  }
  for (uint32_t lines = 1; lines <= 16; lines++) {
    char *at = text + sprintf(text, "0\r\n");
    for (uint32_t i = 0; i < lines; i++) at += sprintf(at, "%01000d\r\n", 1);
    sprintf(at, "\r\n");
    expect(text, lines * 1000 > CHUNKS_TRAILER_MAX ? CHUNKS_BROKEN : CHUNKS_DONE, NULL);
  }
}

static size_t make(uint8_t *body, uint8_t *content, size_t *length) {
  uint8_t *at = body;
  *length = 0;
  for (uint32_t count = below(12); count > 0; count--) {
    uint32_t size = 1 + below(below(4) == 0 ? 4000 : 20);
    at += sprintf((char *)at, below(2) == 0 ? "%x" : "%04X", size);
    if (below(4) == 0) at += sprintf((char *)at, ";name=%u", below(1000));
    at += sprintf((char *)at, "\r\n");
    for (uint32_t i = 0; i < size; i++) content[(*length)++] = *at++ = below(3) == 0 ? (uint8_t)"\r\n05a"[below(5)] : (uint8_t)below(256);
    at += sprintf((char *)at, "\r\n");
  }
  at += sprintf((char *)at, "0\r\n");
  if (below(4) == 0) at += sprintf((char *)at, "Name: %u\r\n", below(1000));
  at += sprintf((char *)at, "\r\n");
  return (size_t)(at - body);
}

int main(void) {
  static uint8_t body[BODY_MAX], content[BODY_MAX];
  known();
  going_on();
  bounds();
  unsigned refused = 0;
  for (int round = 0; round < ROUNDS; round++) {
    size_t length, size = make(body, content, &length);
    run(body, size, 1 + below(700), &one);
    if (one.state != CHUNKS_DONE || one.content != length || memcmp(one.bytes, content, length) != 0) fail("a whole body", "differs");
    for (uint32_t times = 1 + below(3); times > 0; times--) body[below((uint32_t)size)] ^= (uint8_t)(1 + below(255));
    if (below(3) == 0) size = below((uint32_t)size + 1);
    run(body, size, 0, &one);
    run(body, size, 1 + below(50), &other);
    if (one.state != other.state || one.content != other.content || memcmp(one.bytes, other.bytes, one.content) != 0)
      fail("a damaged body", "what comes out depends on how it is cut");
    refused += one.state == CHUNKS_BROKEN;
  }
  if (refused == 0 || refused == ROUNDS) fail("the damaged bodies", "are all of one kind");
  printf("chunks: %d bodies, %u of their damaged copies refused\n", ROUNDS, refused);
  return 0;
}
