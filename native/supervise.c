/* The monitor's long wait: signals, streams, the exit status. */
#include "hub.h"
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>

int exit_status(int wait_status) {
  return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

int program_status(const struct monitor *m) {
  int status = exit_status(m->wait_status);
  return m->timed_out && status == 128 + SIGKILL ? -1 : status;
}

/* Field 22 of /proc/PID/stat, in clock ticks since boot: with the pid it names one process for ever. 0: it is gone,
   or (unless `of_zombies`) a zombie. */
static unsigned long long start_time(pid_t pid, bool of_zombies) {
  char text[1024];
  snprintf(text, sizeof text, "/proc/%d/stat", (int)pid);
  int fd = open(text, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  ssize_t size = read(fd, text, sizeof text - 1);
  close(fd);
  if (size <= 0) return 0;
  text[size] = 0;
  /* The second field, the process's name, may hold anything: count from its last parenthesis. */
  char *at = strrchr(text, ')');
  if (at == NULL || (!of_zombies && at[1] == ' ' && (at[2] == 'Z' || at[2] == 'X'))) return 0;
  for (int field = 2; at != NULL && field < 22; field++) at = strchr(at + 1, ' ');
  return at == NULL ? 0 : strtoull(at + 1, NULL, 10);
}

unsigned long long running_since(pid_t pid) { return start_time(pid, false); }

/* A reader sees the whole text or no file: written beside and renamed. */
int write_record(struct helper *h, const char *path, const char *text, size_t size) {
  char beside[4096 + 64];
  int length = snprintf(beside, sizeof beside, "%s.tmp-%d-%llu", path, (int)getpid(), start_time(getpid(), true));
  if (length < 0 || (size_t)length >= sizeof beside) return fail_as(h, ENAMETOOLONG, "%s", path);
  int fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
  if (fd < 0) return fail(h, "create %s", beside);
  int error = write(fd, text, size) == (ssize_t)size ? 0 : fail(h, "write %s", beside);
  close(fd);
  if (error == 0 && rename(beside, path) != 0) error = fail(h, "rename %s", beside);
  if (error != 0) unlink(beside);
  return error;
}

int write_process(struct helper *h, const char *path, pid_t pid, bool name_space) {
  char text[128];
  char own[64] = "";
  if (name_space && readlink("/proc/self/ns/pid", own, sizeof own - 1) < 0) own[0] = 0;
  int length = snprintf(text, sizeof text, "%d %llu%s%s\n", (int)pid, start_time(pid, true), own[0] == 0 ? "" : " ", own);
  return write_record(h, path, text, (size_t)length);
}

static int64_t clock_ns(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t monotonic_ns(void) { return clock_ns(CLOCK_MONOTONIC); }

int64_t monotonic_ms(void) { return monotonic_ns() / 1000000; }

int64_t realtime_ns(void) { return clock_ns(CLOCK_REALTIME); }

int write_exit(struct helper *h, const char *path) {
  char text[96];
  int status = h->monitor->wait_status;
  int length = snprintf(text, sizeof text, "%d %d %lld%s\n", program_status(h->monitor), WIFSIGNALED(status) ? WTERMSIG(status) : 0,
                        (long long)realtime_ns(), h->monitor->oom_killed ? " oom" : "");
  return write_record(h, path, text, (size_t)length);
}

/* A copy that outlives the plan's memory. */
static char *kept_string(struct str text) {
  return text.length == 0 ? NULL : strdup(text.at);
}

static void pass_signal(struct helper *h, int signal, bool forward) {
  struct monitor *m = h->monitor;
  if (signal == SIGCHLD || signal == SIGPIPE || signal == SIGURG) return;
  if (signal == SIGCONT && m->tty_saved) terminal_raw(m);
  if (signal == SIGCONT || signal == SIGWINCH) {
    terminal_resize(m);
    if (signal == SIGWINCH && m->terminal >= 0) return;
  }
  bool ends = signal == SIGINT || signal == SIGTERM || signal == SIGHUP || signal == SIGQUIT;
  if (forward && m->channel_closed) {
    k_pidfd_send_signal(m->child_pidfd, signal);
  } else if (ends && (!forward || !m->executing)) {
    /* During the setup there is no program that could want the signal; and without forwarding it is the monitor's. */
    m->interrupted = signal;
    kill(m->child, SIGKILL);
  }
}

static void read_signals(struct helper *h, bool forward) {
  struct signalfd_siginfo info;
  while (read(h->monitor->signals, &info, sizeof info) == sizeof info) pass_signal(h, (int)info.ssi_signo, forward);
}

/* init is the user's program: what is left of the plan is its cleanup, and what it took is given back. */
static void give_memory_back(struct helper *h) {
  if (plan_shrink(h->plan)) find_report(h);
}

/* Whoever the container was made for is gone, or gave it up and still listens for its end. */
static void end_without_owner(struct monitor *m) {
  m->ownerless = true;
  m->interrupted = SIGKILL;
  kill(m->child, SIGKILL);
}

int op_end_after(struct helper *h, const struct args_end_after *a) {
  if (h->monitor == NULL) return fail_as(h, EINVAL, "only in the monitor");
  h->monitor->end_after = a->milliseconds;
  return 0;
}

/* Milliseconds for poll: until the program's time is over, where that is before `timeout` (-1: never). */
static int time_left(const struct monitor *m, int timeout) {
  if (m->end_after == 0 || m->timed_out || m->began == 0) return timeout;
  int64_t left = m->began + (int64_t)m->end_after - monotonic_ms();
  if (left < 0) left = 0;
  if (left > 1000 * 3600) left = 1000 * 3600;
  return timeout < 0 || timeout > left ? (int)left : timeout;
}

static void end_in_time(struct monitor *m) {
  if (m->end_after == 0 || m->timed_out || m->began == 0) return;
  if (monotonic_ms() < m->began + (int64_t)m->end_after) return;
  m->timed_out = true;
  k_pidfd_send_signal(m->child_pidfd, SIGKILL);
}

/* One turn of the wait. An errno when init reported a failure. */
static int wait_once(struct helper *h, struct relays *relays, bool forward, bool *ended) {
  struct monitor *m = h->monitor;
  struct pollfd polls[3 + 2 * 3 + HEALTH_POLLS + OOM_POLLS + HUB_POLLS + 2];
  polls[0] = (struct pollfd){m->child_pidfd, POLLIN, 0};
  /* In the moment between init's last message and its execve a signal waits: it is for the program. */
  polls[1] = (struct pollfd){m->executing && !m->channel_closed ? -1 : m->signals, POLLIN, 0};
  polls[2] = (struct pollfd){m->channel_closed ? -1 : h->channel, POLLIN, 0};
  for (unsigned i = 0; i < relays->count; i++) {
    const struct relay *relay = &relays->relay[i];
    bool full = relay->start < relay->end;
    polls[3 + 2 * i] = (struct pollfd){full ? -1 : relay->from, POLLIN, 0};
    polls[4 + 2 * i] = (struct pollfd){full ? relay->to : -1, POLLOUT, 0};
  }
  struct pollfd *checked = polls + 3 + 2 * relays->count;
  struct pollfd *starved = checked + health_polls(m, checked);
  struct pollfd *captured = starved + oom_polls(m, starved);
  bool streaming = m->hub != NULL && m->channel_closed;
  unsigned count = (unsigned)(captured - polls) + (streaming ? hub_polls(m->hub, captured) : 0);
  struct pollfd *lifeline = &polls[count++];
  *lifeline = (struct pollfd){m->ownerless ? -1 : m->lifeline, POLLRDHUP, 0};
  struct pollfd *notified = &polls[count++];
  *notified = (struct pollfd){m->notify > 0 ? m->notify : -1, POLLIN, 0};
  if (poll(polls, count, time_left(m, oom_timeout(m, health_timeout(m)))) < 0) return errno == EINTR ? 0 : fail(h, "poll");
  if (lifeline->revents != 0) end_without_owner(m);
  /* Messages first: a failed init also ends, and its message is the reason. */
  if (polls[2].revents != 0) {
    struct message message;
    int error = monitor_message(h, &message);
    if (error != 0) return m->interrupted != 0 ? 0 : error;
    if (m->channel_closed) give_memory_back(h);
    return 0;
  }
  if (polls[1].revents != 0) read_signals(h, forward);
  for (unsigned i = 0; i < relays->count; i++) {
    relay_move(&relays->relay[i], polls[3 + 2 * i].revents, polls[4 + 2 * i].revents);
  }
  if (streaming) hub_serve(m, captured);
  if (m->health != NULL) health_serve(h, checked);
  if (captured != starved) oom_serve(h, starved);
  if (notified->revents != 0) notify_serve(m);
  end_in_time(m);
  *ended = polls[0].revents != 0;
  return 0;
}

static void link_process(const struct monitor *m) {
  char target[32];
  if (m->link == NULL) return;
  snprintf(target, sizeof target, "/proc/%d", (int)m->child);
  unlink(m->link);
  if (symlink(target, m->link) != 0) complain("vitrine-helper: symlink %s: %s", m->link, strerror(errno));
}

int op_link_process(struct helper *h, const struct args_link_process *a) {
  if (h->monitor == NULL) return fail_as(h, EINVAL, "only in the monitor");
  h->monitor->link = kept_string(a->path);
  return 0;
}

/* Its own copies are the program's: who reads the other end of a pipe hears of its end. */
static void close_preserved(struct helper *h) {
  struct monitor *m = h->monitor;
  if (m->preserved == 0 || restart_possible(h)) return;
  for (unsigned i = 0; i < m->preserved; i++) close((int)(3 + i));
  m->preserved = 0;
}

static void program_began(struct helper *h, const char *exit_file) {
  struct monitor *m = h->monitor;
  if (!m->executing) return;
  close_preserved(h);
  m->began = monotonic_ms();
  /* The events first: who sees that it runs again finds them. */
  if (h->restarted) record_event(m, "restart", NULL);
  record_start(m);
  if (h->restarted) restart_done(exit_file);
  link_process(m);
  if (m->oom != NULL) oom_begin(m);
  if (m->health != NULL) health_begin(h);
}

static int wait_for_child(struct helper *h, bool forward, bool input, const char *exit_file) {
  struct monitor *m = h->monitor;
  struct relays relays = {.count = 0};
  bool begun = false;
  bool ended = false;
  while (!ended || !m->channel_closed) {
    /* The terminal arrives from init some time during its setup; the user's own turns raw only when the program runs,
       so that a failure is printed on a sane one. */
    if (!begun && m->channel_closed) {
      /* Before anybody is told that it runs. */
      program_began(h, exit_file);
      if (m->hub != NULL) hub_begin(m);
      else relays_begin(m, &relays, input);
      begun = true;
    }
    int error = wait_once(h, &relays, forward, &ended);
    if (error != 0) return error;
  }
  if (!begun) {
    program_began(h, exit_file);
    if (m->hub != NULL) hub_begin(m);
    else relays_begin(m, &relays, false);
  }
  if (m->health != NULL) health_end(m);
  /* It is still ours: nobody else has its pid yet. */
  if (m->link != NULL) unlink(m->link);
  monitor_reap(m);
  m->ended = monotonic_ms();
  if (m->hub != NULL) hub_drain(m);
  else relays_drain(&relays);
  terminal_restore(m);
  return 0;
}

int op_supervise(struct helper *h, const struct args_supervise *a) {
  struct monitor *m = h->monitor;
  if (m == NULL || m->child <= 0) return fail_as(h, EINVAL, "no clone before it");
  bool forward = a->forward_signals;
  bool input = a->relay_input;
  bool clean_up = a->clean_up;
  char *exit_file = kept_string(a->exit_file);
  int error = a->pid_file.length > 0 ? write_process(h, a->pid_file.at, m->child, false) : 0;
  if (error == 0 && restart_refused(h)) {
    m->interrupted = SIGKILL;
    kill(m->child, SIGKILL);
  }
  if (error == 0) error = wait_for_child(h, forward, input, exit_file);
  if (error == 0) {
    if (m->oom != NULL) oom_end(m);
    record_end(m);
    restart_announce(h);
    m->keep = !clean_up;
  }
  if (error == 0 && exit_file != NULL) error = write_exit(h, exit_file);
  free(exit_file);
  return error;
}

/* The file that a caller asked for: the digits alone (containerd reads it with a strict parser). */
static int write_pid(struct helper *h, const char *path) {
  char text[16];
  int length = snprintf(text, sizeof text, "%d", (int)h->monitor->child);
  return write_record(h, path, text, (size_t)length);
}

int op_write_pid_file(struct helper *h, const struct args_write_pid_file *a) {
  if (h->monitor == NULL || h->monitor->child <= 0) return fail_as(h, EINVAL, "no clone before it");
  return write_pid(h, a->path.at);
}

int op_release(struct helper *h, const struct args_release *a) {
  struct monitor *m = h->monitor;
  if (m == NULL || m->child <= 0) return fail_as(h, EINVAL, "no clone before it");
  int error = m->waiting ? 0 : monitor_await(h, MESSAGE_WAITING, 0);
  if (error == 0 && a->process_file.length > 0) error = write_process(h, a->process_file.at, m->child, false);
  if (error == 0 && a->pid_file.length > 0) error = write_pid(h, a->pid_file.at);
  if (error != 0) return error;
  /* Until it has this message init ends when the monitor does: nothing of a creation that was killed stays. */
  struct message message = {.type = MESSAGE_RELEASED};
  /* Who waits and does not get it was killed by whoever has its pid or pidfd by now: what was created is stopped, as it is
     when that comes a moment later. */
  if (m->waiting) channel_send(h->channel, &message, -1);
  m->released = true;
  m->clean_up = a->clean_up;
  if (m->notify > 0) notify_await(m->notify, m->notify_host, m->child_pidfd, m->child);
  return 0;
}
