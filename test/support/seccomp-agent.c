/*
 * A seccomp agent for tests (config-linux.md#seccomp, listenerPath): `seccomp-agent SOCKET`. Each connection brings a
 * state, printed as one line, and a listener. mkdir fails with EDOM, whatever else is notified goes on.
 */
#include <errno.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static int receive(int connection) {
  char state[65536];
  char control[CMSG_SPACE(sizeof(int))];
  struct iovec part = {state, sizeof state - 1};
  struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  ssize_t size = recvmsg(connection, &header, MSG_CMSG_CLOEXEC);
  struct cmsghdr *rights = size <= 0 ? NULL : CMSG_FIRSTHDR(&header);
  if (rights == NULL || rights->cmsg_type != SCM_RIGHTS || rights->cmsg_len != CMSG_LEN(sizeof(int))) return -1;
  int listener;
  memcpy(&listener, CMSG_DATA(rights), sizeof listener);
  printf("%.*s\n", (int)size, state);
  fflush(stdout);
  return listener;
}

static void serve(int listener) {
  for (;;) {
    struct pollfd ready = {listener, POLLIN, 0};
    if (poll(&ready, 1, -1) > 0 && (ready.revents & POLLHUP) != 0) return; /* nobody is left under the filter */
    struct seccomp_notif call;
    memset(&call, 0, sizeof call);
    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call) != 0) {
      if (errno == EINTR || errno == ENOENT) continue; /* ENOENT: the caller was killed meanwhile */
      return;
    }
    struct seccomp_notif_resp answer = {.id = call.id};
    if (call.data.nr == SYS_mkdir || call.data.nr == SYS_mkdirat) answer.error = -EDOM;
    else answer.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
    ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
  }
}

int main(int argc, char **argv) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (argc != 2 || strlen(argv[1]) >= sizeof address.sun_path) return 2;
  strcpy(address.sun_path, argv[1]);
  int at = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (bind(at, (struct sockaddr *)&address, sizeof address) != 0 || listen(at, 8) != 0) return 1;
  for (;;) {
    int connection = accept4(at, NULL, NULL, SOCK_CLOEXEC);
    if (connection < 0) continue;
    int listener = receive(connection);
    close(connection);
    if (listener < 0) continue;
    if (fork() == 0) {
      serve(listener);
      _exit(0);
    }
    close(listener);
    while (waitpid(-1, NULL, WNOHANG) > 0) continue;
  }
}
