/*
 * A command that was started before is started again without the engine, where everything that the engine looked at is as
 * it was. What is doubtful goes to the engine. See docs/launch-record.md.
 *
 * RUNROOT/launches/KEY is a record. RUNROOT/launches/seen counts starts that had none, so that the engine is asked for one
 * only by commands that come again, and less and less often by those of which none can be kept.
 */
#include "launch.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { HEADER_BYTES = 256, NAMES_AT = 32, RECORD_BYTES_MAX = 512 * 1024, SEEN_SLOTS = 512, SEEN_BYTES = 8, WAITS_MAX = 64 };
enum { STATE_CANDIDATE, STATE_CONFIRMED, STATE_USED };

/* The value of `--name VALUE` or `--name=VALUE`; NULL where it is another word. */
static const char *option_value(char **words, const char *name, size_t *taken) {
  size_t length = strlen(name);
  *taken = 1;
  if (strncmp(*words, name, length) != 0) return NULL;
  if ((*words)[length] == '=') return *words + length + 1;
  if ((*words)[length] != 0 || words[1] == NULL) return NULL;
  *taken = 2;
  return words[1];
}

static bool is_private(const struct stat *st) { return st->st_uid == geteuid() && (st->st_mode & 077) == 0; }

/* Ours alone, whoever made the directories above it. */
static int open_launches(const char *runroot) {
  struct stat st;
  const int flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  int above = open(runroot, flags);
  /* As the engine makes it, which may never do so where only the runtime is used. */
  if (above < 0 && errno == ENOENT && mkdir(runroot, 0700) == 0) above = open(runroot, flags);
  if (above < 0) return -1;
  int fd = -1;
  if (fstat(above, &st) == 0 && st.st_uid == geteuid() && (st.st_mode & 022) == 0) {
    fd = openat(above, "launches", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT && mkdirat(above, "launches", 0700) == 0)
      fd = openat(above, "launches", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  }
  close(above);
  if (fd >= 0 && (fstat(fd, &st) != 0 || !is_private(&st))) {
    close(fd);
    fd = -1;
  }
  return fd;
}

static bool is_ours(int fd, struct stat *st) {
  return fstat(fd, st) == 0 && S_ISREG(st->st_mode) && st->st_nlink == 1 && is_private(st);
}

/* --- how often a start came without a record --- */

struct seen {
  int fd;
  off_t at;
};

static struct seen open_seen(int launches, const struct launch_key *key) {
  struct stat st;
  struct seen seen = {.fd = openat(launches, "seen", O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600)};
  seen.at = (off_t)(strtoul(key->name + 60, NULL, 16) % SEEN_SLOTS * SEEN_BYTES);
  if (seen.fd >= 0 && !is_ours(seen.fd, &st)) {
    close(seen.fd);
    seen.fd = -1;
  }
  return seen;
}

/* The count of this start, this one included; 0: not known. A table of eight bytes each. */
static unsigned count_start(struct seen seen, const struct launch_key *key, bool begin) {
  uint8_t slot[SEEN_BYTES] = {0};
  /* Of many at once each has a count of its own. Behind the table: what is held there is never held for long. */
  struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = SEEN_BYTES * SEEN_SLOTS + seen.at, .l_len = 1};
  bool locked = seen.fd >= 0 && fcntl(seen.fd, F_OFD_SETLKW, &lock) == 0;
  if (!locked || pread(seen.fd, slot, sizeof slot, seen.at) < 0) return 0;
  bool same = memcmp(slot, key->name, 7) == 0;
  unsigned count = begin ? 1 : same ? slot[7] + 1u : 1;
  if (count > 255) count = 255;
  memcpy(slot, key->name, 7);
  slot[7] = (uint8_t)count;
  if (pwrite(seen.fd, slot, sizeof slot, seen.at) != sizeof slot) count = 0;
  lock.l_type = F_UNLCK;
  fcntl(seen.fd, F_OFD_SETLK, &lock);
  return count;
}

/*
 * Who takes notes holds a lock of its counter, by a descriptor that the engine inherits and that ends when it becomes the helper.
 * `type` F_RDLCK: takes it. F_WRLCK: whether nobody has it.
 */
static bool lock_seen(struct seen seen, short type) {
  struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = seen.at, .l_len = SEEN_BYTES};
  if (seen.fd < 0) return true;
  if (type == F_RDLCK) return fcntl(seen.fd, F_OFD_SETLK, &lock) == 0 && fcntl(seen.fd, F_SETFD, 0) == 0;
  return fcntl(seen.fd, F_OFD_GETLK, &lock) != 0 || lock.l_type == F_UNLCK;
}

