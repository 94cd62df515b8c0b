/* Copying a tree with everything it has: owners, modes, xattrs, hard links, times, holes. */
#include "helper.h"
#include "links.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#define COPY_DEPTH_MAX 400
#define COPY_BYTES (256 * 1024)

struct copy {
  int to;
  bool replace; /* what an interrupted copy left is in the way */
  struct link_set links; /* the paths are below `to` */
  char *buffer;
  char path[PATH_MAX]; /* of the entry being copied, below `to` */
};

static int copy_xattrs(int from, int to) {
  ssize_t size = flistxattr(from, NULL, 0);
  if (size <= 0) return size < 0 && errno != EOPNOTSUPP ? -1 : 0;
  char *names = malloc((size_t)size);
  char *value = malloc(65536);
  int result = names == NULL || value == NULL ? -1 : 0;
  if (result == 0) size = flistxattr(from, names, (size_t)size);
  for (char *name = names; result == 0 && name < names + size; name += strlen(name) + 1) {
    ssize_t length = fgetxattr(from, name, value, 65536);
    if (length < 0) {
      if (errno != ENODATA) result = -1;
    } else if (fsetxattr(to, name, value, (size_t)length, 0) != 0 && errno != EOPNOTSUPP && errno != EPERM) {
      /* A label that this filesystem or user cannot hold (security.selinux) does not stop the copy. */
      result = -1;
    }
  }
  int saved = errno;
  free(names);
  free(value);
  errno = saved;
  return result;
}

static int write_all(int to, const char *data, size_t size, off_t offset) {
  while (size > 0) {
    ssize_t wrote = pwrite(to, data, size, offset);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) return -1;
    data += wrote;
    size -= (size_t)wrote;
    offset += wrote;
  }
  return 0;
}

static int copy_range(struct copy *copy, int from, int to, off_t start, off_t end) {
  while (start < end) {
    size_t want = end - start > COPY_BYTES ? COPY_BYTES : (size_t)(end - start);
    ssize_t got = pread(from, copy->buffer, want, start);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return -1;
    if (got == 0) return 0;
    if (write_all(to, copy->buffer, (size_t)got, start) != 0) return -1;
    start += got;
  }
  return 0;
}

bool next_data(int fd, off_t at, off_t size, off_t *start, off_t *end) {
  if (at >= size) return false;
  *start = lseek(fd, at, SEEK_DATA);
  if (*start < 0 && errno == ENXIO) return false;
  if (*start < 0) *start = at; /* a filesystem that does not tell */
  *end = lseek(fd, *start, SEEK_HOLE);
  if (*end <= *start || *end > size) *end = size;
  return true;
}

static int copy_data(struct copy *copy, int from, int to, off_t size) {
  if (size == 0 || ioctl(to, K_FICLONE, from) == 0) return 0;
  if (ftruncate(to, size) != 0) return -1;
  off_t start, end = 0;
  while (next_data(from, end, size, &start, &end)) {
    if (copy_range(copy, from, to, start, end) != 0) return -1;
  }
  return 0;
}

/* Owner first: changing it clears set-id bits and capabilities, which mode and xattrs then restore. */
static int copy_metadata(int from, int to, const struct stat *st) {
  struct timespec times[2] = {st->st_atim, st->st_mtim};
  if (fchown(to, st->st_uid, st->st_gid) != 0) return -1;
  if (fchmod(to, st->st_mode & 07777) != 0) return -1;
  if (copy_xattrs(from, to) != 0) return -1;
  return futimens(to, times);
}

static int copy_opened(struct copy *copy, int from, int to, const char *name, const struct stat *st) {
  int fd = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  int result = fd < 0 ? -1 : copy_data(copy, from, fd, st->st_size);
  if (result == 0) result = copy_metadata(from, fd, st);
  int saved = errno;
  if (fd >= 0) close(fd);
  errno = saved;
  return result;
}

static int copy_file(struct copy *copy, int parent, int to, const char *name, const struct stat *st) {
  int from = openat(parent, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (from < 0) return -1;
  int result = copy_opened(copy, from, to, name, st);
  int saved = errno;
  close(from);
  errno = saved;
  return result;
}

int copy_one_file(int from, int to, const char *name) {
  struct stat st;
  struct copy *copy = calloc(1, sizeof *copy);
  if (copy == NULL) return -1;
  copy->buffer = malloc(COPY_BYTES);
  int result = copy->buffer == NULL || fstat(from, &st) != 0 ? -1 : copy_opened(copy, from, to, name, &st);
  int saved = errno;
  free(copy->buffer);
  free(copy);
  errno = saved;
  return result;
}

/* What has no content: links, devices, FIFOs, sockets. */
static int copy_special(int parent, int to, const char *name, const struct stat *st) {
  if (S_ISLNK(st->st_mode)) {
    char target[PATH_MAX];
    ssize_t length = readlinkat(parent, name, target, sizeof target - 1);
    if (length < 0) return -1;
    target[length] = 0;
    if (symlinkat(target, to, name) != 0) return -1;
  } else if (mknodat(to, name, st->st_mode, st->st_rdev) != 0) {
    return -1;
  }
  if (fchownat(to, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) != 0) return -1;
  if (!S_ISLNK(st->st_mode) && fchmodat(to, name, st->st_mode & 07777, 0) != 0) return -1;
  struct timespec times[2] = {st->st_atim, st->st_mtim};
  return utimensat(to, name, times, AT_SYMLINK_NOFOLLOW);
}

static int link_again(const struct copy *copy, const char *linked, int to, const char *name) {
  char buffer[PATH_MAX];
  const char *directory;
  const char *last;
  if (!split_path(linked, buffer, &directory, &last)) return -1;
  int parent = open_in_root(copy->to, directory, O_PATH | O_DIRECTORY, 0);
  if (parent < 0) return -1;
  int result = linkat(parent, last, to, name, 0);
  int saved = errno;
  close(parent);
  errno = saved;
  return result;
}

static int copy_directory(struct copy *copy, int from, int to, unsigned depth);

static int copy_subdirectory(struct copy *copy, int parent, int to, const char *name, const struct stat *st, unsigned depth) {
  int from = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (from < 0) return -1;
  int result = mkdirat(to, name, 0700) == 0 || errno == EEXIST ? 0 : -1;
  int fd = result != 0 ? -1 : openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) result = -1;
  if (result == 0) result = copy_directory(copy, from, fd, depth + 1);
  if (result == 0) result = copy_metadata(from, fd, st);
  int saved = errno;
  close(from);
  if (fd >= 0) close(fd);
  errno = saved;
  return result;
}

