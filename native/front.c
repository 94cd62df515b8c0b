/* The client of a detached container's monitor: it stands between the user's streams and the container's. */
#include "client.h"
#include "helper.h"
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>

struct session {
  const struct front *front;
  int signals;
  bool ready, terminal, reading, detached, told;
  bool raw;
  struct termios saved;
  uint8_t *message; /* one from the monitor */
  uint8_t *typed; /* one to the monitor that it did not take yet */
  size_t typed_size; /* 0: none */
  size_t matched; /* how many of the detach keys were typed */
};

static int open_signals(void) {
  sigset_t set;
  sigfillset(&set);
  static const int ours[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS, SIGTSTP, SIGTTIN, SIGTTOU};
  for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) sigdelset(&set, ours[i]);
  sigprocmask(SIG_SETMASK, &set, NULL);
  signal(SIGPIPE, SIG_IGN);
  return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static bool write_out(int fd, const uint8_t *data, size_t size) {
  while (size > 0) {
    ssize_t wrote = write(fd, data, size);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0 && errno == EAGAIN) {
      struct pollfd writable = {fd, POLLOUT, 0};
      poll(&writable, 1, -1);
      continue;
    }
    if (wrote <= 0) return false;
    data += wrote;
    size -= (size_t)wrote;
  }
  return true;
}

static void make_raw(struct session *s) {
  if (s->raw || !s->terminal || !s->reading || tcgetattr(STDIN_FILENO, &s->saved) != 0) return;
  struct termios raw = s->saved;
  cfmakeraw(&raw);
  tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
  s->raw = true;
}

static void make_sane(struct session *s) {
  if (!s->raw) return;
  signal(SIGTTOU, SIG_IGN);
  tcsetattr(STDIN_FILENO, TCSADRAIN, &s->saved);
  s->raw = false;
}

static void send_window(const struct session *s) {
  struct winsize size;
  for (int fd = 0; fd < 3; fd++) {
    if (!isatty(fd) || ioctl(fd, TIOCGWINSZ, &size) != 0) continue;
    uint8_t message[5] = {CLIENT_WINDOW, (uint8_t)size.ws_row, (uint8_t)(size.ws_row >> 8), (uint8_t)size.ws_col,
                          (uint8_t)(size.ws_col >> 8)};
    send(s->front->socket, message, sizeof message, MSG_NOSIGNAL | MSG_DONTWAIT);
    return;
  }
}

static void read_signals(struct session *s) {
  struct signalfd_siginfo info;
  while (read(s->signals, &info, sizeof info) == sizeof info) {
    int number = (int)info.ssi_signo;
    if (number == SIGCHLD || number == SIGPIPE || number == SIGURG) continue;
    if (number == SIGWINCH || number == SIGCONT) {
      if (number == SIGCONT && s->raw) {
        s->raw = false;
        make_raw(s);
      }
      send_window(s);
    } else if (!s->ready) {
      if (s->front->monitor > 0) kill(s->front->monitor, number);
    } else if (s->front->pass_signals) {
      uint8_t message[2] = {CLIENT_SIGNAL, (uint8_t)number};
      send(s->front->socket, message, sizeof message, MSG_NOSIGNAL | MSG_DONTWAIT);
    } else if (number == SIGINT || number == SIGTERM || number == SIGHUP || number == SIGQUIT) {
      s->detached = true;
    }
  }
}

/* Takes the detach keys out of what was typed. What may be their beginning waits for what follows. */
static size_t without_keys(struct session *s, const uint8_t *data, size_t size, uint8_t *out) {
  const struct front *front = s->front;
  size_t count = 0;
  for (size_t i = 0; i < size; i++) {
    if (!s->terminal || front->key_count == 0) {
      out[count++] = data[i];
      continue;
    }
    if (data[i] == front->keys[s->matched]) {
      if (++s->matched == front->key_count) {
        s->detached = true;
        return count;
      }
      continue;
    }
    memcpy(out + count, front->keys, s->matched);
    count += s->matched;
    s->matched = 0;
    if (data[i] == front->keys[0]) s->matched = 1;
    else out[count++] = data[i];
  }
  return count;
}

static void send_typed(struct session *s) {
  ssize_t sent = send(s->front->socket, s->typed, s->typed_size, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent >= 0 || (errno != EAGAIN && errno != EINTR && errno != ENOBUFS)) s->typed_size = 0;
}

/* Room is left for detach keys that were held back. */
#define INPUT_BYTES (CLIENT_BYTES - 64)

static void read_input(struct session *s) {
  uint8_t data[INPUT_BYTES];
  ssize_t got = read(STDIN_FILENO, data, sizeof data);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) {
    s->reading = false;
    s->typed[0] = CLIENT_INPUT_END;
    s->typed_size = 1;
  } else {
    s->typed[0] = CLIENT_INPUT;
    size_t size = without_keys(s, data, (size_t)got, s->typed + 1);
    s->typed_size = size == 0 ? 0 : size + 1;
  }
  if (s->typed_size > 0) send_typed(s);
}

