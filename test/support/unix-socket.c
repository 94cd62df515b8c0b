/*
 * The other end of the runtime's sockets, for tests: `unix-socket kill SOCKET` takes one message with a pidfd, prints it and
 * kills that process; `unix-socket read SOCKET` prints each datagram as a line, and closes what comes with it;
 * `unix-socket send SOCKET TEXT` sends one datagram.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

/* The message as a line; what came with it, or -1. */
static int receive(int from) {
  char text[4096];
  char control[CMSG_SPACE(sizeof(int))];
  struct iovec part = {text, sizeof text};
  struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  ssize_t size = recvmsg(from, &header, MSG_CMSG_CLOEXEC);
  struct cmsghdr *rights = size <= 0 ? NULL : CMSG_FIRSTHDR(&header);
  int descriptor = -1;
  if (rights != NULL && rights->cmsg_type == SCM_RIGHTS) memcpy(&descriptor, CMSG_DATA(rights), sizeof descriptor);
  if (size > 0) printf("%.*s\n", (int)size, text);
  fflush(stdout);
  return descriptor;
}

int main(int argc, char **argv) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (argc < 3 || strlen(argv[2]) >= sizeof address.sun_path) return 2;
  strcpy(address.sun_path, argv[2]);
  int stream = strcmp(argv[1], "kill") == 0;
  int at = socket(AF_UNIX, stream ? SOCK_STREAM : SOCK_DGRAM, 0);
  if (strcmp(argv[1], "send") == 0)
    return argc == 4 && sendto(at, argv[3], strlen(argv[3]), 0, (struct sockaddr *)&address, sizeof address) > 0 ? 0 : 1;
  /* At its path once it can be connected to. */
  if (snprintf(address.sun_path, sizeof address.sun_path, "%s.new", argv[2]) >= (int)sizeof address.sun_path) return 2;
  if (bind(at, (struct sockaddr *)&address, sizeof address) != 0) return 1;
  if (stream && listen(at, 1) != 0) return 1;
  if (rename(address.sun_path, argv[2]) != 0) return 1;
  if (stream) {
    int pidfd = receive(accept(at, NULL, NULL));
    return syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0) == 0 ? 0 : 1;
  }
  for (;;) {
    int descriptor = receive(at);
    if (descriptor >= 0) close(descriptor);
  }
}
