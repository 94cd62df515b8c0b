/*
 * Devices for a user namespace. None can be made in it, and what is on a filesystem that is mounted in it opens as no
 * device: whoever kept the ids from before makes the node on a tmpfs of its own and hands the one file over as a mount.
 */
#include "mount.h"
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#ifndef MS_REC
#define MS_REC 0x4000
#endif

static int make_node(struct helper *h, const struct args_bind_node *a, int directory) {
  const char *path = a->target.path.at;
  if (mknodat(directory, "node", a->mode, makedev(a->major, a->minor)) != 0) return fail(h, "mknod %s", path);
  if (fchownat(directory, "node", a->uid, a->gid, AT_SYMLINK_NOFOLLOW) != 0) return fail(h, "chown %s", path);
  return fchmodat(directory, "node", a->mode & 07777, 0) == 0 ? 0 : fail(h, "chmod %s", path);
}

/* In a mount namespace that ends with this process: the kernel clones only what is mounted somewhere. */
static int make_tree(struct helper *h, const void *of, int *tree) {
  const struct args_bind_node *a = of;
  if (unshare((int)K_CLONE_NEWNS) != 0) return fail(h, "unshare(CLONE_NEWNS)");
  if (mount(NULL, "/", NULL, MS_PRIVATE | MS_REC, NULL) != 0) return fail(h, "mount(MS_PRIVATE)");
  int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (root < 0) return fail(h, "open /");
  struct list none = {0};
  int made = -1;
  int error = make_filesystem(h, "tmpfs", "tmpfs", K_MOUNT_ATTR_NOSUID | K_MOUNT_ATTR_NOEXEC, none, &made);
  if (error == 0 && k_move_mount(made, root) != 0) error = fail(h, "move_mount(tmpfs)");
  if (error == 0) error = make_node(h, a, made);
  if (error == 0) {
    *tree = k_open_tree(made, "node", K_OPEN_TREE_CLONE);
    if (*tree < 0) error = fail(h, "open_tree(%s)", a->target.path.at);
  }
  if (made >= 0) close(made);
  close(root);
  return error;
}

int node_tree(struct helper *h, const struct args_bind_node *a, int *tree) {
  return lent_tree(h, make_tree, a, a->target.path.at, tree);
}

int op_bind_node(struct helper *h, const struct args_bind_node *a) {
  int target = open_target(h, &a->target);
  if (target < 0) return fail(h, "open %s", a->target.path.at);
  int tree = -1;
  int error = usher_is_there() ? usher_tree(h, &tree) : node_tree(h, a, &tree);
  if (error == 0 && k_move_mount(tree, target) != 0) error = fail(h, "move_mount(%s)", a->target.path.at);
  if (tree >= 0) close(tree);
  close(target);
  return error;
}