/* Two starts in a row must give the same record: the 2nd and 3rd, 4th and 5th, 8th and 9th, … without one. */
static bool is_asked(unsigned count) { return count >= 2 && ((count & (count - 1)) == 0 || (count & 1 && ((count - 1) & (count - 2)) == 0)); }

/* --- a record --- */

static uint32_t number_at(const uint8_t *bytes, size_t index) {
  const uint8_t *at = bytes + 4 * index;
  return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

/* As in src/cli/launch-record/encode.ts. */
static bool sum_is_right(const uint8_t *header, const uint8_t *body, size_t size) {
  uint32_t first = 0x811c9dc5;
  uint32_t second = 0x9747b28c;
  for (size_t at = 0; at <= (size & ~(size_t)3); at += 4) {
    uint32_t word = 0;
    for (size_t i = at; i < at + 4 && i < size; i++) word |= (uint32_t)body[i] << (8 * (i - at));
    first = (first ^ word) * 0x01000193;
    first ^= first >> 15;
    second = (second + word) * 0x85ebca6b;
    second = second << 13 | second >> 19;
  }
  return number_at(header, 4) == first && number_at(header, 5) == second;
}

/* Its state; -1: it is no record, or one of another id alone. */
static int check_header(const uint8_t *bytes, size_t size, const char *id) {
  static const uint32_t magic = 0x43524c56;
  if (size < HEADER_BYTES || number_at(bytes, 0) != magic || number_at(bytes, 1) != 3 || number_at(bytes, 2) > STATE_USED ||
      number_at(bytes, 3) != size - HEADER_BYTES || !sum_is_right(bytes, bytes + HEADER_BYTES, size - HEADER_BYTES))
    return -1;
  const char *names = (const char *)bytes + NAMES_AT;
  bool same = id != NULL && bytes[HEADER_BYTES - 1] == 0 && strcmp(names, id) == 0;
  return same || number_at(bytes, 6) == 1 ? (int)number_at(bytes, 2) : -1;
}

/* The whole file, in memory of its own: nobody can change it while it is read. */
static const uint8_t *read_record(int launches, const char *name, size_t *size) {
  static uint8_t bytes[RECORD_BYTES_MAX + 1];
  struct stat st;
  int fd = openat(launches, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return NULL;
  bool fits = is_ours(fd, &st) && st.st_size >= HEADER_BYTES && st.st_size <= RECORD_BYTES_MAX;
  ssize_t got = fits ? read(fd, bytes, sizeof bytes) : -1;
  close(fd);
  if (got != st.st_size) return NULL;
  *size = (size_t)got;
  return bytes;
}

/* At its first use the count begins anew: what changes once is not punished for it. */
static void mark_used(int launches, struct seen seen, const struct launch_key *key) {
  static const uint8_t state[4] = {STATE_USED};
  struct stat st;
  int fd = openat(launches, key->name, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return;
  if (!is_ours(fd, &st) || pwrite(fd, state, sizeof state, 8) != sizeof state) unlinkat(launches, key->name, 0);
  close(fd);
  count_start(seen, key, true);
}

/* A line for each: its kind as a digit, and the value. */
static bool list_captures(const struct launch_captures *captures, char *out, size_t size) {
  size_t length = (size_t)snprintf(out, size, "VITRINE_LAUNCH_CAPTURES=");
  for (size_t i = 0; i < captures->count; i++) {
    struct launch_text value = captures->list[i].text;
    if (value.length + 3 > size - length) return false;
    out[length++] = (char)('0' + captures->list[i].kind);
    memcpy(out + length, value.at, value.length);
    length += value.length;
    out[length++] = '\n';
    out[length] = 0;
  }
  return true;
}

/* The file for the engine to write, and what is in its notes: the id, and captures of the command line. */
static size_t ask(const char *runroot, const char *name, const char *id, const struct launch_captures *captures, char **variables) {
  static char file[PATH_MAX + 128];
  static char id_variable[320];
  static char captures_variable[16 * 1024];
  int length = snprintf(file, sizeof file, "VITRINE_LAUNCH_FILE=%s/launches/%s", runroot, name);
  if (length < 0 || (size_t)length >= sizeof file || !list_captures(captures, captures_variable, sizeof captures_variable)) return 0;
  variables[0] = file;
  variables[1] = captures_variable;
  if (id == NULL) return 2;
  snprintf(id_variable, sizeof id_variable, "VITRINE_LAUNCH_ID=%s", id);
  variables[2] = id_variable;
  return 3;
}

void launch_tell(const char *what, const char *operand) {
  const char *asked = getenv("VITRINE_LAUNCH_RECORD");
  char line[PATH_MAX + 128];
  if (asked == NULL || (strcmp(asked, "why") != 0 && *asked != '/')) return;
  int length = snprintf(line, sizeof line, "launch record: %s%s%s\n", what, operand == NULL ? "" : ": ", operand == NULL ? "" : operand);
  if (length < 0 || (size_t)length >= sizeof line) return;
  int fd = *asked == '/' ? open(asked, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600) : dup(STDERR_FILENO);
  if (fd < 0) return;
  if (write(fd, line, (size_t)length) < 0) length = 0;
  close(fd);
}

/* The word after the global options; what --root and --runroot say. */
static char **read_globals(char **words, const char **root, const char **runroot) {
  static const char *const valued[] = {"--storage-driver", "--cgroup-manager", "--log-level", NULL};
  size_t taken;
  while (*words != NULL && **words == '-') {
    const char *value = option_value(words, "--runroot", &taken);
    if (value != NULL) *runroot = value;
    else if ((value = option_value(words, "--root", &taken)) != NULL) *root = value;
    for (size_t i = 0; value == NULL && valued[i] != NULL; i++) value = option_value(words, valued[i], &taken);
    /* `-D` and what is not known here: the engine's. */
    if (value == NULL) return NULL;
    words += taken;
  }
  return words;
}

/* The verb of `vitrine-runtime [--root DIR] VERB …`; NULL where it is not told for sure. */
static char **read_runtime_verb(char **words, const char **root) {
  static const char *const valued[] = {"--log", "--log-format", "--rootless", NULL};
  size_t taken;
  while (*words != NULL && **words == '-') {
    bool plain = strcmp(*words, "--debug") == 0 || strcmp(*words, "--systemd-cgroup") == 0;
    const char *value = option_value(words, "--root", &taken);
    if (value != NULL) *root = value;
    for (size_t i = 0; !plain && value == NULL && valued[i] != NULL; i++) value = option_value(words, valued[i], &taken);
    if (!plain && value == NULL) return NULL;
    words += taken;
  }
  return *words == NULL ? NULL : words;
}

static bool is_plain_id(const char *id) {
  if (*id == '-' || *id == '.' || strlen(id) > 200 || strlen(id) < 2) return false;
  return id[strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+.-")] == 0;
}

/* `create [OPTIONS] ID`: the id. */
static const char *created_id(char **words) {
  const char *last = NULL;
  while (*words != NULL) last = *words++;
  return last;
}

/* `exec [OPTIONS] ID COMMAND …`, of the runtime or the engine: the id. */
static const char *entered_id(char **words) {
  static const char *const valued[] = {"--console-socket", "--pid-file", "--process", "-p", "--cwd", "--env", "-e", "--user", "-u",
                                       "--additional-gids", "-g", "--cap", "-c", "--apparmor", "--process-label", "--preserve-fds",
                                       "--cgroup", "--env-file", "--workdir", "-w", "--detach-keys", NULL};
  size_t taken;
  while (*words != NULL && **words == '-') {
    const char *value = NULL;
    for (size_t i = 0; value == NULL && valued[i] != NULL; i++) value = option_value(words, valued[i], &taken);
    words += value == NULL ? 1 : taken;
  }
  return *words;
}

/* `vitrine-runtime create` and `exec`: the id is the command line's. */
static bool is_repeatable_verb(struct launch_start *start, const char **told) {
  static char directory[PATH_MAX];
  char root[PATH_MAX];
  const char *chosen = NULL;
  char **verb = read_runtime_verb(start->argv + 2, &chosen);
  if (verb == NULL) return false;
  bool creates = strcmp(*verb, "create") == 0;
  if (!creates && strcmp(*verb, "exec") != 0) return false;
  *told = start->id = creates ? created_id(verb + 1) : entered_id(verb + 1);
  if (start->id == NULL || !is_plain_id(start->id)) return false;
  if (!launch_capture_words(start, start->argv + 2, creates)) return false;
  if (creates) return true;
  return launch_runtime_root(chosen, root, sizeof root) &&
         snprintf(directory, sizeof directory, "%s/%s", root, start->id) < (int)sizeof directory &&
         launch_capture_container(start, directory);
}

/* A registry on this machine is asked in milliseconds, others take longer than the engine. */
static bool names_this_machine(char **words) {
  static const char *const hosts[] = {"localhost:", "127.", "[::1]:", NULL};
  for (; *words != NULL; words++) {
    for (size_t i = 0; hosts[i] != NULL; i++) {
      if (strncmp(*words, hosts[i], strlen(hosts[i])) == 0) return true;
    }
  }
  return false;
}

/* What is told of the id: nothing where the engine makes it up, "" where the container is there already. */
static bool is_repeatable(struct launch_start *start, bool runtime, const char **runroot, const char **told) {
  if (runtime) return is_repeatable_verb(start, told);
  char root[PATH_MAX];
  const char *chosen = NULL;
  char **verb = read_globals(start->argv + 1, &chosen, runroot);
  if (verb == NULL || *verb == NULL) return false;
  if (strcmp(*verb, "container") == 0 && verb[1] != NULL) verb++;
  bool enters = strcmp(*verb, "exec") == 0;
  bool pulls = strcmp(*verb, "pull") == 0;
  if (pulls && !names_this_machine(verb + 1)) return false;
  /* These are about a container that is there, or none. */
  if (enters || pulls || strcmp(*verb, "start") == 0) *told = "";
  const char *word = enters ? entered_id(verb + 1) : NULL;
  if (word != NULL && launch_root(chosen, root, sizeof root)) return launch_capture_named(start, root, word);
  return *told != NULL || strcmp(*verb, "run") == 0;
}

/* There is no record that counts; it does not hold; it would, if only the engine had once seen such values. */
enum tried { TRIED_NONE, TRIED_ANOTHER, TRIED_NEWS };

/* Becomes the helper where there is a record that serves. */
static enum tried try_record(int launches, struct seen seen, const struct launch_start *start, const struct launch_key *key) {
  size_t size;
  const uint8_t *record = read_record(launches, key->name, &size);
  int state = record == NULL ? -1 : check_header(record, size, start->id);
  if (state < STATE_CONFIRMED) {
    launch_tell(record == NULL ? "there is none" : "it is not confirmed", key->name);
    return TRIED_NONE;
  }
  const uint8_t *body = record + HEADER_BYTES;
  if (!launch_is_whole(body, size - HEADER_BYTES, start)) {
    launch_tell("it is damaged", key->name);
    return TRIED_ANOTHER;
  }
  if (state == STATE_CONFIRMED) mark_used(launches, seen, key);
  return launch_walk(body, size - HEADER_BYTES, start) ? TRIED_NEWS : TRIED_ANOTHER;
}

static bool is_confirmed(int launches, const struct launch_start *start, const struct launch_key *key) {
  size_t size;
  const uint8_t *record = read_record(launches, key->name, &size);
  return record != NULL && check_header(record, size, start->id) >= STATE_CONFIRMED;
}

/* While others take notes of starts like this one, as where many come at once: true when they have a record. */
static bool await_record(int launches, struct seen seen, const struct launch_start *start, const struct launch_key *key) {
  enum { TURNS = 150 };
  const struct timespec turn = {.tv_nsec = 2 * 1000 * 1000};
  for (int i = 0; i < TURNS && !lock_seen(seen, F_WRLCK); i++) {
    if (is_confirmed(launches, start, key)) return true;
    nanosleep(&turn, NULL);
  }
  return is_confirmed(launches, start, key);
}

size_t launch_or_ask(const struct launch_start *given, bool runtime, char *variables[LAUNCH_VARIABLES]) {
  static char runroot[PATH_MAX];
  static struct launch_captures captures;
  struct launch_start start = *given;
  struct launch_key key;
  const char *chosen = NULL;
  const char *told = NULL;
  const char *wanted = getenv("VITRINE_LAUNCH_RECORD");
  start.captures = &captures;
  if (wanted != NULL && strcmp(wanted, "0") == 0) return 0;
  if (!is_repeatable(&start, runtime, &chosen, &told)) return 0;
  if (!launch_runroot(chosen, runroot, sizeof runroot)) return 0;
  int launches = open_launches(runroot);
  if (launches < 0 || !launch_key_of(&start, &key)) return 0;
  struct seen seen = open_seen(launches, &key);
  enum tried tried = try_record(launches, seen, &start, &key);
  unsigned count = count_start(seen, &key, false);
  /* The third start may note beside the second: two are needed. */
  if (tried == TRIED_NONE && count > 3 && count <= WAITS_MAX && await_record(launches, seen, &start, &key)) {
    launch_tell("waited for it", NULL);
    tried = try_record(launches, seen, &start, &key);
  }
  close(launches);
  bool is_wanted = is_asked(count) || tried == TRIED_NEWS;
  /* Two that note at once are enough. */
  if (!is_wanted || (count > 3 && !lock_seen(seen, F_WRLCK))) return 0;
  lock_seen(seen, F_RDLCK);
  return ask(runroot, key.name, told, &captures, variables);
}
