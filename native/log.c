/* The log of a container in the CRI format (kubernetes, cri-api): TIME STREAM F|P LINE. P: the line goes on in the next. */
#include "hub.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>

#define LINES_AT_ONCE 32

int log_open(struct log *log) {
  struct stat st;
  log->fd = open(log->path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (log->fd < 0) return -1;
  log->size = fstat(log->fd, &st) == 0 ? (uint64_t)st.st_size : 0;
  return 0;
}

/* PATH.(n-1) becomes PATH.n, the last is written over. */
static void rotate(struct log *log) {
  char from[4096 + 16];
  char to[4096 + 16];
  close(log->fd);
  for (uint32_t i = log->files > 1 ? log->files - 1 : 0; i > 0; i--) {
    snprintf(to, sizeof to, "%s.%u", log->path, i);
    if (i == 1) snprintf(from, sizeof from, "%s", log->path);
    else snprintf(from, sizeof from, "%s.%u", log->path, i - 1);
    if (rename(from, to) != 0 && errno != ENOENT) break;
  }
  if (log->files <= 1) unlink(log->path);
  log_open(log);
}

static size_t write_lines(const struct log *log, const struct iovec *parts, unsigned count) {
  ssize_t wrote;
  do wrote = writev(log->fd, parts, (int)count);
  while (wrote < 0 && errno == EINTR);
  return wrote < 0 ? 0 : (size_t)wrote;
}

static size_t time_prefix(char *out, size_t size, const char *stream) {
  struct timespec now;
  struct tm utc;
  clock_gettime(CLOCK_REALTIME, &now);
  gmtime_r(&now.tv_sec, &utc);
  int length = snprintf(out, size, "%04d-%02d-%02dT%02d:%02d:%02d.%09ldZ %s F ", utc.tm_year + 1900, utc.tm_mon + 1,
                        utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, now.tv_nsec, stream);
  return (size_t)length;
}

void log_write(struct log *log, const char *stream, const char *data, size_t size) {
  char whole[80];
  char partial[80];
  struct iovec parts[LINES_AT_ONCE * 2 + 3];
  unsigned count = 0;
  if (log->fd < 0) return;
  if (log->max_bytes > 0 && log->size >= log->max_bytes) rotate(log);
  if (log->fd < 0) return;
  size_t prefix = time_prefix(whole, sizeof whole, stream);
  memcpy(partial, whole, prefix);
  partial[prefix - 2] = 'P';
  for (const char *at = data; at < data + size;) {
    const char *end = memchr(at, '\n', (size_t)(data + size - at));
    size_t length = end == NULL ? (size_t)(data + size - at) : (size_t)(end + 1 - at);
    parts[count++] = (struct iovec){end == NULL ? partial : whole, prefix};
    parts[count++] = (struct iovec){(void *)(uintptr_t)at, length};
    if (end == NULL) parts[count++] = (struct iovec){(void *)(uintptr_t)"\n", 1};
    at += length;
    if (count >= LINES_AT_ONCE * 2) {
      log->size += write_lines(log, parts, count);
      count = 0;
    }
  }
  if (count > 0) log->size += write_lines(log, parts, count);
}
