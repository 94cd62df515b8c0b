/*
 * The frames of a plan: their types and the decoder. The format is in ARCHITECTURE.md, the ops are in src/kernel/ops.ts.
 *
 * Decoded values point into the frame: nothing is copied. Every string is followed by a NUL inside the frame and holds
 * no other, so that it serves as a C string.
 */
#ifndef VITRINE_WIRE_H
#define VITRINE_WIRE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct str {
  const char *at;
  uint32_t length;
};
struct bytes {
  const uint8_t *at;
  uint32_t length;
};
/* strs, u32s or maps: `at` is the first item as it is on the wire. */
struct list {
  const uint8_t *at;
  uint32_t count;
};
struct path {
  struct str path;
  uint8_t base;
};
struct id_range {
  uint32_t container, host, size;
};

enum arg_type {
  ARG_BOOL,
  ARG_U32,
  ARG_I32,
  ARG_U64,
  ARG_I64,
  ARG_STR,
  ARG_RAW,
  ARG_BYTES,
  ARG_STRS,
  ARG_U32S,
  ARG_PATH,
  ARG_MAPS
};
struct field {
  uint8_t type;
  uint16_t offset;
};
struct shape {
  const char *name;
  const struct field *fields;
  uint8_t count;
};

#define PLAN_MAGIC 0x4e4c5056u
#define PLAN_VERSION 1u
#define PLAN_HEADER_BYTES 16u
#define PLAN_BYTES_MAX (16u * 1024 * 1024)
#define FRAME_HEADER_BYTES 12u
#define FRAME_BYTES_MAX (4u * 1024 * 1024)

struct frame {
  uint16_t code;
  uint8_t stage;
  uint32_t tolerate;
  uint32_t length; /* of the body */
  const uint8_t *body;
};

union op_args;

uint32_t wire_u32(const uint8_t *at);
uint64_t wire_u64(const uint8_t *at);

/* The name in plans of a known op code, else NULL. */
const char *op_name(uint32_t code);

/* Reads the FRAME_HEADER_BYTES at `at`. False for an unknown code, stage or tolerate bit. Does not look at the length. */
bool frame_header(const uint8_t *at, struct frame *out);

/* Decodes the body. False when anything is off: a length, a NUL, a boolean, trailing bytes. */
bool frame_decode(const struct frame *frame, union op_args *out);

/* Take the next item of a decoded list and advance it. */
struct str list_str(struct list *list);
uint32_t list_u32(struct list *list);
struct id_range list_range(struct list *list);
#endif
