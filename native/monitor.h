/* The state of stage monitor, shared by run.c, clone.c, supervise.c and relay.c. */
#ifndef VITRINE_MONITOR_H
#define VITRINE_MONITOR_H
#include "helper.h"
#include <poll.h>
#include <termios.h>

/* A namespace that the monitor left for the sake of its child, to return to after clone. */
struct kept_namespace {
  int fd;
  uint32_t type;
};

struct hub;

struct monitor {
  pid_t child;
  int child_pidfd;
  int signals; /* signalfd of all that `blocked` holds */
  sigset_t blocked;
  struct failure failure;
  int interrupted; /* the signal that ended the setup */
  bool executing; /* init said that execve is its next step */
  bool waiting; /* init is at awaitStart */
  bool plain_newlines; /* of the container's terminal: the user's own translates them */
  bool keep; /* the program has ended, and nothing is to be removed */
  bool released, clean_up; /* init is no longer ours: no wait, cleanup only when asked for */
  bool channel_closed;
  bool reaped;
  int wait_status;
  int terminal, terminal_peer; /* the container's terminal, -1 without; see relay.c */
  int streams[3], child_streams[3]; /* pipeStreams: this end and init's end */
  struct list report; /* reportFailure's argv */
  bool has_report;
  struct kept_namespace kept[8];
  unsigned kept_count;
  int usher; /* for init: goes with the next barrier; 0 or -1 without. See usher.c */
  bool joined_pid_namespace, joined_user_namespace;
  int inside_user, inside_pid; /* cloneInside: -1 without */
  bool tty_saved; /* the user's terminal is raw: put back at the end */
  struct termios tty;
  int lifeline; /* -1: nobody; see LIFELINE */
  bool ownerless;
  unsigned preserved; /* so many descriptors from 3 on are for the program; 0 once they are closed here */
  struct events *events; /* NULL: not recorded */
  struct health *health; /* NULL: not checked */
  struct oom *oom; /* NULL: not looked for */
  char *link; /* NULL: not wanted */
  bool oom_killed;
  uint64_t end_after; /* ms that the program may run; 0: as long as it likes */
  bool timed_out; /* and it did not end before */
  int64_t began, ended; /* of the program: ms of CLOCK_MONOTONIC */
  bool restart_asked, stop_asked; /* by the health check */
  int notify; /* the container's socket for READY; 0: none. See notify.c */
  char *notify_host;
  int into; /* cloneInto: the cgroup's directory; 0: none */
  const char *into_path, *into_beside;
  int move; /* its cgroup.procs, where init has to move there itself; 0: it does not */
  struct hub *hub; /* of a container with captured streams, else NULL; see hub.h */
};

/* Waits until init sends a message of `type` (and `value` for a barrier), or becomes its program
   (MESSAGE_EXECUTING). Failures of init go to monitor->failure and come back as ECANCELED. */
int monitor_await(struct helper *h, uint32_t type, uint32_t value);
/* One message, already known to be there. 0, or an errno as above; `*out` is what it was (type 0: the end). */
int monitor_message(struct helper *h, struct message *out);
/* --- notify.c --- */
/* Passes READY on when it has come; called when `m->notify` can be read. */
void notify_serve(struct monitor *m);

void monitor_reap(struct monitor *m);
/* Looks for the plan's reportFailure. */
void find_report(struct helper *h);

/* --- supervise.c --- */
int exit_status(int wait_status);
/* Of the container's program: -1 where its time was over. */
int program_status(const struct monitor *m);
/* The same, but 0 for one that ended and was not reaped. */
unsigned long long running_since(pid_t pid);
/* PID STARTTIME into a file, whole or not at all; with `name_space` also the pid namespace that the pid is of. */
int write_process(struct helper *h, const char *path, pid_t pid, bool name_space);

/* An exit record: CODE SIGNAL TIME_NS, and ` oom`. */
int write_exit(struct helper *h, const char *path);
int write_record(struct helper *h, const char *path, const char *text, size_t size);
int64_t monotonic_ms(void);
int64_t monotonic_ns(void);
int64_t realtime_ns(void);

/* --- events.c --- */
/* `add`: members of a JSON object of digits and our own words, e.g. "exitCode":"1"; NULL without. */
void record_event(const struct monitor *m, const char *action, const char *add);
void record_start(const struct monitor *m);
void record_end(const struct monitor *m);
/* What the plan removed at its end. */
void record_destroy(const struct monitor *m);

/* --- restart.c --- */
/* Somebody ended the container for good, before there was a process that he could have killed. */
bool restart_refused(const struct helper *h);
/* Before the exit record: between this end and the next run nobody is told that the container has ended. */
void restart_announce(struct helper *h);
/* The program may run again, by its policy or its health check. */
bool restart_possible(const struct helper *h);
/* The program runs again. */
void restart_done(const char *exit_file);

/* --- health.c --- */
#define HEALTH_POLLS 3
void health_begin(struct helper *h);
/* Milliseconds until there is something to do; -1: nothing is. */
int health_timeout(const struct monitor *m);
unsigned health_polls(const struct monitor *m, struct pollfd *polls);
void health_serve(struct helper *h, const struct pollfd *polls);
/* The program has ended, but is not reaped. */
void health_end(struct monitor *m);

/* --- oom.c --- */
#define OOM_POLLS 1
void oom_begin(struct monitor *m);
unsigned oom_polls(const struct monitor *m, struct pollfd *polls);
int oom_timeout(const struct monitor *m, int timeout);
void oom_serve(struct helper *h, const struct pollfd *polls);
/* The program has ended: `oom_killed` is known. */
void oom_end(struct monitor *m);

/* --- relay.c --- */
/* One of the container's streams through a pipe, whose other end is `streams[fd]`. 0 or an errno. */
int pipe_stream(struct helper *h, int fd);
struct relay {
  int from, to; /* -1: ended */
  char *buffer;
  size_t start, end;
  bool to_terminal; /* an end of the input becomes the terminal's EOF character */
  bool shared; /* `to` is the user's own descriptor, which must not be made non-blocking */
};
#define RELAY_BYTES 65536
struct relays {
  struct relay relay[3];
  unsigned count;
};
void relays_begin(struct monitor *m, struct relays *relays, bool input);
/* Moves what `from` has and what `to` takes, given poll's answers. */
void relay_move(struct relay *relay, short from_events, short to_events);
/* Moves what is left of the outputs once the container is gone. */
void relays_drain(struct relays *relays);
void terminal_resize(const struct monitor *m);
void terminal_raw(struct monitor *m);
void terminal_restore(struct monitor *m);
#endif
