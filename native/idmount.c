/*
 * Id-mapped mounts: files of the source show with other owners (mount_setattr(2), MOUNT_ATTR_IDMAP). The map is that of
 * a user namespace, which nobody lives in when it was made for the mount alone.
 *
 * The kernel asks for privilege over the filesystem, which a process in the container's user namespace does not have:
 * there the usher prepares the tree (usher.c).
 */
#include "mount.h"
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

/* Process numbers as the mounted procfs counts them, which may be of another pid namespace than ours. */
static _Noreturn void live_in_namespace(int socket) {
  char self[16];
  ssize_t length = readlink("/proc/self", self, sizeof self - 1);
  if (length > 0 && unshare((int)K_CLONE_NEWUSER) == 0 && send(socket, self, (size_t)length, MSG_NOSIGNAL) == length)
    (void)!recv(socket, self, sizeof self, 0);
  _exit(0);
}

/* A new user namespace with these maps. Its descriptor in `*out`, 0 or an errno. */
static int make_user_namespace(struct helper *h, struct list uids, struct list gids, int *out) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return fail(h, "socketpair");
  pid_t child = fork();
  if (child == 0) {
    close(pair[0]);
    live_in_namespace(pair[1]);
  }
  int error = child < 0 ? fail(h, "fork") : 0;
  close(pair[1]);
  char number[16] = "";
  if (error == 0 && recv(pair[0], number, sizeof number - 1, 0) <= 0) error = fail_as(h, EPERM, "unshare(CLONE_NEWUSER)");
  if (error == 0) error = write_map(h, number, "gid_map", gids);
  if (error == 0) error = write_map(h, number, "uid_map", uids);
  if (error == 0) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%s/ns/user", number);
    *out = open(path, O_RDONLY | O_CLOEXEC);
    if (*out < 0) error = fail(h, "open %s", path);
  }
  close(pair[0]);
  while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR) continue;
  return error;
}

static int map_tree(struct helper *h, const struct args_bind_id_mapped *a, int tree, int user_namespace) {
  struct k_mount_attr attr = {.attr_set = K_MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)user_namespace};
  if (k_mount_setattr(tree, a->id_map_recursive ? K_AT_RECURSIVE : 0, &attr) == 0) return 0;
  const char *path = a->source.path.at;
  if (errno == EINVAL) return fail(h, "mount_setattr(MOUNT_ATTR_IDMAP, %s): its filesystem has no id-mapped mounts", path);
  if (errno == EPERM)
    return fail(h, "mount_setattr(MOUNT_ATTR_IDMAP, %s): it is id-mapped already, or its filesystem is not ours", path);
  return fail(h, "mount_setattr(MOUNT_ATTR_IDMAP, %s)", path);
}

int id_mapped_tree(struct helper *h, const struct args_bind_id_mapped *a, int *out) {
  int source = resolve(h, &a->source, O_PATH, 0);
  if (source < 0) return fail(h, "open %s", a->source.path.at);
  int user_namespace = -1;
  int error = 0;
  if (a->id_map_namespace.length == 0) {
    error = make_user_namespace(h, a->uids, a->gids, &user_namespace);
  } else {
    user_namespace = open(a->id_map_namespace.at, O_RDONLY | O_CLOEXEC);
    if (user_namespace < 0) error = fail(h, "open %s", a->id_map_namespace.at);
  }
  if (error == 0) {
    unsigned flags = K_OPEN_TREE_CLONE | (unsigned)AT_EMPTY_PATH | (a->recursive ? K_AT_RECURSIVE : 0);
    *out = k_open_tree(source, "", flags);
    error = *out < 0 ? fail(h, "open_tree(%s)", a->source.path.at) : map_tree(h, a, *out, user_namespace);
    if (error != 0 && *out >= 0) close(*out);
  }
  if (user_namespace >= 0) close(user_namespace);
  close(source);
  return error;
}

int op_bind_id_mapped(struct helper *h, const struct args_bind_id_mapped *a) {
  int target = open_target(h, &a->target);
  if (target < 0) return fail(h, "open %s", a->target.path.at);
  int tree = -1;
  int error = usher_is_there() ? usher_tree(h, &tree) : id_mapped_tree(h, a, &tree);
  if (error == 0) {
    if (set_attributes(tree, a->recursive_attributes ? K_AT_RECURSIVE : 0, a->set, a->clear) != 0)
      error = fail(h, "mount_setattr(%s)", a->target.path.at);
    if (error == 0) error = set_tree_propagation(h, tree, a->propagation, a->target.path.at);
    if (error == 0 && k_move_mount(tree, target) != 0) error = fail(h, "move_mount(%s)", a->target.path.at);
    close(tree);
  }
  close(target);
  return error;
}
