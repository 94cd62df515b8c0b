/* Namespaces: entering them, making them with the child, and mapping its ids. */
#include "layer.h"
#include "monitor.h"
#include <grp.h>
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define NAMESPACE_FLAGS                                                                                                \
  (K_CLONE_NEWTIME | K_CLONE_NEWNS | K_CLONE_NEWCGROUP | K_CLONE_NEWUTS | K_CLONE_NEWIPC | K_CLONE_NEWUSER |           \
   K_CLONE_NEWPID | K_CLONE_NEWNET)

static const struct {
  uint32_t type;
  const char *own; /* what a child would be in */
} namespace_files[] = {
    {(uint32_t)K_CLONE_NEWPID, "/proc/self/ns/pid_for_children"},
    {(uint32_t)K_CLONE_NEWTIME, "/proc/self/ns/time_for_children"},
    {(uint32_t)K_CLONE_NEWNS, "/proc/self/ns/mnt"},
    {(uint32_t)K_CLONE_NEWUTS, "/proc/self/ns/uts"},
    {(uint32_t)K_CLONE_NEWIPC, "/proc/self/ns/ipc"},
    {(uint32_t)K_CLONE_NEWNET, "/proc/self/ns/net"},
    {(uint32_t)K_CLONE_NEWCGROUP, "/proc/self/ns/cgroup"},
};

static int keep_namespace(struct helper *h, uint32_t type) {
  struct monitor *m = h->monitor;
  for (size_t i = 0; i < sizeof namespace_files / sizeof *namespace_files; i++) {
    if (namespace_files[i].type != type) continue;
    if (m->kept_count == sizeof m->kept / sizeof *m->kept) return fail_as(h, E2BIG, "too many namespaces");
    int fd = open(namespace_files[i].own, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return fail(h, "open %s", namespace_files[i].own);
    m->kept[m->kept_count++] = (struct kept_namespace){fd, type};
    return 0;
  }
  return fail_as(h, EINVAL, "the monitor cannot enter and leave this namespace");
}

static void return_to_namespaces(struct monitor *m) {
  /* Last in, first out. A failure leaves the monitor where its child is: nothing that it still does depends on it. */
  while (m->kept_count > 0) {
    struct kept_namespace *kept = &m->kept[--m->kept_count];
    if (!m->joined_user_namespace && setns(kept->fd, (int)kept->type) != 0 && errno != EPERM)
      complain("vitrine-helper: cannot return to a namespace: errno %d", errno);
    close(kept->fd);
  }
}

/* What is made there is to be its root's. A map without 0 leaves things as they are. */
static int become_root(struct helper *h) {
  if (setgroups(0, NULL) != 0 && errno != EPERM && errno != EINVAL) return fail(h, "setgroups");
  if (setresgid(0, 0, 0) != 0 && errno != EINVAL) return fail(h, "setresgid(0)");
  if (setresuid(0, 0, 0) != 0 && errno != EINVAL) return fail(h, "setresuid(0)");
  h->layer->is_root = geteuid() == 0;
  return 0;
}

int op_join_namespace(struct helper *h, const struct args_join_namespace *a) {
  int fd = resolve(h, &a->path, O_RDONLY, 0);
  if (fd < 0) return fail(h, "open %s", a->path.path.at);
  int error = 0;
  int type = ioctl(fd, K_NS_GET_NSTYPE);
  if (type < 0) {
    error = fail_as(h, EINVAL, "%s is not a namespace", a->path.path.at);
  } else if (a->type != 0 && (uint32_t)type != a->type) {
    error = fail_as(h, EINVAL, "%s is a namespace of another type", a->path.path.at);
  } else if (h->monitor != NULL && (uint32_t)type == (uint32_t)K_CLONE_NEWUSER) {
    /* For good, with all that needs privileges in it: an unprivileged user enters a pid namespace in no other way. */
    undumpable();
    h->monitor->joined_user_namespace = true;
  } else if (h->monitor != NULL && (error = keep_namespace(h, (uint32_t)type)) == 0) {
    h->monitor->joined_pid_namespace |= (uint32_t)type == (uint32_t)K_CLONE_NEWPID;
  } else if (h->monitor == NULL) {
    /* What already runs in the namespace must not trace us or take our descriptors (CVE-2016-9962). */
    undumpable();
    h->joined = true;
    /* In a container's mounts /proc is its own. */
    if (h->layer != NULL && proc_handle(h) < 0) error = fail(h, "procfs");
  }
  bool inside = h->monitor == NULL && (h->joined_early & (uint32_t)type) != 0;
  if (error == 0 && !inside && setns(fd, type) != 0) error = fail(h, "setns %s", a->path.path.at);
  if (error == 0 && h->layer != NULL && (uint32_t)type == (uint32_t)K_CLONE_NEWUSER) error = become_root(h);
  close(fd);
  return error;
}

int op_unshare_namespaces(struct helper *h, const struct args_unshare_namespaces *a) {
  if ((a->flags & ~NAMESPACE_FLAGS) != 0 || h->monitor != NULL) return fail_as(h, EINVAL, "flags or stage");
  return unshare((int)a->flags) == 0 ? 0 : fail(h, "unshare");
}

int write_time_offsets(struct helper *h) {
  const uint8_t *at = h->plan->at;
  struct frame frame;
  union op_args args;
  uint32_t before = h->index;
  int error = 0;
  uint32_t index = 0;
  for (; error == 0 && plan_next(h->plan, &at, &frame); index++) {
    if (frame.code != OP_SET_TIME_OFFSET || !frame_decode(&frame, &args)) continue;
    const struct args_set_time_offset *offset = &args.set_time_offset;
    char line[64];
    int length = snprintf(line, sizeof line, "%u %lld %u", offset->clock, (long long)offset->seconds, offset->nanoseconds);
    int fd = open("/proc/self/timens_offsets", O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, line, (size_t)length) != length) error = fail(h, "timens_offsets %s", line);
    if (fd >= 0) close(fd);
  }
  h->index = error == 0 ? before : index - 1;
  return error;
}

