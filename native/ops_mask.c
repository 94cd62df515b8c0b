/*
 * Masked and read-only paths: some twenty a container, so each costs four system calls. What covers them is made once:
 * one empty read-only tmpfs, and the null device, cloned for every path.
 */
#include "mount.h"
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* The null device beneath the root, verified: a container that shares files with a running one could have put a link
   or another file in its place (CVE-2025-31133). */
int open_null(struct helper *h, uint64_t flags) {
  struct stat st;
  int fd = h->root < 0 ? open("/dev/null", (int)flags | O_CLOEXEC)
                       : k_openat2(h->root, "dev/null", flags, 0, K_RESOLVE_IN_ROOT | K_RESOLVE_NO_SYMLINKS);
  if (fd < 0) return -1;
  if (fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3)) return fd;
  close(fd);
  errno = ENXIO;
  return -1;
}

static int null_handle(struct helper *h) {
  if (h->null < 0) h->null = open_null(h, O_PATH | O_NOFOLLOW);
  return h->null;
}

/* The first masked directory gets a new tmpfs, the others a clone of that mount. */
static int mask_directory(struct helper *h, const struct path *path, int target) {
  static const uint8_t none[1] = {0};
  uint64_t attributes = K_MOUNT_ATTR_RDONLY | K_MOUNT_ATTR_NOSUID | K_MOUNT_ATTR_NODEV | K_MOUNT_ATTR_NOEXEC;
  int mask = -1;
  if (h->masks >= 0) {
    mask = k_open_tree(h->masks, "", K_OPEN_TREE_CLONE | (unsigned)AT_EMPTY_PATH);
    if (mask < 0) return fail(h, "open_tree(mask of %s)", path->path.at);
  } else {
    int error = make_filesystem(h, "tmpfs", "tmpfs", attributes, (struct list){none, 0}, &mask);
    if (error == ENOSYS) {
      struct str type = {"tmpfs", 5};
      struct args_mount_filesystem a = {
          .fstype = type, .source = type, .target = *path, .attributes = attributes, .options = {none, 0}};
      return classic_filesystem(h, &a, target);
    }
    if (error != 0) return error;
  }
  if (k_move_mount(mask, target) != 0) {
    int error = fail(h, "move_mount(%s)", path->path.at);
    close(mask);
    return error;
  }
  if (h->masks < 0) h->masks = mask;
  else close(mask);
  return 0;
}

static int mask_file(struct helper *h, const struct path *path, int target) {
  int null = null_handle(h);
  /* Not the errno of open: ENOENT is tolerated of a path that is not there, and would leave this one bare. */
  if (null < 0) return fail_as(h, ENXIO, "/dev/null is not the null device");
  int mask = k_open_tree(null, "", K_OPEN_TREE_CLONE | (unsigned)AT_EMPTY_PATH);
  if (mask < 0) {
    int error = fail(h, "open_tree(/dev/null)");
    struct args_bind_mount a = {.target = *path};
    return error == ENOSYS ? classic_bind(h, &a, null, target) : error;
  }
  int error = k_move_mount(mask, target) == 0 ? 0 : fail(h, "move_mount(%s)", path->path.at);
  close(mask);
  return error;
}

int op_mask_path(struct helper *h, const struct args_mask_path *a) {
  struct stat st;
  int target = resolve(h, &a->path, O_PATH, 0);
  if (target < 0) return fail(h, "open %s", a->path.path.at);
  int error;
  if (fstat(target, &st) != 0) error = fail(h, "fstat %s", a->path.path.at);
  else if (S_ISDIR(st.st_mode)) error = mask_directory(h, &a->path, target);
  else error = mask_file(h, &a->path, target);
  close(target);
  return error;
}

int op_readonly_path(struct helper *h, const struct args_readonly_path *a) {
  int fd = resolve(h, &a->path, O_PATH, 0);
  if (fd < 0) return fail(h, "open %s", a->path.path.at);
  int tree = k_open_tree(fd, "", K_OPEN_TREE_CLONE | (unsigned)AT_EMPTY_PATH | K_AT_RECURSIVE);
  int error = 0;
  if (tree < 0) error = fail(h, "open_tree(%s)", a->path.path.at);
  else if (set_attributes(tree, K_AT_RECURSIVE, K_MOUNT_ATTR_RDONLY, 0) != 0)
    error = fail(h, "mount_setattr(%s)", a->path.path.at);
  else if (k_move_mount(tree, fd) != 0) error = fail(h, "move_mount(%s)", a->path.path.at);
  if (error == ENOSYS) {
    struct args_bind_mount bind = {.source = a->path, .target = a->path, .recursive = true, .set = K_MOUNT_ATTR_RDONLY};
    error = classic_bind(h, &bind, fd, fd);
  }
  if (tree >= 0) close(tree);
  close(fd);
  return error;
}
