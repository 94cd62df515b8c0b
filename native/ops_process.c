/* What the process is given before it becomes the user's program: names, limits, scheduling, streams, directory. */
#include "helper.h"
#include <limits.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

int op_new_session(struct helper *h, const struct args_new_session *a) {
  (void)a;
  /* EPERM: it leads one already. */
  return setsid() >= 0 || errno == EPERM ? 0 : fail(h, "setsid");
}

int op_session_keyring(struct helper *h, const struct args_session_keyring *a) {
  enum { JOIN_SESSION_KEYRING = 1, SETPERM = 5 };
  long key = syscall(SYS_keyctl, JOIN_SESSION_KEYRING, a->name.at, 0, 0, 0);
  if (key < 0) return fail(h, "keyctl(JOIN_SESSION_KEYRING)");
  /* The possessor all, the user view, read and search: a program that changes its uid still finds its keys. */
  return syscall(SYS_keyctl, SETPERM, key, 0x3f0b0000, 0, 0) == 0 ? 0 : fail(h, "keyctl(SETPERM)");
}

int op_set_hostname(struct helper *h, const struct args_set_hostname *a) {
  return sethostname(a->name.at, a->name.length) == 0 ? 0 : fail(h, "sethostname");
}

int op_set_domainname(struct helper *h, const struct args_set_domainname *a) {
  return setdomainname(a->name.at, a->name.length) == 0 ? 0 : fail(h, "setdomainname");
}

int op_loopback_up(struct helper *h, const struct args_loopback_up *a) {
  (void)a;
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return fail(h, "socket");
  struct ifreq request;
  memset(&request, 0, sizeof request);
  memcpy(request.ifr_name, "lo", 3);
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  int error = ioctl(fd, SIOCSIFFLAGS, &request) == 0 ? 0 : fail(h, "ioctl(SIOCSIFFLAGS, lo)");
  close(fd);
  return error;
}

int op_set_rlimit(struct helper *h, const struct args_set_rlimit *a) {
  uint64_t limit[2] = {a->soft, a->hard};
  return syscall(SYS_prlimit64, 0, a->resource, limit, NULL) == 0 ? 0 : fail(h, "prlimit64(%u)", a->resource);
}

int op_set_umask(struct helper *h, const struct args_set_umask *a) {
  /* At execve: until then the ops set modes exactly. */
  h->umask = a->mask & 0777;
  return 0;
}

int op_no_new_privileges(struct helper *h, const struct args_no_new_privileges *a) {
  (void)a;
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 ? 0 : fail(h, "prctl(PR_SET_NO_NEW_PRIVS)");
}

int op_set_personality(struct helper *h, const struct args_set_personality *a) {
  return personality(a->persona) >= 0 ? 0 : fail(h, "personality(0x%x)", a->persona);
}

int op_set_scheduler(struct helper *h, const struct args_set_scheduler *a) {
  struct {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
  } attr = {sizeof attr, a->policy, a->flags, a->nice, a->priority, a->runtime, a->deadline, a->period};
  return syscall(SYS_sched_setattr, 0, &attr, 0) == 0 ? 0 : fail(h, "sched_setattr");
}

int op_set_io_priority(struct helper *h, const struct args_set_io_priority *a) {
  enum { WHO_PROCESS = 1 };
  return syscall(SYS_ioprio_set, WHO_PROCESS, 0, a->priority) == 0 ? 0 : fail(h, "ioprio_set");
}

/* The kernel reads masks as unsigned longs. */
static unsigned long *as_longs(struct bytes mask, size_t *size) {
  *size = (mask.length + sizeof(unsigned long) - 1) / sizeof(unsigned long) * sizeof(unsigned long);
  unsigned long *longs = calloc(1, *size + sizeof *longs);
  if (longs != NULL) memcpy(longs, mask.at, mask.length);
  return longs;
}

int op_cpu_affinity(struct helper *h, const struct args_cpu_affinity *a) {
  size_t size;
  unsigned long *mask = as_longs(a->mask, &size);
  if (mask == NULL) return fail(h, "memory");
  int error = syscall(SYS_sched_setaffinity, 0, size, mask) == 0 ? 0 : fail(h, "sched_setaffinity");
  free(mask);
  return error;
}

int op_memory_policy(struct helper *h, const struct args_memory_policy *a) {
  size_t size;
  unsigned long *nodes = as_longs(a->nodes, &size);
  if (nodes == NULL) return fail(h, "memory");
  /* The kernel counts one bit more than it reads. */
  long result = syscall(SYS_set_mempolicy, a->mode | a->flags, size == 0 ? NULL : nodes, size == 0 ? 0 : size * 8 + 1);
  int error = result == 0 ? 0 : fail(h, "set_mempolicy");
  free(nodes);
  return error;
}

