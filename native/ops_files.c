/* Files and directories. */
#include "helper.h"
#include <limits.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>

#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE 1
#endif

int op_make_directory(struct helper *h, const struct args_make_directory *a) {
  char name[PARENT_NAME_MAX];
  if (a->parents) {
    int made = resolve_make(h, &a->path, false, a->mode & 07777);
    if (made < 0) return fail(h, "make %s", a->path.path.at);
    struct stat st;
    int error = fstat(made, &st) != 0 ? fail(h, "fstat %s", a->path.path.at)
                : S_ISDIR(st.st_mode) ? 0
                                      : fail_as(h, ENOTDIR, "%s", a->path.path.at);
    close(made);
    return error;
  }
  int parent = resolve_parent(h, &a->path, name);
  if (parent < 0) return fail(h, "open parent of %s", a->path.path.at);
  int error = mkdirat(parent, name, a->mode & 07777) == 0 ? 0 : fail(h, "mkdir %s", a->path.path.at);
  close(parent);
  return error;
}

/* One write: the files of /proc and of cgroups take each as a whole. Closes `fd`. */
static int write_whole(struct helper *h, int fd, const char *path, struct bytes data) {
  int error = 0;
  if (data.length > 0) {
    ssize_t wrote = write(fd, data.at, data.length);
    if (wrote < 0) error = fail(h, "write %s", path);
    else if ((size_t)wrote != data.length) error = fail_as(h, ENOSPC, "short write to %s", path);
  }
  if (close(fd) != 0 && error == 0) error = fail(h, "close %s", path);
  return error;
}

int op_write_file(struct helper *h, const struct args_write_file *a) {
  uint64_t flags = O_WRONLY | O_NOCTTY;
  if (a->create) flags |= O_CREAT | O_TRUNC;
  int fd = resolve(h, &a->path, flags, a->create ? a->mode & 07777 : 0);
  if (fd < 0) return fail(h, "open %s", a->path.path.at);
  return write_whole(h, fd, a->path.path.at, a->data);
}

int op_write_either(struct helper *h, const struct args_write_either *a) {
  int fd = resolve(h, &a->path, O_WRONLY | O_NOCTTY, 0);
  if (fd >= 0) return write_whole(h, fd, a->path.path.at, a->data);
  if (errno != ENOENT) return fail(h, "open %s", a->path.path.at);
  fd = resolve(h, &a->other, O_WRONLY | O_NOCTTY, 0);
  if (fd < 0) return fail(h, "open %s", a->other.path.at);
  return write_whole(h, fd, a->other.path.at, a->other_data);
}

int op_make_symlink(struct helper *h, const struct args_make_symlink *a) {
  char name[PARENT_NAME_MAX];
  char present[PATH_MAX];
  int parent = resolve_parent(h, &a->path, name);
  if (parent < 0) return fail(h, "open parent of %s", a->path.path.at);
  int error = symlinkat(a->target.at, parent, name) == 0 ? 0 : fail(h, "symlink %s", a->path.path.at);
  if (error == EEXIST) {
    ssize_t length = readlinkat(parent, name, present, sizeof present);
    if (length == (ssize_t)a->target.length && memcmp(present, a->target.at, a->target.length) == 0) error = 0;
  }
  close(parent);
  return error;
}

int op_make_node(struct helper *h, const struct args_make_node *a) {
  char name[PARENT_NAME_MAX];
  int parent = resolve_parent(h, &a->path, name);
  if (parent < 0) return fail(h, "open parent of %s", a->path.path.at);
  int error = 0;
  if (mknodat(parent, name, a->mode, makedev(a->major, a->minor)) != 0) error = fail(h, "mknod %s", a->path.path.at);
  else if ((a->uid != 0 || a->gid != 0) && fchownat(parent, name, a->uid, a->gid, AT_SYMLINK_NOFOLLOW) != 0)
    error = fail(h, "chown %s", a->path.path.at);
  close(parent);
  return error;
}

int op_remove_tree(struct helper *h, const struct args_remove_tree *a) {
  char name[PARENT_NAME_MAX];
  int parent = resolve_parent(h, &a->path, name);
  if (parent < 0) return errno == ENOENT ? 0 : fail(h, "open parent of %s", a->path.path.at);
  int error = remove_tree(parent, name) == 0 ? 0 : fail(h, "remove %s", a->path.path.at);
  close(parent);
  return error;
}

