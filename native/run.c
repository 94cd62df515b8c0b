/* Stage monitor: walks the plan, keeps account of init, and always tries every cleanup op. */
#include "hub.h"
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* What plans call a stage. */
static const char *const stage_names[] = {STAGE_NAMES};

void monitor_reap(struct monitor *m) {
  if (m->child <= 0 || m->reaped) return;
  while (waitpid(m->child, &m->wait_status, 0) < 0) {
    if (errno != EINTR) {
      m->wait_status = 0;
      break;
    }
  }
  m->reaped = true;
}

static void monitor_kill(struct monitor *m) {
  if (m->child <= 0 || m->reaped) return;
  /* The child is not reaped, so its pid cannot have been given to another. */
  kill(m->child, SIGKILL);
  monitor_reap(m);
}

/* The frame of the op at `index`, for what init only names by number. */
static bool frame_at(const struct plan *plan, uint32_t index, struct frame *out) {
  const uint8_t *at = plan->at;
  for (uint32_t i = 0; plan_next(plan, &at, out); i++) {
    if (i == index) return true;
  }
  return false;
}

static uint16_t code_at(const struct plan *plan, uint32_t index) {
  struct frame frame;
  return frame_at(plan, index, &frame) ? frame.code : 0;
}

static bool args_at(const struct plan *plan, uint32_t index, uint16_t code, union op_args *out) {
  struct frame frame;
  return frame_at(plan, index, &frame) && frame.code == code && frame_decode(&frame, out);
}

/* init opened the container's terminal: ours to relay, or for the socket that the plan names. */
static int terminal_arrived(struct helper *h, uint32_t index, int terminal) {
  struct monitor *m = h->monitor;
  union op_args args;
  if (!args_at(h->plan, index, OP_OPEN_TERMINAL, &args)) {
    close(terminal);
    return fail_as(h, EPROTO, "unexpected terminal");
  }
  const char *path = args.open_terminal.console_socket.at;
  if (*path == 0) {
    if (m->terminal >= 0) close(m->terminal);
    m->terminal = terminal;
    m->plain_newlines = args.open_terminal.plain_newlines;
    hub_terminal_arrived(m);
    return 0;
  }
  static const char name[] = "/dev/ptmx";
  int result = send_to_socket(path, terminal, name, sizeof name - 1);
  int error = result == 0 ? 0 : fail(h, "console socket %s", path);
  close(terminal);
  return error;
}

/* The seccomp agent gets the listener and the state (config-linux.md#the-container-process-state); init waits for that. */
static int listener_arrived(struct helper *h, uint32_t index, int listener) {
  union op_args args;
  int error = 0;
  if (!args_at(h->plan, index, OP_SECCOMP, &args)) {
    error = fail_as(h, EPROTO, "unexpected listener");
  } else {
    size_t size;
    char *state = state_with_pid(args.seccomp.listener_state, h->host_pid, &size);
    if (state == NULL || send_to_socket(args.seccomp.listener_path.at, listener, state, size) != 0)
      error = fail(h, "seccomp agent at %s", args.seccomp.listener_path.at);
    free(state);
  }
  close(listener);
  struct message answer = {.type = MESSAGE_LISTENER, .value = index};
  if (error == 0 && !channel_send(h->channel, &answer, -1)) error = fail(h, "answer init");
  return error;
}

static int init_gone(struct helper *h) {
  struct monitor *m = h->monitor;
  m->channel_closed = true;
  if (m->executing) return 0;
  monitor_reap(m);
  if (WIFSIGNALED(m->wait_status)) return fail_as(h, ECHILD, "init was killed by signal %d", WTERMSIG(m->wait_status));
  return fail_as(h, ECHILD, "init ended early");
}

