/* vitrine-helper: the part of vitrine that touches the kernel. Its command line is in ARCHITECTURE.md. */
#include "client.h"
#include "convey.h"
#include "helper.h"
#include "lifecycle.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int usage(void) {
  complain("usage: vitrine-helper run [--preserve-fds N | --lifeline] PLAN | (start | state | kill SIGNAL | delete force|stopped) DIR [PROGRAM ARG0 [ARG]...] | apply [--pipe [--inflate=3]] [--output] [--copy=3] [--userns UIDMAP GIDMAP [--newuidmap PATH "
           "--newgidmap PATH]] | reap PROGRAM [ARG]... | adopt PIDFILE PROCESSFILE | attach [--no-input] [--no-signals] [--keys HEX] SOCKET | await PID STARTTIME MILLISECONDS | convey THREADS");
  return 125;
}

int main(int argc, char **argv) {
  if (argc >= 3 && strcmp(argv[1], "reap") == 0) return reap_main(argv + 2);
  if (argc == 4 && strcmp(argv[1], "adopt") == 0) return adopt_main(argv + 2);
  /* Nothing that the caller left open may reach a container, but for what it names. */
  unsigned kept = 0;
  const char *restarted = NULL;
  bool run = argc == 3 && strcmp(argv[1], "run") == 0;
  bool lifeline = argc == 4 && strcmp(argv[1], "run") == 0 && strcmp(argv[2], "--lifeline") == 0;
  unsigned preserved = 0;
  if (lifeline) {
    run = true;
    kept = LIFELINE + 1 - 3;
  }
  for (int i = 2; i + 2 < argc && strcmp(argv[1], "run") == 0; i += 2) {
    run = i + 3 == argc;
    if (strcmp(argv[i], "--restarted") == 0) restarted = argv[i + 1];
    else if (strcmp(argv[i], "--preserve-fds") == 0) kept = preserved = (unsigned)strtoul(argv[i + 1], NULL, 10);
    else break;
    if (kept > 65536) return usage();
  }
  for (int i = 2; i < argc && strcmp(argv[1], "apply") == 0; i++) {
    if (strcmp(argv[i], "--copy=3") == 0 || strcmp(argv[i], "--inflate=3") == 0) kept = 1;
  }
  if (argc == 3 && strcmp(argv[1], "convey") == 0) kept = 1;
  if (k_close_range(3 + kept, ~0u, 0) != 0) {
    for (unsigned fd = 3 + kept; fd < 1024; fd++) close((int)fd);
  }
  /* Descriptors 0 to 2 must exist, or the first file opened would become the container's stdin. */
  while (true) {
    int fd = open("/dev/null", O_RDWR);
    if (fd > 2) close(fd);
    if (fd < 0 || fd > 2) break;
  }
  if (run) return seal_self(argv) ? run_main(argv[argc - 1], lifeline ? LIFELINE : -1, restarted, preserved) : 125;
  if (argc >= 3 && strcmp(argv[1], "start") == 0) return start_main(argv + 2);
  if (argc >= 3 && strcmp(argv[1], "state") == 0) return state_main(argv + 2);
  if (argc >= 4 && strcmp(argv[1], "kill") == 0) return kill_main(argv + 2);
  if (argc >= 4 && strcmp(argv[1], "delete") == 0) return delete_main(argv + 2);
  if (argc >= 3 && strcmp(argv[1], "attach") == 0) return attach_main(argc - 2, argv + 2);
  if (argc == 5 && strcmp(argv[1], "await") == 0) return await_main(argv + 2);
  if (argc == 3 && strcmp(argv[1], "convey") == 0) return convey_main(argc - 2, argv + 2);
  if (argc >= 2 && strcmp(argv[1], "apply") == 0) return apply_main(argc - 2, argv + 2);
  return usage();
}
