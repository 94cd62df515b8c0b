/*
 * What the caller's sockets are told: the pidfd (--pidfd-socket), and that the program is ready (sd_notify(3)).
 *
 * The container cannot reach the service manager's socket, and its messages would come from a process that this one does
 * not know. So it has a socket of its own, and whoever waits for its READY passes that on.
 */
#include "monitor.h"
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define NOTIFY_NAME "notify.sock"
#define MESSAGE_BYTES 4096
#define BARRIER_MS 30000

int op_send_pidfd(struct helper *h, const struct args_send_pidfd *a) {
  struct monitor *m = h->monitor;
  if (m == NULL || m->child_pidfd < 0) return fail_as(h, EINVAL, "no clone before it");
  /* Whoever gets it may use it at once, and is to find the program, or what waits for its start. */
  int error = monitor_await(h, plan_releases(h->plan) ? MESSAGE_WAITING : MESSAGE_EXECUTING, 0);
  if (error != 0) return error;
  if (send_to_socket(a->socket.at, m->child_pidfd, a->data.at, a->data.length) == 0) return 0;
  return fail(h, "pidfd socket %s", a->socket.at);
}

int notify_listen(int directory) {
  /* By the descriptor: the whole path may be longer than an address. */
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/" NOTIFY_NAME, directory);
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -1;
  unlinkat(directory, NOTIFY_NAME, 0);
  if (bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && fchmodat(directory, NOTIFY_NAME, 0777, 0) == 0) return fd;
  int saved = errno;
  close(fd);
  errno = saved;
  return -1;
}

static int connect_to(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  size_t length = strlen(path);
  if (length == 0 || length >= sizeof address.sun_path) {
    errno = ENAMETOOLONG;
    return -1;
  }
  memcpy(address.sun_path, path, length + 1);
  socklen_t size = sizeof address;
  if (*path == '@') {
    address.sun_path[0] = 0;
    size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
  }
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || connect(fd, (struct sockaddr *)&address, size) == 0) return fd;
  int saved = errno;
  close(fd);
  errno = saved;
  return -1;
}

/* The line of a message that says READY, else NULL. */
static char *ready_line(char *message) {
  for (char *line = strtok(message, "\n"); line != NULL; line = strtok(NULL, "\n")) {
    if (strncmp(line, "READY=", 6) == 0) return line;
  }
  return NULL;
}

/* sd_notify_barrier(3): when the other end of the pipe is closed, all before it has been read. */
static void await_barrier(int host) {
  static const char text[] = "BARRIER=1";
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return;
  if (send_descriptor(host, text, sizeof text - 1, ends[1]) > 0) {
    close(ends[1]);
    struct pollfd closed = {ends[0], POLLIN, 0};
    while (poll(&closed, 1, BARRIER_MS) < 0 && errno == EINTR) continue;
  } else {
    close(ends[1]);
  }
  close(ends[0]);
}

/* True once READY was passed on to `host`; `pid` other than 0 is told as the service's main process. */
static bool pass_ready(int fd, const char *host, pid_t pid) {
  char message[MESSAGE_BYTES];
  ssize_t got = recv(fd, message, sizeof message - 1, 0);
  if (got <= 0) return false;
  message[got] = 0;
  const char *ready = ready_line(message);
  if (ready == NULL) return false;
  int socket_fd = connect_to(host);
  if (socket_fd < 0) {
    complain("vitrine-helper: NOTIFY_SOCKET %s: %s", host, strerror(errno));
    return true;
  }
  bool sent = send(socket_fd, ready, strlen(ready), MSG_NOSIGNAL) >= 0;
  if (sent && pid > 0) {
    char text[32];
    int length = snprintf(text, sizeof text, "MAINPID=%d", (int)pid);
    sent = send(socket_fd, text, (size_t)length, MSG_NOSIGNAL) >= 0;
  }
  if (!sent) complain("vitrine-helper: NOTIFY_SOCKET %s: %s", host, strerror(errno));
  else if (pid > 0) await_barrier(socket_fd);
  close(socket_fd);
  return true;
}

void notify_await(int fd, const char *host, int pidfd, pid_t pid) {
  struct pollfd polls[2] = {{fd, POLLIN, 0}, {pidfd, POLLIN, 0}};
  for (;;) {
    if (poll(polls, 2, -1) < 0) {
      if (errno == EINTR) continue;
      return;
    }
    if (polls[0].revents != 0 && pass_ready(fd, host, pid)) return;
    if (polls[1].revents != 0) return;
  }
}

int op_notify_socket(struct helper *h, const struct args_notify_socket *a) {
  struct monitor *m = h->monitor;
  if (m == NULL) return fail_as(h, EINVAL, "only in the monitor");
  int directory = open(a->directory.at, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return fail(h, "open %s", a->directory.at);
  m->notify = notify_listen(directory);
  int error = m->notify < 0 ? fail(h, "bind %s/" NOTIFY_NAME, a->directory.at) : 0;
  close(directory);
  /* The plan's memory does not last as long. */
  m->notify_host = strdup(a->host.at);
  return error == 0 && m->notify_host == NULL ? fail_as(h, ENOMEM, "memory") : error;
}

void notify_serve(struct monitor *m) {
  if (m->notify <= 0 || !pass_ready(m->notify, m->notify_host, 0)) return;
  close(m->notify);
  m->notify = 0;
}