int monitor_message(struct helper *h, struct message *out) {
  struct monitor *m = h->monitor;
  int descriptor;
  int got = channel_receive(h->channel, out, &descriptor);
  if (got < 0) return fail(h, "message of init");
  if (got == 0) {
    out->type = 0;
    return init_gone(h);
  }
  switch (out->type) {
  case MESSAGE_TERMINAL:
    if (descriptor >= 0) return terminal_arrived(h, out->value, descriptor);
    break;
  case MESSAGE_LISTENER:
    if (descriptor >= 0) return listener_arrived(h, out->value, descriptor);
    break;
  case MESSAGE_EXECUTING:
    m->executing = true;
    usher_reap();
    break;
  case MESSAGE_WAITING:
    m->waiting = true;
    usher_reap();
    break;
  case MESSAGE_FAILURE:
    m->failure = (struct failure){.set = true, .code = code_at(h->plan, out->value), .stage = STAGE_INIT,
                                  .index = out->value, .error = out->error};
    memcpy(m->failure.detail, out->detail, sizeof out->detail);
    return ECANCELED;
  default:
    break;
  }
  if (descriptor >= 0) close(descriptor);
  return 0;
}

/* True when a signal arrived that ends a setup. */
static bool was_interrupted(struct monitor *m) {
  struct signalfd_siginfo info;
  while (read(m->signals, &info, sizeof info) == sizeof info) {
    int signal = (int)info.ssi_signo;
    if (signal == SIGINT || signal == SIGTERM || signal == SIGHUP || signal == SIGQUIT) {
      m->interrupted = signal;
      return true;
    }
  }
  return false;
}

int monitor_await(struct helper *h, uint32_t type, uint32_t value) {
  struct monitor *m = h->monitor;
  if (h->channel < 0) return fail_as(h, EINVAL, "no clone before it");
  while (!m->channel_closed) {
    struct pollfd polls[2] = {{h->channel, POLLIN, 0}, {m->signals, POLLIN, 0}};
    if (poll(polls, 2, -1) < 0) {
      if (errno == EINTR) continue;
      return fail(h, "poll");
    }
    /* Messages first: the program that they tell of may have begun meanwhile, and then the signal is for it. */
    if (polls[0].revents == 0) {
      if (was_interrupted(m)) return fail_as(h, EINTR, "interrupted");
      continue;
    }
    struct message message;
    int error = monitor_message(h, &message);
    if (error != 0) return error;
    if (message.type == MESSAGE_WAITING && type == MESSAGE_WAITING) return 0;
    if (message.type == MESSAGE_BARRIER && type == MESSAGE_BARRIER) {
      return message.value == value ? 0 : fail_as(h, EPROTO, "init is at barrier %u", message.value);
    }
  }
  return type == MESSAGE_EXECUTING || type == MESSAGE_WAITING ? 0 : fail_as(h, EPROTO, "init runs its program already");
}

int op_barrier(struct helper *h, const struct args_barrier *a) {
  struct message message = {.type = MESSAGE_BARRIER, .value = a->id};
  if (h->channel < 0) return fail_as(h, EINVAL, "no clone before it");
  int usher = h->monitor == NULL ? -1 : h->monitor->usher;
  bool sent = channel_send(h->channel, &message, usher > 0 ? usher : -1);
  if (usher > 0) {
    close(usher);
    h->monitor->usher = -1;
  }
  if (!sent) {
    /* init may have closed its end because it failed: its message tells more than EPIPE. */
    if (h->monitor != NULL) return monitor_await(h, MESSAGE_BARRIER, a->id);
    _exit(125);
  }
  if (h->monitor != NULL) return monitor_await(h, MESSAGE_BARRIER, a->id);
  int descriptor;
  int got = channel_receive(h->channel, &message, &descriptor);
  if (got == 0) _exit(125);
  if (got < 0) return fail(h, "barrier");
  if (message.type != MESSAGE_BARRIER || message.value != a->id) return fail_as(h, EPROTO, "barrier %u", message.value);
  if (descriptor >= 0) usher_use(descriptor);
  return enter_user_namespace(h);
}

int op_await_execute(struct helper *h, const struct args_await_execute *a) {
  (void)a;
  if (h->monitor == NULL) return fail_as(h, EINVAL, "only in the monitor");
  return monitor_await(h, MESSAGE_EXECUTING, 0);
}

int op_report_failure(struct helper *h, const struct args_report_failure *a) {
  /* Read ahead by find_report, so that it serves every op of the plan. */
  (void)h, (void)a;
  return 0;
}

