/*
 * A mount tree that only a child can make: it enters another mount namespace, or one of its own, and hands the detached
 * tree over.
 */
#include "mount.h"
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

static _Noreturn void lend(struct helper *h, tree_maker *make, const void *of, int channel) {
  struct message answer = {.type = MESSAGE_BARRIER};
  int tree = -1;
  answer.error = make(h, of, &tree);
  memcpy(answer.detail, h->detail, sizeof answer.detail);
  _exit(channel_send(channel, &answer, answer.error == 0 ? tree : -1) ? 0 : 1);
}

int lent_tree(struct helper *h, tree_maker *make, const void *of, const char *what, int *tree) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return fail(h, "socketpair");
  pid_t child = fork();
  if (child == 0) lend(h, make, of, pair[1]);
  int error = child < 0 ? fail(h, "fork") : 0;
  close(pair[1]);
  if (error == 0) {
    struct message answer;
    *tree = -1;
    if (channel_receive(pair[0], &answer, tree) != 1) error = fail_as(h, EPIPE, "mounts of %s", what);
    else if (*tree < 0) {
      answer.detail[sizeof answer.detail - 1] = 0;
      error = fail_as(h, answer.error, "%s", answer.detail);
    }
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR) continue;
  }
  close(pair[0]);
  return error;
}