static bool has_time_offsets(const struct plan *plan) {
  const uint8_t *at = plan->at;
  struct frame frame;
  while (plan_next(plan, &at, &frame)) {
    if (frame.code == OP_SET_TIME_OFFSET) return true;
  }
  return false;
}

int op_set_time_offset(struct helper *h, const struct args_set_time_offset *a) {
  /* Done by clone: see write_time_offsets. */
  (void)h, (void)a;
  return 0;
}

int op_clone_into(struct helper *h, const struct args_clone_into *a) {
  struct monitor *m = h->monitor;
  if (m == NULL || m->child != 0) return fail_as(h, EINVAL, "before clone, in the monitor");
  int fd = resolve(h, &a->path, O_PATH | O_DIRECTORY, 0);
  if (fd < 0) return fail(h, "open %s", a->path.path.at);
  if (m->into > 0) close(m->into);
  m->into = fd;
  m->into_path = a->path.path.at;
  m->into_beside = a->beside.at;
  return 0;
}

/* Of the cgroup that /proc/PID/cgroup tells: what is below the directory `above`, which ends as that cgroup begins. */
static const char *below(const char *above, const char *cgroup) {
  for (const char *end = strchr(above, '/'); end != NULL; end = strchr(end + 1, '/')) {
    size_t length = strlen(end);
    if (length > 1 && strncmp(cgroup, end, length) == 0 && cgroup[length] == '/') return cgroup + length + 1;
  }
  return NULL;
}

/* Takes `into` to the cgroup of who is in the container: one that passes its controllers on has no process of its own
   (systemd as a container's program makes it so). The names are the container's: nothing leads out of its directory. */
static bool settle_deeper(struct monitor *m) {
  char text[PATH_MAX + 16];
  int fd = m->into_beside[0] == 0 ? -1 : open(m->into_beside, O_RDONLY | O_CLOEXEC);
  ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
  if (fd >= 0) close(fd);
  if (got <= 0) return false;
  text[got] = 0;
  char *line = strncmp(text, "0::", 3) == 0 ? text : strstr(text, "\n0::");
  if (line == NULL) return false;
  line = strchr(line, '/');
  if (line == NULL) return false;
  line[strcspn(line, "\n")] = 0;
  const char *rest = below(m->into_path, line);
  if (rest == NULL) return false;
  int deeper = k_openat2(m->into, rest, O_PATH | O_DIRECTORY, 0, K_RESOLVE_BENEATH | K_RESOLVE_NO_SYMLINKS);
  if (deeper < 0) return false;
  close(m->into);
  m->into = deeper;
  return true;
}

