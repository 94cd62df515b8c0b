/*
 * A launch record's body: two lists of words for names, then facts and steps in the order in which the engine looked and
 * did. The first fact that does not hold, the first step that does not succeed, and all is taken back.
 */
#include "launch.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE 1
#endif

enum { UNDO_MAX = 128, PRINTS_MAX = 16, WORDS_MAX = 256 };

struct undo {
  enum { UNDO_FILE, UNDO_DIRECTORY, UNDO_RENAME, UNDO_CONTENT } kind;
  const char *path, *from;
  /* What a file held that was removed or is written anew. */
  char *content;
  size_t size;
  mode_t mode;
};

struct walk {
  struct launch_reader reader;
  struct launch_values *values;
  bool dry;
  int file;
  struct undo undo[UNDO_MAX];
  size_t done;
  struct {
    int fd;
    struct launch_text text;
  } prints[PRINTS_MAX];
  size_t printed;
  bool name_taken;
};

static bool remember(struct walk *w, int kind, const char *path, const char *from) {
  w->undo[w->done] = (struct undo){.kind = kind, .path = path, .from = from};
  w->done++;
  return true;
}

static bool write_all(int fd, struct launch_text text);

/* Remembers a small file of ours; false: it cannot be put back. */
static bool set_aside(struct walk *w, const char *path) {
  enum { CONTENT_MAX = 256 * 1024 };
  struct stat st;
  int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return false;
  bool fits = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() && st.st_size <= CONTENT_MAX;
  char *content = fits ? malloc((size_t)st.st_size + 1) : NULL;
  fits = content != NULL && read(fd, content, (size_t)st.st_size + 1) == st.st_size;
  close(fd);
  if (!fits) {
    free(content);
    return false;
  }
  w->undo[w->done++] =
    (struct undo){.kind = UNDO_CONTENT, .path = path, .content = content, .size = (size_t)st.st_size, .mode = st.st_mode & 07777};
  return true;
}

static void put_back(const struct undo *undo) {
  int fd = open(undo->path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd >= 0 && write_all(fd, (struct launch_text){undo->content, undo->size})) fchmod(fd, undo->mode);
  if (fd >= 0) close(fd);
  free(undo->content);
}

static void take_back(struct walk *w) {
  if (w->file >= 0) close(w->file);
  w->file = -1;
  while (w->done > 0) {
    const struct undo *last = &w->undo[--w->done];
    if (last->kind == UNDO_RENAME) rename(last->path, last->from);
    else if (last->kind == UNDO_DIRECTORY) rmdir(last->path);
    else if (last->kind == UNDO_CONTENT) put_back(last);
    else unlink(last->path);
  }
}

static bool make_directory(struct walk *w) {
  mode_t mode = launch_u32(&w->reader);
  bool existed = launch_u8(&w->reader) == 1;
  const char *path = launch_string(&w->reader, w->values);
  if (w->reader.bad || w->dry) return !w->reader.bad;
  if (existed) return mkdir(path, mode) != 0 ? errno == EEXIST : (rmdir(path), false);
  return mkdir(path, mode) == 0 && remember(w, UNDO_DIRECTORY, path, NULL);
}

static bool open_file(struct walk *w) {
  int flags = (int)launch_u32(&w->reader);
  mode_t mode = launch_u32(&w->reader);
  const char *path = launch_string(&w->reader, w->values);
  if (w->reader.bad || w->dry) return !w->reader.bad;
  if (w->file >= 0) return false;
  /* What is made anew was not there: only then can it be taken back. */
  bool fresh = (flags & O_CREAT) != 0 && (flags & O_APPEND) == 0;
  if (!fresh && (flags & O_TRUNC) != 0 && !set_aside(w, path)) return false;
  w->file = open(path, flags | O_CLOEXEC | O_NOFOLLOW | (fresh ? O_EXCL : 0), mode);
  return w->file >= 0 && (!fresh || remember(w, UNDO_FILE, path, NULL));
}

static bool is_below(struct walk *w) {
  uint64_t most = launch_u64(&w->reader);
  struct stat st;
  if (w->reader.bad || w->dry) return !w->reader.bad;
  /* Room is left for the line that follows. */
  return w->file >= 0 && fstat(w->file, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size + (1 << 16) < most;
}

static bool write_all(int fd, struct launch_text text) {
  for (size_t at = 0; at < text.length;) {
    ssize_t wrote = write(fd, text.at + at, text.length - at);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) return false;
    at += (size_t)wrote;
  }
  return true;
}

static bool write_file(struct walk *w) {
  struct launch_text text = launch_text(&w->reader, w->values);
  if (w->reader.bad || w->dry) return !w->reader.bad;
  return w->file >= 0 && write_all(w->file, text);
}

