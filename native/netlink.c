#include "netlink.h"
#include <string.h>
#include <sys/socket.h>

#define AF_NETLINK_ 16
#define ALIGNED(size) (((size) + 3u) & ~3u)

struct nl_socket_address {
  uint16_t family, pad;
  uint32_t port, groups;
};

int netlink_open(void) {
  return socket(AF_NETLINK_, SOCK_RAW | SOCK_CLOEXEC, 0);
}

void netlink_begin(struct nl_request *request, uint16_t type, uint16_t flags, size_t body) {
  memset(request, 0, sizeof *request);
  request->header.length = (uint32_t)(sizeof request->header + body);
  request->header.type = type;
  request->header.flags = (uint16_t)(flags | NL_REQUEST);
  request->header.sequence = 1;
}

void netlink_attribute(struct nl_request *request, uint16_t type, const void *value, size_t size) {
  struct nl_attribute attribute = {(uint16_t)(sizeof attribute + size), type};
  uint8_t *at = (uint8_t *)request + ALIGNED(request->header.length);
  if (size > 64 || at + sizeof attribute + size > (uint8_t *)(request + 1)) return;
  memcpy(at, &attribute, sizeof attribute);
  memcpy(at + sizeof attribute, value, size);
  request->header.length = (uint32_t)(at + sizeof attribute + size - (uint8_t *)request);
}

static int send_request(int socket, const struct nl_request *request) {
  struct nl_socket_address kernel = {.family = AF_NETLINK_};
  ssize_t sent;
  do sent = sendto(socket, request, request->header.length, 0, (const struct sockaddr *)&kernel, sizeof kernel);
  while (sent < 0 && errno == EINTR);
  return sent == (ssize_t)request->header.length ? 0 : -1;
}

/* One datagram of answers. 1: more follow; 0: all is said; -1 and errno. */
static int read_answers(int socket, bool dump, void (*each)(const struct nl_header *, void *), void *context) {
  static _Alignas(8) uint8_t buffer[32768];
  ssize_t got;
  do got = recv(socket, buffer, sizeof buffer, 0);
  while (got < 0 && errno == EINTR);
  if (got < 0) return -1;
  size_t left = (size_t)got;
  for (const uint8_t *at = buffer; left >= sizeof(struct nl_header);) {
    const struct nl_header *header = (const struct nl_header *)(const void *)at;
    if (header->length < sizeof *header || header->length > left) break;
    if (header->type == NL_DONE) return 0;
    if (header->type == NL_ERROR && header->length >= sizeof *header + sizeof(int32_t)) {
      int32_t error;
      memcpy(&error, header + 1, sizeof error);
      if (error == 0) return 0;
      errno = -error;
      return -1;
    }
    if (dump) each(header, context);
    size_t step = ALIGNED(header->length);
    if (step >= left) break;
    at += step;
    left -= step;
  }
  return 1;
}

int netlink_do(int socket, struct nl_request *request) {
  request->header.flags |= NL_ACK;
  int result = send_request(socket, request);
  while (result == 0 || result == 1) {
    result = read_answers(socket, false, NULL, NULL);
    if (result == 0) return 0;
  }
  return -1;
}

int netlink_dump(int socket, struct nl_request *request, void (*each)(const struct nl_header *, void *), void *context) {
  request->header.flags |= NL_DUMP;
  int result = send_request(socket, request);
  if (result != 0) return -1;
  do result = read_answers(socket, true, each, context);
  while (result == 1);
  return result;
}

const struct nl_attribute *netlink_find(const struct nl_header *header, size_t body, uint16_t type) {
  const uint8_t *at = (const uint8_t *)(header + 1) + ALIGNED(body);
  const uint8_t *end = (const uint8_t *)header + header->length;
  while (at + sizeof(struct nl_attribute) <= end) {
    const struct nl_attribute *attribute = (const struct nl_attribute *)(const void *)at;
    if (attribute->length < sizeof *attribute || attribute->length > end - at) return NULL;
    if (attribute->type == type) return attribute;
    at += ALIGNED(attribute->length);
  }
  return NULL;
}
