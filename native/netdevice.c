/*
 * A network device of the host becomes the container's (config-linux.md#network-devices), with the addresses that are
 * the administrator's: permanent ones of global scope. The kernel forgets all of them when a device moves.
 */
#include "monitor.h"
#include "netlink.h"
#include <net/if.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#define ADDRESSES_MAX 512

struct kept_address {
  struct nl_address head;
  uint8_t size; /* of each of these; 0: it has none */
  uint8_t local_size, broadcast_size;
  uint8_t address[16], local[16], broadcast[16];
};

struct kept_addresses {
  uint32_t index;
  unsigned count;
  struct kept_address *list;
};

static uint8_t copy_address(const struct nl_header *message, uint16_t type, uint8_t out[16]) {
  const struct nl_attribute *attribute = netlink_find(message, sizeof(struct nl_address), type);
  size_t size = attribute == NULL ? 0 : attribute->length - sizeof *attribute;
  if (size > 16) return 0;
  if (size > 0) memcpy(out, attribute + 1, size);
  return (uint8_t)size;
}

static void keep_address(const struct nl_header *message, void *context) {
  struct kept_addresses *kept = context;
  struct nl_address head;
  if (message->type != NL_NEW_ADDRESS || message->length < sizeof *message + sizeof head) return;
  memcpy(&head, message + 1, sizeof head);
  uint32_t flags = head.flags;
  const struct nl_attribute *more = netlink_find(message, sizeof head, ADDRESS_FLAGS);
  if (more != NULL && more->length >= sizeof *more + sizeof flags) memcpy(&flags, more + 1, sizeof flags);
  enum { SCOPE_UNIVERSE = 0 };
  if (head.index != kept->index || head.scope != SCOPE_UNIVERSE || (flags & ADDRESS_PERMANENT) == 0) return;
  if (kept->count == ADDRESSES_MAX) return;
  struct kept_address *address = &kept->list[kept->count++];
  address->head = head;
  address->head.flags = 0;
  address->size = copy_address(message, ADDRESS_ADDRESS, address->address);
  address->local_size = copy_address(message, ADDRESS_LOCAL, address->local);
  address->broadcast_size = copy_address(message, ADDRESS_BROADCAST, address->broadcast);
}

static int set_up(int socket, uint32_t index, bool up) {
  struct nl_request request;
  netlink_begin(&request, NL_NEW_LINK, 0, sizeof request.body.link);
  request.body.link.index = (int32_t)index;
  request.body.link.change = LINK_UP;
  request.body.link.flags = up ? LINK_UP : 0;
  return netlink_do(socket, &request);
}

/* `name_space`: -1 where it only gets another name. */
static int rename_or_move(int socket, uint32_t index, const char *name, int name_space) {
  struct nl_request request;
  netlink_begin(&request, NL_NEW_LINK, 0, sizeof request.body.link);
  request.body.link.index = (int32_t)index;
  netlink_attribute(&request, LINK_NAME, name, strlen(name) + 1);
  if (name_space >= 0) netlink_attribute(&request, LINK_NAMESPACE_FD, &name_space, sizeof name_space);
  return netlink_do(socket, &request);
}

static int add_address(int socket, uint32_t index, const struct kept_address *address) {
  struct nl_request request;
  netlink_begin(&request, NL_NEW_ADDRESS, NL_CREATE | NL_EXCLUSIVE, sizeof request.body.address);
  request.body.address = address->head;
  request.body.address.index = index;
  if (address->size > 0) netlink_attribute(&request, ADDRESS_ADDRESS, address->address, address->size);
  if (address->local_size > 0) netlink_attribute(&request, ADDRESS_LOCAL, address->local, address->local_size);
  if (address->broadcast_size > 0) netlink_attribute(&request, ADDRESS_BROADCAST, address->broadcast, address->broadcast_size);
  return netlink_do(socket, &request);
}

/* In the container's namespace: its name, if that is a pattern, its addresses, and up. */
static int settle(struct helper *h, const struct args_move_net_device *a, const char *moved_as,
                  const struct kept_addresses *kept) {
  const char *name = a->name.at;
  int socket = netlink_open();
  if (socket < 0) return fail(h, "netlink socket");
  uint32_t index = if_nametoindex(moved_as);
  int error = index == 0 ? fail(h, "network device %s", moved_as) : 0;
  if (error == 0 && strcmp(moved_as, name) != 0 && rename_or_move(socket, index, name, -1) != 0)
    error = fail(h, "rename network device %s to %s", a->device.at, name);
  for (unsigned i = 0; error == 0 && i < kept->count; i++) {
    if (add_address(socket, index, &kept->list[i]) != 0) error = fail(h, "address of network device %s", name);
  }
  if (error == 0 && set_up(socket, index, true) != 0) error = fail(h, "network device %s up", name);
  close(socket);
  return error;
}

static int move(struct helper *h, const struct args_move_net_device *a, int there, struct kept_addresses *kept) {
  const char *device = a->device.at;
  char between[16];
  snprintf(between, sizeof between, "vt%d", (int)h->monitor->child);
  /* The name that a pattern becomes would not be known: under a name of ours first. */
  const char *as = strchr(a->name.at, '%') == NULL ? a->name.at : between;
  int socket = netlink_open();
  if (socket < 0) return fail(h, "netlink socket");
  struct nl_request request;
  netlink_begin(&request, NL_GET_ADDRESS, 0, sizeof request.body.address);
  int error = 0;
  kept->index = if_nametoindex(device);
  if (kept->index == 0) error = fail(h, "network device %s", device);
  else if (netlink_dump(socket, &request, keep_address, kept) != 0) error = fail(h, "addresses of network device %s", device);
  else if (set_up(socket, kept->index, false) != 0) error = fail(h, "network device %s down", device);
  else if (rename_or_move(socket, kept->index, as, there) != 0) error = fail(h, "move network device %s as %s", device, as);
  close(socket);
  if (error != 0) return error;
  int here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  if (here < 0) return fail(h, "open /proc/self/ns/net");
  if (setns(there, (int)K_CLONE_NEWNET) != 0) {
    error = fail(h, "setns(network)");
  } else {
    error = settle(h, a, as, kept);
    if (setns(here, (int)K_CLONE_NEWNET) != 0 && error == 0) error = fail(h, "setns(network of the host)");
  }
  close(here);
  return error;
}

int op_move_net_device(struct helper *h, const struct args_move_net_device *a) {
  if (h->monitor == NULL || h->monitor->child <= 0) return fail_as(h, EINVAL, "no clone before it");
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/ns/net", (int)h->monitor->child);
  int there = open(path, O_RDONLY | O_CLOEXEC);
  if (there < 0) return fail(h, "open %s", path);
  struct kept_addresses kept = {.list = calloc(ADDRESSES_MAX, sizeof *kept.list)};
  int error = kept.list == NULL ? fail(h, "memory") : move(h, a, there, &kept);
  free(kept.list);
  close(there);
  return error;
}
