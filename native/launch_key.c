/* What tells one start from another, but for what is in files: docs/launch-record.md, "The key". */
#include "launch.h"
#include "sha256.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

extern char **environ;

/* Each part with its length before it, so that no two lists of parts are the same bytes. */
static void add(struct sha256 *s, const void *data, size_t size) {
  uint64_t length = size;
  sha256_update(s, (const uint8_t *)&length, sizeof length);
  sha256_update(s, data, size);
}

static void add_text(struct sha256 *s, const char *text) { add(s, text, strlen(text)); }

static void add_number(struct sha256 *s, uint64_t number) { add(s, &number, sizeof number); }

/* What stands for a captured value: which it is, and its length, since plans count the bytes of their strings. */
static void add_captured(struct sha256 *s, const struct launch_start *start, int index, size_t length) {
  bool loose = index >= 0 && start->captures->list[index].kind == CAPTURE_LOOSE_PATH;
  add_number(s, (uint64_t)(int64_t)index);
  add_number(s, loose ? 0 : length);
}

/* A text without what is captured of it. True: something is. */
static bool add_cut(struct sha256 *s, const struct launch_start *start, const char *text) {
  const char *end = text + strlen(text);
  const char *from = text;
  bool cut = false;
  for (const char *at = text; at < end;) {
    int index = 0;
    size_t length = launch_captured_length(start, text, at, end, &index);
    if (length > 0) {
      add(s, from, (size_t)(at - from));
      add_captured(s, start, index, length);
      from = at + length;
      cut = true;
    }
    at += length > 0 ? length : 1;
  }
  add(s, from, (size_t)(end - from));
  return cut;
}

/* How many there are, and of which kinds: those of a container are not in its words. */
static void add_captures(struct sha256 *s, const struct launch_start *start) {
  size_t count = start->captures == NULL ? 0 : start->captures->count;
  add_number(s, count);
  for (size_t i = 0; i < count; i++) {
    add_number(s, start->captures->list[i].kind);
    add_captured(s, start, (int)i, start->captures->list[i].text.length);
  }
}

static void add_words(struct sha256 *s, const struct launch_start *start, char **words) {
  size_t count = 0;
  while (words[count] != NULL) count++;
  add_number(s, count);
  for (size_t i = 0; i < count; i++) {
    add_number(s, i);
    /* How it names its container is told by the captures: all of them are the container's. */
    if (words[i] == start->container && start->captures->count > 0) add_number(s, UINT64_MAX);
    else add_cut(s, start, words[i]);
  }
}

static void add_identity(struct sha256 *s, const char *path, bool whole) {
  struct stat st;
  if (stat(path, &st) != 0) {
    add_number(s, (uint64_t)errno);
    return;
  }
  add_number(s, (uint64_t)st.st_dev);
  add_number(s, (uint64_t)st.st_ino);
  if (!whole) return;
  add_number(s, (uint64_t)st.st_size);
  add(s, &st.st_mtim, sizeof st.st_mtim);
  add(s, &st.st_ctim, sizeof st.st_ctim);
}

/* At most so many bytes; -1: none can be read. */
static ssize_t read_some(const char *path, char *out, size_t size) {
  size_t filled = 0;
  ssize_t got;
  int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return -1;
  while (filled < size && (got = read(fd, out + filled, size - filled)) > 0) filled += (size_t)got;
  close(fd);
  return (ssize_t)filled;
}

/* Of a small file of /proc; false where it cannot be read whole. */
static bool add_content(struct sha256 *s, const struct launch_start *start, const char *path) {
  char text[8192];
  ssize_t size = read_some(path, text, sizeof text - 1);
  add_number(s, size < 0 ? (uint64_t)errno : 0);
  text[size < 0 ? 0 : size] = 0;
  add_cut(s, start, text);
  return size < (ssize_t)sizeof text - 1;
}

/* --- the file of a container's own --- */

/* FNV-1a, and its bits spread. */
struct piece {
  uint64_t hash;
  bool any, may_move;
};

/* In any order; in the order of the file. */
struct sums {
  uint64_t free[2], ordered[2];
};

static void grow(struct piece *piece, uint64_t value) {
  piece->hash = (piece->hash ^ value) * 0x100000001b3u;
  piece->any = true;
}

static void finish(struct piece *piece, struct sums *sums) {
  if (piece->any) {
    uint64_t *to = piece->may_move ? sums->free : sums->ordered;
    uint64_t turn = piece->may_move ? 1 : 0x9e3779b97f4a7c15u;
    uint64_t hash = (piece->hash ^ piece->hash >> 32) * 0xd6e8feb86659fd93u;
    to[0] = to[0] * turn + (hash ^ hash >> 32);
    to[1] = to[1] * turn + (hash ^ hash >> 29) * 0xbf58476d1ce4e5b9u;
  }
  *piece = (struct piece){0xcbf29ce484222325u, false, false};
}

/* A variable of an environment, and what a mount has for itself: some engines write these lists in another order each time. */
static bool may_move(const char *at, const char *end) {
  static const char *const heads[] = {"\"destination\":", "\"source\":"};
  size_t left = (size_t)(end - at);
  for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
    if (left > strlen(heads[i]) && memcmp(at, heads[i], strlen(heads[i])) == 0) return true;
  }
  if (left < 2 || *at++ != '"') return false;
  while (at < end && (launch_is_letter_or_digit(*at) || *at == '_')) at++;
  return at < end && *at == '=';
}

/*
 * What is between the signs of JSON, without what may be captured. What may move is added in any order, all else in its own: so
 * mounts with other options at other places have another record (podman has its four in one of four orders). That two files are
 * told apart here saves time alone; the record's facts hold the file itself.
 */
