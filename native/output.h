/* What the ops that read write: entries, bytes and answers as op frames, gathered in memory until they are flushed. */
#ifndef VITRINE_OUTPUT_H
#define VITRINE_OUTPUT_H
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>

/* Names and values of an entry's attributes, as the wire has them. */
struct attributes {
  uint32_t count;
  uint8_t *names, *values;
  size_t names_size, values_size;
};

static inline void put_u32(uint8_t **at, uint32_t value) {
  for (int i = 0; i < 4; i++) *(*at)++ = (uint8_t)(value >> (8 * i));
}

static inline void put_u64(uint8_t **at, uint64_t value) {
  put_u32(at, (uint32_t)value);
  put_u32(at, (uint32_t)(value >> 32));
}

static inline void put_bytes(uint8_t **at, const void *bytes, size_t count) {
  put_u32(at, (uint32_t)count);
  memcpy(*at, bytes, count);
  *at += count;
}

static inline void put_text(uint8_t **at, const char *text) {
  put_bytes(at, text, strlen(text));
  *(*at)++ = 0;
}

/* Writes what is buffered for the output. False and errno. */
bool output_flush(int fd);
/* The same once most of the buffer is used. */
bool output_flush_full(int fd);
bool output_answer(int error, const char *text);
/* The entry's frame. `owner`: {uid, gid}. `link`: of a symbolic link its text, of a hard link the first name. False and
   errno: no memory. */
bool output_entry(const char *path, const struct stat *st, uint32_t type, const char *link, const uint32_t owner[2],
                  const struct attributes *attributes);
/* The bytes from `start` to `end` of `fd`, flushed to `to` on the way. -1 and errno. */
int output_range(int to, int fd, off_t start, off_t end);
#endif
