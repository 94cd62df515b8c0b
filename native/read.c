/*
 * Reading a tree for whoever asked: entries and bytes of files as op frames on the output. Everything is reached by
 * descriptors from the base of the path; links are never followed on the way down, and nothing but a regular file is opened.
 */
#include "layer.h"
#include "links.h"
#include "output.h"
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#ifndef XATTR_SIZE_MAX
#define XATTR_SIZE_MAX 65536
#endif
#define READ_DEPTH_MAX 1000
#define XATTRS_BYTES_MAX (1024 * 1024)

struct reading {
  struct helper *h;
  int to;
  const struct args_read_tree *options;
  struct link_set links;
  char path[PATH_MAX]; /* of the entry at hand, as it is written */
};

static void free_attributes(struct attributes *attributes) {
  free(attributes->names);
  free(attributes->values);
}

/* Of an open file, or with `fd` < 0 of `name` in the current directory: a link, a device. */
static ssize_t list_attributes(int fd, const char *name, char *out, size_t size) {
  return fd >= 0 ? flistxattr(fd, out, size) : llistxattr(name, out, size);
}

static ssize_t get_attribute(int fd, const char *name, const char *attribute, void *out, size_t size) {
  return fd >= 0 ? fgetxattr(fd, attribute, out, size) : lgetxattr(name, attribute, out, size);
}

static int add_attribute(struct attributes *out, int fd, const char *name, const char *attribute, uint8_t *value) {
  ssize_t length = get_attribute(fd, name, attribute, value, XATTR_SIZE_MAX);
  if (length < 0) return errno == ENODATA || errno == EOPNOTSUPP || errno == EPERM ? 0 : -1;
  size_t more_names = 5 + strlen(attribute);
  size_t more_values = 4 + (size_t)length;
  if (out->values_size + more_values > XATTRS_BYTES_MAX) {
    errno = E2BIG;
    return -1;
  }
  uint8_t *names = realloc(out->names, out->names_size + more_names);
  if (names == NULL) return -1;
  out->names = names;
  uint8_t *values = realloc(out->values, out->values_size + more_values);
  if (values == NULL) return -1;
  out->values = values;
  uint8_t *at = names + out->names_size;
  put_text(&at, attribute);
  at = values + out->values_size;
  put_bytes(&at, value, (size_t)length);
  out->names_size += more_names;
  out->values_size += more_values;
  out->count++;
  return 0;
}