int op_remove_directory(struct helper *h, const struct args_remove_directory *a) {
  char name[PARENT_NAME_MAX];
  int parent = resolve_parent(h, &a->path, name);
  if (parent < 0) return errno == ENOENT ? 0 : fail(h, "open parent of %s", a->path.path.at);
  int error;
  uint32_t waited = 0;
  uint32_t step = 1;
  /* A cgroup stays busy until its last process is gone for good, a moment after it was reaped. */
  while ((error = remove_group(parent, name) == 0 || errno == ENOENT ? 0 : fail(h, "rmdir %s", a->path.path.at)) ==
             EBUSY &&
         waited < a->retry_milliseconds) {
    struct timespec pause = {0, (long)step * 1000000};
    nanosleep(&pause, NULL);
    waited += step;
    if (step < 32) step *= 2;
  }
  close(parent);
  return error;
}

int op_rename(struct helper *h, const struct args_rename *a) {
  char from_name[PARENT_NAME_MAX];
  char to_name[PARENT_NAME_MAX];
  int from = resolve_parent(h, &a->from, from_name);
  if (from < 0) return fail(h, "open parent of %s", a->from.path.at);
  int to = resolve_parent(h, &a->to, to_name);
  int error = 0;
  if (to < 0) error = fail(h, "open parent of %s", a->to.path.at);
  else if (syscall(SYS_renameat2, from, from_name, to, to_name, a->no_replace ? RENAME_NOREPLACE : 0) != 0)
    error = fail(h, "rename %s to %s", a->from.path.at, a->to.path.at);
  close(from);
  if (to >= 0) close(to);
  return error;
}

int op_copy_tree(struct helper *h, const struct args_copy_tree *a) {
  /* What the first run filled belongs to the container. */
  if (h->restarted) return 0;
  char failed[COPY_FAILED_BYTES];
  int from = resolve(h, &a->from, O_RDONLY | O_DIRECTORY, 0);
  if (from < 0) return fail(h, "open %s", a->from.path.at);
  int to = resolve(h, &a->to, O_RDONLY | O_DIRECTORY, 0);
  int error = 0;
  if (to < 0) error = fail(h, "open %s", a->to.path.at);
  else if (copy_tree(from, to, failed) != 0) error = fail(h, "copy %s%s", a->from.path.at, failed);
  close(from);
  if (to >= 0) close(to);
  return error;
}

static int lock_directory(struct helper *h, const struct path *path) {
  int fd = resolve(h, path, O_RDONLY | O_DIRECTORY, 0);
  if (fd < 0) return -1;
  while (flock(fd, LOCK_EX) != 0) {
    if (errno == EINTR) continue;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
  }
  return fd;
}

int op_fill_volume(struct helper *h, const struct args_fill_volume *a) {
  char failed[COPY_FAILED_BYTES];
  int from = resolve(h, &a->from, O_RDONLY | O_DIRECTORY, 0);
  if (from < 0) return errno == ENOENT || errno == ENOTDIR ? 0 : fail(h, "open %s", a->from.path.at);
  int lock = lock_directory(h, &a->lock);
  int error = lock < 0 ? fail(h, "lock %s", a->lock.path.at) : 0;
  int to = error != 0 ? -1 : resolve(h, &a->to, O_RDONLY | O_DIRECTORY, 0);
  if (error == 0 && to < 0) error = fail(h, "open %s", a->to.path.at);
  if (error == 0 && fill_directory(from, to, failed) != 0) error = fail(h, "copy %s%s", a->from.path.at, failed);
  close(from);
  if (to >= 0) close(to);
  if (lock >= 0) close(lock);
  return error;
}

int op_change_owners(struct helper *h, const struct args_change_owners *a) {
  int fd = resolve(h, &a->path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
  if (fd < 0) return fail(h, "open %s", a->path.path.at);
  int error = own_tree(fd, a->uid, a->gid) == 0 ? 0 : fail(h, "chown %s", a->path.path.at);
  close(fd);
  return error;
}

int op_change_owner(struct helper *h, const struct args_change_owner *a) {
  int fd = resolve(h, &a->path, O_PATH | O_NOFOLLOW, 0);
  if (fd < 0) return fail(h, "open %s", a->path.path.at);
  int error = fchownat(fd, "", a->uid, a->gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) == 0
                  ? 0
                  : fail(h, "chown %s", a->path.path.at);
  close(fd);
  return error;
}

int op_sync_tree(struct helper *h, const struct args_sync_tree *a) {
  int fd = resolve(h, &a->path, O_RDONLY | O_NONBLOCK, 0);
  if (fd < 0) return fail(h, "open %s", a->path.path.at);
  int error = syncfs(fd) == 0 ? 0 : fail(h, "syncfs %s", a->path.path.at);
  close(fd);
  return error;
}
