/*
 * The verbs of the runtime spec on a container that is there: its directory holds what `create` left. All that goes
 * wrong before anything was done is told by the engine, which knows how its caller wants to hear it.
 */
#include "monitor.h"
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* Becomes the program that tells the error; without one, says it in a line. */
static int leave_to(char **engine, const char *what) {
  if (engine[0] != NULL && engine[1] != NULL) execve(engine[0], engine + 1, environ);
  complain("vitrine-helper: %s: %s", what, strerror(errno));
  return 1;
}

/* DIR/process: PID STARTTIME. 0 where that process is gone. */
static pid_t read_process(int directory) {
  char text[64];
  int fd = openat(directory, "process", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return 0;
  ssize_t size = read(fd, text, sizeof text - 1);
  close(fd);
  if (size <= 0) return 0;
  text[size] = 0;
  char *end;
  long pid = strtol(text, &end, 10);
  unsigned long long started = strtoull(end, NULL, 10);
  return pid > 0 && started != 0 && process_start_time((pid_t)pid) == started ? (pid_t)pid : 0;
}

/* The FIFO that init reads, locked against a second start; -1 where nobody waits at it. */
static int open_start(int directory) {
  struct stat st;
  int fifo = openat(directory, "start", O_WRONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
  if (fifo < 0) return -1;
  if (fstat(fifo, &st) == 0 && S_ISFIFO(st.st_mode) && flock(fifo, LOCK_EX | LOCK_NB) == 0) return fifo;
  close(fifo);
  return -1;
}

/* start DIR [PROGRAM ARG0 [ARG]...]: returns when init has become its program and the poststart hooks ran. */
int start_main(char **argv) {
  char hooks[4096];
  signal(SIGPIPE, SIG_IGN);
  signal(SIGCHLD, SIG_DFL);
  int directory = open(argv[0], O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return leave_to(argv + 1, argv[0]);
  pid_t init = read_process(directory);
  int fifo = init == 0 ? -1 : open_start(directory);
  if (fifo < 0 || write(fifo, "", 1) != 1) return leave_to(argv + 1, "the container does not wait for its start");
  struct pollfd reader = {fifo, 0, 0};
  while (poll(&reader, 1, -1) < 0 && errno == EINTR) {
  }
  unlinkat(directory, "start", 0);
  if (faccessat(directory, "poststart", F_OK, 0) != 0) return 0;
  int size = snprintf(hooks, sizeof hooks, "%s/poststart", argv[0]);
  if (size > 0 && (size_t)size < sizeof hooks && run_hooks(hooks, init)) return 0;
  /* runtime.md#lifecycle: a poststart hook that fails stops the container. */
  if (read_process(directory) == init) kill(init, SIGKILL);
  return 1;
}
