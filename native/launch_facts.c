/* What the engine found when the record was made: whether it is still so. */
#include "launch.h"
#include "sys.h"
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Files that the kernel makes up may be read whole to pick lines of them. */
static char content[512 * 1024];

enum { WORDS_MAX = 8 };

static bool access_is(struct launch_reader *r, struct launch_values *values, bool dry) {
  int mode = launch_u8(r);
  int error = (int)launch_u32(r);
  const char *path = launch_string(r, values);
  if (r->bad || dry) return !r->bad;
  int found = access(path, mode) == 0 ? 0 : errno;
  return error == -1 ? found != 0 : found == error;
}

static uint64_t nanoseconds(struct timespec time) { return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec; }

/* What the kernel makes up has numbers and times of the moment. */
static bool is_made_up(const char *path) { return strncmp(path, "/proc/", 6) == 0 || strncmp(path, "/sys/", 5) == 0; }

static bool stat_is(struct launch_reader *r, struct launch_values *values, bool dry) {
  bool follow = launch_u8(r) == 1;
  int error = (int)launch_u32(r);
  const char *path = launch_string(r, values);
  uint64_t expected[9];
  for (size_t i = 0; i < 9; i++) expected[i] = launch_u64(r);
  if (r->bad || dry) return !r->bad;
  struct stat st;
  if (fstatat(AT_FDCWD, path, &st, follow ? 0 : AT_SYMLINK_NOFOLLOW) != 0) return errno == error;
  if (error != 0) return false;
  bool made_up = is_made_up(path);
  const uint64_t found[9] = {made_up ? 0 : (uint64_t)st.st_dev, made_up ? 0 : (uint64_t)st.st_ino, st.st_mode, st.st_uid, st.st_gid,
                             (uint64_t)st.st_rdev, made_up ? 0 : (uint64_t)st.st_size, made_up ? 0 : nanoseconds(st.st_mtim),
                             made_up ? 0 : nanoseconds(st.st_ctim)};
  return memcmp(found, expected, sizeof found) == 0;
}

/* Of a file that is the container's own nothing counts but what kind it is of. */
static bool kind_is(struct launch_reader *r, struct launch_values *values, bool dry) {
  bool follow = launch_u8(r) == 1;
  int error = (int)launch_u32(r);
  uint32_t kind = launch_u32(r);
  const char *path = launch_string(r, values);
  if (r->bad || dry) return !r->bad;
  struct stat st;
  if (fstatat(AT_FDCWD, path, &st, follow ? 0 : AT_SYMLINK_NOFOLLOW) != 0) return errno == error;
  return error == 0 && (st.st_mode & S_IFMT) == kind;
}

/*
 * A regular file in the root of another process, `/proc/PID/root/…`: whoever is in there may put a link that leads to the host's
 * files, or a device, in its place. The engine has resolved its links: now there may be none.
 */
static int open_beneath(const char *path, size_t root_length) {
  char root[32];
  struct stat st;
  snprintf(root, sizeof root, "%.*s", (int)root_length, path);
  int above = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (above < 0) return -1;
  int found = k_openat2(above, path + root_length + 1, O_PATH, 0, K_RESOLVE_BENEATH | K_RESOLVE_NO_SYMLINKS);
  int error = errno;
  close(above);
  errno = error;
  if (found < 0) return -1;
  snprintf(root, sizeof root, "/proc/self/fd/%d", found);
  int fd = fstat(found, &st) == 0 && S_ISREG(st.st_mode) ? open(root, O_RDONLY | O_NONBLOCK | O_CLOEXEC) : -1;
  close(found);
  if (fd < 0) errno = ENXIO;
  return fd;
}

/* The length of `/proc/PID/root`, where a path begins with it and goes on. */
static size_t process_root_length(const char *path) {
  static const char head[] = "/proc/";
  static const char tail[] = "/root/";
  if (strncmp(path, head, sizeof head - 1) != 0) return 0;
  size_t digits = strspn(path + sizeof head - 1, "0123456789");
  if (digits == 0 || digits > 10 || strncmp(path + sizeof head - 1 + digits, tail, sizeof tail - 1) != 0) return 0;
  return sizeof head - 1 + digits + sizeof tail - 2;
}

/* Not blocking: there may be a FIFO now. */
static int open_to_read(const char *path) {
  size_t root_length = process_root_length(path);
  return root_length > 0 ? open_beneath(path, root_length) : open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
}