int op_standard_input(struct helper *h, const struct args_standard_input *a) {
  if (a->mode == 0) return 0;
  if (a->mode != 1) return fail_as(h, EINVAL, "mode %u", a->mode);
  int fd = open_null(h, O_RDONLY);
  if (fd < 0 && h->root >= 0) {
    /* A root without /dev: the host's, while it can still be reached. */
    int root = h->root;
    h->root = -1;
    fd = open_null(h, O_RDONLY);
    h->root = root;
  }
  if (fd < 0) return fail(h, "open /dev/null");
  int error = dup2(fd, STDIN_FILENO) >= 0 ? 0 : fail(h, "dup2");
  close(fd);
  return error;
}

int op_close_descriptors(struct helper *h, const struct args_close_descriptors *a) {
  if (k_close_range(a->first, ~0u, K_CLOSE_RANGE_CLOEXEC) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS) return fail(h, "close_range");
  struct rlimit limit = {1024, 1024};
  getrlimit(RLIMIT_NOFILE, &limit);
  rlim_t end = limit.rlim_cur > 65536 ? 65536 : limit.rlim_cur;
  for (rlim_t fd = a->first; fd < end; fd++) fcntl((int)fd, F_SETFD, FD_CLOEXEC);
  return 0;
}

int op_change_directory(struct helper *h, const struct args_change_directory *a) {
  if (h->root < 0) return fail_as(h, EBADF, "no setRoot before it");
  struct path path = {a->path, BASE_ROOT};
  int fd = a->create ? resolve_make(h, &path, false, 0755) : resolve(h, &path, O_PATH | O_DIRECTORY, 0);
  if (fd < 0) return fail(h, "open %s", a->path.at);
  int error = fchdir(fd) == 0 ? 0 : fail(h, "chdir %s", a->path.at);
  close(fd);
  if (error != 0) return error;
  /* The system call, not libc's: it tells "(unreachable)/…" when the directory is outside (CVE-2024-21626). */
  char at[PATH_MAX];
  long length = syscall(SYS_getcwd, at, sizeof at);
  if (length < 0) return fail(h, "getcwd in %s", a->path.at);
  return at[0] == '/' ? 0 : fail_as(h, EXDEV, "%s is outside the root", a->path.at);
}

char *state_with_pid(struct bytes state, pid_t pid, size_t *size) {
  static const char key[] = "\"pid\":0";
  const size_t key_bytes = sizeof key - 1;
  const char *at = (const char *)state.at;
  size_t left = state.length;
  size_t places = 0;
  for (const char *found = at; (found = memmem(found, left - (size_t)(found - at), key, key_bytes)) != NULL; places++)
    found += key_bytes;
  char *text = malloc(left + places * 16 + 1);
  *size = 0;
  if (text == NULL) return NULL;
  for (;;) {
    const char *found = places == 0 ? NULL : memmem(at, left, key, key_bytes);
    size_t before = found == NULL ? left : (size_t)(found - at);
    memcpy(text + *size, at, before);
    *size += before;
    if (found == NULL) return text;
    *size += (size_t)snprintf(text + *size, key_bytes + 16, "\"pid\":%d", (int)pid);
    at = found + key_bytes;
    left -= before + key_bytes;
  }
}

int op_run_program(struct helper *h, const struct args_run_program *a) {
  char **argv = list_strings(a->argv, 0);
  char **envp = list_strings(a->env, 0);
  size_t size = 0;
  /* In the container's namespaces it is the pid as it is seen there (runtime.md#state). */
  pid_t pid = h->stage == STAGE_INIT ? getpid() : h->host_pid;
  char *state = a->state_on_stdin ? state_with_pid(a->input, pid, &size) : NULL;
  int error = 0;
  if (argv == NULL || envp == NULL || (a->state_on_stdin && state == NULL)) {
    error = fail_as(h, ENOMEM, "memory");
  } else {
    struct program program = {.path = a->path.at, .argv = argv, .envp = envp, .umask = h->umask,
                              .input = a->input.length == 0 ? NULL : (const void *)a->input.at,
                              .input_size = a->input.length, .timeout_seconds = a->timeout_seconds, .quiet = true,
                              .output_file = a->output_file.at, .error_file = a->error_file.at};
    /* Hooks in the container begin in its root filesystem, as under runc: before the pivot too. */
    if (h->stage == STAGE_INIT && h->root >= 0) program.directory = &h->root;
    if (state != NULL) {
      program.input = state;
      program.input_size = size;
    }
    int status = run_program(&program);
    if (status < 0) error = fail(h, "run %s", a->path.at);
    else if (WIFSIGNALED(status)) error = fail_as(h, ECHILD, "%s: killed by signal %d%s", a->path.at, WTERMSIG(status),
                                               WTERMSIG(status) == SIGSYS ? " (bad system call)" : "");
    else if (status != 0) error = fail_as(h, ECHILD, "%s: exit status %d", a->path.at, WEXITSTATUS(status));
  }
  free(argv);
  free(envp);
  free(state);
  return error;
}
