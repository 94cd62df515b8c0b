/* The init of --init: pid 1 that passes signals on and reaps what others leave. */
#include "helper.h"
#include "monitor.h"
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/wait.h>

/* Pid 1 of --init: passes signals on to `child` and reaps until it ends. */
static _Noreturn void reap_forever(pid_t child) {
  prctl(PR_SET_NAME, "vitrine-reap");
  sigset_t all;
  sigfillset(&all);
  /* These stay as they are: a fault of the reaper itself must not loop. */
  static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS};
  for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) sigdelset(&all, faults[i]);
  sigprocmask(SIG_SETMASK, &all, NULL);
  for (;;) {
    int status;
    pid_t pid = waitpid(-1, &status, WNOHANG);
    if (pid == child) _exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
    if (pid < 0 && errno != EINTR) _exit(125);
    if (pid != 0) continue;
    int signal;
    if (sigwait(&all, &signal) == 0 && signal != SIGCHLD) kill(child, signal);
  }
}

/* The program gets a process group of its own and, if there is a terminal, its foreground. */
static void take_foreground(void) {
  setpgid(0, 0);
  signal(SIGTTOU, SIG_IGN);
  tcsetpgrp(STDIN_FILENO, getpid());
  signal(SIGTTOU, SIG_DFL);
}

/*
 * /proc/1/environ and cmdline of an init that stays are the container's to read, and were the caller's environment and
 * paths of the host. On the stack the arguments come first, then the environment, then the file name (AT_EXECFN).
 */
static void forget_caller(void) {
  static const char name[] = "vitrine-reap";
  char *first = program_invocation_name;
  const char *end = (const char *)getauxval(AT_EXECFN);
  if (first == NULL || end == NULL || end <= first) return;
  size_t size = (size_t)(end - first);
  memset(first, 0, size);
  if (size > sizeof name) memcpy(first, name, sizeof name);
}

int op_init_reaper(struct helper *h, const struct args_init_reaper *a) {
  (void)a;
  /* Before the fork, so that no SIGCHLD is lost. */
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, &before);
  pid_t child = fork();
  if (child < 0) return fail(h, "fork");
  if (child > 0) {
    forget_caller();
    /* The channel's end must close with the child's execve, which tells the monitor that the program runs. */
    if (h->channel >= 0) close(h->channel);
    h->channel = -1;
    k_close_range(3, ~0u, 0);
    reap_forever(child);
  }
  take_foreground();
  sigprocmask(SIG_SETMASK, &before, NULL);
  arm_parent_death(h);
  return 0;
}

int reap_main(char **argv) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, &before);
  pid_t child = fork();
  if (child < 0) return 125;
  if (child > 0) reap_forever(child);
  take_foreground();
  sigprocmask(SIG_SETMASK, &before, NULL);
  execvp(argv[0], argv);
  int error = errno;
  complain("vitrine-helper: cannot run %s: %s", argv[0], strerror(error));
  return error == ENOENT ? 127 : 126;
}

static pid_t read_pid(const char *path) {
  char text[32] = {0};
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  ssize_t got = read(fd, text, sizeof text - 1);
  close(fd);
  return got > 0 ? (pid_t)strtol(text, NULL, 10) : 0;
}

/* vitrine-helper adopt PIDFILE PROCESSFILE: criu became us, so that the process it restored is our child. */
int adopt_main(char **argv) {
  pid_t child = read_pid(argv[0]);
  char text[64];
  int size = snprintf(text, sizeof text, "%d %llu\n", child, child > 0 ? running_since(child) : 0);
  int fd = open(argv[1], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (child <= 0 || fd < 0 || write(fd, text, (size_t)size) != size) {
    complain("vitrine-helper: cannot adopt the process of %s: %s", argv[0], strerror(errno));
    return 125;
  }
  close(fd);
  reap_forever(child);
}