static bool close_file(struct walk *w) {
  if (w->dry) return true;
  int file = w->file;
  w->file = -1;
  return file >= 0 && close(file) == 0;
}

static bool rename_path(struct walk *w) {
  const char *from = launch_string(&w->reader, w->values);
  const char *to = launch_string(&w->reader, w->values);
  if (w->reader.bad || w->dry) return !w->reader.bad;
  return syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0 && remember(w, UNDO_RENAME, to, from);
}

static bool remove_file(struct walk *w) {
  const char *path = launch_string(&w->reader, w->values);
  if (w->reader.bad || w->dry) return !w->reader.bad;
  if (access(path, F_OK) != 0) return errno == ENOENT;
  return set_aside(w, path) && unlink(path) == 0;
}

static bool make_link(struct walk *w) {
  const char *text = launch_string(&w->reader, w->values);
  const char *path = launch_string(&w->reader, w->values);
  if (w->reader.bad || w->dry) return !w->reader.bad;
  if (symlink(text, path) == 0) return remember(w, UNDO_FILE, path, NULL);
  w->name_taken = errno == EEXIST;
  return false;
}

static bool change_mode(struct walk *w) {
  mode_t mode = launch_u32(&w->reader);
  const char *path = launch_string(&w->reader, w->values);
  if (w->reader.bad || w->dry) return !w->reader.bad;
  return fchmodat(AT_FDCWD, path, mode, 0) == 0;
}

static bool change_owner(struct walk *w) {
  int flags = launch_u8(&w->reader) == 1 ? 0 : AT_SYMLINK_NOFOLLOW;
  uid_t uid = launch_u32(&w->reader);
  gid_t gid = launch_u32(&w->reader);
  const char *path = launch_string(&w->reader, w->values);
  if (w->reader.bad || w->dry) return !w->reader.bad;
  return fchownat(AT_FDCWD, path, uid, gid, flags) == 0;
}

static struct timespec time_of(uint64_t nanoseconds) {
  int64_t time = (int64_t)nanoseconds;
  int64_t rest = time % 1000000000;
  int64_t borrowed = rest < 0 ? 1 : 0;
  return (struct timespec){.tv_sec = (time_t)(time / 1000000000 - borrowed), .tv_nsec = (long)(rest + borrowed * 1000000000)};
}

static bool change_times(struct walk *w) {
  struct timespec times[2] = {time_of(launch_u64(&w->reader)), time_of(launch_u64(&w->reader))};
  const char *path = launch_string(&w->reader, w->values);
  if (w->reader.bad || w->dry) return !w->reader.bad;
  return utimensat(AT_FDCWD, path, times, 0) == 0;
}

/* Said at the end, when nothing can fail any more but execve. */
static bool print_later(struct walk *w) {
  int fd = launch_u8(&w->reader);
  struct launch_text text = launch_text(&w->reader, w->values);
  if (w->reader.bad || (fd != STDOUT_FILENO && fd != STDERR_FILENO) || w->printed == PRINTS_MAX) return false;
  w->prints[w->printed].fd = fd;
  w->prints[w->printed++].text = text;
  return true;
}

static bool read_words(struct walk *w, char **words) {
  uint32_t count = launch_u32(&w->reader);
  if (count >= WORDS_MAX) return false;
  for (uint32_t i = 0; i < count && !w->reader.bad; i++) words[i] = launch_string(&w->reader, w->values);
  words[count] = NULL;
  return !w->reader.bad;
}

/* The last step. Returns only where it could not be done. */
static bool execute(struct walk *w) {
  static char *arguments[WORDS_MAX];
  static char *environment[WORDS_MAX];
  const char *path = launch_string(&w->reader, w->values);
  rlim_t open_files = (rlim_t)launch_u64(&w->reader);
  if (!read_words(w, arguments) || !read_words(w, environment) || w->reader.at != w->reader.end) {
    w->reader.bad = true;
    return false;
  }
  if (w->dry) return true;
  struct rlimit before;
  if (!launch_values_are_apart(w->values)) {
    launch_tell("a value is among what was found", NULL);
    return false;
  }
  if (w->file >= 0 || getrlimit(RLIMIT_NOFILE, &before) != 0) return false;
  struct rlimit raised = {.rlim_cur = open_files, .rlim_max = before.rlim_max};
  if (before.rlim_cur != open_files && setrlimit(RLIMIT_NOFILE, &raised) != 0) return false;
  launch_tell("repeated", NULL);
  for (size_t i = 0; i < w->printed; i++) write_all(w->prints[i].fd, w->prints[i].text);
  execve(path, arguments, environment);
  setrlimit(RLIMIT_NOFILE, &before);
  return false;
}

