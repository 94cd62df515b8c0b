/* See hub.h. */
#include "client.h"
#include "hub.h"
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

static const struct {
  uint8_t type;
  const char *name;
} streams[2] = {{CLIENT_STDOUT, "stdout"}, {CLIENT_STDERR, "stderr"}};

struct hub *hub_of(struct monitor *m) {
  if (m->hub != NULL) return m->hub;
  struct hub *hub = calloc(1, sizeof *hub);
  if (hub == NULL) return NULL;
  hub->listener = hub->input = hub->log.fd = -1;
  hub->outlets[0].from = hub->outlets[1].from = -1;
  m->hub = hub;
  return hub;
}

/* --- clients --- */

void hub_add(struct hub *hub, int client) {
  fcntl(client, F_SETFL, O_NONBLOCK);
  hub->clients[hub->count++] = (struct client){.fd = client};
}

static void drop_client(struct hub *hub, unsigned index) {
  close(hub->clients[index].fd);
  hub->clients[index] = hub->clients[--hub->count];
}

static bool send_now(int fd, const void *data, size_t size) {
  ssize_t sent;
  do sent = send(fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
  while (sent < 0 && errno == EINTR);
  return sent >= 0;
}

static void send_ready(const struct hub *hub, const struct client *client) {
  unsigned flags = (hub->terminal ? CLIENT_HAS_TERMINAL : 0u) | (hub->input >= 0 ? CLIENT_HAS_INPUT : 0u);
  uint8_t message[2] = {CLIENT_READY, (uint8_t)flags};
  send_now(client->fd, message, sizeof message);
}

static void accept_client(struct hub *hub) {
  int fd = accept4(hub->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0) return;
  if (hub->count == HUB_CLIENTS) {
    close(fd);
    return;
  }
  hub_add(hub, fd);
  send_ready(hub, &hub->clients[hub->count - 1]);
}

/* False: the client is gone. */
static bool pass_chunks(const struct hub *hub, struct client *client) {
  for (unsigned i = 0; i < 2; i++) {
    if ((client->behind >> i & 1) == 0) continue;
    if (send_now(client->fd, hub->outlets[i].chunk, hub->outlets[i].size)) client->behind &= ~(1u << i);
    else if (errno != EAGAIN && errno != ENOBUFS) return false;
  }
  return true;
}

/* --- input --- */

static void end_input(struct monitor *m) {
  struct hub *hub = m->hub;
  if (hub->input < 0) return;
  if (hub->terminal) {
    struct termios state;
    if (tcgetattr(hub->input, &state) == 0 && (state.c_lflag & ICANON) != 0) {
      char end = (char)state.c_cc[VEOF];
      if (write(hub->input, &end, 1) < 0) return;
    }
    return; /* another client may still type */
  }
  close(hub->input);
  hub->input = -1;
}

static void write_input(struct hub *hub) {
  while (hub->typed_at < hub->typed_end) {
    ssize_t wrote = hub->input < 0 ? -1 : write(hub->input, hub->typed + hub->typed_at, hub->typed_end - hub->typed_at);
    if (wrote < 0 && hub->input >= 0 && errno == EINTR) continue;
    if (wrote < 0 && hub->input >= 0 && errno == EAGAIN) return;
    if (wrote < 0) {
      /* Nobody reads it any more. */
      hub->typed_at = hub->typed_end;
      return;
    }
    hub->typed_at += (size_t)wrote;
  }
}

static void set_window(const struct monitor *m, const uint8_t *at) {
  struct winsize size = {.ws_row = (unsigned short)(at[0] | at[1] << 8), .ws_col = (unsigned short)(at[2] | at[3] << 8)};
  if (m->terminal >= 0 && size.ws_row != 0 && size.ws_col != 0) ioctl(m->terminal, TIOCSWINSZ, &size);
}

/* One message of a client. False: it is gone. */
static bool serve_client(struct monitor *m, const struct client *client) {
  struct hub *hub = m->hub;
  if (hub->typed == NULL) hub->typed = malloc(1 + CLIENT_BYTES);
  if (hub->typed == NULL) return false;
  ssize_t got = recv(client->fd, hub->typed, 1 + CLIENT_BYTES, MSG_DONTWAIT);
  if (got < 0) return errno == EAGAIN || errno == EINTR;
  if (got == 0) return false;
  const uint8_t *body = (const uint8_t *)hub->typed + 1;
  switch ((enum client_message)hub->typed[0]) {
  case CLIENT_INPUT:
    hub->typed_at = 1;
    hub->typed_end = (size_t)got;
    write_input(hub);
    break;
  case CLIENT_INPUT_END:
    if (hub->once) end_input(m);
    break;
  case CLIENT_WINDOW:
    if (got == 5) set_window(m, body);
    break;
  case CLIENT_SIGNAL:
    if (got == 2 && m->channel_closed && !m->reaped) k_pidfd_send_signal(m->child_pidfd, body[0]);
    break;
  default:
    return false;
  }
  return true;
}

/* --- output --- */

static bool is_behind(const struct hub *hub, unsigned outlet) {
  for (unsigned i = 0; i < hub->count; i++) {
    if ((hub->clients[i].behind >> outlet & 1) != 0) return true;
  }
  return false;
}

static void read_outlet(struct hub *hub, unsigned index) {
  struct outlet *outlet = &hub->outlets[index];
  if (outlet->chunk == NULL) outlet->chunk = malloc(1 + CLIENT_BYTES);
  if (outlet->chunk == NULL) return;
  ssize_t got = read(outlet->from, outlet->chunk + 1, CLIENT_BYTES);
  outlet->size = 0;
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) {
    /* The descriptor of a terminal has other uses and stays. */
    if (!hub->terminal) close(outlet->from);
    outlet->from = -1;
    return;
  }
  outlet->chunk[0] = (char)streams[index].type;
  outlet->size = 1 + (size_t)got;
  log_write(&hub->log, streams[index].name, outlet->chunk + 1, (size_t)got);
  for (unsigned i = hub->count; i-- > 0;) {
    hub->clients[i].behind |= 1u << index;
    if (!pass_chunks(hub, &hub->clients[i])) drop_client(hub, i);
  }
}