/* The container goes on when nobody reads any more: the caller ends as one who is killed by SIGPIPE. */
static int relay(struct session *s, int fd, size_t size) {
  if (write_out(fd, s->message + 1, size) || errno != EPIPE) return -1;
  make_sane(s);
  return 128 + SIGPIPE;
}

/* -1: go on; else the exit status. */
static int read_message(struct session *s) {
  const struct front *front = s->front;
  ssize_t got = recv(front->socket, s->message, 1 + CLIENT_BYTES, 0);
  /* The monitor ended without taking all that was typed: the kernel says so once, before what the monitor said last. */
  if (got < 0 && (errno == EINTR || errno == EAGAIN || errno == ECONNRESET)) return -1;
  if (got <= 0) {
    make_sane(s);
    complain("vitrine: the container's monitor is gone");
    return 128 + SIGKILL;
  }
  switch ((enum client_message)s->message[0]) {
  case CLIENT_READY:
    s->ready = true;
    if (front->announce_size > 0) write_out(STDOUT_FILENO, (const uint8_t *)front->announce, front->announce_size);
    if (!front->attach) return 0;
    s->terminal = got == 2 && (s->message[1] & CLIENT_HAS_TERMINAL) != 0;
    s->reading = front->input && got == 2 && (s->message[1] & CLIENT_HAS_INPUT) != 0;
    make_raw(s);
    send_window(s);
    break;
  case CLIENT_STDOUT:
    return front->attach && !front->without_stdout ? relay(s, STDOUT_FILENO, (size_t)got - 1) : -1;
  case CLIENT_STDERR:
    return front->attach && !front->without_stderr ? relay(s, STDERR_FILENO, (size_t)got - 1) : -1;
  case CLIENT_EXIT:
    s->told = got == 2;
    return got == 2 ? s->message[1] : 125;
  default:
    break;
  }
  return -1;
}

int front_run(const struct front *front) {
  struct session s = {.front = front, .signals = open_signals(), .message = malloc(1 + CLIENT_BYTES),
                      .typed = malloc(1 + CLIENT_BYTES)};
  if (s.message == NULL || s.typed == NULL) return 125;
  if (front->attach) send_window(&s);
  int status = -1;
  while (status < 0 && !s.detached) {
    struct pollfd polls[3] = {{front->socket, (short)(POLLIN | (s.typed_size > 0 ? POLLOUT : 0)), 0},
                              {s.signals, POLLIN, 0},
                              {s.reading && s.typed_size == 0 ? STDIN_FILENO : -1, POLLIN, 0}};
    if (poll(polls, 3, -1) < 0 && errno != EINTR) return 125;
    if (polls[1].revents != 0) read_signals(&s);
    if ((polls[0].revents & POLLOUT) != 0) send_typed(&s);
    if ((polls[0].revents & (POLLIN | POLLHUP | POLLERR)) != 0) status = read_message(&s);
    if (status < 0 && polls[2].revents != 0) read_input(&s);
  }
  make_sane(&s);
  if (s.detached) {
    write_out(STDERR_FILENO, (const uint8_t *)"\r\n", s.terminal ? 2 : 0);
    return 0;
  }
  if (s.told && front->tells) dprintf(STDOUT_FILENO, "%d\n", status);
  return status;
}

/* --- vitrine-helper attach [--no-input] [--no-signals] [--keys HEX] [--tell] SOCKET --- */

static size_t parse_keys(const char *hex, uint8_t *out, size_t size) {
  size_t count = 0;
  unsigned value;
  for (; count < size && sscanf(hex, "%2x", &value) == 1; hex += 2) {
    out[count++] = (uint8_t)value;
    if (hex[1] == 0 || hex[2] == 0) break;
  }
  return count;
}

int attach_main(int argc, char **argv) {
  uint8_t keys[32];
  struct front front = {.attach = true, .input = true, .pass_signals = true, .keys = keys};
  int i = 0;
  for (; i < argc && strncmp(argv[i], "--", 2) == 0; i++) {
    if (strcmp(argv[i], "--no-input") == 0) front.input = false;
    else if (strcmp(argv[i], "--no-signals") == 0) front.pass_signals = false;
    else if (strcmp(argv[i], "--tell") == 0) front.tells = front.without_stdout = front.without_stderr = true;
    else if (strcmp(argv[i], "--keys") == 0 && i + 1 < argc) front.key_count = parse_keys(argv[++i], keys, sizeof keys);
  }
  struct sockaddr_un address;
  int directory = i < argc ? long_address(argv[i], &address) : -1;
  front.socket = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  if (directory < 0 || front.socket < 0 || connect(front.socket, (struct sockaddr *)&address, sizeof address) != 0) {
    complain("vitrine: cannot attach to the container: %s", strerror(errno));
    return 125;
  }
  close(directory);
  return front_run(&front);
}