static int compare_names(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

static int read_attributes(int fd, const char *name, struct attributes *out) {
  *out = (struct attributes){0};
  ssize_t size = list_attributes(fd, name, NULL, 0);
  if (size <= 0) return size == 0 || errno == EOPNOTSUPP || errno == EPERM ? 0 : -1;
  char *list = malloc((size_t)size);
  uint8_t *value = malloc(XATTR_SIZE_MAX);
  size = list == NULL || value == NULL ? -1 : list_attributes(fd, name, list, (size_t)size);
  int result = size < 0 ? -1 : 0;
  /* A filesystem's order is its own; there are few. */
  size_t count = 0;
  for (char *at = list; result == 0 && at < list + size; at += strlen(at) + 1) count++;
  char **sorted = result == 0 ? calloc(count + 1, sizeof *sorted) : NULL;
  if (sorted == NULL) result = -1;
  count = 0;
  for (char *at = list; result == 0 && at < list + size; at += strlen(at) + 1) sorted[count++] = at;
  if (result == 0) qsort(sorted, count, sizeof *sorted, compare_names);
  for (size_t i = 0; result == 0 && i < count; i++) result = add_attribute(out, fd, name, sorted[i], value);
  int saved = errno;
  free(sorted);
  free(list);
  free(value);
  errno = saved;
  return result;
}

static uint32_t type_of(mode_t mode) {
  switch (mode & S_IFMT) {
  case S_IFREG:
    return '0';
  case S_IFLNK:
    return '2';
  case S_IFCHR:
    return '3';
  case S_IFBLK:
    return '4';
  case S_IFDIR:
    return '5';
  default:
    return '6';
  }
}

static int emit_here(struct reading *reading, const struct stat *st, uint32_t type, const char *link, int fd, const char *name) {
  struct attributes attributes;
  const struct args_read_tree *options = reading->options;
  const uint32_t owner[2] = {options->owned ? options->uid : st->st_uid, options->owned ? options->gid : st->st_gid};
  int result = type == '1' ? 0 : read_attributes(fd, name, &attributes);
  if (type == '1') attributes = (struct attributes){0};
  const char *path = reading->path[0] == 0 ? "." : reading->path;
  if (result == 0 && !output_entry(path, st, type, link, owner, &attributes)) result = -1;
  int saved = errno;
  free_attributes(&attributes);
  errno = saved;
  if (result == 0 && !output_flush_full(reading->to)) return -1;
  return result;
}

static int emit_content(struct reading *reading, int fd, off_t size) {
  off_t start, end = 0;
  while (next_data(fd, end, size, &start, &end)) {
    if (output_range(reading->to, fd, start, end) != 0) return -1;
  }
  return 0;
}

/* The file that an O_PATH descriptor stands for, known to be a regular one or a directory: not its name, which a
   container may have given to something else meanwhile (a device acts when it is opened). */
static int reopen(struct helper *h, int fd, int flags) {
  char self[16];
  char path[64];
  int proc = proc_handle(h);
  if (proc < 0) return -1;
  ssize_t length = readlinkat(proc, "self", self, sizeof self - 1);
  if (length < 0) return -1;
  self[length] = 0;
  snprintf(path, sizeof path, "%s/fd/%d", self, fd);
  return openat(proc, path, flags | O_CLOEXEC | O_NOCTTY);
}

static int read_link(int fd, char out[static PATH_MAX]) {
  ssize_t length = readlinkat(fd, "", out, PATH_MAX - 1);
  if (length < 0) return -1;
  out[length] = 0;
  return 0;
}

static int read_file(struct reading *reading, int opath, const struct stat *st) {
  int fd = reopen(reading->h, opath, O_RDONLY);
  if (fd < 0) return -1;
  int result = emit_here(reading, st, '0', "", fd, NULL);
  if (result == 0 && reading->options->content) result = emit_content(reading, fd, st->st_size);
  int saved = errno;
  close(fd);
  errno = saved;
  return result;
}

static int read_special(struct reading *reading, int parent, const char *name, int opath, const struct stat *st) {
  char link[PATH_MAX] = "";
  if (S_ISLNK(st->st_mode) && read_link(opath, link) != 0) return -1;
  if (fchdir(parent) != 0) return -1;
  if (emit_here(reading, st, type_of(st->st_mode), link, -1, name) == 0) return 0;
  /* Its attributes come first, by its name: it went since that was read. */
  return errno == ENOENT ? 0 : -1;
}

static bool is_excluded(const struct reading *reading) {
  struct list exclude = reading->options->exclude;
  while (exclude.count > 0) {
    if (strcmp(list_str(&exclude).at, reading->path) == 0) return true;
  }
  return false;
}

static int read_directory(struct reading *reading, int opath, const struct stat *st, bool emit, unsigned depth);

/* `name` in `parent`, opened without following it. */
static int read_opened(struct reading *reading, int parent, const char *name, int opath, bool emit, unsigned depth) {
  struct stat st;
  if (fstat(opath, &st) != 0) return -1;
  if (S_ISDIR(st.st_mode)) return read_directory(reading, opath, &st, emit, depth);
  if (S_ISSOCK(st.st_mode)) return 0;
  if (st.st_nlink > 1) {
    const char *first = link_set_find(&reading->links, &st);
    if (first != NULL) return emit_here(reading, &st, '1', first, -1, NULL);
    if (link_set_add(&reading->links, &st, reading->path) != 0) return -1;
  }
  return S_ISREG(st.st_mode) ? read_file(reading, opath, &st) : read_special(reading, parent, name, opath, &st);
}

/* The names in a directory, sorted; NULL ends them. One block of memory each. */
static char **list_names(int fd) {
  char **names = NULL;
  size_t count = 0;
  size_t capacity = 0;
  DIR *stream = take_stream(fcntl(fd, F_DUPFD_CLOEXEC, 3));
  if (stream == NULL) return NULL;
  const struct dirent *entry = NULL;
  bool ok = true;
  while (ok && (entry = next_entry(stream)) != NULL) {
    const char *name = entry->d_name;
    if (count + 2 > capacity) {
      capacity = capacity == 0 ? 64 : capacity * 2;
      char **larger = realloc(names, capacity * sizeof *names);
      if (larger == NULL) {
        ok = false;
        break;
      }
      names = larger;
    }
    names[count] = strdup(name);
    ok = names[count] != NULL;
    if (ok) count++;
  }
  if (ok && errno != 0) ok = false;
  int saved = errno;
  closedir(stream);
  if (ok && names == NULL) names = calloc(1, sizeof *names);
  if (!ok) {
    for (size_t i = 0; i < count; i++) free(names[i]);
    free(names);
    errno = saved == 0 ? ENOMEM : saved;
    return NULL;
  }
  if (names == NULL) return NULL;
  qsort(names, count, sizeof *names, compare_names);
  names[count] = NULL;
  return names;
}

static int read_child(struct reading *reading, int directory, const char *name, size_t length, unsigned depth) {
  int more = snprintf(reading->path + length, sizeof reading->path - length, "%s%s", length == 0 ? "" : "/", name);
  if (more < 0 || (size_t)more >= sizeof reading->path - length) {
    errno = ENAMETOOLONG;
    return -1;
  }
  int result = 0;
  if (!is_excluded(reading)) {
    int opath = openat(directory, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (opath < 0) {
      /* It went since its name was read. */
      result = errno == ENOENT ? 0 : -1;
    } else {
      result = read_opened(reading, directory, name, opath, true, depth + 1);
      int saved = errno;
      close(opath);
      errno = saved;
    }
  }
  /* On failure the path stays, for the message. */
  if (result == 0) reading->path[length] = 0;
  return result;
}

static int read_directory(struct reading *reading, int opath, const struct stat *st, bool emit, unsigned depth) {
  if (depth > READ_DEPTH_MAX) {
    errno = ELOOP;
    return -1;
  }
  int fd = reopen(reading->h, opath, O_RDONLY | O_DIRECTORY);
  if (fd < 0) return -1;
  int result = emit ? emit_here(reading, st, '5', "", fd, NULL) : 0;
  char **names = result == 0 ? list_names(fd) : NULL;
  if (names == NULL) result = -1;
  size_t length = strlen(reading->path);
  int saved = errno;
  for (char **name = names; name != NULL && *name != NULL; name++) {
    if (result == 0) {
      result = read_child(reading, fd, *name, length, depth);
      saved = errno;
    }
    free(*name);
  }
  free(names);
  close(fd);
  errno = saved;
  return result;
}

/* --- the ops --- */

static int need_output(struct helper *h, bool answered) {
  if (h->layer == NULL || (answered ? h->layer->output : h->layer->copy) < 0) return fail_as(h, EINVAL, "no output");
  return layer_flush(h);
}

static int answer(struct helper *h, int error, const char *text) {
  if (!output_answer(error, text)) return fail(h, "memory");
  return output_flush(h->layer->output) ? 0 : fail(h, "write the output");
}

int op_answer(struct helper *h, const struct args_answer *a) {
  (void)h, (void)a;
  return 0;
}

/* The descriptor of the entry itself, and of its directory. Without `follow` a last link is the entry. */
static int open_entry(struct helper *h, const struct path *path, bool follow) {
  return resolve(h, path, O_PATH | (follow ? 0 : O_NOFOLLOW), 0);
}

/* Where a descriptor lies below `root` (-1: the host's own), free of links. */
static int path_of(struct helper *h, int root, int fd, char out[static PATH_MAX]) {
  char self[16];
  char name[64];
  char top[PATH_MAX] = "";
  int proc = proc_handle(h);
  ssize_t length = proc < 0 ? -1 : readlinkat(proc, "self", self, sizeof self - 1);
  if (length < 0) return -1;
  self[length] = 0;
  if (root >= 0) {
    snprintf(name, sizeof name, "%s/fd/%d", self, root);
    length = readlinkat(proc, name, top, sizeof top - 1);
    if (length < 0) return -1;
    top[length] = 0;
  }
  snprintf(name, sizeof name, "%s/fd/%d", self, fd);
  length = readlinkat(proc, name, out, PATH_MAX - 1);
  if (length < 0) return -1;
  out[length] = 0;
  size_t skip = strcmp(top, "/") == 0 ? 0 : strlen(top);
  if (strncmp(out, top, skip) != 0) {
    errno = EXDEV;
    return -1;
  }
  memmove(out, out + skip, (size_t)length - skip + 1);
  return 0;
}

int op_read_entry(struct helper *h, const struct args_read_entry *a) {
  char link[PATH_MAX] = "";
  char where[PATH_MAX] = "";
  struct stat st;
  int error = need_output(h, true);
  if (error != 0) return error;
  int fd = open_entry(h, &a->path, a->follow);
  if (fd < 0) return answer(h, errno, a->path.path.at);
  bool known = fstat(fd, &st) == 0 && (!S_ISLNK(st.st_mode) || read_link(fd, link) == 0) &&
               path_of(h, a->path.base == BASE_ROOT ? h->root : -1, fd, where) == 0;
  error = known ? 0 : errno;
  close(fd);
  if (error == 0) {
    const uint32_t owner[2] = {st.st_uid, st.st_gid};
    static const struct attributes none;
    if (!output_entry(where[0] == 0 ? "/" : where, &st, type_of(st.st_mode), link, owner, &none)) error = errno;
  }
  return answer(h, error, where);
}

int op_read_tree(struct helper *h, const struct args_read_tree *a) {
  int error = need_output(h, a->answered);
  if (error != 0) return error;
  struct reading *reading = calloc(1, sizeof *reading);
  char name[PARENT_NAME_MAX] = "";
  if (reading == NULL) return fail(h, "memory");
  reading->h = h;
  reading->to = a->answered ? h->layer->output : h->layer->copy;
  reading->options = a;
  int parent = -1;
  int fd = -1;
  int result = -1;
  if (a->name.length >= sizeof reading->path) {
    errno = ENAMETOOLONG;
  } else {
    memcpy(reading->path, a->name.at, a->name.length + 1);
    fd = open_entry(h, &a->path, a->follow);
  }
  if (fd >= 0) {
    /* Attributes of what cannot be opened go by its name. Of "/" or ".." there is none, nor is it needed. */
    parent = resolve_parent(h, &a->path, name);
    if (parent < 0) parent = resolve(h, &a->path, O_PATH | O_DIRECTORY, 0);
    result = read_opened(reading, parent, name, fd, a->top, 0);
  }
  error = result == 0 ? 0 : errno == 0 ? EIO : errno;
  char failed[PATH_MAX];
  snprintf(failed, sizeof failed, "%s", reading->path);
  if (fd >= 0) close(fd);
  if (parent >= 0) close(parent);
  link_set_free(&reading->links);
  free(reading);
  if (a->answered) return answer(h, error, failed);
  if (error != 0) return fail_as(h, error, "read %s", failed);
  return output_flush(h->layer->copy) ? 0 : fail(h, "write the copy");
}

int op_detach_root(struct helper *h, const struct args_detach_root *a) {
  (void)a;
  int tree = k_open_tree(h->root, "", K_OPEN_TREE_CLONE | (unsigned)AT_EMPTY_PATH);
  if (tree < 0) return fail(h, "open_tree(root)");
  /* That of a detached mount cannot be listed: one opened through it can. */
  int root = openat(tree, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (root < 0) {
    int error = fail(h, "open the root");
    close(tree);
    return error;
  }
  close(h->root);
  close(tree);
  h->root = root;
  return 0;
}
