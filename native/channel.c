/* Monitor and init talk over one SOCK_SEQPACKET pair: whole messages, descriptors, and an end that shows itself. */
#include "helper.h"
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

union control {
  char bytes[CMSG_SPACE(sizeof(int))];
  struct cmsghdr align;
};

/* One part of data, and room for one descriptor. */
static struct msghdr with_descriptor(struct iovec *part, union control *control) {
  memset(control, 0, sizeof *control);
  struct msghdr header;
  memset(&header, 0, sizeof header);
  header.msg_iov = part;
  header.msg_iovlen = 1;
  header.msg_control = control->bytes;
  header.msg_controllen = sizeof control->bytes;
  return header;
}

ssize_t send_descriptor(int socket, const void *data, size_t size, int descriptor) {
  struct iovec part = {(void *)(uintptr_t)data, size};
  union control control;
  struct msghdr header = with_descriptor(&part, &control);
  struct cmsghdr *rights = CMSG_FIRSTHDR(&header);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(sizeof descriptor);
  memcpy(CMSG_DATA(rights), &descriptor, sizeof descriptor);
  ssize_t sent;
  do sent = sendmsg(socket, &header, MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  return sent;
}

bool channel_send(int channel, const struct message *message, int descriptor) {
  if (descriptor >= 0) return send_descriptor(channel, message, sizeof *message, descriptor) == sizeof *message;
  /* write, which every seccomp filter allows: the filter is on when the last messages leave. SIGPIPE is ignored. */
  ssize_t sent;
  do sent = write(channel, message, sizeof *message);
  while (sent < 0 && errno == EINTR);
  return sent == sizeof *message;
}

int channel_receive(int channel, struct message *message, int *descriptor) {
  struct iovec part = {message, sizeof *message};
  union control control;
  struct msghdr header = with_descriptor(&part, &control);
  *descriptor = -1;
  ssize_t got;
  /* An end that closes without having read all makes one call fail; what it said before is still there (its failure),
     and then the end. */
  do got = recvmsg(channel, &header, MSG_CMSG_CLOEXEC);
  while (got < 0 && (errno == EINTR || errno == ECONNRESET));
  if (got < 0) return -1;
  if (got == 0) return 0;
  struct cmsghdr *rights = CMSG_FIRSTHDR(&header);
  if (rights != NULL && rights->cmsg_type == SCM_RIGHTS) memcpy(descriptor, CMSG_DATA(rights), sizeof *descriptor);
  if (got != sizeof *message) {
    errno = EPROTO;
    return -1;
  }
  message->detail[DETAIL_BYTES - 1] = 0;
  return 1;
}

int send_to_socket(const char *path, int descriptor, const void *data, size_t size) {
  struct sockaddr_un address;
  memset(&address, 0, sizeof address);
  address.sun_family = AF_UNIX;
  if (strlen(path) >= sizeof address.sun_path) {
    errno = ENAMETOOLONG;
    return -1;
  }
  memcpy(address.sun_path, path, strlen(path) + 1);
  socklen_t address_size = sizeof address;
  if (*path == '@') { /* an abstract one, as Go's programs write it */
    address.sun_path[0] = 0;
    address_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
  }
  int socket_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (socket_fd < 0) return -1;
  int result = -1;
  if (connect(socket_fd, (struct sockaddr *)&address, address_size) == 0) {
    ssize_t sent = send_descriptor(socket_fd, data, size, descriptor);
    result = sent < 0 ? -1 : 0;
    for (size_t done = sent < 0 ? size : (size_t)sent; done < size;) {
      ssize_t more = send(socket_fd, (const char *)data + done, size - done, MSG_NOSIGNAL);
      if (more < 0 && errno == EINTR) continue;
      if (more <= 0) {
        result = -1;
        break;
      }
      done += (size_t)more;
    }
  }
  int saved = errno;
  close(socket_fd);
  errno = saved;
  return result;
}