/* The last step of a command that has but to say what it found. Returns only where nothing was said. */
static bool leave(struct walk *w) {
  if (w->reader.at != w->reader.end) w->reader.bad = true;
  if (w->reader.bad || w->dry) return !w->reader.bad;
  if (w->file >= 0 || !launch_values_are_apart(w->values)) return false;
  for (size_t i = 0; i < w->printed; i++) {
    if (write_all(w->prints[i].fd, w->prints[i].text)) continue;
    if (i == 0) return false;
    _exit(1);
  }
  launch_tell("repeated", NULL);
  _exit(0);
}

static bool step(struct walk *w, uint8_t kind) {
  if (w->done == UNDO_MAX) return false;
  switch (kind) {
  case STEP_MAKE_DIRECTORY:
    return make_directory(w);
  case STEP_OPEN:
    return open_file(w);
  case STEP_BELOW:
    return is_below(w);
  case STEP_WRITE:
    return write_file(w);
  case STEP_SYNC:
    return w->dry || (w->file >= 0 && fsync(w->file) == 0);
  case STEP_CLOSE:
    return close_file(w);
  case STEP_RENAME:
    return rename_path(w);
  case STEP_SYMLINK:
    return make_link(w);
  case STEP_MODE:
    return change_mode(w);
  case STEP_OWNER:
    return change_owner(w);
  case STEP_TIMES:
    return change_times(w);
  case STEP_REMOVE:
    return remove_file(w);
  case STEP_PRINT:
    return print_later(w);
  default:
    return launch_fact(kind, &w->reader, w->values, w->dry);
  }
}

/* What the starts had that made the record; a value of the command line that never differed may not differ now. */
static bool read_seen(struct walk *w) {
  struct launch_values *values = w->values;
  values->seen_count = launch_u32(&w->reader);
  if (values->seen_count > LAUNCH_CAPTURES_MAX || values->seen_count < values->captures.count) return false;
  for (size_t i = 0; i < values->seen_count; i++) {
    values->seen[i].any = launch_u8(&w->reader) == 1;
    values->seen[i].text = launch_plain(&w->reader);
  }
  for (size_t i = 0; i < values->captures.count && !w->reader.bad; i++) {
    struct launch_text now = values->captures.list[i].text;
    struct launch_text then = values->seen[i].text;
    bool same = now.length == then.length && memcmp(now.at, then.at, now.length) == 0;
    if (now.at == NULL) return false;
    if (!same && !values->seen[i].any) values->is_news = true;
  }
  return !w->reader.bad;
}

static const char *name_of(uint8_t kind) {
  static const char *const names[] = {"", "access", "stat", "content", "link", "real path", "monitors", "temporaries", "process", "ended", "ids", "kind", "namespaces", "answer"};
  return kind < sizeof names / sizeof *names ? names[kind] : "a step";
}

/* True only of a dry walk. */
static bool walk(struct walk *w, struct launch_values *values, const uint8_t *body, size_t size) {
  w->reader = (struct launch_reader){body, body + size, false};
  w->values = values;
  w->file = -1;
  launch_forget_texts();
  if (!read_seen(w)) return false;
  if (values->is_news && !w->dry) {
    launch_tell("a word differs that did not before", NULL);
    return false;
  }
  size_t temporary_length = launch_u32(&w->reader);
  size_t name_length = launch_u32(&w->reader);
  struct launch_text adjectives = launch_plain(&w->reader);
  struct launch_text surnames = launch_plain(&w->reader);
  if (w->reader.bad || !launch_name_temporaries(values, temporary_length) ||
      !launch_choose_name(values, name_length, adjectives, surnames))
    return false;
  while (!w->reader.bad) {
    uint8_t kind = launch_u8(&w->reader);
    if (kind == STEP_EXECUTE) return execute(w);
    if (kind == STEP_EXIT) return leave(w);
    if (w->reader.bad) return false;
    if (!step(w, kind)) {
      if (!w->dry) launch_tell(name_of(kind), launch_last_string());
      return false;
    }
  }
  return false;
}

bool launch_is_whole(const uint8_t *body, size_t size, const struct launch_start *start) {
  static struct walk dry;
  static struct launch_values values;
  dry = (struct walk){.dry = true};
  if (!launch_make_values(&values, start->id == NULL ? "x" : start->id, start->captures)) return false;
  return walk(&dry, &values, body, size);
}

bool launch_walk(const uint8_t *body, size_t size, const struct launch_start *start) {
  enum { TRIES = 6 };
  static struct walk real;
  static struct launch_values values;
  /* A made-up name may be taken. */
  for (int try = 0; try < TRIES; try++) {
    real = (struct walk){0};
    if (!launch_make_values(&values, start->id, start->captures)) return false;
    walk(&real, &values, body, size);
    take_back(&real);
    if (!real.name_taken) return values.is_news;
  }
  return false;
}
