/*
 * A compressed layer becomes plain bytes in a process that inflates and does nothing else: it has its input, its output, memory that it
 * shares, and no system call beyond reading, writing and waiting. A second one of the same kind hashes what comes and the file that it comes
 * from, which each reads for itself; the apply helper writes files from the same memory by the op layerInflated. So the bytes of files
 * pass through no pipe and no JavaScript, which only reads the headers between them, and writes the compressed file.
 *
 * Both say on stdout how far they are, lines that begin with `@`: `@N` (N plain bytes are there), `@end` or `@corrupt REASON`, `@sha256 HEX` of
 * the plain bytes, and `@compressed HEX`.
 */
#include "unpacker.h"
#include "filter.h"
#include "helper.h"
#include "inflate.h"
#include "sha256.h"
#include <stdatomic.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

/* futex(2) */
#define K_FUTEX_WAIT 0
#define K_FUTEX_WAKE 1

/* Plain bytes that are made known together. */
#define TURN_BYTES (256u * 1024)
/* Where a sealed process has the compressed file. */
#define COMPRESSED_FILENO 3

/* What is waited on: `count` only goes up. */
struct bell {
  _Atomic uint32_t count, waiting;
};

struct unpacker_counts {
  _Atomic uint64_t produced, applied, hashed;
  _Atomic uint64_t arrived; /* of the compressed file */
  _Atomic uint32_t ended;
  struct bell data, room;
};

static void announce(struct bell *bell) {
  atomic_fetch_add(&bell->count, 1);
  /* Who waits has said so before it looked at the count. */
  if (atomic_load(&bell->waiting) > 0) syscall(SYS_futex, &bell->count, K_FUTEX_WAKE, 2, NULL, NULL, 0);
}

static void await_change(struct bell *bell, uint32_t seen) {
  atomic_fetch_add(&bell->waiting, 1);
  syscall(SYS_futex, &bell->count, K_FUTEX_WAIT, seen, NULL, NULL, 0);
  atomic_fetch_sub(&bell->waiting, 1);
}

const uint8_t *unpacker_at(const struct unpacker *unpacker, uint64_t position, size_t length) {
  uint64_t produced = atomic_load_explicit(&unpacker->counts->produced, memory_order_acquire);
  if (length > UNPACKER_BYTES || position > produced || length > produced - position) return NULL;
  return unpacker->bytes + position % UNPACKER_BYTES;
}

void unpacker_release(struct unpacker *unpacker, uint64_t position) {
  atomic_store_explicit(&unpacker->counts->applied, position, memory_order_release);
  announce(&unpacker->counts->room);
}

/* --- the seal --- */

#ifdef SEAL_ARCHITECTURE
static bool seal(void) {
  static const struct k_filter filter[] = {
    {K_BPF_LOAD, 0, 0, SECCOMP_DATA_ARCHITECTURE},
    {K_BPF_JUMP_EQUAL, 1, 0, SEAL_ARCHITECTURE},
    {K_BPF_RETURN, 0, 0, K_SECCOMP_RET_KILL_PROCESS},
    {K_BPF_LOAD, 0, 0, SECCOMP_DATA_NUMBER},
    ALLOW(SYS_read),
    ALLOW(SYS_pread64),
    ALLOW(SYS_write),
    ALLOW(SYS_futex),
    ALLOW(SYS_exit_group),
    ALLOW(SYS_rt_sigreturn),
    {K_BPF_RETURN, 0, 0, K_SECCOMP_RET_KILL_PROCESS},
  };
  struct k_filter_program program = {sizeof filter / sizeof *filter, filter};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, K_SECCOMP_MODE_FILTER, &program) == 0;
}

/* A kernel that knows filters looks for this one's memory. */
static bool can_seal(void) {
  return prctl(PR_SET_SECCOMP, K_SECCOMP_MODE_FILTER, NULL) != 0 && errno == EFAULT;
}
#else
static bool seal(void) { return false; }
static bool can_seal(void) { return false; }
#endif

/* In a child: keeps `growth` as stdin (-1: none), stdout and the compressed file. */
static void enclose(pid_t parent, int growth, int compressed) {
  bool enclosed = prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent;
  if (growth >= 0) enclosed = enclosed && dup2(growth, STDIN_FILENO) == STDIN_FILENO;
  else close(STDIN_FILENO);
  enclosed = enclosed && dup2(compressed, COMPRESSED_FILENO) == COMPRESSED_FILENO;
  close(STDERR_FILENO);
  if (k_close_range(COMPRESSED_FILENO + 1, ~0u, 0) != 0) {
    for (int fd = COMPRESSED_FILENO + 1; fd < 1024; fd++) close(fd);
  }
  if (!enclosed || !seal()) _exit(1);
}

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *format, ...) {
  char line[160];
  va_list arguments;
  va_start(arguments, format);
  int length = vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  for (const char *at = line; length > 0;) {
    ssize_t wrote = write(STDOUT_FILENO, at, (size_t)length);
    if (wrote < 0 && errno == EINTR) continue;
    /* Nobody listens any more. */
    if (wrote <= 0) _exit(1);
    at += wrote;
    length -= (int)wrote;
  }
}

