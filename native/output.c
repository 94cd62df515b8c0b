/* The frames of output.h, in one buffer that grows. */
#include "output.h"
#include "helper.h"
#include <stdlib.h>
#include <sys/sysmacros.h>

#define OUTPUT_BYTES (1024 * 1024)
#define FLUSH_BYTES (OUTPUT_BYTES - 64 * 1024)
#define DATA_HEADER_BYTES (FRAME_HEADER_BYTES + 12)

static struct {
  uint8_t *bytes;
  size_t used, capacity;
} output;

bool output_flush(int fd) {
  for (size_t at = 0; at < output.used;) {
    ssize_t wrote = write(fd, output.bytes + at, output.used - at);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) return false;
    at += (size_t)wrote;
  }
  output.used = 0;
  return true;
}

bool output_flush_full(int fd) {
  return output.used < FLUSH_BYTES || output_flush(fd);
}

static uint8_t *reserve(size_t count) {
  if (output.used + count > output.capacity) {
    size_t larger = output.capacity == 0 ? OUTPUT_BYTES : output.capacity * 2;
    while (larger < output.used + count) larger *= 2;
    uint8_t *moved = realloc(output.bytes, larger);
    if (moved == NULL) return NULL;
    output.bytes = moved;
    output.capacity = larger;
  }
  return output.bytes + output.used;
}

static void put_header(uint8_t **at, uint16_t code, size_t length) {
  *(*at)++ = (uint8_t)code;
  *(*at)++ = (uint8_t)(code >> 8);
  *(*at)++ = STAGE_APPLY;
  *(*at)++ = 0;
  put_u32(at, 0);
  put_u32(at, (uint32_t)length);
}

bool output_answer(int error, const char *text) {
  size_t length = 4 + 5 + strlen(text);
  uint8_t *at = reserve(FRAME_HEADER_BYTES + length);
  if (at == NULL) return false;
  put_header(&at, OP_ANSWER, length);
  put_u32(&at, (uint32_t)error);
  put_text(&at, text);
  output.used += FRAME_HEADER_BYTES + length;
  return true;
}

bool output_entry(const char *path, const struct stat *st, uint32_t type, const char *link, const uint32_t owner[2],
                  const struct attributes *attributes) {
  size_t length = 5 + strlen(path) + 16 + 8 + 12 + 5 + strlen(link) + 8 + 4 + attributes->names_size + 4 + attributes->values_size;
  uint8_t *at = reserve(FRAME_HEADER_BYTES + length);
  if (at == NULL) return false;
  put_header(&at, OP_LAYER_ENTRY, length);
  put_text(&at, path);
  put_u32(&at, type);
  put_u32(&at, st->st_mode & 07777);
  put_u32(&at, owner[0]);
  put_u32(&at, owner[1]);
  put_u64(&at, type == '0' ? (uint64_t)st->st_size : 0);
  put_u64(&at, (uint64_t)(int64_t)st->st_mtim.tv_sec);
  put_u32(&at, (uint32_t)st->st_mtim.tv_nsec);
  put_text(&at, link);
  bool device = type == '3' || type == '4';
  put_u32(&at, device ? major(st->st_rdev) : 0);
  put_u32(&at, device ? minor(st->st_rdev) : 0);
  put_u32(&at, attributes->count);
  if (attributes->names_size > 0) memcpy(at, attributes->names, attributes->names_size);
  at += attributes->names_size;
  put_u32(&at, (uint32_t)attributes->values_size);
  if (attributes->values_size > 0) memcpy(at, attributes->values, attributes->values_size);
  output.used += FRAME_HEADER_BYTES + length;
  return true;
}

int output_range(int to, int fd, off_t start, off_t end) {
  while (start < end) {
    if (output.used + 128 * 1024 > OUTPUT_BYTES && !output_flush(to)) return -1;
    uint8_t *at = reserve(OUTPUT_BYTES - output.used);
    if (at == NULL) return -1;
    size_t room = OUTPUT_BYTES - output.used - DATA_HEADER_BYTES;
    size_t want = end - start > (off_t)room ? room : (size_t)(end - start);
    ssize_t got = pread(fd, at + DATA_HEADER_BYTES, want, start);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return -1;
    if (got == 0) return 0; /* it became shorter: the rest is a hole */
    put_header(&at, OP_LAYER_DATA, 12 + (size_t)got);
    put_u64(&at, (uint64_t)start);
    put_u32(&at, (uint32_t)got);
    output.used += DATA_HEADER_BYTES + (size_t)got;
    start += got;
  }
  return 0;
}
