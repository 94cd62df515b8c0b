/* rtnetlink(7): requests with attributes, their answers. From the kernel's headers, which musl builds do not see. */
#ifndef VITRINE_NETLINK_H
#define VITRINE_NETLINK_H
#include "helper.h"

struct nl_header {
  uint32_t length;
  uint16_t type, flags;
  uint32_t sequence, port;
};
struct nl_link {
  uint8_t family, pad;
  uint16_t type;
  int32_t index;
  uint32_t flags, change;
};
struct nl_address {
  uint8_t family, prefix, flags, scope;
  uint32_t index;
};
struct nl_attribute {
  uint16_t length, type;
};

enum { NL_ERROR = 2, NL_DONE = 3, NL_NEW_LINK = 16, NL_NEW_ADDRESS = 20, NL_GET_ADDRESS = 22 };
enum { NL_REQUEST = 1, NL_ACK = 4, NL_EXCLUSIVE = 0x200, NL_DUMP = 0x300, NL_CREATE = 0x400 };
enum { LINK_NAME = 3, LINK_NAMESPACE_FD = 28, LINK_UP = 1 };
enum { ADDRESS_ADDRESS = 1, ADDRESS_LOCAL = 2, ADDRESS_BROADCAST = 4, ADDRESS_FLAGS = 8, ADDRESS_PERMANENT = 0x80 };

struct nl_request {
  struct nl_header header;
  union {
    struct nl_link link;
    struct nl_address address;
  } body;
  uint8_t attributes[256];
};

/* A route socket of the network namespace that the process is in; -1 and errno. */
int netlink_open(void);
void netlink_begin(struct nl_request *request, uint16_t type, uint16_t flags, size_t body);
/* Values are at most 64 bytes, four of them at most. */
void netlink_attribute(struct nl_request *request, uint16_t type, const void *value, size_t size);
/* Sends it and waits for the kernel's answer. -1 and errno. */
int netlink_do(int socket, struct nl_request *request);
/* Calls `each` for every message of the answer to a dump. -1 and errno. */
int netlink_dump(int socket, struct nl_request *request, void (*each)(const struct nl_header *, void *), void *context);
/* The attribute of that type behind a body of `body` bytes; NULL where there is none. */
const struct nl_attribute *netlink_find(const struct nl_header *header, size_t body, uint16_t type);
#endif
