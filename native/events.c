/* What happens to the container's program, appended to the file of events (src/engine/events/record.ts). */
#include "monitor.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>

struct events {
  char *path, *prefix;
  uint8_t *tail;
  size_t tail_size;
  uint64_t max_bytes;
  bool destroys;
};

int op_record_events(struct helper *h, const struct args_record_events *a) {
  struct monitor *m = h->monitor;
  if (m == NULL) return fail_as(h, EINVAL, "only in the monitor");
  struct events *events = calloc(1, sizeof *events);
  if (events == NULL) return fail_as(h, ENOMEM, "memory");
  /* The plan's memory is given back while the program runs. */
  *events = (struct events){.path = strdup(a->path.at), .prefix = strdup(a->prefix.at), .tail = malloc(a->tail.length + 1),
                            .tail_size = a->tail.length, .max_bytes = a->max_bytes, .destroys = a->destroys};
  if (events->path == NULL || events->prefix == NULL || events->tail == NULL) {
    free(events->path);
    free(events->prefix);
    free(events->tail);
    free(events);
    return fail_as(h, ENOMEM, "memory");
  }
  if (a->tail.length > 0) memcpy(events->tail, a->tail.at, a->tail.length);
  m->events = events;
  return 0;
}

void record_event(const struct monitor *m, const char *action, const char *add) {
  const struct events *events = m->events;
  char head[256];
  struct stat st;
  if (events == NULL) return;
  int length = snprintf(head, sizeof head, "{\"timeNano\":%lld,\"action\":\"%s%s\",%s%s%s", (long long)realtime_ns(),
                        events->prefix, action, add == NULL ? "" : "\"add\":{", add == NULL ? "" : add,
                        add == NULL ? "" : "},");
  int fd = open(events->path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0) return;
  /* One write a line: others append as well. Commands begin a new file long before the limit. */
  struct iovec parts[2] = {{head, (size_t)length}, {events->tail, events->tail_size}};
  if (fstat(fd, &st) == 0 && (uint64_t)st.st_size < events->max_bytes && writev(fd, parts, 2) < 0) {
    /* A full disk: what happened has happened all the same. */
  }
  close(fd);
}

void record_start(const struct monitor *m) {
  /* Of a further program the command that starts it tells what it is. */
  if (m->events != NULL && *m->events->prefix == 0) record_event(m, "start", NULL);
}

void record_end(const struct monitor *m) {
  char add[96];
  if (m->events == NULL || m->began == 0) return;
  snprintf(add, sizeof add, "\"exitCode\":\"%d\",\"execDuration\":\"%lld\"", program_status(m),
           (long long)(m->ended - m->began) / 1000);
  record_event(m, "die", add);
}

void record_destroy(const struct monitor *m) {
  if (m->events != NULL && m->events->destroys) record_event(m, "destroy", NULL);
}
