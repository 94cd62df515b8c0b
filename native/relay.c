/*
 * The streams between the user and the container. The container never holds the user's own terminal: it would reach
 * the shell's input through it (TIOCSTI) and its state would outlive the container.
 */
#include "monitor.h"
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

int pipe_stream(struct helper *h, int fd) {
  struct monitor *m = h->monitor;
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return fail(h, "pipe2");
  int ours = fd == STDIN_FILENO ? ends[1] : ends[0];
  m->streams[fd] = ours;
  m->child_streams[fd] = fd == STDIN_FILENO ? ends[0] : ends[1];
  fcntl(ours, F_SETFL, O_NONBLOCK);
  return 0;
}

int op_pipe_streams(struct helper *h, const struct args_pipe_streams *a) {
  (void)a;
  struct monitor *m = h->monitor;
  if (m == NULL || m->child != 0) return fail_as(h, EINVAL, "pipeStreams comes before clone");
  for (int fd = 0; fd < 3; fd++) {
    int error = isatty(fd) ? pipe_stream(h, fd) : 0;
    if (error != 0) return error;
  }
  return 0;
}

/* --- the user's terminal --- */

/* The descriptor of the user's terminal that has a window, -1 without one. */
static int user_terminal(void) {
  for (int fd = 0; fd < 3; fd++) {
    if (isatty(fd)) return fd;
  }
  return -1;
}

void terminal_resize(const struct monitor *m) {
  struct winsize size;
  int tty = user_terminal();
  if (m->terminal < 0 || tty < 0 || ioctl(tty, TIOCGWINSZ, &size) != 0) return;
  ioctl(m->terminal, TIOCSWINSZ, &size);
}

void terminal_raw(struct monitor *m) {
  if (!m->tty_saved) {
    if (tcgetattr(STDIN_FILENO, &m->tty) != 0) return;
    m->tty_saved = true;
  }
  struct termios raw = m->tty;
  cfmakeraw(&raw);
  if (m->plain_newlines) raw.c_oflag |= m->tty.c_oflag & OPOST;
  tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
}

void terminal_restore(struct monitor *m) {
  if (!m->tty_saved) return;
  /* In the background (the shell took the terminal back) the call would stop the monitor for good. */
  signal(SIGTTOU, SIG_IGN);
  tcsetattr(STDIN_FILENO, TCSADRAIN, &m->tty);
  signal(SIGTTOU, SIG_DFL);
  m->tty_saved = false;
}

/* --- relays --- */

static void add(struct relays *relays, int from, int to, bool shared) {
  relays->relay[relays->count++] = (struct relay){.from = from, .to = to, .shared = shared};
}

void relays_begin(struct monitor *m, struct relays *relays, bool input) {
  relays->count = 0;
  if (m->terminal >= 0) {
    fcntl(m->terminal, F_SETFL, O_NONBLOCK);
    /* While the monitor holds the other end too, a program that closes all of its own does not hang the terminal up. */
    m->terminal_peer = ioctl(m->terminal, K_TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    terminal_resize(m);
    add(relays, m->terminal, STDOUT_FILENO, true);
    if (input) {
      add(relays, STDIN_FILENO, m->terminal, false);
      relays->relay[1].to_terminal = true;
      terminal_raw(m);
    }
    return;
  }
  if (m->streams[1] >= 0) add(relays, m->streams[1], STDOUT_FILENO, true);
  if (m->streams[2] >= 0) add(relays, m->streams[2], STDERR_FILENO, true);
  if (m->streams[0] >= 0 && input) add(relays, STDIN_FILENO, m->streams[0], false);
  if (m->streams[0] >= 0 && !input) close(m->streams[0]);
}

/* The input is at its end: what a user would type to say so, or a closed pipe. */
static void end_input(struct relay *relay) {
  struct termios state;
  if (relay->to_terminal) {
    if (tcgetattr(relay->to, &state) == 0 && (state.c_lflag & ICANON) != 0) {
      char end = (char)state.c_cc[VEOF];
      /* A full terminal buffer loses it, as it loses what a user types. */
      if (write(relay->to, &end, 1) < 0) return;
    }
  } else if (!relay->shared) {
    close(relay->to);
  }
  relay->to = -1;
}

static void read_some(struct relay *relay) {
  if (relay->buffer == NULL) relay->buffer = malloc(RELAY_BYTES);
  if (relay->buffer == NULL) return;
  ssize_t got = read(relay->from, relay->buffer, RELAY_BYTES);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got > 0) {
    relay->start = 0;
    relay->end = (size_t)got;
    return;
  }
  relay->from = -1;
  end_input(relay);
}

static void write_some(struct relay *relay) {
  size_t size = relay->end - relay->start;
  /* The user's descriptor may block; what poll called writable takes a page at least. */
  if (relay->shared && size > 4096) size = 4096;
  ssize_t wrote = write(relay->to, relay->buffer + relay->start, size);
  if (wrote >= 0) {
    relay->start += (size_t)wrote;
  } else if (errno != EAGAIN && errno != EINTR) {
    /* Nobody takes it any more. Reading goes on, or the container would block on a full pipe for ever. */
    relay->to = -1;
    relay->start = relay->end;
  }
}

void relay_move(struct relay *relay, short from_events, short to_events) {
  if (relay->start < relay->end) {
    if (relay->to < 0) {
      relay->start = relay->end;
    } else if (to_events != 0) {
      write_some(relay);
    }
  } else if (relay->from >= 0 && from_events != 0) {
    read_some(relay);
    if (relay->start < relay->end && relay->to >= 0 && !relay->shared) write_some(relay);
  }
}

void relays_drain(struct relays *relays) {
  for (unsigned i = 0; i < relays->count; i++) {
    struct relay *relay = &relays->relay[i];
    if (!relay->shared) continue; /* an input */
    for (;;) {
      while (relay->start < relay->end && relay->to >= 0) {
        struct pollfd writable = {relay->to, POLLOUT, 0};
        if (poll(&writable, 1, -1) < 0 && errno != EINTR) break;
        write_some(relay);
      }
      if (relay->from < 0 || relay->to < 0) break;
      /* The container is gone: all that it wrote is there to be read now, and EAGAIN is the end of it. */
      read_some(relay);
      if (relay->start >= relay->end) break;
    }
  }
}
