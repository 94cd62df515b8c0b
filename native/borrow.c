/*
 * A mount of another container's, also for this one: the kernel clones mounts only for who is in their namespace. A child
 * enters it, clones, and hands the detached tree over.
 */
#include "helper.h"
#include "mount.h"
#include <limits.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* It has another filesystem than the directory that it is in. */
static bool is_mount(int fd) {
  struct stat here, above;
  return fstat(fd, &here) == 0 && fstatat(fd, "..", &above, AT_SYMLINK_NOFOLLOW) == 0 && here.st_dev != above.st_dev;
}

/* What is mounted at `source` there. Its root is another container's: no link of it is followed. */
static int clone_there(struct helper *h, const struct args_bind_of_process *a, int namespace, int *tree) {
  if (setns(namespace, (int)K_CLONE_NEWNS) != 0) return fail(h, "setns(mounts of %s)", a->process.path.at);
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

static _Noreturn void lend(struct helper *h, const struct args_bind_of_process *a, int namespace, int channel) {
  struct message answer = {.type = MESSAGE_BARRIER};
  int tree = -1;
  answer.error = clone_there(h, a, namespace, &tree);
  memcpy(answer.detail, h->detail, sizeof answer.detail);
  _exit(channel_send(channel, &answer, tree) ? 0 : 1);
}

static int borrow(struct helper *h, const struct args_bind_of_process *a, int namespace, int *tree) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return fail(h, "socketpair");
  pid_t child = fork();
  if (child == 0) lend(h, a, namespace, pair[1]);
  int error = child < 0 ? fail(h, "fork") : 0;
  close(pair[1]);
  if (error == 0) {
    struct message answer;
    if (channel_receive(pair[0], &answer, tree) != 1) error = fail_as(h, EPIPE, "mounts of %s", a->process.path.at);
    else if (*tree < 0) {
      answer.detail[sizeof answer.detail - 1] = 0;
      error = fail_as(h, answer.error, "%s", answer.detail);
    }
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR) continue;
  }
  close(pair[0]);
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
  if (error == 0) error = borrow(h, a, namespace, &tree);
  if (error == 0 && set_attributes(tree, 0, a->set, a->clear) != 0) error = fail(h, "mount_setattr(%s)", a->target.path.at);
  if (error == 0 && k_move_mount(tree, target) != 0) error = fail(h, "move_mount(%s)", a->target.path.at);
  if (tree >= 0) close(tree);
  if (target >= 0) close(target);
  close(namespace);
  return error;
}
