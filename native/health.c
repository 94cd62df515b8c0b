/*
 * Health checks, by docker's rules (moby daemon/health.go): the monitor starts a helper on a plan that was compiled with
 * the container's, and keeps the last results in a file.
 */
#include "monitor.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define OUTPUT_BYTES 4096
#define RESULTS 5

enum status { STARTING, HEALTHY, UNHEALTHY };
static const char *const status_names[] = {"starting", "healthy", "unhealthy"};
enum on_failure { DO_NOTHING, DO_KILL, DO_RESTART, DO_STOP };

struct result {
  int64_t began, ended; /* ns since 1970; the second as many after the first as it took */
  int code; /* -1: it took too long, or could not be run */
  char *output;
  size_t size;
};

struct health {
  char *plan, *state_file;
  int ask; /* a FIFO: a byte asks for a check now */
  bool asked;
  bool changed; /* `update` has other settings, which wait until no check runs */
  bool off; /* and none at all */
  int64_t interval, timeout, start_period, start_interval, stop_timeout; /* ms */
  uint32_t retries, on_failure;
  int stop_signal;

  enum status status;
  uint32_t streak;
  struct result results[RESULTS]; /* the oldest first */
  unsigned count;

  int64_t since, next; /* ms, monotonic: when the program began, when the next check is due */
  int64_t kill_at; /* of DO_STOP; 0: not */
  pid_t pid; /* of the check that runs; 0: none */
  int pidfd, output;
  int64_t deadline, began, began_monotonic; /* ms; ns since 1970; ns */
  bool late; /* it was told to end */
  char *text;
  size_t size;
};

/* --- what others see --- */

static void write_state(struct helper *h) {
  const struct health *health = h->monitor->health;
  size_t room = 64;
  for (unsigned i = 0; i < health->count; i++) room += 96 + health->results[i].size;
  char *text = malloc(room);
  if (text == NULL) return;
  size_t size = (size_t)snprintf(text, room, "%s %u\n", status_names[health->status], health->streak);
  for (unsigned i = 0; i < health->count; i++) {
    const struct result *result = &health->results[i];
    size += (size_t)snprintf(text + size, room - size, "%lld %lld %d %zu\n", (long long)result->began,
                             (long long)result->ended, result->code, result->size);
    if (result->size > 0) memcpy(text + size, result->output, result->size);
    size += result->size;
    text[size++] = '\n';
  }
  /* A full disk: the next check writes it again. */
  write_record(h, health->state_file, text, size);
  free(text);
}

/* What `update` said since the plan was made, in the file PLAN-settings: INTERVAL TIMEOUT STARTPERIOD STARTINTERVAL in ms,
   RETRIES ONFAILURE, and 1, or 0 where there is no check any more. */
static void read_settings(struct health *health) {
  char text[160], path[PATH_MAX];
  long long interval, timeout, start_period, start_interval;
  unsigned retries, on_failure, on;
  int length = snprintf(path, sizeof path, "%s-settings", health->plan);
  int fd = length < (int)sizeof path ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
  if (fd < 0) return;
  ssize_t size = read(fd, text, sizeof text - 1);
  close(fd);
  if (size <= 0) return;
  text[size] = 0;
  if (sscanf(text, "%lld %lld %lld %lld %u %u %u", &interval, &timeout, &start_period, &start_interval, &retries, &on_failure,
             &on) != 7)
    return;
  health->interval = interval;
  health->timeout = timeout;
  health->start_period = start_period;
  health->start_interval = start_interval;
  health->retries = retries;
  health->on_failure = on_failure;
  health->off = on == 0;
}

