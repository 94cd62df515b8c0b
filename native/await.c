/* vitrine-helper await PID STARTTIME MILLISECONDS: until that process is gone. Status 0; 1: it is still there after the
   time (-1: wait for ever). */
#include "client.h"
#include "monitor.h"
#include <poll.h>
#include <stdlib.h>

int await_main(char **argv) {
  pid_t pid = (pid_t)strtol(argv[0], NULL, 10);
  unsigned long long start = strtoull(argv[1], NULL, 10);
  int pidfd = k_pidfd_open(pid);
  /* Looked at after the descriptor is there: then it is of the process that the caller means. */
  if (pidfd < 0 || running_since(pid) != start) return 0;
  struct pollfd ended = {pidfd, POLLIN, 0};
  int got;
  do got = poll(&ended, 1, (int)strtol(argv[2], NULL, 10));
  while (got < 0 && errno == EINTR);
  return got > 0 ? 0 : 1;
}
