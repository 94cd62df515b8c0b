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

static void add_words(struct sha256 *s, char **words, const char *without) {
  size_t count = 0;
  while (words[count] != NULL) count++;
  add_number(s, count);
  for (size_t i = 0; i < count; i++) {
    /* Plans count the bytes of their strings. */
    if (words[i] == without) add_number(s, strlen(words[i]));
    else add_text(s, words[i]);
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

/* Of a small file of /proc; false where it cannot be read whole. */
static bool add_content(struct sha256 *s, const char *path) {
  char text[8192];
  size_t size = 0;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    add_number(s, (uint64_t)errno);
    return true;
  }
  ssize_t got;
  while (size < sizeof text && (got = read(fd, text + size, sizeof text - size)) > 0) size += (size_t)got;
  close(fd);
  add(s, text, size);
  return size < sizeof text;
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

static bool add_surroundings(struct sha256 *s) {
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
  add_text(s, path);
  add_identity(s, ".", false);
  add_identity(s, "/", false);
  return add_content(s, "/proc/sys/kernel/random/boot_id") && add_content(s, "/proc/self/cgroup");
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
  add_text(&s, "vitrine launch 1");
  add_words(&s, start->argv, start->id);
  add_words(&s, environ, NULL);
  add_identity(&s, "/proc/self/exe", true);
  add_identity(&s, start->engine, true);
  add_identity(&s, start->helper, true);
  add_limits(&s);
  add_streams(&s);
  if (!add_credentials(&s) || !add_surroundings(&s)) return false;
  sha256_hex(&s, out->name);
  return true;
}
