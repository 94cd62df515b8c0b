/* Control groups: what a write to a file does not do. */
#include "helper.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* linux/bpf.h, which musl's headers do not have: what a device program needs of it. */
enum { PROG_LOAD = 5, PROG_ATTACH = 8, PROG_DETACH = 9, PROG_GET_FD_BY_ID = 13, PROG_QUERY = 16 };
enum { PROG_TYPE_CGROUP_DEVICE = 15, CGROUP_DEVICE = 6 };
enum { ALLOW_MULTI = 2, REPLACE = 4 };
#define INSTRUCTION_BYTES 8

struct load_attr {
  uint32_t type, count;
  uint64_t instructions, license;
  uint32_t log_level, log_size;
  uint64_t log;
  uint32_t kernel_version, flags;
  char name[16];
};

struct query_attr {
  uint32_t target, type, query_flags, attach_flags;
  uint64_t ids;
  uint32_t count;
};

struct id_attr {
  uint32_t id, next, flags;
};

struct attach_attr {
  uint32_t target, program, type, flags, replaced;
};

/* The kernel's own limit of programs on one cgroup. */
#define PROGRAMS_MAX 64

static int bpf(int command, void *attr, size_t size) { return (int)syscall(SYS_bpf, command, attr, size); }

static uint64_t address(const void *pointer) { return (uint64_t)(uintptr_t)pointer; }

static int load_program(struct bytes program) {
  struct load_attr attr = {.type = PROG_TYPE_CGROUP_DEVICE, .count = (uint32_t)(program.length / INSTRUCTION_BYTES),
                           .instructions = address(program.at), .license = address("Apache-2.0"), .name = "vitrine"};
  return bpf(PROG_LOAD, &attr, sizeof attr);
}

/* Descriptors of the programs on the directory; their number, or -1. */
static int programs_on(int cgroup, int descriptors[PROGRAMS_MAX]) {
  uint32_t ids[PROGRAMS_MAX];
  struct query_attr query = {.target = (uint32_t)cgroup, .type = CGROUP_DEVICE, .ids = address(ids), .count = PROGRAMS_MAX};
  if (bpf(PROG_QUERY, &query, sizeof query) != 0) return -1;
  int found = 0;
  for (uint32_t i = 0; i < query.count && i < PROGRAMS_MAX; i++) {
    struct id_attr attr = {.id = ids[i]};
    int fd = bpf(PROG_GET_FD_BY_ID, &attr, sizeof attr);
    if (fd >= 0) descriptors[found++] = fd;
  }
  return found;
}

static int attach_program(int cgroup, int program, int replaced) {
  struct attach_attr attr = {.target = (uint32_t)cgroup, .program = (uint32_t)program, .type = CGROUP_DEVICE,
                             .flags = replaced < 0 ? ALLOW_MULTI : ALLOW_MULTI | REPLACE,
                             .replaced = replaced < 0 ? 0 : (uint32_t)replaced};
  return bpf(PROG_ATTACH, &attr, sizeof attr);
}

static int detach_program(int cgroup, int program) {
  struct attach_attr attr = {.target = (uint32_t)cgroup, .program = (uint32_t)program, .type = CGROUP_DEVICE};
  return bpf(PROG_DETACH, &attr, sizeof attr);
}

/* All programs on a directory must agree: the new one joins first, so that there is no moment without rules. */
static int put_program(struct helper *h, int cgroup, int program) {
  int old[PROGRAMS_MAX];
  int count = programs_on(cgroup, old);
  if (count < 0) return fail(h, "bpf(BPF_PROG_QUERY)");
  int error = 0;
  bool replaced = count == 1 && attach_program(cgroup, program, old[0]) == 0;
  if (!replaced && attach_program(cgroup, program, -1) != 0) error = fail(h, "bpf(BPF_PROG_ATTACH)");
  for (int i = 0; i < count; i++) {
    if (!replaced && error == 0 && detach_program(cgroup, old[i]) != 0) error = fail(h, "bpf(BPF_PROG_DETACH)");
    close(old[i]);
  }
  return error;
}

int op_device_program(struct helper *h, const struct args_device_program *a) {
  int cgroup = resolve(h, &a->path, O_RDONLY | O_DIRECTORY, 0);
  if (cgroup < 0) return fail(h, "open %s", a->path.path.at);
  int program = load_program(a->program);
  int error = program < 0 ? fail(h, "bpf(BPF_PROG_LOAD)") : put_program(h, cgroup, program);
  if (program >= 0) close(program);
  close(cgroup);
  return error;
}

/* Each pid in the text of a cgroup.procs, on its own: the kernel takes one a write. How many there were; -1: errno. */
static int move_processes(int from, int to) {
  char text[4096];
  int moved = 0;
  ssize_t size = pread(from, text, sizeof text - 1, 0);
  if (size < 0) return -1;
  text[size] = 0;
  /* A pid that the end of the buffer cut comes again with the next read. */
  for (char *at = text, *end; (end = strchr(at, '\n')) != NULL; at = end + 1) {
    moved++;
    /* One that ended meanwhile needs no place. */
    if (write(to, at, (size_t)(end - at)) < 0 && errno != ESRCH) return -1;
  }
  return moved;
}

/* How often the list is read again: whoever forks faster than we move wins, and is told. */
#define VACATE_TURNS 200

int op_cgroup_vacate(struct helper *h, const struct args_cgroup_vacate *a) {
  int directory = resolve(h, &a->from, O_PATH | O_DIRECTORY, 0);
  int from = directory < 0 ? -1 : openat(directory, "cgroup.procs", O_RDONLY | O_CLOEXEC);
  if (from < 0) return fail(h, "open %s", a->from.path.at);
  close(directory);
  directory = resolve(h, &a->to, O_PATH | O_DIRECTORY, 0);
  int to = directory < 0 ? -1 : openat(directory, "cgroup.procs", O_WRONLY | O_CLOEXEC);
  int error = to < 0 ? fail(h, "open %s", a->to.path.at) : EBUSY;
  if (directory >= 0) close(directory);
  for (int turn = 0; to >= 0 && error == EBUSY; turn++) {
    int moved = move_processes(from, to);
    if (moved < 0) error = fail(h, "move processes to %s", a->to.path.at);
    else if (moved == 0) error = 0;
    else if (turn == VACATE_TURNS) error = fail_as(h, ENOTEMPTY, "%s keeps getting processes", a->from.path.at);
  }
  close(from);
  if (to >= 0) close(to);
  return error;
}

int op_await_removed(struct helper *h, const struct args_await_removed *a) {
  uint32_t waited = 0;
  for (uint32_t step = 1; waited < a->milliseconds; waited += step, step = step < 16 ? step * 2 : step) {
    int fd = resolve(h, &a->path, O_PATH | O_DIRECTORY, 0);
    if (fd < 0) return 0;
    close(fd);
    struct timespec pause = {0, (long)step * 1000000};
    nanosleep(&pause, NULL);
  }
  return 0;
}
