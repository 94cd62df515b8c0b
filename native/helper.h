/*
 * What every part of the helper shares: the process's state and the functions between the files.
 *
 * An op is a function that returns 0 or an errno; `fail` records which call it was. Descriptors are close-on-exec
 * from birth, so that none reaches the user's program.
 */
#ifndef VITRINE_HELPER_H
#define VITRINE_HELPER_H
#include "plan.h"
#include "sys.h"
#include <dirent.h>
#include <signal.h>
#include <stdio.h>

#define DETAIL_BYTES 232

/* The op that ended a plan, as the monitor knows it or init reported it. */
struct failure {
  bool set;
  uint16_t code; /* of the op */
  uint32_t stage, index;
  int error;
  char detail[DETAIL_BYTES];
};

struct monitor;
struct layer;

struct helper {
  enum stage stage;
  uint32_t index; /* of the op being run */
  int root, work, proc; /* handles, -1 while not set */
  int masks, null; /* what maskPath clones: see ops_mask.c */
  int fifo; /* of awaitStart */
  int channel; /* to the other process of a plan, -1 without one */
  mode_t umask; /* the caller's: the helper itself runs with 0 */
  bool umask_set;
  bool die_with_monitor, new_user_namespace, is_namespace_root, joined; /* in init */
  uint32_t joined_early; /* CLONE_NEW* of namespaces that init came with: see clone.c */
  bool restarted; /* this is not the first run of the plan */
  uint32_t restarts;
  uint64_t restart_delay; /* ms before this run */
  const char *plan_path;
  pid_t host_pid; /* init's pid as the monitor sees it; not known to init */
  struct monitor *monitor; /* NULL in init and in apply */
  struct layer *layer; /* only in apply */
  struct plan *plan;
  char detail[DETAIL_BYTES];
};

