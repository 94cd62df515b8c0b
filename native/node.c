/*
 * Devices for a user namespace. None can be made in it, and what is on a filesystem that is mounted in it opens as no
 * device: whoever kept the ids from before makes the node on a tmpfs of its own and hands the one file over as a mount.
 */
#include "mount.h"
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

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
static int make_tree(struct helper *h, const struct args_bind_node *a, int *tree) {
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

static _Noreturn void lend(struct helper *h, const struct args_bind_node *a, int channel) {
  struct message answer = {.type = MESSAGE_BARRIER};
  int tree = -1;
  answer.error = make_tree(h, a, &tree);
  memcpy(answer.detail, h->detail, sizeof answer.detail);
  _exit(channel_send(channel, &answer, tree) ? 0 : 1);
}

int node_tree(struct helper *h, const struct args_bind_node *a, int *tree) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return fail(h, "socketpair");
  pid_t child = fork();
  if (child == 0) lend(h, a, pair[1]);
  int error = child < 0 ? fail(h, "fork") : 0;
  close(pair[1]);
  if (error == 0) {
    struct message answer;
    if (channel_receive(pair[0], &answer, tree) != 1) error = fail_as(h, EPIPE, "make %s", a->target.path.at);
    else if (*tree < 0) {
      answer.detail[sizeof answer.detail - 1] = 0;
      error = fail_as(h, answer.error, "%s", answer.detail);
    }
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR) continue;
  }
  close(pair[0]);
  return error;
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
