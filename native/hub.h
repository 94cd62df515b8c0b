/* The streams of a detached container in the monitor: pipes or a terminal on one side, the log and clients on the other. */
#ifndef VITRINE_HUB_H
#define VITRINE_HUB_H
#include "monitor.h"
#include <poll.h>

struct log {
  int fd; /* -1: no log is kept */
  char *path;
  uint64_t size, max_bytes; /* 0: it grows without end */
  uint32_t files;
};
int log_open(struct log *log);
/* Best effort: a full disk loses lines, and never stops the container. */
void log_write(struct log *log, const char *stream, const char *data, size_t size);

#define HUB_CLIENTS 16
#define HUB_POLLS (HUB_CLIENTS + 4)

struct client {
  int fd;
  unsigned behind; /* bit n: it has not taken the chunk of outlet n yet */
};

/* What the container writes. A chunk stays until every client took it: a slow one slows the container, as a slow
   terminal would. */
struct outlet {
  int from; /* -1: ended */
  char *chunk; /* type byte and data */
  size_t size; /* 0: none */
};

struct hub {
  bool daemon; /* the monitor's own stdio is to be let go once the program runs */
  bool terminal, input_wanted, once;
  bool without_stdout, without_stderr, signals_kept; /* by the first client */
  int listener;
  struct client clients[HUB_CLIENTS];
  unsigned count;
  struct outlet outlets[2]; /* stdout, stderr */
  int input; /* the container's stdin or terminal, -1 */
  char *typed; /* a message of a client; what of it is still to be written is from `typed_at` to `typed_end` */
  size_t typed_at, typed_end;
  struct log log;
};

/* The monitor's hub, made on the first call; NULL without memory. */
struct hub *hub_of(struct monitor *m);
void hub_add(struct hub *hub, int client);
/* Init's terminal is there: what clients said of its size counts from the start. */
void hub_terminal_arrived(struct monitor *m);
/* The program runs: the streams begin. */
void hub_begin(struct monitor *m);
/* Fills HUB_POLLS entries at most; returns how many. */
unsigned hub_polls(const struct hub *hub, struct pollfd *polls);
void hub_serve(struct monitor *m, const struct pollfd *polls);
/* Passes on what is left once the container is gone. */
void hub_drain(struct monitor *m);
/* Tells the clients how it ended. */
void hub_finish(struct hub *hub, int status);
#endif