/* A directory may stay where one is to be. */
static int clear_way(int to, const char *name, const struct stat *st) {
  struct stat there;
  if (fstatat(to, name, &there, AT_SYMLINK_NOFOLLOW) != 0) return errno == ENOENT ? 0 : -1;
  if (S_ISDIR(there.st_mode) && S_ISDIR(st->st_mode)) return 0;
  return remove_tree(to, name);
}

static int copy_entry(struct copy *copy, int from, int to, const char *name, unsigned depth) {
  struct stat st;
  if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) != 0) return -1;
  if (copy->replace && clear_way(to, name, &st) != 0) return -1;
  if (S_ISDIR(st.st_mode)) return copy_subdirectory(copy, from, to, name, &st, depth);
  if (st.st_nlink > 1) {
    const char *linked = link_set_find(&copy->links, &st);
    if (linked != NULL) return link_again(copy, linked, to, name);
  }
  int result = S_ISREG(st.st_mode) ? copy_file(copy, from, to, name, &st) : copy_special(from, to, name, &st);
  return result == 0 && st.st_nlink > 1 ? link_set_add(&copy->links, &st, copy->path) : result;
}

static int copy_directory(struct copy *copy, int from, int to, unsigned depth) {
  if (depth > COPY_DEPTH_MAX) {
    errno = ELOOP;
    return -1;
  }
  DIR *stream = take_stream(fcntl(from, F_DUPFD_CLOEXEC, 3));
  if (stream == NULL) return -1;
  int result = 0;
  size_t length = strlen(copy->path);
  const struct dirent *entry;
  while (result == 0 && (entry = next_entry(stream)) != NULL) {
    const char *name = entry->d_name;
    int more = snprintf(copy->path + length, sizeof copy->path - length, "/%s", name);
    if (more < 0 || (size_t)more >= sizeof copy->path - length) {
      errno = ENAMETOOLONG;
      result = -1;
    } else {
      result = copy_entry(copy, from, to, name, depth);
    }
    /* On failure the path stays, for the message. */
    if (result == 0) copy->path[length] = 0;
  }
  if (entry == NULL && errno != 0) result = -1;
  int saved = errno;
  closedir(stream);
  errno = saved;
  return result;
}

static int copy_content(int from, int to, bool replace, char failed[static COPY_FAILED_BYTES]) {
  struct copy *copy = calloc(1, sizeof *copy);
  if (copy == NULL) return -1;
  copy->to = to;
  copy->replace = replace;
  copy->buffer = malloc(COPY_BYTES);
  int result = copy->buffer == NULL ? -1 : copy_directory(copy, from, to, 0);
  int saved = errno;
  snprintf(failed, COPY_FAILED_BYTES, "%s", copy->path);
  link_set_free(&copy->links);
  free(copy->buffer);
  free(copy);
  errno = saved;
  return result;
}

int copy_tree(int from, int to, char failed[static COPY_FAILED_BYTES]) {
  struct stat st;
  int result = fstat(from, &st) != 0 ? -1 : copy_content(from, to, false, failed);
  return result == 0 ? copy_metadata(from, to, &st) : result;
}

/* --- the first use of a volume --- */

/* There while a copy is not whole. The container's own directory is the one place where init may always write. */
#define FILLING ".vitrine-filling"

enum fill { FILL_EMPTY, FILL_INTERRUPTED, FILL_DONE };

static int look_at_volume(int directory, enum fill *found) {
  struct stat st;
  *found = FILL_INTERRUPTED;
  if (fstatat(directory, FILLING, &st, AT_SYMLINK_NOFOLLOW) == 0) return 0;
  if (errno != ENOENT) return -1;
  *found = FILL_EMPTY;
  DIR *stream = take_stream(openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (stream == NULL) return -1;
  const struct dirent *entry = next_entry(stream);
  if (entry != NULL) *found = FILL_DONE;
  int saved = entry == NULL ? errno : 0;
  closedir(stream);
  errno = saved;
  return saved == 0 ? 0 : -1;
}

int fill_directory(int from, int to, char failed[static COPY_FAILED_BYTES]) {
  enum fill found;
  struct stat st;
  failed[0] = 0;
  if (look_at_volume(to, &found) != 0 || fstat(from, &st) != 0) return -1;
  if (found == FILL_DONE) return 0;
  int mark = openat(to, FILLING, O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
  if (mark < 0) return -1;
  close(mark);
  if (copy_content(from, to, found == FILL_INTERRUPTED, failed) != 0 || copy_metadata(from, to, &st) != 0) return -1;
  if (unlinkat(to, FILLING, 0) != 0) return -1;
  struct timespec times[2] = {st.st_atim, st.st_mtim};
  return futimens(to, times);
}