/* --- the process that inflates --- */

struct inflating {
  const struct unpacker *unpacker;
  uint64_t position; /* of `at` */
  uint8_t *at;
  uint64_t said;
  uint64_t taken; /* of the compressed file */
};

static void tell(struct inflating *state) {
  if (state->said == state->position) return;
  state->said = state->position;
  say("@%llu\n", (unsigned long long)state->position);
}

/* Waits until the file is longer. False at its end, and where nobody says how long it is. */
static bool await_growth(struct inflating *state) {
  uint8_t sizes[64 * 8];
  /* It may take a while. */
  tell(state);
  for (;;) {
    ssize_t got = read(STDIN_FILENO, sizes, sizeof sizes);
    if (got < 0 && errno == EINTR) continue;
    /* What is written in one call of so few bytes comes in one piece. */
    if (got < 8 || got % 8 != 0) return false;
    uint64_t size = wire_u64(sizes + got - 8);
    if (size <= state->taken) continue;
    atomic_store_explicit(&state->unpacker->counts->arrived, size, memory_order_release);
    return true;
  }
}

static ptrdiff_t read_input(void *context, uint8_t *buffer, size_t size) {
  struct inflating *state = context;
  uint64_t arrived = atomic_load_explicit(&state->unpacker->counts->arrived, memory_order_relaxed);
  if (arrived == state->taken) {
    if (!await_growth(state)) return 0;
    arrived = atomic_load_explicit(&state->unpacker->counts->arrived, memory_order_relaxed);
  }
  if (size > arrived - state->taken) size = (size_t)(arrived - state->taken);
  for (;;) {
    ssize_t got = pread(COMPRESSED_FILENO, buffer, size, (off_t)state->taken);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return -1;
    state->taken += (uint64_t)got;
    return got;
  }
}

static uint8_t *advance(void *context, uint8_t *out, uint8_t **limit) {
  struct inflating *state = context;
  struct unpacker_counts *counts = state->unpacker->counts;
  if (out != NULL) {
    state->position += (uint64_t)(out - state->at);
    atomic_store_explicit(&counts->produced, state->position, memory_order_release);
    announce(&counts->data);
  }
  /* The window and what the decoder may write too much take place as well. */
  const uint64_t most = UNPACKER_BYTES - INFLATE_WINDOW_BYTES - INFLATE_SLACK_BYTES;
  for (bool first = true;; first = false) {
    uint32_t seen = atomic_load(&counts->room.count);
    uint64_t applied = atomic_load_explicit(&counts->applied, memory_order_acquire);
    uint64_t hashed = atomic_load_explicit(&counts->hashed, memory_order_acquire);
    uint64_t used = applied < hashed ? applied : hashed;
    if (state->position + TURN_BYTES <= used + most) break;
    if (first) tell(state);
    await_change(&counts->room, seen);
  }
  if (state->position - state->said >= TURN_BYTES) tell(state);
  state->at = state->unpacker->bytes + UNPACKER_BYTES + state->position % UNPACKER_BYTES;
  *limit = state->at + TURN_BYTES;
  return state->at;
}

static void inflate_main(const struct unpacker *unpacker) {
  struct inflating state = {.unpacker = unpacker};
  struct inflate_io io = {&state, read_input, advance};
  const char *problem = inflate_gzip(&io);
  atomic_store(&unpacker->counts->ended, 1);
  announce(&unpacker->counts->data);
  tell(&state);
  if (problem == NULL) say("@end\n");
  else say("@corrupt %s\n", problem);
}

/* --- the process that hashes --- */

/* The next `size` bytes of the compressed file. What was said to be there is there: else nothing can be believed. */
static void read_compressed(uint8_t *buffer, size_t size, uint64_t position) {
  while (size > 0) {
    ssize_t got = pread(COMPRESSED_FILENO, buffer, size, (off_t)position);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) _exit(1);
    buffer += got;
    size -= (size_t)got;
    position += (uint64_t)got;
  }
}

