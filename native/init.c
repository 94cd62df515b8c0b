/* Stage init: the child in its new namespaces runs its ops until one makes it the user's program. */
#include "helper.h"
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>

void undumpable(void) {
  prctl(PR_SET_DUMPABLE, 0);
}

void arm_parent_death(struct helper *h) {
  if (!h->die_with_monitor) return;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  /* The monitor may have died before the call: then its end of the channel is closed already. */
  struct pollfd poll_channel = {h->channel, 0, 0};
  if (h->channel >= 0 && poll(&poll_channel, 1, 0) > 0 && (poll_channel.revents & POLLHUP) != 0) _exit(125);
}

void reset_signals(const sigset_t *mask) {
  /* The engine's runtime ignores SIGPIPE, and ignored signals survive execve. By the system call, because libc keeps
     some real-time signals to itself that a caller may have ignored. All zero is SIG_DFL on every architecture. */
  static const unsigned long standard[8];
  for (int number = 1; number <= 64; number++) {
    if (number != SIGKILL && number != SIGSTOP) syscall(SYS_rt_sigaction, number, standard, NULL, 8);
  }
  sigprocmask(SIG_SETMASK, mask, NULL);
}

/* Where our own id is not mapped (nomap), what belongs to it is out of reach from here on. */
static int keep_own_reach(struct helper *h) {
  enum { OVERFLOW_ID = 65534 };
  if (usher_is_there() || geteuid() != OVERFLOW_ID) return 0;
  int socket = usher_start(h, 0);
  if (socket < 0) return errno;
  usher_use(socket);
  return 0;
}

int enter_user_namespace(struct helper *h) {
  if (!h->new_user_namespace || h->is_namespace_root) return 0;
  h->is_namespace_root = true;
  int error = keep_own_reach(h);
  if (error != 0) return fail_as(h, error, "usher");
  /* Ids that the map lacks (EINVAL) and a denied setgroups (EPERM) leave things as they are: whatever then needs
     the id fails by its own name. */
  if (setgroups(0, NULL) != 0 && errno != EPERM && errno != EINVAL) return fail(h, "setgroups");
  if (setresgid(0, 0, 0) != 0 && errno != EINVAL) return fail(h, "setresgid(0)");
  if (setresuid(0, 0, 0) != 0 && errno != EINVAL) return fail(h, "setresuid(0)");
  /* The change of ids cleared both. Nobody but the monitor sees this process yet. */
  if (!h->joined) prctl(PR_SET_DUMPABLE, 1);
  arm_parent_death(h);
  return 0;
}

static _Noreturn void report(struct helper *h, int error) {
  struct message message = {.type = MESSAGE_FAILURE, .value = h->index, .error = error};
  memcpy(message.detail, h->detail, sizeof message.detail);
  if (h->channel >= 0 && channel_send(h->channel, &message, -1)) _exit(125);
  /* Released: the container's own standard error is all that is left. */
  complain("vitrine-init: %s: %s", h->detail, strerror(error));
  _exit(error == ENOENT ? 127 : 126);
}

/* The FIFO of awaitStart, opened while the host's paths are still there. */
static int open_start_fifo(struct helper *h) {
  const uint8_t *at = h->plan->at;
  struct frame frame;
  union op_args args;
  for (h->index = 0; plan_next(h->plan, &at, &frame); h->index++) {
    if (frame.code != OP_AWAIT_START || frame.stage != STAGE_INIT || !frame_decode(&frame, &args)) continue;
    /* Its own writer: a read waits for a byte, and whoever starts the container sees by the lack of a reader that
       init has become its program. */
    h->fifo = open(args.await_start.fifo.at, O_RDWR | O_CLOEXEC);
    if (h->fifo < 0) return fail(h, "open %s", args.await_start.fifo.at);
  }
  return 0;
}

bool plan_releases(const struct plan *plan) {
  const uint8_t *at = plan->at;
  struct frame frame;
  while (plan_next(plan, &at, &frame)) {
    if (frame.code == OP_RELEASE) return true;
  }
  return false;
}

/* read and write alone from here on: the user's seccomp filter is on. */
static void await_release(struct helper *h) {
  struct message message = {.type = MESSAGE_WAITING, .value = h->index};
  if (!channel_send(h->channel, &message, -1)) _exit(125);
  ssize_t got;
  do got = read(h->channel, &message, sizeof message);
  while (got < 0 && errno == EINTR);
  if (got != sizeof message || message.type != MESSAGE_RELEASED) _exit(125); /* the monitor is gone */
  close(h->channel);
  h->channel = -1;
}

static void end_by_signal(int number) {
  _exit(128 + number);
}

/* The first process of a pid namespace is spared what it does not handle: until its program is there, init ends of what
   ends programs (as runc's does). `execute` undoes it. */
static void heed_signals(void) {
  static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT};
  struct sigaction action = {.sa_handler = end_by_signal};
  sigset_t heeded;
  sigemptyset(&heeded);
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    sigaction(numbers[i], &action, NULL);
    sigaddset(&heeded, numbers[i]);
  }
  sigprocmask(SIG_UNBLOCK, &heeded, NULL);
}

int op_await_start(struct helper *h, const struct args_await_start *a) {
  (void)a;
  if (h->fifo < 0) return fail_as(h, EBADF, "the FIFO is opened by init alone");
  int error = check_program(h);
  if (error != 0) return error;
  heed_signals();
  if (plan_releases(h->plan)) {
    await_release(h);
  } else {
    struct pollfd polls[2] = {{h->fifo, POLLIN, 0}, {h->channel, 0, 0}};
    do {
      if (poll(polls, 2, -1) < 0 && errno != EINTR) return fail(h, "poll");
      if (polls[1].revents != 0) _exit(125); /* the monitor is gone */
    } while (polls[0].revents == 0);
  }
  char start;
  ssize_t got;
  do got = read(h->fifo, &start, 1);
  while (got < 0 && errno == EINTR);
  /* It stays open until execve. */
  return got == 1 ? 0 : fail(h, "read the FIFO");
}

_Noreturn void init_main(struct helper *h, bool own_time_offsets, int own_cgroup) {
  h->stage = STAGE_INIT;
  h->monitor = NULL;
  prctl(PR_SET_NAME, "vitrine-init");
  arm_parent_death(h);
  if (own_cgroup > 0) {
    if (write(own_cgroup, "0", 1) != 1) report(h, fail(h, "write cgroup.procs"));
    close(own_cgroup);
  }
  if (own_time_offsets) {
    if (unshare((int)K_CLONE_NEWTIME) != 0) report(h, fail(h, "unshare(CLONE_NEWTIME)"));
    int error = write_time_offsets(h);
    if (error != 0) report(h, error);
  }
  int fifo_error = open_start_fifo(h);
  if (fifo_error != 0) report(h, fifo_error);
  const uint8_t *at = h->plan->at;
  struct frame frame;
  for (h->index = 0; plan_next(h->plan, &at, &frame); h->index++) {
    if (frame.stage != STAGE_INIT) continue;
    int error = run_op_tolerant(h, &frame);
    if (error != 0) report(h, error);
  }
  _exit(0);
}

/* Tells the monitor that execve is next; a failure may still follow it. */
void announce_execute(struct helper *h) {
  struct message message = {.type = MESSAGE_EXECUTING, .value = h->index};
  if (h->channel >= 0) channel_send(h->channel, &message, -1);
}