static pid_t start_child(struct monitor *m, uint64_t flags, int *pidfd) {
  /* A sibling has the signal of who makes it. */
  uint64_t signal = (flags & K_CLONE_PARENT) != 0 ? 0 : SIGCHLD;
  struct k_clone_args args = {.flags = flags | K_CLONE_PIDFD, .pidfd = (uint64_t)(uintptr_t)pidfd, .exit_signal = signal};
  if (m->into > 0) {
    args.flags |= K_CLONE_INTO_CGROUP;
    args.cgroup = (uint64_t)m->into;
  }
  pid_t pid = k_clone3(&args);
  if (pid < 0 && errno == EBUSY && m->into > 0) {
    if (!settle_deeper(m)) return errno = EBUSY, -1;
    args.cgroup = (uint64_t)m->into;
    pid = k_clone3(&args);
  }
  if (pid >= 0 || errno != ENOSYS) return pid;
  /* Engines of some years ago refuse clone3 in their seccomp profiles: vitrine inside such a container. */
  if (m->into > 0 && (m->move = openat(m->into, "cgroup.procs", O_WRONLY | O_CLOEXEC)) < 0) return -1;
  pid = (pid_t)syscall(SYS_clone, flags | K_CLONE_PIDFD | SIGCHLD, NULL, pidfd, NULL, NULL);
  if (pid != 0 && m->move > 0) close(m->move);
  return pid;
}

static void become_init(struct helper *h, const struct args_clone *a, int channel, bool own_offsets) {
  struct monitor *m = h->monitor;
  close(h->channel);
  close(m->signals);
  if (m->into > 0) close(m->into);
  if (m->notify > 0) close(m->notify);
  for (unsigned i = 0; i < m->kept_count; i++) close(m->kept[i].fd);
  h->channel = channel;
  h->new_user_namespace = (a->flags & K_CLONE_NEWUSER) != 0;
  h->die_with_monitor = a->die_with_monitor;
  h->joined = m->joined_pid_namespace || m->inside_user >= 0;
  if (h->joined && !h->new_user_namespace) undumpable();
  for (int fd = 0; fd < 3; fd++) {
    if (m->child_streams[fd] >= 0) dup2(m->child_streams[fd], fd);
  }
  init_main(h, own_offsets, m->move);
}

int op_clone_inside(struct helper *h, const struct args_clone_inside *a) {
  struct monitor *m = h->monitor;
  if (m == NULL || m->child != 0) return fail_as(h, EINVAL, "before clone, in the monitor");
  m->inside_user = open(a->user.at, O_RDONLY | O_CLOEXEC);
  if (m->inside_user < 0) return fail(h, "open %s", a->user.at);
  if (a->pid.length == 0) return 0;
  m->inside_pid = open(a->pid.at, O_RDONLY | O_CLOEXEC);
  return m->inside_pid >= 0 ? 0 : fail(h, "open %s", a->pid.at);
}

/* The pid of a process as the monitor sees it. */
static pid_t pid_of(int pidfd) {
  char path[64];
  char text[512];
  snprintf(path, sizeof path, "/proc/self/fdinfo/%d", pidfd);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
  if (fd >= 0) close(fd);
  if (got <= 0) return -1;
  text[got] = 0;
  const char *at = strstr(text, "\nPid:");
  return at == NULL ? -1 : (pid_t)strtol(at + 5, NULL, 10);
}

/* The namespaces that init joins and that need not belong to the user namespace: the host's root may enter any, who is
   inside it already may not. What it may not enter either, init tries. */
static void join_from_outside(struct helper *h) {
  static const uint64_t early = K_CLONE_NEWNET | K_CLONE_NEWIPC | K_CLONE_NEWUTS;
  const uint8_t *at = h->plan->at;
  struct frame frame;
  union op_args args;
  while (plan_next(h->plan, &at, &frame)) {
    if (frame.code != OP_JOIN_NAMESPACE || frame.stage != STAGE_INIT || !frame_decode(&frame, &args)) continue;
    const struct args_join_namespace *a = &args.join_namespace;
    if ((a->type & early) == 0) continue;
    int fd = resolve(h, &a->path, O_RDONLY, 0);
    if (fd < 0) continue;
    if (setns(fd, (int)a->type) == 0) h->joined_early |= a->type; /* its type is looked at by init */
    close(fd);
  }
}

/* In a process between the monitor and init, which is the monitor's child all the same (CLONE_PARENT). */
static _Noreturn void start_from_inside(struct helper *h, const struct args_clone *a, uint64_t flags, int report, int channel) {
  struct monitor *m = h->monitor;
  struct message message = {.type = MESSAGE_BARRIER};
  int pidfd = -1;
  const char *call = NULL;
  /* What runs in there must not trace us. */
  undumpable();
  join_from_outside(h);
  if (setns(m->inside_user, (int)K_CLONE_NEWUSER) != 0) call = "setns(user)";
  else if (m->inside_pid >= 0 && setns(m->inside_pid, (int)K_CLONE_NEWPID) != 0) call = "setns(pid)";
  if (call == NULL) {
    pid_t pid = start_child(m, flags | K_CLONE_PARENT, &pidfd);
    if (pid == 0) {
      close(report);
      become_init(h, a, channel, (flags & K_CLONE_NEWTIME) == 0 && (a->flags & K_CLONE_NEWTIME) != 0);
    }
    if (pid < 0) call = "clone3";
  }
  if (call != NULL) {
    message.error = errno;
    snprintf(message.detail, sizeof message.detail, "%s", call);
  }
  channel_send(report, &message, pidfd);
  _exit(0);
}

