/* What is new at each start that is repeated. */
#include "launch.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

bool launch_start_time(const char *pid, char *out, size_t size) {
  char path[64];
  char text[1024];
  snprintf(path, sizeof path, "/proc/%s/stat", pid);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  ssize_t got = read(fd, text, sizeof text - 1);
  close(fd);
  if (got <= 0) return false;
  text[got] = 0;
  /* The command's name, in parentheses, may hold spaces and parentheses. */
  char *field = strrchr(text, ')');
  if (field == NULL || field[1] != ' ' || field[2] == 'Z' || field[2] == 'X') return false;
  for (int i = 2; i < 22 && field != NULL; i++) field = strchr(field + 1, ' ');
  if (field == NULL) return false;
  size_t length = strspn(++field, "0123456789");
  if (length == 0 || length >= size) return false;
  memcpy(out, field, length);
  out[length] = 0;
  return true;
}

static bool random_hex(char *out, size_t bytes) {
  static const char digits[] = "0123456789abcdef";
  uint8_t noise[32];
  if (bytes > sizeof noise || getrandom(noise, bytes, 0) != (ssize_t)bytes) return false;
  for (size_t i = 0; i < bytes; i++) {
    out[2 * i] = digits[noise[i] >> 4];
    out[2 * i + 1] = digits[noise[i] & 15];
  }
  out[2 * bytes] = 0;
  return true;
}

/* Its first twelve digits are a host name, which some programs would take for a number if they were all decimal. */
static bool random_id(char *out) {
  do {
    if (!random_hex(out, 32)) return false;
  } while (strspn(out, "0123456789") >= 12);
  return true;
}

bool launch_make_values(struct launch_values *out, const char *id, const struct launch_captures *captures) {
  enum { SIZE = sizeof out->text[0] };
  struct timespec now;
  struct tm parts;
  memset(out, 0, sizeof *out);
  if (captures != NULL) out->captures = *captures;
  if (id != NULL) {
    if (strlen(id) >= SIZE) return false;
    strcpy(out->text[SLOT_ID], id);
  } else if (!random_id(out->text[SLOT_ID])) {
    return false;
  }
  memcpy(out->text[SLOT_SHORT], out->text[SLOT_ID], 12);
  snprintf(out->text[SLOT_PID], SIZE, "%d", (int)getpid());
  snprintf(out->text[SLOT_PARENT], SIZE, "%d", (int)getppid());
  if (clock_gettime(CLOCK_REALTIME, &now) != 0 || gmtime_r(&now.tv_sec, &parts) == NULL) return false;
  int milliseconds = (int)(now.tv_nsec / 1000000);
  snprintf(out->text[SLOT_MILLISECONDS], SIZE, "%lld%03d", (long long)now.tv_sec, milliseconds);
  /* The engine's clock counts microseconds. */
  snprintf(out->text[SLOT_NANOSECONDS], SIZE, "%lld%06ld000", (long long)now.tv_sec, (long)(now.tv_nsec / 1000));
  size_t length = strftime(out->text[SLOT_DATE], SIZE, "%Y-%m-%dT%H:%M:%S", &parts);
  snprintf(out->text[SLOT_DATE] + length, SIZE - length, ".%03dZ", milliseconds);
  return launch_start_time(out->text[SLOT_PID], out->text[SLOT_START_TIME], SIZE);
}

bool launch_name_temporaries(struct launch_values *out, size_t length) {
  enum { SIZE = sizeof out->text[0], DIGITS_MIN = 6, DIGITS_MAX = 32 };
  char space[64];
  char noise[DIGITS_MAX + 1];
  char *name = out->text[SLOT_TEMPORARY];
  if (length == 0) return true;
  ssize_t size = readlink("/proc/self/ns/pid", space, sizeof space - 1);
  if (size <= 0 || !random_hex(noise, DIGITS_MAX / 2)) return false;
  space[size] = 0;
  unsigned long number = strtoul(space + strcspn(space, "0123456789"), NULL, 10);
  size_t head = (size_t)snprintf(name, SIZE, ".%s-%s-%lu-", out->text[SLOT_PID], out->text[SLOT_START_TIME], number);
  if (head >= SIZE || length < head + DIGITS_MIN + 4 || length > head + DIGITS_MAX + 4) return false;
  snprintf(name + head, SIZE - head, "%.*s.tmp", (int)(length - head - 4), noise);
  return true;
}

/* One of words between blanks. */
static struct launch_text choose(struct launch_text words, uint32_t noise) {
  size_t count = 1;
  for (size_t i = 0; i < words.length; i++) count += words.at[i] == ' ';
  size_t skipped = noise % count;
  size_t start = 0;
  for (; skipped > 0; start++) skipped -= words.at[start] == ' ';
  size_t end = start;
  while (end < words.length && words.at[end] != ' ') end++;
  return (struct launch_text){words.at + start, end - start};
}

bool launch_choose_name(struct launch_values *out, size_t length, struct launch_text adjectives, struct launch_text surnames) {
  enum { TRIES = 8 };
  uint32_t noise[2 * TRIES * TRIES];
  out->text[SLOT_NAME][0] = 0;
  if (length == 0) return true;
  /* One in five is as long as it must be. */
  if (length >= sizeof out->text[0] || getrandom(noise, sizeof noise, 0) != sizeof noise) return false;
  for (size_t i = 0; i < sizeof noise / sizeof *noise; i += 2) {
    struct launch_text first = choose(adjectives, noise[i]);
    struct launch_text second = choose(surnames, noise[i + 1]);
    if (first.length + 1 + second.length != length) continue;
    snprintf(out->text[SLOT_NAME], sizeof out->text[0], "%.*s_%.*s", (int)first.length, first.at, (int)second.length, second.at);
    return true;
  }
  return false;
}
