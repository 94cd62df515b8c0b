/*
 * A mount of another container's, also for this one: the kernel clones mounts only for who is in their namespace. A child
 * enters it, clones, and hands the detached tree over.
 */
#include "helper.h"
#include "mount.h"
#include <limits.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* It has another filesystem than the directory that it is in. */
static bool is_mount(int fd) {
  struct stat here, above;
  return fstat(fd, &here) == 0 && fstatat(fd, "..", &above, AT_SYMLINK_NOFOLLOW) == 0 && here.st_dev != above.st_dev;
}

struct wanted {
  const struct args_bind_of_process *args;
  int namespace;
};

/* What is mounted at `source` there. Its root is another container's: no link of it is followed. */
static int clone_there(struct helper *h, const void *of, int *tree) {
  const struct wanted *wanted = of;
  const struct args_bind_of_process *a = wanted->args;
  if (setns(wanted->namespace, (int)K_CLONE_NEWNS) != 0) return fail(h, "setns(mounts of %s)", a->process.path.at);
  int fd = k_openat2(AT_FDCWD, a->source.at, O_PATH, 0, K_RESOLVE_NO_SYMLINKS | K_RESOLVE_NO_MAGICLINKS);
  if (fd < 0) return fail(h, "openat2(%s of %s)", a->source.at, a->process.path.at);
  int error = is_mount(fd) ? 0 : fail_as(h, ENOENT, "no mount at %s of %s", a->source.at, a->process.path.at);
  if (error == 0) {
    *tree = k_open_tree(fd, "", K_OPEN_TREE_CLONE | (unsigned)AT_EMPTY_PATH);
    if (*tree < 0) error = fail(h, "open_tree(%s of %s)", a->source.at, a->process.path.at);
  }
  close(fd);
  return error;
}

int op_bind_of_process(struct helper *h, const struct args_bind_of_process *a) {
  char path[PATH_MAX];
  int length = snprintf(path, sizeof path, "%s/ns/mnt", a->process.path.at);
  if (length < 0 || (size_t)length >= sizeof path) return fail_as(h, ENAMETOOLONG, "%s", a->process.path.at);
  int namespace = open_on_host(path, O_RDONLY, 0);
  if (namespace < 0) return fail(h, "open %s", path);
  int target = open_target(h, &a->target);
  int error = target < 0 ? fail(h, "open %s", a->target.path.at) : 0;
  int tree = -1;
  if (error == 0) error = lent_tree(h, clone_there, &(struct wanted){a, namespace}, a->process.path.at, &tree);
  if (error == 0 && set_attributes(tree, 0, a->set, a->clear) != 0) error = fail(h, "mount_setattr(%s)", a->target.path.at);
  if (error == 0 && k_move_mount(tree, target) != 0) error = fail(h, "move_mount(%s)", a->target.path.at);
  if (tree >= 0) close(tree);
  if (target >= 0) close(target);
  close(namespace);
  return error;
}
