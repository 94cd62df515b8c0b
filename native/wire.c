#define WANT_OP_FIELDS
#include "ops.gen.h"
#include <string.h>

uint32_t wire_u32(const uint8_t *at) {
  return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

uint64_t wire_u64(const uint8_t *at) {
  return wire_u32(at) | (uint64_t)wire_u32(at + 4) << 32;
}

const char *op_name(uint32_t code) {
  return code <= OP_CODE_MAX ? op_shapes[code].name : NULL;
}

bool frame_header(const uint8_t *at, struct frame *out) {
  out->code = (uint16_t)(at[0] | at[1] << 8);
  out->stage = at[2];
  out->tolerate = wire_u32(at + 4);
  out->length = wire_u32(at + 8);
  out->body = at + FRAME_HEADER_BYTES;
  return op_name(out->code) != NULL && out->stage < STAGE_COUNT && at[3] == 0 && out->tolerate >> TOLERATED_COUNT == 0;
}

/* What is left of a body. Every take checks before it reads. */
struct cursor {
  const uint8_t *at;
  size_t left;
};

static const uint8_t *take(struct cursor *cursor, size_t count) {
  if (count > cursor->left) return NULL;
  const uint8_t *at = cursor->at;
  cursor->at += count;
  cursor->left -= count;
  return at;
}

static bool take_u32(struct cursor *cursor, uint32_t *out) {
  const uint8_t *at = take(cursor, 4);
  if (at == NULL) return false;
  *out = wire_u32(at);
  return true;
}

static bool take_str(struct cursor *cursor, struct str *out) {
  uint32_t length;
  if (!take_u32(cursor, &length)) return false;
  const uint8_t *at = take(cursor, (size_t)length + 1);
  if (at == NULL || memchr(at, 0, (size_t)length + 1) != at + length) return false;
  *out = (struct str){(const char *)at, length};
  return true;
}

static bool take_list(struct cursor *cursor, enum arg_type type, struct list *out) {
  uint32_t count;
  if (!take_u32(cursor, &count)) return false;
  *out = (struct list){cursor->at, count};
  if (type == ARG_U32S) return take(cursor, (size_t)count * 4) != NULL;
  if (type == ARG_MAPS) return take(cursor, (size_t)count * 12) != NULL;
  for (uint32_t i = 0; i < count; i++) {
    struct str item;
    if (!take_str(cursor, &item)) return false;
  }
  return true;
}

static bool take_argument(struct cursor *cursor, enum arg_type type, void *out) {
  const uint8_t *at;
  switch (type) {
  case ARG_BOOL:
    at = take(cursor, 1);
    if (at == NULL || *at > 1) return false;
    *(bool *)out = *at == 1;
    return true;
  case ARG_U32:
    return take_u32(cursor, out);
  case ARG_I32: {
    uint32_t value;
    if (!take_u32(cursor, &value)) return false;
    memcpy(out, &value, sizeof value);
    return true;
  }
  case ARG_U64:
  case ARG_I64: {
    at = take(cursor, 8);
    if (at == NULL) return false;
    uint64_t value = wire_u64(at);
    memcpy(out, &value, sizeof value);
    return true;
  }
  case ARG_STR:
  case ARG_RAW:
    return take_str(cursor, out);
  case ARG_BYTES: {
    struct bytes *bytes = out;
    if (!take_u32(cursor, &bytes->length)) return false;
    bytes->at = take(cursor, bytes->length);
    return bytes->at != NULL;
  }
  case ARG_STRS:
  case ARG_U32S:
  case ARG_MAPS:
    return take_list(cursor, type, out);
  case ARG_PATH: {
    struct path *path = out;
    at = take(cursor, 1);
    if (at == NULL || *at >= BASE_COUNT) return false;
    path->base = *at;
    return take_str(cursor, &path->path);
  }
  }
  return false;
}

bool frame_decode(const struct frame *frame, union op_args *out) {
  const struct shape *shape = &op_shapes[frame->code];
  struct cursor cursor = {frame->body, frame->length};
  for (uint8_t i = 0; i < shape->count; i++) {
    if (!take_argument(&cursor, shape->fields[i].type, (char *)out + shape->fields[i].offset)) return false;
  }
  return cursor.left == 0;
}

struct str list_str(struct list *list) {
  uint32_t length = wire_u32(list->at);
  struct str item = {(const char *)list->at + 4, length};
  list->at += 4 + (size_t)length + 1;
  list->count--;
  return item;
}

uint32_t list_u32(struct list *list) {
  uint32_t value = wire_u32(list->at);
  list->at += 4;
  list->count--;
  return value;
}

struct id_range list_range(struct list *list) {
  struct id_range range = {wire_u32(list->at), wire_u32(list->at + 4), wire_u32(list->at + 8)};
  list->at += 12;
  list->count--;
  return range;
}
