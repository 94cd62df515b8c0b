#include "helper.h"
#include <stdarg.h>
#include <string.h>

int fail(struct helper *h, const char *format, ...) {
  int error = errno == 0 ? EIO : errno;
  va_list args;
  va_start(args, format);
  vsnprintf(h->detail, sizeof h->detail, format, args);
  va_end(args);
  return error;
}

int fail_as(struct helper *h, int error, const char *format, ...) {
  va_list args;
  va_start(args, format);
  vsnprintf(h->detail, sizeof h->detail, format, args);
  va_end(args);
  return error;
}

/* Overwrites control characters, so that a text cannot drive the user's terminal. */
static void make_printable(char *text) {
  for (unsigned char *at = (unsigned char *)text; *at != 0; at++) {
    if (*at < 0x20 || *at >= 0x7f) *at = '?';
  }
}

void complain(const char *format, ...) {
  char line[1024];
  va_list args;
  va_start(args, format);
  int length = vsnprintf(line, sizeof line - 1, format, args);
  va_end(args);
  if (length < 0) return;
  make_printable(line);
  size_t size = strlen(line);
  line[size++] = '\n';
  for (size_t done = 0; done < size;) {
    ssize_t wrote = write(STDERR_FILENO, line + done, size - done);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) return;
    done += (size_t)wrote;
  }
}