void find_report(struct helper *h) {
  const uint8_t *at = h->plan->at;
  struct frame frame;
  union op_args args;
  while (plan_next(h->plan, &at, &frame)) {
    if (frame.code != OP_REPORT_FAILURE || !frame_decode(&frame, &args)) continue;
    h->monitor->report = args.report_failure.argv;
    h->monitor->has_report = args.report_failure.argv.count > 0;
  }
}

/* Docker's exit codes: 127 the program is not there, 126 it cannot be run, 125 everything before. */
static int status_without_report(const struct helper *h) {
  const struct failure *failure = &h->monitor->failure;
  if (failure->code != OP_EXECUTE) return 125;
  return failure->error == ENOENT ? 127 : 126;
}

static int report_failure(struct helper *h) {
  struct monitor *m = h->monitor;
  const struct failure *failure = &m->failure;
  char op[16];
  char error[16];
  snprintf(op, sizeof op, "%u", failure->index);
  snprintf(error, sizeof error, "%d", failure->error);
  char **argv = m->has_report ? list_strings(m->report, 8) : NULL;
  if (argv != NULL) {
    const char *more[] = {"--stage", stage_names[failure->stage], "--op", op, "--errno", error, "--detail", failure->detail};
    for (size_t i = 0; i < 8; i++) argv[m->report.count + i] = (char *)(uintptr_t)more[i];
    struct program program = {.path = argv[0], .argv = argv, .envp = environ, .umask = h->umask};
    int status = run_program(&program);
    free(argv);
    if (status >= 0 && WIFEXITED(status)) return WEXITSTATUS(status);
  }
  complain("vitrine-helper: op %u (%s): %s: %s", failure->index, op_name(failure->code), failure->detail,
           strerror(failure->error));
  return status_without_report(h);
}

/* Runs the monitor's ops until one fails. */
static void run_monitor_ops(struct helper *h) {
  struct monitor *m = h->monitor;
  const uint8_t *at = h->plan->at;
  struct frame frame;
  for (h->index = 0; plan_next(h->plan, &at, &frame); h->index++) {
    if (frame.stage != STAGE_MONITOR) continue;
    int error = run_op_tolerant(h, &frame);
    if (error != 0) {
      if (!m->failure.set) {
        m->failure = (struct failure){.set = true, .code = frame.code, .stage = STAGE_MONITOR, .index = h->index, .error = error};
        memcpy(m->failure.detail, h->detail, sizeof h->detail);
      }
      return;
    }
    /* Nothing follows these (plan.c); after supervise most of the plan's memory is gone. */
    if (frame.code == OP_SUPERVISE || frame.code == OP_RELEASE) return;
  }
}

/* A poststop hook is the bundle's program, not an op of ours. */
static bool tell_of_hook(const struct helper *h, const struct frame *frame) {
  static const char words[] = ": exit status ";
  union op_args args;
  const char *status = strstr(h->detail, words);
  if (status == NULL || frame->code != OP_RUN_PROGRAM || !frame_decode(frame, &args)) return false;
  if (!args.run_program.state_on_stdin) return false;
  complain("vitrine-helper: poststop hook failed with exit code %s: %.*s", status + sizeof words - 1,
           (int)(status - h->detail), h->detail);
  return true;
}

static void run_cleanup_ops(struct helper *h) {
  const uint8_t *at = h->plan->at;
  struct frame frame;
  h->stage = STAGE_CLEANUP;
  while (plan_next(h->plan, &at, &frame)) {
    if (frame.stage != STAGE_CLEANUP) continue;
    int error = run_op_tolerant(h, &frame);
    if (error != 0 && !tell_of_hook(h, &frame))
      complain("vitrine-helper: cleanup: %s: %s: %s", op_name(frame.code), h->detail, strerror(error));
  }
}