/* At most so many bytes; -1 with errno. */
static ssize_t read_file(const char *path, char *out, size_t size) {
  size_t filled = 0;
  int fd = open_to_read(path);
  if (fd < 0) return -1;
  while (filled < size) {
    ssize_t got = read(fd, out + filled, size - filled);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      int error = errno;
      close(fd);
      errno = error;
      return -1;
    }
    if (got == 0) break;
    filled += (size_t)got;
  }
  close(fd);
  return (ssize_t)filled;
}

static bool has(const char *line, size_t length, struct launch_text word) {
  return word.length > 0 && memmem(line, length, word.at, word.length) != NULL;
}

/* Leaves the lines that hold one of the words; their size. */
static size_t pick_lines(char *text, size_t size, const struct launch_text *words, size_t count) {
  size_t kept = 0;
  for (size_t start = 0; start < size;) {
    char *newline = memchr(text + start, '\n', size - start);
    size_t length = newline == NULL ? size - start : (size_t)(newline + 1 - text) - start;
    bool wanted = false;
    for (size_t i = 0; i < count && !wanted; i++) wanted = has(text + start, length, words[i]);
    if (wanted) {
      memmove(text + kept, text + start, length);
      kept += length;
    }
    start += length;
  }
  return kept;
}

static bool content_is(struct launch_reader *r, struct launch_values *values, bool dry) {
  struct launch_text words[WORDS_MAX];
  int error = (int)launch_u32(r);
  bool prefix = launch_u8(r) == 1;
  const char *path = launch_string(r, values);
  size_t count = launch_u8(r);
  if (count > WORDS_MAX) r->bad = true;
  for (size_t i = 0; i < count && !r->bad; i++) words[i] = launch_plain(r);
  if (dry) launch_match_dry(r, values);
  if (r->bad || dry) return !r->bad;
  size_t bound = launch_text_bound(*r, values);
  if (bound >= sizeof content) return false;
  /* One byte more, to see that the file ends. */
  size_t size = count > 0 ? sizeof content : bound + (prefix ? 0 : 1);
  ssize_t got = read_file(path, content, size);
  if (got < 0 && errno != error) return false;
  if (got < 0) return launch_match(r, values, "", 0, false);
  if (error != 0 || (count > 0 && (size_t)got == sizeof content)) return false;
  size_t found = count > 0 ? pick_lines(content, (size_t)got, words, count) : (size_t)got;
  return launch_match(r, values, content, found, prefix);
}

static bool link_is(struct launch_reader *r, struct launch_values *values, bool dry) {
  char target[PATH_MAX];
  int error = (int)launch_u32(r);
  const char *path = launch_string(r, values);
  struct launch_text expected = launch_text(r, values);
  if (r->bad || dry) return !r->bad;
  ssize_t length = readlink(path, target, sizeof target);
  if (length < 0) return errno == error;
  return error == 0 && (size_t)length == expected.length && memcmp(target, expected.at, expected.length) == 0;
}

static bool real_path_is(struct launch_reader *r, struct launch_values *values, bool dry) {
  char resolved[PATH_MAX];
  const char *path = launch_string(r, values);
  struct launch_text expected = launch_text(r, values);
  if (r->bad || dry) return !r->bad;
  return realpath(path, resolved) != NULL && strlen(resolved) == expected.length &&
         memcmp(resolved, expected.at, expected.length) == 0;
}

/* --- what dead commands left: the engine removes it --- */

static bool own_pid_namespace(char *out, size_t size) {
  ssize_t length = readlink("/proc/self/ns/pid", out, size - 1);
  if (length <= 0) return false;
  out[length] = 0;
  return true;
}

static bool is_newer(const char *path, int64_t seconds) {
  struct stat st;
  return lstat(path, &st) == 0 && (int64_t)time(NULL) - (int64_t)st.st_mtim.tv_sec < seconds;
}