/* --- the monitor's loop --- */

static void let_go_of_stdio(void) {
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  for (int fd = 0; null >= 0 && fd < 3; fd++) dup2(null, fd);
  if (null > 2) close(null);
}

void hub_terminal_arrived(struct monitor *m) {
  if (m->hub == NULL || m->terminal < 0) return;
  for (unsigned i = 0; i < m->hub->count; i++) {
    uint8_t type;
    while (recv(m->hub->clients[i].fd, &type, 1, MSG_DONTWAIT | MSG_PEEK) == 1 && type == CLIENT_WINDOW) {
      if (!serve_client(m, &m->hub->clients[i])) break;
    }
  }
}

void hub_begin(struct monitor *m) {
  struct hub *hub = m->hub;
  if (hub->terminal && m->terminal >= 0) {
    fcntl(m->terminal, F_SETFL, O_NONBLOCK);
    m->terminal_peer = ioctl(m->terminal, K_TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    hub->outlets[0].from = m->terminal;
    if (hub->input_wanted) hub->input = m->terminal;
  } else {
    hub->outlets[0].from = m->streams[1];
    hub->outlets[1].from = m->streams[2];
    hub->input = m->streams[0];
  }
  /* Before anybody is told: who waits for the end of a pipe that we hold must see it. */
  if (hub->daemon) let_go_of_stdio();
  for (unsigned i = 0; i < hub->count; i++) send_ready(hub, &hub->clients[i]);
}

unsigned hub_polls(const struct hub *hub, struct pollfd *polls) {
  bool typing = hub->typed_at < hub->typed_end;
  polls[0] = (struct pollfd){hub->listener, POLLIN, 0};
  polls[1] = (struct pollfd){typing ? hub->input : -1, POLLOUT, 0};
  for (unsigned i = 0; i < 2; i++) {
    polls[2 + i] = (struct pollfd){is_behind(hub, i) ? -1 : hub->outlets[i].from, POLLIN, 0};
  }
  for (unsigned i = 0; i < hub->count; i++) {
    const struct client *client = &hub->clients[i];
    polls[4 + i] = (struct pollfd){client->fd, (short)((typing ? 0 : POLLIN) | (client->behind != 0 ? POLLOUT : 0)), 0};
  }
  return 4 + hub->count;
}

void hub_serve(struct monitor *m, const struct pollfd *polls) {
  struct hub *hub = m->hub;
  /* From the last: dropping one moves the last into its place. */
  for (unsigned i = hub->count; i-- > 0;) {
    short events = polls[4 + i].revents;
    bool there = true;
    if ((events & POLLOUT) != 0) there = pass_chunks(hub, &hub->clients[i]);
    if (there && (events & POLLIN) != 0 && hub->typed_at == hub->typed_end) there = serve_client(m, &hub->clients[i]);
    else if (there && (events & (POLLHUP | POLLERR)) != 0 && (events & POLLIN) == 0) there = false;
    if (!there) drop_client(hub, i);
  }
  if (polls[1].revents != 0) write_input(hub);
  for (unsigned i = 0; i < 2; i++) {
    if (polls[2 + i].revents != 0 && hub->outlets[i].from >= 0 && !is_behind(hub, i)) read_outlet(hub, i);
  }
  if (polls[0].revents != 0) accept_client(hub);
}

/* How long a client that does not read may hold up the end of a container. */
#define PATIENCE_MS 2000

static void flush_clients(struct hub *hub) {
  for (unsigned i = hub->count; i-- > 0;) {
    struct client *client = &hub->clients[i];
    while (client->behind != 0) {
      struct pollfd writable = {client->fd, POLLOUT, 0};
      if (poll(&writable, 1, PATIENCE_MS) <= 0 || !pass_chunks(hub, client)) {
        drop_client(hub, i);
        break;
      }
    }
  }
}

void hub_drain(struct monitor *m) {
  struct hub *hub = m->hub;
  for (unsigned i = 0; i < 2; i++) {
    struct outlet *outlet = &hub->outlets[i];
    do {
      flush_clients(hub);
      if (outlet->from >= 0) read_outlet(hub, i);
    } while (outlet->from >= 0 && outlet->size > 0);
  }
  flush_clients(hub);
}

static void tell_end(int fd, int status) {
  uint8_t message[2] = {CLIENT_EXIT, (uint8_t)status};
  struct pollfd writable = {fd, POLLOUT, 0};
  if (poll(&writable, 1, PATIENCE_MS) > 0) send_now(fd, message, sizeof message);
}

void hub_finish(struct hub *hub, int status) {
  while (hub->count > 0) {
    tell_end(hub->clients[hub->count - 1].fd, status);
    drop_client(hub, hub->count - 1);
  }
  /* Who came since the program ended has an answer as well. */
  for (int fd; hub->listener >= 0 && (fd = accept4(hub->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0; close(fd)) {
    tell_end(fd, status);
  }
}