int op_health_check(struct helper *h, const struct args_health_check *a) {
  struct monitor *m = h->monitor;
  if (m == NULL) return fail_as(h, EINVAL, "only in the monitor");
  struct health *health = calloc(1, sizeof *health);
  if (health == NULL) return fail_as(h, ENOMEM, "memory");
  *health = (struct health){.plan = strdup(a->plan.at), .state_file = strdup(a->state_file.at),
                            .interval = (int64_t)a->interval, .timeout = (int64_t)a->timeout,
                            .start_period = (int64_t)a->start_period, .start_interval = (int64_t)a->start_interval,
                            .stop_timeout = a->stop_timeout, .retries = a->retries, .on_failure = a->on_failure,
                            .stop_signal = (int)a->stop_signal, .pidfd = -1, .output = -1};
  m->health = health;
  unlink(a->ask_file.at);
  if (mkfifo(a->ask_file.at, 0600) != 0) return fail(h, "mkfifo %s", a->ask_file.at);
  /* Open for writing as well: it never ends. */
  health->ask = open(a->ask_file.at, O_RDWR | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
  if (health->ask < 0) return fail(h, "open %s", a->ask_file.at);
  if (health->plan == NULL || health->state_file == NULL) return fail_as(h, ENOMEM, "memory");
  read_settings(health);
  if (!health->off) write_state(h);
  return 0;
}

/* --- one check --- */

static int64_t next_interval(const struct health *health, int64_t now) {
  bool early = health->status == STARTING && now - health->since < health->start_period;
  return early ? health->start_interval : health->interval;
}

static int64_t next_due(const struct health *health, int64_t now) {
  return health->off ? INT64_MAX : now + next_interval(health, now);
}

void health_begin(struct helper *h) {
  struct health *health = h->monitor->health;
  health->since = monotonic_ms();
  health->next = next_due(health, health->since);
}

static void forget_results(struct health *health) {
  while (health->count > 0) free(health->results[--health->count].output);
  health->status = STARTING;
  health->streak = 0;
}

static void change_settings(struct helper *h, int64_t now) {
  struct health *health = h->monitor->health;
  bool was_off = health->off;
  health->changed = false;
  read_settings(health);
  if (health->off) {
    forget_results(health);
    unlink(health->state_file);
  } else if (was_off) {
    write_state(h);
  }
  health->next = next_due(health, now);
}

static _Noreturn void become_check(const struct health *health, int output) {
  char name[] = "vitrine-helper", run[] = "run";
  char *argv[] = {name, run, health->plan, NULL};
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
  dup2(null, STDIN_FILENO);
  dup2(output, STDOUT_FILENO);
  dup2(output, STDERR_FILENO);
  execve("/proc/self/exe", argv, environ);
  _exit(125);
}

static void keep_result(struct health *health, struct result result) {
  if (health->count == RESULTS) {
    free(health->results[0].output);
    memmove(health->results, health->results + 1, sizeof *health->results * (RESULTS - 1));
    health->count--;
  }
  health->results[health->count++] = result;
}

static void act_on_failure(struct helper *h) {
  struct monitor *m = h->monitor;
  struct health *health = m->health;
  if (m->reaped || health->kill_at != 0) return;
  switch ((enum on_failure)health->on_failure) {
  case DO_NOTHING:
    return;
  case DO_RESTART:
  case DO_KILL:
    m->restart_asked = health->on_failure == DO_RESTART;
    k_pidfd_send_signal(m->child_pidfd, SIGKILL);
    health->kill_at = INT64_MAX;
    return;
  case DO_STOP:
    m->stop_asked = true;
    k_pidfd_send_signal(m->child_pidfd, health->stop_signal);
    health->kill_at = health->stop_timeout < 0 ? INT64_MAX : monotonic_ms() + health->stop_timeout;
    return;
  }
}

static void judge(struct helper *h, int code, int64_t began) {
  struct health *health = h->monitor->health;
  enum status before = health->status;
  if (code == 0) {
    health->streak = 0;
    health->status = HEALTHY;
  } else if (health->status != STARTING || began - health->since >= health->start_period) {
    if (++health->streak >= health->retries) health->status = UNHEALTHY;
  }
  /* First the event: who sees the state finds it. */
  if (health->status != before) {
    char action[40];
    snprintf(action, sizeof action, "health_status: %s", status_names[health->status]);
    record_event(h->monitor, action, NULL);
  }
  write_state(h);
  if (health->status == UNHEALTHY) act_on_failure(h);
}

static void close_check(struct health *health) {
  if (health->output >= 0) close(health->output);
  if (health->pidfd >= 0) close(health->pidfd);
  health->output = health->pidfd = -1;
  health->pid = 0;
  health->late = false;
}

static void end_check(struct helper *h, int code, int64_t began) {
  struct health *health = h->monitor->health;
  struct result result = {.began = health->began, .code = code,
                          .ended = health->began + (monotonic_ns() - health->began_monotonic)};
  /* Exactly as much memory as it takes, for as long as it is kept. */
  result.output = health->size == 0 ? NULL : malloc(health->size);
  if (result.output != NULL) {
    memcpy(result.output, health->text, health->size);
    result.size = health->size;
  }
  free(health->text);
  health->text = NULL;
  close_check(health);
  keep_result(health, result);
  judge(h, code, began);
  int64_t now = monotonic_ms();
  health->next = next_due(health, now);
}

static void start_check(struct helper *h) {
  struct health *health = h->monitor->health;
  int64_t now = monotonic_ms();
  int ends[2];
  health->began = realtime_ns();
  health->began_monotonic = monotonic_ns();
  health->size = 0;
  health->deadline = now + health->timeout;
  health->text = malloc(OUTPUT_BYTES);
  if (health->text == NULL || pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
    end_check(h, -1, now);
    return;
  }
  /* The program in the container gets it: it need not know of non-blocking pipes. */
  fcntl(ends[1], F_SETFL, 0);
  health->pid = fork();
  if (health->pid == 0) become_check(health, ends[1]);
  close(ends[1]);
  health->output = ends[0];
  health->pidfd = health->pid < 0 ? -1 : k_pidfd_open(health->pid);
  if (health->pidfd < 0) {
    if (health->pid > 0) {
      kill(health->pid, SIGKILL);
      waitpid(health->pid, NULL, 0);
    }
    end_check(h, -1, now);
  }
}

/* What does not fit is read all the same: the check must not wait for us. */
static void read_output(struct health *health) {
  char surplus[1024];
  for (;;) {
    size_t room = OUTPUT_BYTES - health->size;
    ssize_t got = room > 0 ? read(health->output, health->text + health->size, room)
                           : read(health->output, surplus, sizeof surplus);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) break;
    if (room > 0) health->size += (size_t)got;
  }
  close(health->output);
  health->output = -1;
}

