/*
 * The kernel's OOM killer in the container's cgroup, told when it comes and not only when the program has ended: the
 * kernel wakes who polls memory.events (v2), or an eventfd that was registered with memory.oom_control (v1).
 */
#include "monitor.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

struct oom {
  char *file, *mark; /* `mark`: empty: none */
  int fd; /* what is polled; -1: nothing */
  bool v1, marked;
  bool disabled; /* processes are held up, not killed */
  unsigned long long killed;
  int64_t told_at; /* ms; 0: there is nothing to look for */
};

/* v1 tells before it kills, and who is to do that may have to wait for a processor. */
#define LOOK_AGAIN 20
#define LOOK_SELDOM 500
#define LOOK_OFTEN_FOR 1000
#define LOOK_FOR 60000

int op_count_oom(struct helper *h, const struct args_count_oom *a) {
  struct monitor *m = h->monitor;
  if (m == NULL) return fail_as(h, EINVAL, "only in the monitor");
  struct oom *oom = calloc(1, sizeof *oom);
  if (oom == NULL) return fail_as(h, ENOMEM, "memory");
  *oom = (struct oom){.file = strdup(a->file.at), .mark = strdup(a->mark_file.at), .fd = -1};
  if (oom->file == NULL || oom->mark == NULL) {
    free(oom->file);
    free(oom->mark);
    free(oom);
    return fail_as(h, ENOMEM, "memory");
  }
  const char *name = strrchr(oom->file, '/');
  oom->v1 = name != NULL && strcmp(name, "/memory.oom_control") == 0;
  m->oom = oom;
  return 0;
}

/* Both versions have a line "oom_kill COUNT"; the cgroup is as young as the program. */
static bool killed_in(int fd, unsigned long long *killed, bool *disabled) {
  char text[1024];
  ssize_t got = fd < 0 ? -1 : pread(fd, text, sizeof text - 1, 0);
  if (got <= 0) return false;
  text[got] = 0;
  const char *at = strstr(text, "oom_kill ");
  *killed = at == NULL ? 0 : strtoull(at + strlen("oom_kill "), NULL, 10);
  *disabled = strstr(text, "oom_kill_disable 1") != NULL;
  return true;
}

static int listen_v1(const struct oom *oom, int control) {
  char path[PATH_MAX], text[32];
  int length = (int)(strrchr(oom->file, '/') - oom->file);
  if (snprintf(path, sizeof path, "%.*s/cgroup.event_control", length, oom->file) >= (int)sizeof path) return -1;
  int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  int registry = open(path, O_WRONLY | O_CLOEXEC);
  int size = snprintf(text, sizeof text, "%d %d", event, control);
  bool listens = event >= 0 && registry >= 0 && write(registry, text, (size_t)size) == size;
  if (registry >= 0) close(registry);
  if (listens || event < 0) return event;
  close(event);
  return -1;
}

void oom_begin(struct monitor *m) {
  struct oom *oom = m->oom;
  /* A container without a limit may not be counted at all. */
  if (*oom->mark != 0) unlink(oom->mark);
  int fd = open(oom->file, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  killed_in(fd, &oom->killed, &oom->disabled);
  oom->fd = oom->v1 ? listen_v1(oom, fd) : fd;
  if (oom->v1) close(fd);
}

static void tell(const struct monitor *m) {
  record_event(m, "oom", NULL);
}

static void look(struct helper *h, bool woken) {
  struct oom *oom = h->monitor->oom;
  int fd = oom->v1 ? open(oom->file, O_RDONLY | O_CLOEXEC) : oom->fd;
  unsigned long long killed = oom->killed;
  bool there = killed_in(fd, &killed, &oom->disabled);
  if (fd >= 0 && (oom->v1 || !there)) close(fd);
  /* A cgroup that somebody removed wakes for ever. */
  if (!oom->v1 && !there) oom->fd = -1;
  bool more = killed > oom->killed;
  if (more) oom->killed = killed;
  if (more || (woken && oom->disabled)) tell(h->monitor);
  if (more && !oom->marked && *oom->mark != 0) oom->marked = write_record(h, oom->mark, "", 0) == 0;
  if (more) oom->told_at = 0;
}

unsigned oom_polls(const struct monitor *m, struct pollfd *polls) {
  if (m->oom == NULL || m->oom->fd < 0) return 0;
  polls[0] = (struct pollfd){m->oom->fd, m->oom->v1 ? POLLIN : POLLPRI, 0};
  return 1;
}

int oom_timeout(const struct monitor *m, int timeout) {
  if (m->oom == NULL || m->oom->told_at == 0) return timeout;
  int again = monotonic_ms() - m->oom->told_at < LOOK_OFTEN_FOR ? LOOK_AGAIN : LOOK_SELDOM;
  return timeout < 0 || timeout > again ? again : timeout;
}

void oom_serve(struct helper *h, const struct pollfd *polls) {
  struct oom *oom = h->monitor->oom;
  if (polls[0].revents == 0) {
    if (oom->told_at == 0) return;
    if (monotonic_ms() - oom->told_at > LOOK_FOR) oom->told_at = 0;
    look(h, false);
    return;
  }
  uint64_t count;
  if (oom->v1) {
    if (read(oom->fd, &count, sizeof count) != sizeof count) return;
    oom->told_at = monotonic_ms();
  }
  look(h, true);
}

void oom_end(struct monitor *m) {
  struct oom *oom = m->oom;
  int fd = open(oom->file, O_RDONLY | O_CLOEXEC);
  unsigned long long killed = oom->killed;
  if (oom->fd >= 0) close(oom->fd);
  oom->fd = -1;
  killed_in(fd, &killed, &oom->disabled);
  if (fd >= 0) close(fd);
  m->oom_killed = killed > 0;
  if (killed > oom->killed) tell(m);
}
