/*
 * Paths of the host for a process whose ids in its user namespace may not walk to them: ROOT is 0700, and so are the
 * homes whose directories users bind. An usher is a second process in the same mount namespace that kept the ids from
 * before; it opens what is asked for and hands the descriptor over. It ends with the other end of its socket.
 *
 * A request is u64 flags of open(2) and a path, or REQUEST_TREE and the u32 index of a bindIdMapped or bindNode in the plan.
 */
#include "mount.h"
#include <limits.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

static int usher = -1; /* the asking end */
static pid_t usher_process; /* in the process that started it */

static pid_t outside; /* in the usher: who stayed in the mount namespace that ours was copied from; 0: nobody */

#define REQUEST_TREE UINT64_MAX

static bool enter_mounts_of(pid_t process) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/ns/mnt", (int)process);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  bool entered = fd >= 0 && setns(fd, (int)K_CLONE_NEWNS) == 0;
  if (fd >= 0) close(fd);
  return entered;
}

static int tree_outside(struct helper *h, const void *of, int *tree) {
  const struct args_bind_id_mapped *a = of;
  int error = enter_mounts_of(outside) ? id_mapped_tree(h, a, tree) : fail(h, "setns(mounts of the host)");
  /* Its peers are the host's mounts. */
  struct k_mount_attr private = {.propagation = MS_PRIVATE};
  if (error == 0 && k_mount_setattr(*tree, 0, &private) != 0)
    error = fail(h, "mount_setattr(propagation of %s)", a->target.path.at);
  return error;
}

/* Mounts that a user namespace got as copies hold together: one of them is not to be had without those on it, EINVAL,
   lest what they cover be seen. Who asks for it with the host's ids gets it from the host's own mounts. */
static int mapped_tree(struct helper *h, const struct args_bind_id_mapped *a, int *tree) {
  int error = id_mapped_tree(h, a, tree);
  if (error != EINVAL || a->recursive || outside <= 0) return error;
  return lent_tree(h, tree_outside, a, "the host", tree);
}

static int serve_tree(struct helper *h, const void *wanted, int *tree) {
  union op_args args;
  struct frame frame;
  uint32_t index;
  memcpy(&index, wanted, sizeof index);
  const uint8_t *at = h->plan->at;
  for (uint32_t i = 0; plan_next(h->plan, &at, &frame); i++) {
    if (i != index) continue;
    if (!frame_decode(&frame, &args)) break;
    if (frame.code == OP_BIND_ID_MAPPED) return mapped_tree(h, &args.bind_id_mapped, tree);
    if (frame.code == OP_BIND_NODE) return node_tree(h, &args.bind_node, tree);
    break;
  }
  return fail_as(h, EPROTO, "no tree of that op");
}

static _Noreturn void serve(struct helper *h, int socket) {
  char request[sizeof(uint64_t) + PATH_MAX];
  for (;;) {
    ssize_t got;
    do got = recv(socket, request, sizeof request - 1, 0);
    while (got < 0 && errno == EINTR);
    if (got <= (ssize_t)sizeof(uint64_t)) _exit(0);
    request[got] = 0;
    uint64_t flags;
    memcpy(&flags, request, sizeof flags);
    struct message answer = {.type = MESSAGE_BARRIER};
    int fd = -1;
    if (flags == REQUEST_TREE && h != NULL && h->plan != NULL && got == sizeof flags + sizeof(uint32_t)) {
      answer.error = serve_tree(h, request + sizeof flags, &fd);
      memcpy(answer.detail, h->detail, sizeof answer.detail);
      if (answer.error != 0) fd = -1;
    } else {
      fd = open(request + sizeof flags, (int)flags | O_CLOEXEC);
      if (fd < 0) answer.error = errno;
    }
    if (!channel_send(socket, &answer, fd)) _exit(0);
    if (fd >= 0) close(fd);
  }
}

/* What it inherited would keep pipes and channels open that others wait for. */
static void close_all_but(int socket) {
  if (socket != 0 && dup2(socket, 0) < 0) _exit(1);
  if (k_close_range(1, ~0u, 0) == 0) return;
  for (int fd = 1; fd < 65536; fd++) close(fd);
}

int usher_start(struct helper *h, pid_t process) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return -1;
  pid_t pid = fork();
  if (pid == 0) {
    prctl(PR_SET_NAME, "vitrine-usher");
    if (process != 0) outside = getppid();
    bool entered = process == 0 || enter_mounts_of(process);
    close_all_but(pair[1]);
    undumpable();
    /* Its absence is an end of the socket: the asker then has the error that it had without. */
    if (entered) serve(h, 0);
    _exit(1);
  }
  int error = errno;
  close(pair[1]);
  if (pid < 0) {
    close(pair[0]);
    errno = error;
    return -1;
  }
  usher_process = pid;
  return pair[0];
}

void usher_use(int socket) {
  usher = socket;
}

bool usher_is_there(void) {
  return usher >= 0;
}

void usher_end(void) {
  if (usher < 0) return;
  close(usher);
  usher = -1;
  usher_reap();
}

void usher_reap(void) {
  if (usher_process <= 0) return;
  while (waitpid(usher_process, NULL, 0) < 0 && errno == EINTR) continue;
  usher_process = 0;
}

static bool exchange(const void *request, size_t length, struct message *answer, int *fd) {
  ssize_t sent;
  do sent = send(usher, request, length, MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  return sent >= 0 && channel_receive(usher, answer, fd) == 1;
}

static int ask(const char *path, uint64_t flags) {
  char request[sizeof flags + PATH_MAX];
  size_t length = strlen(path);
  if (length >= PATH_MAX) {
    errno = ENAMETOOLONG;
    return -1;
  }
  memcpy(request, &flags, sizeof flags);
  memcpy(request + sizeof flags, path, length);
  struct message answer;
  int fd = -1;
  if (!exchange(request, sizeof flags + length, &answer, &fd)) errno = EACCES;
  else if (fd < 0) errno = answer.error;
  return fd;
}

int usher_tree(struct helper *h, int *tree) {
  char request[sizeof(uint64_t) + sizeof h->index];
  uint64_t kind = REQUEST_TREE;
  memcpy(request, &kind, sizeof kind);
  memcpy(request + sizeof kind, &h->index, sizeof h->index);
  struct message answer;
  *tree = -1;
  if (!exchange(request, sizeof request, &answer, tree)) return fail_as(h, EACCES, "usher");
  if (*tree >= 0) return 0;
  answer.detail[sizeof answer.detail - 1] = 0;
  return fail_as(h, answer.error, "%s", answer.detail);
}

int open_on_host(const char *path, uint64_t flags, uint64_t mode) {
  int fd = open(path, (int)flags | O_CLOEXEC, (mode_t)mode);
  if (fd >= 0 || errno != EACCES || usher < 0 || (flags & O_CREAT) != 0) return fd;
  return ask(path, flags);
}
