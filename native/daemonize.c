/* Ops of a container that outlives the command that started it. */
#include "client.h"
#include "hub.h"
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

int op_attach_streams(struct helper *h, const struct args_attach_streams *a) {
  struct hub *hub = h->monitor == NULL ? NULL : hub_of(h->monitor);
  if (hub == NULL) return fail_as(h, EINVAL, "only in the monitor");
  hub->without_stdout = !a->output;
  hub->without_stderr = !a->errors;
  hub->signals_kept = !a->signals;
  return 0;
}

int op_daemonize(struct helper *h, const struct args_daemonize *a) {
  struct monitor *m = h->monitor;
  if (m == NULL || m->child != 0) return fail_as(h, EINVAL, "daemonize comes before clone");
  struct hub *hub = hub_of(m);
  if (hub == NULL) return fail_as(h, ENOMEM, "memory");
  if (h->restarted) {
    hub->daemon = true;
    return 0;
  }
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return fail(h, "socketpair");
  pid_t monitor = fork();
  if (monitor < 0) {
    close(pair[0]);
    close(pair[1]);
    return fail(h, "fork");
  }
  if (monitor > 0) {
    close(pair[1]);
    for (unsigned i = 0; i < m->preserved; i++) close((int)(3 + i));
    struct front front = {.socket = pair[0], .monitor = monitor, .attach = a->attach, .input = a->input,
                          .pass_signals = !hub->signals_kept, .without_stdout = hub->without_stdout,
                          .without_stderr = hub->without_stderr, .announce = a->announce.at, .announce_size = a->announce.length,
                          .keys = a->detach_keys.at, .key_count = a->detach_keys.length};
    _exit(front_run(&front));
  }
  close(pair[0]);
  hub->daemon = true;
  hub_add(hub, pair[1]);
  if (setsid() < 0) return fail(h, "setsid");
  return a->monitor_file.length > 0 ? write_process(h, a->monitor_file.at, getpid(), true) : 0;
}

int op_capture_streams(struct helper *h, const struct args_capture_streams *a) {
  struct monitor *m = h->monitor;
  if (m == NULL || m->child != 0) return fail_as(h, EINVAL, "captureStreams comes before clone");
  struct hub *hub = hub_of(m);
  if (hub == NULL) return fail_as(h, ENOMEM, "memory");
  hub->terminal = a->terminal;
  hub->input_wanted = a->input;
  hub->once = a->once;
  if (a->terminal) return 0;
  int error = a->input ? pipe_stream(h, STDIN_FILENO) : 0;
  if (error == 0) error = pipe_stream(h, STDOUT_FILENO);
  return error == 0 ? pipe_stream(h, STDERR_FILENO) : error;
}

int op_keep_log(struct helper *h, const struct args_keep_log *a) {
  struct hub *hub = h->monitor == NULL ? NULL : hub_of(h->monitor);
  if (hub == NULL) return fail_as(h, EINVAL, "only in the monitor");
  hub->log = (struct log){.fd = -1, .path = strdup(a->path.at), .max_bytes = a->max_bytes, .files = a->files};
  if (hub->log.path == NULL) return fail_as(h, ENOMEM, "memory");
  return log_open(&hub->log) == 0 ? 0 : fail(h, "open %s", a->path.at);
}

int long_address(const char *path, struct sockaddr_un *address) {
  char buffer[4096];
  const char *directory;
  const char *name;
  memset(address, 0, sizeof *address);
  address->sun_family = AF_UNIX;
  if (strlen(path) >= sizeof buffer || !split_path(path, buffer, &directory, &name)) {
    errno = ENAMETOOLONG;
    return -1;
  }
  int fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return -1;
  int length = snprintf(address->sun_path, sizeof address->sun_path, "/proc/self/fd/%d/%s", fd, name);
  if (length < 0 || (size_t)length >= sizeof address->sun_path) {
    close(fd);
    errno = ENAMETOOLONG;
    return -1;
  }
  return fd;
}

int op_attach_socket(struct helper *h, const struct args_attach_socket *a) {
  struct hub *hub = h->monitor == NULL ? NULL : hub_of(h->monitor);
  if (hub == NULL) return fail_as(h, EINVAL, "only in the monitor");
  struct sockaddr_un address;
  int directory = long_address(a->path.at, &address);
  if (directory < 0) return fail(h, "open the directory of %s", a->path.at);
  unlink(a->path.at);
  int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  int error = 0;
  /* The helper runs with umask 0. */
  umask(0177);
  if (listener < 0) error = fail(h, "socket");
  else if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0) error = fail(h, "bind %s", a->path.at);
  else if (listen(listener, HUB_CLIENTS) != 0) error = fail(h, "listen");
  umask(0);
  close(directory);
  if (error == 0) hub->listener = listener;
  else if (listener >= 0) close(listener);
  return error;
}
