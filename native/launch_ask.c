/*
 * Whether a registry on this machine answers as it did when the record was made: one HEAD over plain HTTP. The engine's question
 * (src/registry/client/quick-head.ts) goes the same way; whatever is no plain answer is left to it.
 */
#include "launch.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE_MILLISECONDS = 2000, ANSWER_BYTES_MAX = 16 * 1024, HEADERS_MAX = 8 };

struct place {
  union {
    struct sockaddr any;
    struct sockaddr_in four;
    struct sockaddr_in6 six;
  } address;
  socklen_t size;
};

struct header {
  struct launch_text name, value;
};

static int64_t milliseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static struct place four_at(struct in_addr address, in_port_t port) {
  return (struct place){.address.four = {.sin_family = AF_INET, .sin_port = port, .sin_addr = address}, .size = sizeof(struct sockaddr_in)};
}

static struct place six_at(in_port_t port) {
  return (struct place){.address.six = {.sin6_family = AF_INET6, .sin6_port = port, .sin6_addr = IN6ADDR_LOOPBACK_INIT}, .size = sizeof(struct sockaddr_in6)};
}

/* Of `localhost:PORT`, `127.N.N.N:PORT` and `[::1]:PORT`, in the order in which they are tried; 0: it is no such name. */
static size_t places_of(const char *host, struct place out[2]) {
  const char *colon = strrchr(host, ':');
  char name[16];
  if (colon == NULL || colon == host || (size_t)(colon - host) >= sizeof name) return 0;
  memcpy(name, host, (size_t)(colon - host));
  name[colon - host] = 0;
  unsigned long number = strspn(colon + 1, "0123456789") == strlen(colon + 1) ? strtoul(colon + 1, NULL, 10) : 0;
  if (number < 1 || number > 65535) return 0;
  in_port_t port = htons((uint16_t)number);
  struct in_addr four = {htonl(INADDR_LOOPBACK)};
  bool localhost = strcmp(name, "localhost") == 0;
  size_t count = 0;
  if (localhost || strcmp(name, "[::1]") == 0) out[count++] = six_at(port);
  if (localhost || (strncmp(name, "127.", 4) == 0 && inet_pton(AF_INET, name, &four) == 1)) out[count++] = four_at(four, port);
  return count;
}

static bool wait_for(int fd, short events, int64_t deadline) {
  for (;;) {
    struct pollfd one = {fd, events, 0};
    int64_t left = deadline - milliseconds();
    if (left <= 0) return false;
    int ready = poll(&one, 1, (int)left);
    if (ready > 0) return true;
    if (ready == 0 || errno != EINTR) return false;
  }
}

/* -1: nobody is there. */
static int reach(const struct place *place, int64_t deadline) {
  int error = 0;
  socklen_t size = sizeof error;
  int fd = socket(place->address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -1;
  bool there = connect(fd, &place->address.any, place->size) == 0;
  if (!there && errno == EINPROGRESS)
    there = wait_for(fd, POLLOUT, deadline) && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0;
  if (there) return fd;
  close(fd);
  return -1;
}

int launch_reach(const char *host, int patience) {
  struct place places[2];
  size_t count = places_of(host, places);
  int fd = -1;
  for (size_t i = 0; i < count && fd < 0; i++) fd = reach(&places[i], milliseconds() + patience);
  return fd;
}

/* The head of the answer, with a null in place of its empty line; NULL: there is none. */
static char *ask(int fd, struct launch_text request, int64_t deadline) {
  static char answer[ANSWER_BYTES_MAX + 1];
  size_t have = 0;
  if (send(fd, request.at, request.length, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)request.length) return NULL;
  while (have < ANSWER_BYTES_MAX && wait_for(fd, POLLIN, deadline)) {
    ssize_t got = recv(fd, answer + have, ANSWER_BYTES_MAX - have, MSG_DONTWAIT);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got <= 0) return NULL;
    have += (size_t)got;
    answer[have] = 0;
    char *end = strstr(answer, "\r\n\r\n");
    if (end == NULL) continue;
    end[2] = 0;
    return answer;
  }
  return NULL;
}

static bool is_named(const char *line, size_t length, const char *name, size_t name_length) {
  return length == name_length && strncasecmp(line, name, length) == 0;
}

/* One line, `\r\n` after it: counted where it is among those that are expected. False: it is another than expected. */
static bool line_is(const char *line, size_t length, const struct header *expected, size_t count, unsigned *seen) {
  static const char warning[] = "warning";
  const char *colon = memchr(line, ':', length);
  if (colon == NULL) return false;
  size_t name = (size_t)(colon - line);
  /* The engine tells its user. */
  if (is_named(line, name, warning, sizeof warning - 1)) return false;
  const char *value = colon + 1, *end = line + length;
  while (value < end && (*value == ' ' || *value == '\t')) value++;
  while (end > value && (end[-1] == ' ' || end[-1] == '\t')) end--;
  for (size_t i = 0; i < count; i++) {
    if (!is_named(line, name, expected[i].name.at, expected[i].name.length)) continue;
    if ((*seen & 1u << i) != 0) return false;
    *seen |= 1u << i;
    return expected[i].value.length == (size_t)(end - value) && memcmp(value, expected[i].value.at, expected[i].value.length) == 0;
  }
  return true;
}

static bool says(const char *answer, const struct header *expected, size_t count) {
  static const char good[] = "HTTP/1.1 200";
  unsigned seen = 0;
  const char *end = strstr(answer, "\r\n");
  if (strncmp(answer, good, sizeof good - 1) != 0 || (answer[sizeof good - 1] != ' ' && answer[sizeof good - 1] != '\r')) return false;
  for (const char *line = end + 2; *line != 0; line = end + 2) {
    end = strstr(line, "\r\n");
    if (end == NULL || !line_is(line, (size_t)(end - line), expected, count, &seen)) return false;
  }
  return seen == (1u << count) - 1;
}

bool launch_answer_is(struct launch_reader *r, struct launch_values *values, bool dry) {
  struct header expected[HEADERS_MAX];
  const char *host = launch_string(r, values);
  struct launch_text request = launch_plain(r);
  size_t count = launch_u8(r);
  if (count > HEADERS_MAX) r->bad = true;
  for (size_t i = 0; i < count && !r->bad; i++) expected[i] = (struct header){launch_plain(r), launch_plain(r)};
  if (r->bad || dry) return !r->bad;
  int64_t deadline = milliseconds() + PATIENCE_MILLISECONDS;
  int fd = launch_reach(host, PATIENCE_MILLISECONDS);
  if (fd < 0) return false;
  const char *answer = ask(fd, request, deadline);
  close(fd);
  return answer != NULL && says(answer, expected, count);
}
