/* The id maps of a child's user namespace: written by its parent, or by the setuid tools that know /etc/subuid. */
#include "monitor.h"
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

int write_map(struct helper *h, const char *process, const char *file, struct list ranges) {
  char text[4096]; /* the kernel takes less than a page, in one write */
  size_t length = 0;
  while (ranges.count > 0) {
    struct id_range range = list_range(&ranges);
    int more = snprintf(text + length, sizeof text - length, "%u %u %u\n", range.container, range.host, range.size);
    if (more < 0 || (size_t)more >= sizeof text - length) return fail_as(h, E2BIG, "%s: too many ranges", file);
    length += (size_t)more;
  }
  char path[64];
  snprintf(path, sizeof path, "/proc/%s/%s", process, file);
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return fail(h, "open %s", file);
  int error = write(fd, text, length) == (ssize_t)length ? 0 : fail(h, "write %s", file);
  close(fd);
  return error;
}

static int deny_setgroups(struct helper *h, pid_t pid) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/setgroups", (int)pid);
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return errno == ENOENT ? 0 : fail(h, "open setgroups");
  int error = write(fd, "deny", 4) == 4 ? 0 : fail(h, "write setgroups");
  close(fd);
  return error;
}

static int map_with_tool(struct helper *h, pid_t pid, const char *tool, struct list ranges) {
  size_t count = (size_t)ranges.count * 3;
  char(*numbers)[12] = calloc(count + 1, sizeof *numbers);
  char **argv = calloc(count + 3, sizeof *argv);
  int status = -1;
  if (numbers != NULL && argv != NULL) {
    argv[0] = (char *)(uintptr_t)tool;
    argv[1] = numbers[count];
    snprintf(numbers[count], sizeof *numbers, "%d", (int)pid);
    for (size_t i = 0; i < count; i += 3) {
      struct id_range range = list_range(&ranges);
      uint32_t values[3] = {range.container, range.host, range.size};
      for (size_t j = 0; j < 3; j++) {
        snprintf(numbers[i + j], sizeof *numbers, "%u", values[j]);
        argv[2 + i + j] = numbers[i + j];
      }
    }
    struct program program = {.path = tool, .argv = argv, .envp = environ, .timeout_seconds = 30, .umask = h->umask};
    status = run_program(&program);
  }
  int error = status < 0 ? fail(h, "run %s", tool) : status == 0 ? 0 : fail_as(h, EPERM, "%s refused the map", tool);
  free(numbers);
  free(argv);
  return error;
}

int map_ids_of(struct helper *h, pid_t pid, const struct args_id_map *a) {
  if (a->deny_setgroups) {
    int error = deny_setgroups(h, pid);
    if (error != 0) return error;
  }
  char process[16];
  snprintf(process, sizeof process, "%d", (int)pid);
  int error = a->newgidmap.length > 0 ? map_with_tool(h, pid, a->newgidmap.at, a->gids)
                                      : write_map(h, process, "gid_map", a->gids);
  if (error != 0) return error;
  return a->newuidmap.length > 0 ? map_with_tool(h, pid, a->newuidmap.at, a->uids)
                                 : write_map(h, process, "uid_map", a->uids);
}

int op_id_map(struct helper *h, const struct args_id_map *a) {
  if (h->monitor == NULL || h->monitor->child <= 0) return fail_as(h, EINVAL, "no clone before it");
  int error = map_ids_of(h, h->monitor->child, a);
  if (error != 0 || geteuid() != 0) return error;
  h->monitor->usher = usher_start(h, h->monitor->child);
  return h->monitor->usher < 0 ? fail(h, "usher") : 0;
}