static void hash_main(const struct unpacker *unpacker) {
  static uint8_t compressed[TURN_BYTES];
  struct unpacker_counts *counts = unpacker->counts;
  struct sha256 of_plain;
  struct sha256 of_compressed;
  char hex[65];
  uint64_t position = 0;
  uint64_t taken = 0;
  sha256_begin(&of_plain);
  sha256_begin(&of_compressed);
  for (;;) {
    uint32_t seen = atomic_load(&counts->data.count);
    uint32_t ended = atomic_load(&counts->ended);
    uint64_t produced = atomic_load_explicit(&counts->produced, memory_order_acquire);
    uint64_t arrived = atomic_load_explicit(&counts->arrived, memory_order_acquire);
    size_t plain = produced - position > TURN_BYTES ? TURN_BYTES : (size_t)(produced - position);
    /* The compressed bytes go beside plain ones, where they cost almost nothing; what is left of them comes at the end. */
    size_t most = ended != 0 && plain == 0 ? TURN_BYTES : plain;
    size_t beside = arrived - taken > most ? most : (size_t)(arrived - taken);
    if (plain == 0 && beside == 0) {
      if (ended != 0) break;
      await_change(&counts->data, seen);
      continue;
    }
    size_t both = plain < beside ? plain : beside;
    const uint8_t *at = unpacker->bytes + position % UNPACKER_BYTES;
    read_compressed(compressed, beside, taken);
    sha256_update_both(&of_plain, at, &of_compressed, compressed, both);
    sha256_update(&of_plain, at + both, plain - both);
    sha256_update(&of_compressed, compressed + both, beside - both);
    position += plain;
    taken += beside;
    atomic_store_explicit(&counts->hashed, position, memory_order_release);
    announce(&counts->room);
  }
  sha256_hex(&of_plain, hex);
  say("@sha256 %s\n", hex);
  sha256_hex(&of_compressed, hex);
  say("@compressed %s\n", hex);
}

/* --- the helper's side --- */

static volatile pid_t children[2];

/* One that did not end well was killed by its seal or its input: nothing that follows can be believed. */
static void on_child(int signal_number) {
  static const char failed[] = "{\"ok\":false,\"index\":0,\"errno\":5,\"detail\":\"the process that inflates ended early\"}\n";
  int saved = errno;
  (void)signal_number;
  for (int i = 0; i < 2; i++) {
    int status;
    if (children[i] <= 0 || waitpid(children[i], &status, WNOHANG) != children[i]) continue;
    children[i] = 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) continue;
    if (write(STDOUT_FILENO, failed, sizeof failed - 1) < 0) _exit(2);
    _exit(1);
  }
  errno = saved;
}

bool unpacker_offer(struct unpacker_files *files) {
  if (!can_seal()) {
    errno = ENOSYS;
    return false;
  }
  files->memory = (int)syscall(SYS_memfd_create, "vitrine-unpacker", K_MFD_CLOEXEC);
  if (files->memory < 0) return false;
  if (ftruncate(files->memory, UNPACKER_BYTES) != 0 || pipe2(files->growth, O_CLOEXEC) != 0) {
    close(files->memory);
    files->memory = -1;
    return false;
  }
  return true;
}

static bool map(struct unpacker *unpacker, int memory) {
  void *counts = mmap(NULL, sizeof *unpacker->counts, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  uint8_t *bytes = mmap(NULL, 3 * (size_t)UNPACKER_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (counts == MAP_FAILED || bytes == MAP_FAILED) return false;
  for (size_t i = 0; i < 3; i++) {
    void *at = bytes + i * UNPACKER_BYTES;
    if (mmap(at, UNPACKER_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, memory, 0) == MAP_FAILED) return false;
  }
  *unpacker = (struct unpacker){bytes, counts};
  return true;
}

bool unpacker_start(struct unpacker *unpacker, const struct unpacker_files *files) {
  void (*const work[2])(const struct unpacker *) = {inflate_main, hash_main};
  bool started = map(unpacker, files->memory);
  pid_t parent = getpid();
  struct sigaction action = {.sa_handler = on_child, .sa_flags = SA_RESTART | SA_NOCLDSTOP};
  sigset_t held;
  sigset_t before;
  sigemptyset(&held);
  sigaddset(&held, SIGCHLD);
  sigprocmask(SIG_BLOCK, &held, &before);
  if (sigaction(SIGCHLD, &action, NULL) != 0) started = false;
  for (int i = 0; i < 2 && started; i++) {
    pid_t pid = fork();
    if (pid == 0) {
      signal(SIGCHLD, SIG_DFL);
      enclose(parent, i == 0 ? files->growth[0] : -1, files->compressed);
      work[i](unpacker);
      _exit(0);
    }
    children[i] = pid;
    started = pid > 0;
  }
  int error = errno;
  sigprocmask(SIG_SETMASK, &before, NULL);
  close(files->memory);
  close(files->growth[0]);
  close(files->compressed);
  errno = error;
  /* Only this process writes no plain bytes. */
  for (size_t i = 0; started && i < 3; i++) mprotect(unpacker->bytes + i * UNPACKER_BYTES, UNPACKER_BYTES, PROT_READ);
  return started;
}