static pid_t clone_inside(struct helper *h, const struct args_clone *a, uint64_t flags, int channel, int *error) {
  struct monitor *m = h->monitor;
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
    *error = fail(h, "socketpair");
    return -1;
  }
  pid_t between = fork();
  if (between == 0) start_from_inside(h, a, flags, pair[1], channel);
  close(pair[1]);
  struct message message = {.error = 0};
  if (between < 0) *error = fail(h, "fork");
  else if (channel_receive(pair[0], &message, &m->child_pidfd) != 1) *error = fail_as(h, ECHILD, "clone from inside");
  else if (message.error != 0) *error = fail_as(h, message.error, "%s", message.detail);
  close(pair[0]);
  while (between > 0 && waitpid(between, NULL, 0) < 0 && errno == EINTR) continue;
  return *error == 0 ? pid_of(m->child_pidfd) : -1;
}

/* clone(2) has no bit left for a time namespace: where a seccomp profile refuses clone3 it is made by unshare. */
static bool has_clone3(void) {
  return syscall(SYS_clone3, NULL, 0) >= 0 || errno != ENOSYS;
}

int op_clone(struct helper *h, const struct args_clone *a) {
  struct monitor *m = h->monitor;
  if (m == NULL || m->child != 0) return fail_as(h, EINVAL, "clone is the monitor's, once");
  if ((a->flags & ~NAMESPACE_FLAGS) != 0) return fail_as(h, EINVAL, "flags");
  uint64_t flags = a->flags;
  bool own_offsets = false;
  if ((flags & K_CLONE_NEWTIME) != 0 && (has_time_offsets(h->plan) || !has_clone3())) {
    /* Offsets can be written only while nobody is inside. The monitor makes the namespace for its child; one that
       belongs to a new user namespace only the child can make, and enters it by execve (Linux 6.2). */
    flags &= ~K_CLONE_NEWTIME;
    own_offsets = (flags & K_CLONE_NEWUSER) != 0 || m->inside_user >= 0;
    if (!own_offsets) {
      int error = keep_namespace(h, (uint32_t)K_CLONE_NEWTIME);
      if (error != 0) return error;
      if (unshare((int)K_CLONE_NEWTIME) != 0) return fail(h, "unshare(CLONE_NEWTIME)");
      error = write_time_offsets(h);
      if (error != 0) return error;
    }
  }
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return fail(h, "socketpair");
  h->channel = pair[0];
  int error = 0;
  pid_t pid = m->inside_user >= 0 ? clone_inside(h, a, flags, pair[1], &error) : start_child(m, flags, &m->child_pidfd);
  if (pid == 0) become_init(h, a, pair[1], own_offsets);
  if (pid < 0 && error == 0) error = fail(h, "clone3");
  close(pair[1]);
  for (int fd = 0; fd < 3; fd++) {
    if (m->child_streams[fd] >= 0) close(m->child_streams[fd]);
    m->child_streams[fd] = -1;
  }
  return_to_namespaces(m);
  if (error != 0) return error;
  m->child = h->host_pid = pid;
  if (m->inside_user < 0 || geteuid() != 0) return 0;
  m->usher = usher_start(h, pid);
  return m->usher < 0 ? fail(h, "usher") : 0;
}

int op_cgroup_attach(struct helper *h, const struct args_cgroup_attach *a) {
  int directory = resolve(h, &a->path, O_PATH | O_DIRECTORY, 0);
  if (directory < 0) return fail(h, "open %s", a->path.path.at);
  /* v1's `tasks` takes a thread that moves itself without the lock that every other move takes, and that lock waits
     out an RCU grace period: some 10 ms. v2 has no such file. */
  bool self = h->monitor == NULL;
  const char *file = self ? "tasks" : "cgroup.procs";
  int fd = openat(directory, file, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0 && errno == ENOENT) {
    file = self ? "cgroup.procs" : "tasks"; /* a group of resctrl has no other */
    fd = openat(directory, file, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
  }
  int saved = errno;
  close(directory);
  errno = saved;
  if (fd < 0) return fail(h, "open %s/%s", a->path.path.at, file);
  char pid[16];
  /* "0" is the writer itself. */
  int length = snprintf(pid, sizeof pid, "%d", self ? 0 : (int)h->monitor->child);
  int error = write(fd, pid, (size_t)length) == length ? 0 : fail(h, "write %s/%s", a->path.path.at, file);
  close(fd);
  return error;
}
