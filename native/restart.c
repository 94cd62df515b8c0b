/*
 * Whether a program that ended is run again, as docker decides it, and how: the monitor waits, then executes itself
 * anew on the same plan. Its pid stays, so whoever knows it still does; its memory and descriptors do not.
 */
#include "hub.h"
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum policy { ONLY_WHEN_ASKED, ON_FAILURE, ALWAYS };
#define FIRST_DELAY 100
#define LAST_DELAY 60000
/* A program that ran for so long was well: the next delay is the first again. */
#define WELL_AFTER 10000

static bool find_restart(const struct helper *h, struct args_restart *out) {
  const uint8_t *at = h->plan->at;
  struct frame frame;
  union op_args args;
  while (plan_next(h->plan, &at, &frame)) {
    if (frame.code != OP_RESTART || !frame_decode(&frame, &args)) continue;
    *out = args.restart;
    return true;
  }
  return false;
}

static bool is_there(const char *path) {
  struct stat st;
  return lstat(path, &st) == 0;
}

/* Who stops a container makes the file, and only then looks for a process to signal. We look for the file after our
   process can be found: one of the two sees the other. */
bool restart_refused(const struct helper *h) {
  struct args_restart args;
  return find_restart(h, &args) && is_there(args.stop_file.at);
}

bool restart_possible(const struct helper *h) {
  struct args_restart args;
  return find_restart(h, &args) && (args.policy != ONLY_WHEN_ASKED || h->monitor->health != NULL);
}

/* What `update` said since the plan was made. */
static void read_policy(const char *path, unsigned *policy, unsigned *retries) {
  char text[32];
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return;
  ssize_t size = read(fd, text, sizeof text - 1);
  close(fd);
  if (size <= 0) return;
  text[size] = 0;
  unsigned values[2];
  if (sscanf(text, "%u %u", &values[0], &values[1]) != 2) return;
  *policy = values[0];
  *retries = values[1];
}

static bool decide(const struct helper *h, const struct args_restart *a) {
  const struct monitor *m = h->monitor;
  /* With a lifeline it is somebody's, who would lose it. */
  if (m->failure.set || m->lifeline >= 0 || m->interrupted != 0 || m->stop_asked || m->began == 0 || is_there(a->stop_file.at)) return false;
  if (m->restart_asked) return true;
  unsigned policy = a->policy;
  unsigned retries = a->retries;
  read_policy(a->policy_file.at, &policy, &retries);
  switch ((enum policy)policy) {
  case ALWAYS:
    return true;
  case ON_FAILURE:
    return program_status(m) != 0 && (retries == 0 || h->restarts < retries);
  case ONLY_WHEN_ASKED:
    break;
  }
  return false;
}

static uint64_t next_delay(const struct helper *h) {
  uint64_t delay = h->monitor->ended - h->monitor->began >= WELL_AFTER ? 0 : h->restart_delay;
  if (delay == 0) return FIRST_DELAY;
  return delay * 2 < LAST_DELAY ? delay * 2 : LAST_DELAY;
}

static void write_count(struct helper *h, const char *path, uint32_t count) {
  char text[16];
  int length = snprintf(text, sizeof text, "%u\n", count);
  if (write_record(h, path, text, (size_t)length) != 0) complain("vitrine-helper: %s", h->detail);
}

void restart_announce(struct helper *h) {
  struct args_restart args;
  if (!find_restart(h, &args)) return;
  if (!decide(h, &args)) {
    unlink(args.state_file.at);
    return;
  }
  /* Docker counts when it decides. Before the end is told: who sees that it waits has the count. */
  write_count(h, args.count_file.at, h->restarts + 1);
  if (write_exit(h, args.state_file.at) != 0) complain("vitrine-helper: %s", h->detail);
}

void restart_done(const char *exit_file) {
  /* Its process can be found by now. What ended before stays known by `stateFile`. */
  if (exit_file != NULL) unlink(exit_file);
}

/* False: somebody wants the end instead. */
static bool wait_out(struct monitor *m, const char *stop_file, uint64_t delay) {
  int64_t deadline = monotonic_ms() + (int64_t)delay;
  for (;;) {
    if (is_there(stop_file)) return false;
    int64_t left = deadline - monotonic_ms();
    if (left <= 0) return true;
    struct pollfd polls = {m->signals, POLLIN, 0};
    if (poll(&polls, 1, (int)left) <= 0) continue;
    struct signalfd_siginfo info;
    while (read(m->signals, &info, sizeof info) == sizeof info) {
      int number = (int)info.ssi_signo;
      if (number == SIGTERM || number == SIGINT || number == SIGHUP || number == SIGQUIT) return false;
    }
  }
}

static bool prepare(struct list argv, mode_t mask) {
  if (argv.count == 0) return true;
  char **words = list_strings(argv, 0);
  if (words == NULL) return false;
  struct program program = {.path = words[0], .argv = words, .envp = environ, .umask = mask, .quiet = true};
  int status = run_program(&program);
  free(words);
  return status >= 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int op_restart(struct helper *h, const struct args_restart *a) {
  struct monitor *m = h->monitor;
  if (m == NULL || m->child <= 0) return 0; /* it never began */
  if (!decide(h, a)) return 0;
  uint64_t delay = next_delay(h);
  if (m->hub != NULL) hub_finish(m->hub, program_status(m) & 0xff);
  if (!wait_out(m, a->stop_file.at, delay) || !prepare(a->prepare, h->umask)) {
    unlink(a->state_file.at);
    return 0;
  }
  char again[48], preserved[16];
  char name[] = "vitrine-helper", run[] = "run", restarted[] = "--restarted", preserve[] = "--preserve-fds";
  snprintf(again, sizeof again, "%u:%llu", h->restarts + 1, (unsigned long long)delay);
  snprintf(preserved, sizeof preserved, "%u", m->preserved);
  char *argv[] = {name, run, restarted, again, preserve, preserved, (char *)(uintptr_t)h->plan_path, NULL};
  umask(h->umask);
  execve("/proc/self/exe", argv, environ);
  int error = fail(h, "execve itself");
  umask(0);
  unlink(a->state_file.at);
  return error;
}