/* --- fail.c --- */
/* Records the failing call; returns errno (EIO when it is 0). */
int fail(struct helper *h, const char *format, ...) __attribute__((format(printf, 2, 3)));
int fail_as(struct helper *h, int error, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* One line on stderr, control characters replaced: details quote what an image holds. */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* --- dispatch.c --- */
/* Runs it; a tolerated errno becomes 0. */
int run_op_tolerant(struct helper *h, const struct frame *frame);
#define X(name, code, text) int op_##name(struct helper *h, const struct args_##name *a);
OP_LIST(X)
#undef X

/* --- resolve.c: descriptors from paths; -1 and errno --- */
#define PARENT_NAME_MAX 256
int resolve(struct helper *h, const struct path *path, uint64_t flags, uint64_t mode);
/* The directory that holds the last component, which goes to `name`. EINVAL where there is none ("/", ".."). */
int resolve_parent(struct helper *h, const struct path *path, char name[static PARENT_NAME_MAX]);
/* Opens `path` (O_PATH) after making what is missing: directories of 0755, at the end a directory of `mode` or an
   empty file. Dangling links are followed within the base, as mount points of /etc/resolv.conf need. */
int resolve_make(struct helper *h, const struct path *path, bool file, mode_t mode);
/* openat2 beneath `root` (RESOLVE_IN_ROOT), tried again where a rename raced. */
int open_in_root(int root, const char *path, uint64_t flags, uint64_t mode);
int make_in_root(int root, const char *path, bool file, mode_t mode);
/* The verified procfs of base `proc`. */
int proc_handle(struct helper *h);
/* The null device beneath the root (the host's before setRoot), verified to be it. */
int open_null(struct helper *h, uint64_t flags);
/* Splits into directory and last component (both in `buffer`, PATH_MAX); false where there is no last component. */
bool split_path(const char *path, char *buffer, const char **directory, const char **name);

/* --- usher.c --- */
/* Starts one in the mount namespace of `process` (0: ours), with our ids. The asking end of its socket, or -1 and errno.
   `h`: whose plan has the trees to make; NULL: none. */
int usher_start(struct helper *h, pid_t process);
/* From now on `open_on_host` asks there for what this process may not reach. */
void usher_use(int socket);
bool usher_is_there(void);
void usher_end(void);
/* For who started it, once the asking end is closed. */
void usher_reap(void);
int open_on_host(const char *path, uint64_t flags, uint64_t mode);
/* The tree of the bindIdMapped or bindNode that is being run, made by the usher. 0 or an errno. */
int usher_tree(struct helper *h, int *tree);

/* --- idmount.c --- */
/* The source's mount tree, cloned and id-mapped, in `*tree`. 0 or an errno. */
int id_mapped_tree(struct helper *h, const struct args_bind_id_mapped *a, int *tree);
/* node.c: a device made where devices can be made, as a tree to mount. 0 or an errno. */
int node_tree(struct helper *h, const struct args_bind_node *a, int *tree);

/* --- directory.c --- */
/* A stream of the open directory, which it closes at its end; NULL and errno, also where `fd` is -1. */
DIR *take_stream(int fd);
/* The next name but `.` and `..`; NULL with errno 0 at the end. */
const struct dirent *next_entry(DIR *stream);

/* --- tree.c and copy.c; 0 or -1 and errno --- */
int remove_tree(int parent, const char *name);
/* An empty directory; a cgroup with those that its container made in it. EBUSY: there are processes. */
int remove_group(int parent, const char *name);
/* Copies the content of one directory into another, and its owner, mode and times. `failed` gets the entry it stopped at. */
#define COPY_FAILED_BYTES 160
int copy_tree(int from, int to, char failed[static COPY_FAILED_BYTES]);
/* The file that is open as `from`, with all it has, to a new `name`. */
int copy_one_file(int from, int to, const char *name);
/* The next data of a sparse file of `size` bytes from `at` on, at most to its end; false: a hole to the end. */
bool next_data(int fd, off_t at, off_t size, off_t *start, off_t *end);
/* The first use of a volume: see the op fillVolume. */
int fill_directory(int from, int to, char failed[static COPY_FAILED_BYTES]);
int own_tree(int top, uid_t uid, gid_t gid);

/* --- channel.c: messages between monitor and init --- */
enum message_type { MESSAGE_BARRIER = 1, MESSAGE_FAILURE, MESSAGE_EXECUTING, MESSAGE_TERMINAL, MESSAGE_LISTENER,
  MESSAGE_WAITING, MESSAGE_RELEASED };
struct message {
  uint32_t type;
  uint32_t value; /* barrier id or op index */
  int32_t error;
  char detail[DETAIL_BYTES];
};
bool channel_send(int channel, const struct message *message, int descriptor);
/* 1: a message; 0: the other end is closed; -1 and errno. `descriptor` gets what came with it or -1. */
int channel_receive(int channel, struct message *message, int *descriptor);
/* Connects to a unix socket and hands `descriptor` over with `data`. */
int send_to_socket(const char *path, int descriptor, const void *data, size_t size);
/* One message with a descriptor; what sendmsg(2) returns. */
ssize_t send_descriptor(int socket, const void *data, size_t size, int descriptor);

/* --- notify.c --- */
/* The container's socket for sd_notify(3) in this directory, or -1 and errno. */
int notify_listen(int directory);
/* Waits until the container says READY, which goes on to `host` with `pid` as the main process, or until it has ended. */
void notify_await(int fd, const char *host, int pidfd, pid_t pid);

/* --- init.c --- */
/* The monitor does not stay: it leaves init to its caller. */
bool plan_releases(const struct plan *plan);
_Noreturn void init_main(struct helper *h, bool own_time_offsets, int own_cgroup);
void announce_execute(struct helper *h);
void undumpable(void);
void arm_parent_death(struct helper *h);
/* Becomes uid 0 of a new user namespace once its maps are written: at the first barrier. */
int enter_user_namespace(struct helper *h);
void reset_signals(const sigset_t *mask);
int write_time_offsets(struct helper *h);

/* --- ops_process.c --- */
/* A state as JSON (runtime.md#state) with `pid` wherever it says `"pid":0`, which no string in it can; free() it. */
char *state_with_pid(struct bytes state, pid_t pid, size_t *size);

/* --- ops_execute.c --- */
/* Whether the program of the plan's `execute` could be found and run, told as a failure of that op. */
int check_program(struct helper *h);

/* --- idmap.c --- */
/* `process`: its directory's name in /proc. `file`: uid_map or gid_map. */
int write_map(struct helper *h, const char *process, const char *file, struct list ranges);
int map_ids_of(struct helper *h, pid_t pid, const struct args_id_map *a);

/* --- program.c --- */
struct program {
  const char *path;
  char *const *argv, *const *envp;
  const void *input; /* NULL: stdin is /dev/null */
  size_t input_size;
  uint32_t timeout_seconds;
  mode_t umask;
  bool quiet; /* stdout is /dev/null: what the program prints is not the container's output */
  const char *output_file, *error_file; /* files of the host for stdout and stderr; NULL or empty: none */
  const int *directory; /* where it begins; NULL: where we are */
};
/* Runs a program of the host to its end. The wait status, or -1 and errno (ETIME: killed after the timeout). */
int run_program(const struct program *program);
/* argv or env from the wire; free() it. NULL without memory. */
char **list_strings(struct list list, size_t extra);

/* --- reap.c --- */
int reap_main(char **argv);
int adopt_main(char **argv);

/* --- ops_layer.c, layer_names.c --- */
/* Forgets what belongs to the last work directory. */
void layer_reset(struct layer *layer);
/* Finishes the file whose data is still coming; 0 or an errno. */
int layer_flush(struct helper *h);

/* --- the doors of the stages --- */
/* The descriptor of `run --lifeline`: a stream socket to whoever owns the container. When that end closes, the container
   ends; once all is cleaned up the exit status is written there as a line of digits. */
#define LIFELINE 3
/* `lifeline` is that descriptor, or -1. `restarted`: NULL, or COUNT:DELAY of a plan that is run again (restart.c). */
int run_main(const char *plan, int lifeline, const char *restarted, unsigned preserved);
/* Runs the plan's monitor ops about a process that is there already. False where one failed: it was told. */
bool run_hooks(const char *plan, pid_t init);
int start_main(char **argv);
int apply_main(int argc, char **argv);
/* Re-executes from a sealed copy in memory (CVE-2019-5736). Returns only on failure or when already sealed. */
bool seal_self(char **argv);

extern char **environ;
#endif