static void block_signals(struct monitor *m) {
  sigfillset(&m->blocked);
  static const int open_signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS,
                                     /* Job control stops the monitor as it stops any program. */
                                     SIGTSTP, SIGTTIN, SIGTTOU};
  for (size_t i = 0; i < sizeof open_signals / sizeof *open_signals; i++) sigdelset(&m->blocked, open_signals[i]);
  sigprocmask(SIG_SETMASK, &m->blocked, NULL);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGCHLD, SIG_DFL); /* an ignored SIGCHLD would reap the child behind our back */
  m->signals = signalfd(-1, &m->blocked, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* What hooks said on the container's terminal, which nobody has read so far. */
static void drain_terminal(const struct monitor *m) {
  char text[4096];
  if (m->terminal < 0 || m->hub != NULL) return;
  fcntl(m->terminal, F_SETFL, O_RDWR | O_NONBLOCK);
  for (unsigned turn = 0; turn < 64; turn++) {
    ssize_t got = read(m->terminal, text, sizeof text);
    if (got <= 0 || write(STDOUT_FILENO, text, (size_t)got) != got) return;
  }
}

static int finish(struct helper *h) {
  struct monitor *m = h->monitor;
  int status = 0;
  if (m->released && !m->failure.set) {
    if (m->clean_up) run_cleanup_ops(h);
    return 0;
  }
  if (m->failure.set) {
    monitor_kill(m);
    if (!m->executing) drain_terminal(m);
    terminal_restore(m);
    status = m->interrupted != 0 ? 128 + m->interrupted : report_failure(h);
  } else if (m->child > 0) {
    if (!m->reaped) monitor_reap(m);
    status = m->interrupted != 0 ? 128 + m->interrupted : program_status(m) & 0xff;
  }
  terminal_restore(m);
  if (!m->keep) {
    run_cleanup_ops(h);
    record_destroy(m);
  }
  if (m->hub != NULL) hub_finish(m->hub, status);
  if (m->lifeline >= 0) dprintf(m->lifeline, "%d\n", status);
  return status;
}

bool run_hooks(const char *path, pid_t init) {
  struct plan plan;
  const char *problem;
  if (!plan_load(path, &plan, &problem)) {
    complain("vitrine-helper: plan %s: %s", path, problem);
    return false;
  }
  struct monitor monitor = {.child_pidfd = -1, .signals = -1, .terminal = -1, .terminal_peer = -1,
                            .inside_user = -1, .inside_pid = -1,
                            .streams = {-1, -1, -1}, .child_streams = {-1, -1, -1}, .lifeline = -1};
  struct helper h = {.stage = STAGE_MONITOR, .root = -1, .work = -1, .proc = -1, .masks = -1, .null = -1,
                     .fifo = -1, .channel = -1, .monitor = &monitor, .plan = &plan, .host_pid = init};
  h.umask = umask(0);
  find_report(&h);
  run_monitor_ops(&h);
  if (monitor.failure.set) report_failure(&h);
  plan_free(&plan);
  return !monitor.failure.set;
}

/* COUNT:DELAY */
static void read_restarts(struct helper *h, const char *text) {
  char *end;
  h->restarted = true;
  h->restarts = (uint32_t)strtoul(text, &end, 10);
  if (*end == ':') h->restart_delay = strtoull(end + 1, NULL, 10);
}

int run_main(const char *path, int lifeline, const char *restarted, unsigned preserved) {
  struct plan plan;
  const char *problem;
  prctl(PR_SET_NAME, "vitrine-monitor");
  if (!plan_load(path, &plan, &problem)) {
    complain("vitrine-helper: plan %s: %s", path, problem);
    return 125;
  }
  struct monitor monitor = {.child_pidfd = -1, .signals = -1, .terminal = -1, .terminal_peer = -1,
                            .inside_user = -1, .inside_pid = -1,
                            .streams = {-1, -1, -1}, .child_streams = {-1, -1, -1}, .lifeline = lifeline,
                            .preserved = preserved};
  struct helper h = {.stage = STAGE_MONITOR, .root = -1, .work = -1, .proc = -1, .masks = -1, .null = -1,
                     .fifo = -1, .channel = -1, .monitor = &monitor, .plan = &plan, .plan_path = path};
  if (restarted != NULL) read_restarts(&h, restarted);
  if (lifeline >= 0) fcntl(lifeline, F_SETFD, FD_CLOEXEC); /* it had to outlive the sealing */
  h.umask = umask(0);
  block_signals(&monitor);
  find_report(&h);
  run_monitor_ops(&h);
  return finish(&h);
}
