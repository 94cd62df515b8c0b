/*
 * The verbs of the runtime spec on a container that is there: its directory holds what `create` left. All that goes
 * wrong before anything was done is told by the engine, which knows how its caller wants to hear it.
 */
#include "lifecycle.h"
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
  return pid > 0 && started != 0 && running_since((pid_t)pid) == started ? (pid_t)pid : 0;
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

/* DIR/state: a line with `own` where a pid namespace dies with init, else `-`, and the freezer's control file; then
   what `state` prints of a container that has stopped. The text, to be freed, or NULL. */
static char *read_text(int directory, const char *name) {
  struct stat st;
  int fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return NULL;
  char *text = NULL;
  if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0 && st.st_size < 1 << 24) {
    size_t size = (size_t)st.st_size;
    text = malloc(size + 1);
    if (text != NULL && read(fd, text, size) == (ssize_t)size) {
      text[size] = 0;
    } else {
      free(text);
      text = NULL;
    }
  }
  close(fd);
  return text;
}

static bool is_frozen(const char *control) {
  char state[8] = "";
  int fd = *control == 0 ? -1 : open(control, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  if (read(fd, state, sizeof state - 1) < 0) state[0] = 0;
  close(fd);
  return strncmp(state, "FROZEN", 6) == 0 || state[0] == '1';
}

/* Somebody reads the FIFO: init waits for its start. */
static bool is_waiting(int directory) {
  int fifo = openat(directory, "start", O_WRONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
  if (fifo >= 0) close(fifo);
  return fifo >= 0;
}

static bool write_all(const char *text, size_t size) {
  while (size > 0) {
    ssize_t wrote = write(STDOUT_FILENO, text, size);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) return false;
    text += wrote;
    size -= (size_t)wrote;
  }
  return true;
}

/* state DIR [PROGRAM ARG0 [ARG]...] */
int state_main(char **argv) {
  static const char stopped[] = "\"pid\": 0,\n  \"status\": \"stopped\"";
  char line[64];
  int directory = open(argv[0], O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return leave_to(argv + 1, argv[0]);
  char *text = read_text(directory, "state");
  char *output = text == NULL ? NULL : strchr(text, '\n');
  char *place = output == NULL ? NULL : strstr(output, stopped);
  /* Without a process it may be one that is being created. */
  if (place == NULL || faccessat(directory, "process", F_OK, 0) != 0) return leave_to(argv + 1, "no state");
  *output++ = 0;
  const char *freezer = strchr(text, ' ');
  pid_t init = read_process(directory);
  const char *status = init == 0                                      ? "stopped"
                       : is_waiting(directory)                        ? "created"
                       : is_frozen(freezer == NULL ? "" : freezer + 1) ? "paused"
                                                                      : "running";
  int size = snprintf(line, sizeof line, "\"pid\": %d,\n  \"status\": \"%s\"", (int)init, status);
  bool whole = write_all(output, (size_t)(place - output)) && write_all(line, (size_t)size) &&
               write_all(place + sizeof stopped - 1, strlen(place + sizeof stopped - 1));
  return whole ? 0 : 1;
}

/* A descriptor of init, which a later process with its pid cannot be taken for; -1 where it is gone. */
static int open_init(int directory) {
  pid_t init = read_process(directory);
  int pidfd = init == 0 ? -1 : (int)syscall(SYS_pidfd_open, init, 0);
  if (pidfd >= 0 && read_process(directory) == init) return pidfd;
  if (pidfd >= 0) close(pidfd);
  return -1;
}

/* All processes of the container end with init. */
static bool dies_with_init(int directory) {
  char *text = read_text(directory, "state");
  bool own = text != NULL && strncmp(text, "own ", 4) == 0;
  free(text);
  return own;
}

/* kill SIGNAL DIR [PROGRAM ARG0 [ARG]...] */
int kill_main(char **argv) {
  int directory = open(argv[1], O_PATH | O_DIRECTORY | O_CLOEXEC);
  /* Without a pid namespace of its own KILL is for all processes: the engine finds them. */
  bool alone = directory >= 0 && (atoi(argv[0]) != SIGKILL || dies_with_init(directory));
  int pidfd = alone ? open_init(directory) : -1;
  if (pidfd < 0 || k_pidfd_send_signal(pidfd, atoi(argv[0])) != 0) return leave_to(argv + 2, "container not running");
  return 0;
}

/* Kills init and waits for its end. What has no pid namespace of its own leaves other processes: not ours to find. */
static bool end_init(int directory) {
  char *text = read_text(directory, "state");
  bool own = text != NULL && strncmp(text, "own ", 4) == 0;
  char *freezer = own ? text + 4 : NULL;
  if (own) freezer[strcspn(freezer, "\n")] = 0;
  int pidfd = own && !is_frozen(freezer) ? open_init(directory) : -1;
  free(text);
  if (pidfd < 0) return false;
  struct pollfd ended = {pidfd, POLLIN, 0};
  bool done = k_pidfd_send_signal(pidfd, SIGKILL) == 0 && poll(&ended, 1, 10000) == 1;
  close(pidfd);
  return done;
}

/* delete force|stopped DIR [PROGRAM ARG0 [ARG]...] */
int delete_main(char **argv) {
  char plan[4096];
  bool force = strcmp(argv[0], "force") == 0;
  int directory = open(argv[1], O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0 || faccessat(directory, "process", F_OK, 0) != 0) return leave_to(argv + 2, argv[1]);
  pid_t init = read_process(directory);
  if (init == 0 ? !dies_with_init(directory) : !force || !end_init(directory))
    return leave_to(argv + 2, "the container has not stopped");
  int size = snprintf(plan, sizeof plan, "%s/delete", argv[1]);
  if (size < 0 || (size_t)size >= sizeof plan || access(plan, R_OK) != 0) return leave_to(argv + 2, plan);
  return run_main(plan, -1, NULL, 0);
}

/* Where the service manager is to know when the program is ready, and `create` was told so: the socket for that. */
static int open_notify(int directory) {
  if (getenv("NOTIFY_SOCKET") == NULL) return -1;
  int notify = openat(directory, "notify", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  int fd = notify < 0 ? -1 : notify_listen(notify);
  if (notify >= 0) {
    if (fd < 0) complain("vitrine-helper: NOTIFY_SOCKET: %s", strerror(errno));
    close(notify);
  }
  return fd;
}

static bool run_poststart(int directory, const char *path, pid_t init) {
  char hooks[4096];
  if (faccessat(directory, "poststart", F_OK, 0) != 0) return true;
  int size = snprintf(hooks, sizeof hooks, "%s/poststart", path);
  return size > 0 && (size_t)size < sizeof hooks && run_hooks(hooks, init);
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
  int notify = fifo < 0 ? -1 : open_notify(directory);
  int watched = notify < 0 ? -1 : open_init(directory);
  if (fifo < 0 || write(fifo, "", 1) != 1) return leave_to(argv + 1, "the container does not wait for its start");
  struct pollfd reader = {fifo, 0, 0};
  while (poll(&reader, 1, -1) < 0 && errno == EINTR) {
  }
  unlinkat(directory, "start", 0);
  if (run_poststart(directory, argv[0], init)) {
    if (notify >= 0 && watched >= 0) notify_await(notify, getenv("NOTIFY_SOCKET"), watched, init);
    return 0;
  }
  /* runtime.md#lifecycle: a poststart hook that fails stops the container, which is then destroyed. */
  int pidfd = open_init(directory);
  if (pidfd >= 0) {
    struct pollfd ended = {pidfd, POLLIN, 0};
    if (k_pidfd_send_signal(pidfd, SIGKILL) == 0) poll(&ended, 1, 10000);
    close(pidfd);
  }
  int size = snprintf(hooks, sizeof hooks, "%s/delete", argv[0]);
  if (size > 0 && (size_t)size < sizeof hooks) run_main(hooks, -1, NULL, 0);
  return 1;
}