/* Nothing of this container is for the engine to look at. */
static bool monitor_lives(const char *directory, const char *id) {
  enum { GRACE_SECONDS = 2 };
  char path[PATH_MAX];
  char text[128];
  char own[64];
  char started[32];
  snprintf(path, sizeof path, "%s/%s/frozen-by", directory, id);
  if (access(path, F_OK) == 0) return false;
  snprintf(path, sizeof path, "%s/%s/monitor", directory, id);
  ssize_t got = read_file(path, text, sizeof text - 1);
  if (got <= 0) {
    /* It is being made or being removed; where it stays so, the engine finds out why. */
    *strrchr(path, '/') = 0;
    return access(path, F_OK) != 0 || is_newer(path, GRACE_SECONDS);
  }
  text[got] = 0;
  char *rest = NULL;
  const char *pid = strtok_r(text, " \n", &rest);
  const char *start = strtok_r(NULL, " \n", &rest);
  const char *space = strtok_r(NULL, " \n", &rest);
  if (space == NULL || pid[strspn(pid, "0123456789")] != 0 || strlen(pid) > 10 || !own_pid_namespace(own, sizeof own)) return false;
  /* Of another pid namespace nothing is known here. */
  return strcmp(space, own) != 0 || (launch_start_time(pid, started, sizeof started) && strcmp(started, start) == 0);
}

static bool is_id(const char *name) { return strlen(name) == 64 && strspn(name, "0123456789abcdef") == 64; }

/* As the engine does, a few from a random one on; no directory, no containers. */
static bool monitors_live(struct launch_reader *r, struct launch_values *values, bool dry) {
  const char *path = launch_string(r, values);
  uint32_t most = launch_u32(r);
  if (r->bad || dry) return !r->bad;
  DIR *directory = opendir(path);
  if (directory == NULL) return errno == ENOENT;
  size_t count = 0;
  struct dirent *entry;
  while ((entry = readdir(directory)) != NULL) count += is_id(entry->d_name);
  size_t first = count > most ? (size_t)(strtoull(values->text[SLOT_NANOSECONDS], NULL, 10) / 1000) % count : 0;
  bool live = true;
  rewinddir(directory);
  for (size_t i = 0; live && (entry = readdir(directory)) != NULL;) {
    if (!is_id(entry->d_name)) continue;
    /* One that came meanwhile is looked at as well. */
    if (i >= count || (i + count - first) % count < most) live = monitor_lives(path, entry->d_name);
    i++;
  }
  closedir(directory);
  return live;
}

/* `PREFIX.PID-STARTTIME-PIDNAMESPACE-RANDOM.tmp` (src/base/files.ts). */
static bool owner_lives(const char *directory, const char *name) {
  enum { WEEK_SECONDS = 7 * 24 * 3600 };
  char path[PATH_MAX];
  char own[64];
  char started[32];
  unsigned long long numbers[3];
  size_t length = strlen(name);
  if (length < 5 || strcmp(name + length - 4, ".tmp") != 0) return true;
  const char *at = name + length - 4;
  while (at > name && at[-1] != '.') at--;
  for (size_t i = 0; i < 3; i++) {
    char *end;
    if (!isdigit((unsigned char)*at)) return true;
    numbers[i] = strtoull(at, &end, 10);
    if (*end != '-') return true;
    at = end + 1;
  }
  if (!own_pid_namespace(own, sizeof own)) return false;
  if (strtoull(own + strcspn(own, "0123456789"), NULL, 10) != numbers[2]) {
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return is_newer(path, WEEK_SECONDS);
  }
  snprintf(path, sizeof path, "%llu", numbers[0]);
  return launch_start_time(path, started, sizeof started) && strtoull(started, NULL, 10) == numbers[1];
}

static bool no_dead_temporaries(struct launch_reader *r, struct launch_values *values, bool dry) {
  const char *path = launch_string(r, values);
  if (r->bad || dry) return !r->bad;
  DIR *directory = opendir(path);
  if (directory == NULL) return errno == ENOENT;
  bool live = true;
  struct dirent *entry;
  while (live && (entry = readdir(directory)) != NULL) live = owner_lives(path, entry->d_name);
  closedir(directory);
  return live;
}

static bool process_is(struct launch_reader *r, struct launch_values *values, bool dry) {
  char started[32] = "";
  const char *pid = launch_string(r, values);
  struct launch_text expected = launch_text(r, values);
  if (r->bad || dry) return !r->bad;
  if (strlen(pid) > 10 || pid[strspn(pid, "0123456789")] != 0) return false;
  bool lives = launch_start_time(pid, started, sizeof started);
  return lives == (expected.length > 0) && strlen(started) == expected.length && memcmp(started, expected.at, expected.length) == 0;
}