static void add_file(struct sha256 *s, const struct launch_start *start, const char *file, bool in_any_order) {
  static char text[128 * 1024];
  struct sums sums = {{0, 0}, {0, 0}};
  struct piece piece = {0, false, false};
  ssize_t size = file == NULL || *file != '/' ? -1 : read_some(file, text, sizeof text);
  const char *end = text + (size < 0 ? 0 : size);
  finish(&piece, &sums);
  for (const char *at = text; at < end;) {
    /* An indented line: no string has a line's end in it. */
    if (*at == '\n') {
      do at++;
      while (at < end && *at == ' ');
      continue;
    }
    int index = -2;
    bool inside = launch_is_inside(at, text);
    size_t length = inside ? 0 : launch_captured_length(start, text, at, end, &index);
    if (length == 0 && !inside && (length = launch_hex_length(at, end)) > 0) index = -3 - (int)length;
    /* Fractions of a second lose their last noughts: what is longer by one digit is no value for a hole. */
    if (length == 0 && !inside && (length = launch_date_length(at, end)) > 0) index = -3 - LAUNCH_HEX_MAX - (int)length;
    if (!piece.any) piece.may_move = in_any_order || may_move(at, end);
    if (length > 0) {
      grow(&piece, (uint64_t)(int64_t)index);
      at += length;
    } else if (strchr(",[]{}", *at) != NULL) {
      finish(&piece, &sums);
      at++;
    } else {
      grow(&piece, (uint8_t)*at++);
    }
  }
  finish(&piece, &sums);
  add(s, &sums, sizeof sums);
}

static bool add_credentials(struct sha256 *s) {
  uid_t uids[3];
  gid_t gids[3];
  gid_t groups[1024];
  int count = getgroups(1024, groups);
  if (getresuid(uids, uids + 1, uids + 2) != 0 || getresgid(gids, gids + 1, gids + 2) != 0 || count < 0) return false;
  add(s, uids, sizeof uids);
  add(s, gids, sizeof gids);
  add(s, groups, (size_t)count * sizeof *groups);
  struct {
    uint32_t version;
    int pid;
  } header = {0x20080522, 0};
  uint32_t sets[6];
  if (syscall(SYS_capget, &header, sets) != 0) return false;
  add(s, sets, sizeof sets);
  uint64_t bounding = 0;
  uint64_t ambient = 0;
  for (unsigned capability = 0; capability < 64; capability++) {
    int held = prctl(PR_CAPBSET_READ, capability, 0, 0, 0);
    if (held < 0) break;
    bounding |= (uint64_t)(held == 1) << capability;
    ambient |= (uint64_t)(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, capability, 0, 0) == 1) << capability;
  }
  add_number(s, bounding);
  add_number(s, ambient);
  add_number(s, (uint64_t)prctl(PR_GET_SECUREBITS, 0, 0, 0, 0));
  add_number(s, (uint64_t)prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
  add_number(s, (uint64_t)prctl(PR_GET_SECCOMP, 0, 0, 0, 0));
  return true;
}

static bool add_surroundings(struct sha256 *s, const struct launch_start *start) {
  static const char *const namespaces[] = {"cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"};
  char path[PATH_MAX] = "/proc/self/ns/";
  struct utsname host;
  for (size_t i = 0; i < sizeof namespaces / sizeof *namespaces; i++) {
    strcpy(path + sizeof "/proc/self/ns/" - 1, namespaces[i]);
    add_identity(s, path, false);
  }
  if (uname(&host) != 0 || getcwd(path, sizeof path) == NULL) return false;
  /* glibc and musl fill the unused rest with nulls or leave it: only the texts count. */
  add_text(s, host.sysname);
  add_text(s, host.nodename);
  add_text(s, host.release);
  add_text(s, host.version);
  add_text(s, host.machine);
  /* A directory of the container's own is another each time. */
  if (!add_cut(s, start, path)) add_identity(s, ".", false);
  add_identity(s, "/", false);
  return add_content(s, start, "/proc/sys/kernel/random/boot_id") && add_content(s, start, "/proc/self/cgroup");
}

static void add_limits(struct sha256 *s) {
  mode_t mask = umask(0777);
  umask(mask);
  add_number(s, mask);
  for (int resource = 0; resource < 16; resource++) {
    struct rlimit limit;
    if (getrlimit(resource, &limit) != 0) continue;
    add_number(s, (uint64_t)limit.rlim_cur);
    add_number(s, (uint64_t)limit.rlim_max);
  }
}

/* What they are, not which: a decision may depend on a terminal, never on what comes through it. */
static void add_streams(struct sha256 *s) {
  for (int fd = 0; fd < 3; fd++) {
    struct stat st;
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fstat(fd, &st) != 0) {
      add_number(s, UINT64_MAX);
      continue;
    }
    add_number(s, st.st_mode & S_IFMT);
    add_number(s, (uint64_t)(flags & O_ACCMODE));
    add_number(s, (uint64_t)isatty(fd));
  }
}

bool launch_key_of(const struct launch_start *start, struct launch_key *out) {
  struct sha256 s;
  sha256_begin(&s);
  add_text(&s, "vitrine launch 3");
  add_words(&s, start, start->argv);
  add_captures(&s, start);
  add_words(&s, start, environ);
  add_file(&s, start, start->file, false);
  /* What was mounted, and in which order, is over. */
  add_file(&s, start, start->shape, true);
  add_identity(&s, "/proc/self/exe", true);
  add_identity(&s, start->engine, true);
  add_identity(&s, start->helper, true);
  add_limits(&s);
  add_streams(&s);
  if (!add_credentials(&s) || !add_surroundings(&s, start)) return false;
  sha256_hex(&s, out->name);
  return true;
}