/* Time for the check's helper to kill and reap its program: were it killed itself, the program would be left for the
   host's init to reap, and until then the container's pid namespace could not end. */
#define MERCY 10000

static void time_out(struct helper *h) {
  struct health *health = h->monitor->health;
  if (!health->late) {
    kill(health->pid, SIGTERM);
    health->late = true;
    health->deadline += MERCY;
    return;
  }
  kill(health->pid, SIGKILL);
}

static void end_late(struct helper *h) {
  struct health *health = h->monitor->health;
  int length = snprintf(health->text, OUTPUT_BYTES, "Health check exceeded timeout (%lld%s)",
                        (long long)(health->timeout % 1000 == 0 ? health->timeout / 1000 : health->timeout),
                        health->timeout % 1000 == 0 ? "s" : "ms");
  health->size = (size_t)length;
  end_check(h, -1, health->deadline - MERCY - health->timeout);
}

/* --- in the monitor's loop --- */

int health_timeout(const struct monitor *m) {
  const struct health *health = m->health;
  if (health == NULL || health->since == 0) return -1;
  /* Somebody asked while a check ran: his comes now. */
  if (health->pid <= 0 && (health->asked || health->changed) && health->kill_at == 0) return 0;
  int64_t at = health->pid > 0 ? health->deadline : health->next;
  if (health->kill_at != 0 && health->kill_at < at) at = health->kill_at;
  int64_t left = at - monotonic_ms();
  return left < 0 ? 0 : left > 1000 * 3600 ? 1000 * 3600 : (int)left;
}

unsigned health_polls(const struct monitor *m, struct pollfd *polls) {
  const struct health *health = m->health;
  if (health == NULL || health->since == 0) return 0;
  polls[0] = (struct pollfd){health->pidfd, POLLIN, 0};
  polls[1] = (struct pollfd){health->output, POLLIN, 0};
  polls[2] = (struct pollfd){health->ask, POLLIN, 0};
  return HEALTH_POLLS;
}

void health_serve(struct helper *h, const struct pollfd *polls) {
  struct health *health = h->monitor->health;
  if (health->since == 0) return;
  int64_t now = monotonic_ms();
  if (health->kill_at != 0 && now >= health->kill_at) {
    k_pidfd_send_signal(h->monitor->child_pidfd, SIGKILL);
    health->kill_at = INT64_MAX;
  }
  if (polls[2].revents != 0) {
    char bytes[64];
    ssize_t got;
    while ((got = read(health->ask, bytes, sizeof bytes)) > 0) {
      bool settings = memchr(bytes, 'u', (size_t)got) != NULL;
      health->changed |= settings;
      health->asked |= !settings || memchr(bytes, '\n', (size_t)got) != NULL;
    }
  }
  if (health->pid <= 0) {
    if (health->changed && health->kill_at == 0) change_settings(h, now);
    if (health->off) health->asked = false;
    if ((now >= health->next || health->asked) && health->kill_at == 0) {
      health->asked = false;
      start_check(h);
    }
    return;
  }
  if (health->output >= 0 && polls[1].revents != 0) read_output(health);
  if (polls[0].revents != 0) {
    int status = 0;
    if (health->output >= 0) read_output(health);
    if (waitpid(health->pid, &status, 0) < 0) status = 125 << 8;
    if (health->late) end_late(h);
    else end_check(h, exit_status(status), health->deadline - health->timeout);
  } else if (now >= health->deadline) {
    time_out(h);
  }
}

void health_end(struct monitor *m) {
  struct health *health = m->health;
  if (health->pid > 0) {
    struct pollfd ended = {health->pidfd, POLLIN, 0};
    kill(health->pid, SIGTERM);
    if (poll(&ended, 1, MERCY) <= 0) kill(health->pid, SIGKILL);
    waitpid(health->pid, NULL, 0);
    free(health->text);
    health->text = NULL;
    close_check(health);
  }
  health->since = 0;
}