/* Which namespaces of a process are not ours: a bit for each, in the order of src/runtime/lifecycle/join.ts. */
static bool namespaces_are(struct launch_reader *r, struct launch_values *values, bool dry) {
  static const char *const names[] = {"cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"};
  const char *directory = launch_string(r, values);
  uint32_t expected = launch_u32(r);
  uint32_t found = 0;
  if (r->bad || dry) return !r->bad;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    char path[PATH_MAX];
    char theirs[64];
    char ours[64];
    if (snprintf(path, sizeof path, "%s/%s", directory, names[i]) >= (int)sizeof path) return false;
    ssize_t length = readlink(path, theirs, sizeof theirs);
    if (length < 0 && errno == ENOENT) continue;
    snprintf(path, sizeof path, "/proc/self/ns/%s", names[i]);
    ssize_t own = readlink(path, ours, sizeof ours);
    if (length < 0 || (own < 0 && errno != ENOENT)) return false;
    if (own != length || memcmp(ours, theirs, (size_t)length) != 0) found |= 1u << i;
  }
  return found == expected;
}

/* --- containers --- */

static bool skip_digits(const char **at, size_t most) {
  size_t count = strspn(*at, "0123456789");
  *at += count;
  return count > 0 && count <= most;
}

static bool skip(const char **at, const char *text) {
  size_t length = strlen(text);
  if (strncmp(*at, text, length) != 0) return false;
  *at += length;
  return true;
}

/* `CODE SIGNAL TIME\n`, ` oom` before its end: what a monitor writes last. */
static bool has_ended(struct launch_reader *r, const struct launch_values *values, bool dry) {
  char text[64];
  const char *at = text;
  const char *path = launch_string(r, values);
  if (r->bad || dry) return !r->bad;
  ssize_t got = read_file(path, text, sizeof text - 1);
  if (got <= 0) return false;
  text[got] = 0;
  if (!skip_digits(&at, 3) || !skip(&at, " ") || !skip_digits(&at, 2) || !skip(&at, " ") || !skip_digits(&at, 20)) return false;
  skip(&at, " oom");
  return skip(&at, "\n") && at == text + got;
}

/* No other container than this one has an id that begins so; an empty id: none has. */
static bool ids_are(struct launch_reader *r, const struct launch_values *values, bool dry) {
  const char *path = launch_string(r, values);
  struct launch_text prefix = launch_text(r, values);
  struct launch_text expected = launch_text(r, values);
  if (r->bad || dry) return !r->bad;
  DIR *directory = opendir(path);
  if (directory == NULL) return errno == ENOENT && expected.length == 0;
  bool found = expected.length == 0;
  bool others = false;
  struct dirent *entry;
  while (!others && (entry = readdir(directory)) != NULL) {
    if (!is_id(entry->d_name) || prefix.length > 64 || memcmp(entry->d_name, prefix.at, prefix.length) != 0) continue;
    bool same = expected.length == 64 && memcmp(entry->d_name, expected.at, 64) == 0;
    found |= same;
    others = !same;
  }
  closedir(directory);
  return found && !others;
}

static bool fact(uint8_t kind, struct launch_reader *r, struct launch_values *values, bool dry) {
  switch (kind) {
  case FACT_ACCESS:
    return access_is(r, values, dry);
  case FACT_STAT:
    return stat_is(r, values, dry);
  case FACT_CONTENT:
    return content_is(r, values, dry);
  case FACT_LINK:
    return link_is(r, values, dry);
  case FACT_REAL_PATH:
    return real_path_is(r, values, dry);
  case FACT_MONITORS:
    return monitors_live(r, values, dry);
  case FACT_TEMPORARIES:
    return no_dead_temporaries(r, values, dry);
  case FACT_PROCESS:
    return process_is(r, values, dry);
  case FACT_ENDED:
    return has_ended(r, values, dry);
  case FACT_IDS:
    return ids_are(r, values, dry);
  case FACT_KIND:
    return kind_is(r, values, dry);
  case FACT_NAMESPACES:
    return namespaces_are(r, values, dry);
  case FACT_ANSWER:
    return launch_answer_is(r, values, dry);
  default:
    r->bad = true;
    return false;
  }
}

bool launch_fact(uint8_t kind, struct launch_reader *r, struct launch_values *values, bool dry) {
  values->in_fact = !dry;
  bool holds = fact(kind, r, values, dry);
  values->in_fact = false;
  return holds;
}
