/*
 * `convey`: carries bodies of blobs between connections and files for the registry, beside it, so that they pass through no
 * JavaScript. Descriptor 3 is a socket (SOCK_SEQPACKET) on which the registry asks: a `struct order` with two descriptors, the
 * connection and the file. Each is carried out by one of a fixed number of threads and answered with a `struct report` on
 * stdout; other threads hash (native/hashing.c). The registry speaks HTTP; here is nothing but counted bytes, SHA-256 and what the file
 * system says.
 *
 * It ends when the registry does. Sealed (seccomp): it can use what it is handed, and open nothing.
 */
#include "chunks.h"
#include "convey.h"
#include "filter.h"
#include "hashing.h"
#include "helper.h"
#include "sha256.h"
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/vfs.h>
#include <time.h>

#define ORDERS 3
/* What a file is told to begin writing to the disk while the rest is on its way. */
#define FLUSH_BYTES (4u * 1024 * 1024)
#define STACK_BYTES (128u * 1024)
/* So much of a file in memory is asked for at once. */
#define RESERVE_BYTES (2u * 1024 * 1024)
/* Of a body that is not wanted any more so much is read, and for so long. */
#define DRAIN_BYTES (64u * 1024 * 1024)
#define DRAIN_MS 5000u
#define K_TMPFS_MAGIC 0x01021994

/* --- waiting for the other end of a connection --- */

struct patience {
  uint64_t window, least; /* ms; bytes that each of them must bring */
  uint64_t waited, bytes; /* in the present one */
};

static uint64_t milliseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Waits once; only that time counts, not what the disk takes. */
static int wait_for(struct patience *patience, int fd, short events) {
  struct pollfd poll_fd = {fd, events, 0};
  uint64_t left = patience->waited < patience->window ? patience->window - patience->waited : 0;
  uint64_t before = milliseconds();
  if (poll(&poll_fd, 1, left > 1000000 ? 1000000 : (int)left) < 0 && errno != EINTR) return errno;
  patience->waited += milliseconds() - before;
  return 0;
}

/* Called where nothing could be moved; false: the other end was too slow. */
static bool may_wait(struct patience *patience) {
  if (patience->waited < patience->window) return true;
  bool moved = patience->bytes >= patience->least;
  patience->waited = 0;
  patience->bytes = 0;
  return moved;
}

/* --- from a file to a connection --- */

static int of_file(struct report *report, int error) {
  report->of_file = error != 0;
  return error;
}

static int carry_out(const struct order *order, int connection, int file, struct report *report) {
  struct patience patience = {order->window, order->least, 0, 0};
  off_t position = (off_t)order->position;
  while (report->count < order->count) {
    uint64_t left = order->count - report->count;
    ssize_t sent = sendfile(connection, file, &position, left > CONVEY_TURN_BYTES ? CONVEY_TURN_BYTES : (size_t)left);
    if (sent > 0) {
      report->count += (uint64_t)sent;
      patience.bytes += (uint64_t)sent;
    } else if (sent == 0) {
      return of_file(report, ENODATA);
    } else if (errno == EAGAIN) {
      if (!may_wait(&patience)) return ETIMEDOUT;
      int error = wait_for(&patience, connection, POLLOUT);
      if (error != 0) return error;
    } else if (errno != EINTR) {
      return errno == EIO ? of_file(report, errno) : errno;
    }
  }
  return 0;
}

/* --- from a connection to a file --- */

static int write_piece(int file, const uint8_t *at, size_t size, uint64_t position, size_t *wrote) {
  for (*wrote = 0; *wrote < size;) {
    ssize_t done = pwrite(file, at + *wrote, size - *wrote, (off_t)(position + *wrote));
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return errno;
    if (done == 0) return EIO;
    *wrote += (size_t)done;
  }
  return 0;
}

/* What is in the file already and was not hashed. */
static int catch_up(struct sha256 *hash, int file, uint64_t until, uint8_t *buffer) {
  while (hash->size < until) {
    uint64_t left = until - hash->size;
    ssize_t got = pread(file, buffer, left > CONVEY_BUFFER_BYTES ? CONVEY_BUFFER_BYTES : (size_t)left, (off_t)hash->size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno;
    if (got == 0) return ENODATA;
    sha256_update(hash, buffer, (size_t)got);
  }
  return 0;
}

/* As much as is there, up to `size`. `*ended`: the other end sends no more. */
static int receive_some(int connection, uint8_t *buffer, size_t size, size_t *have, bool *ended) {
  for (*have = 0; *have < size;) {
    ssize_t got = recv(connection, buffer + *have, size - *have, MSG_DONTWAIT);
    if (got > 0) {
      *have += (size_t)got;
    } else if (got == 0) {
      *ended = true;
      return 0;
    } else if (errno == EAGAIN) {
      return 0;
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

/*
 * On tmpfs the pages of a file that grows while bytes come from a connection lie scattered, and sending it costs a fifth more, reading what
 * was sent a third: asked for together they lie together. The file keeps its size; what is not used is given back.
 */
struct reserve {
  bool wanted;
  uint64_t until, end;
};

static struct reserve reserve_for(int file, uint64_t position, uint64_t end) {
  struct statfs system;
  bool tmpfs = fstatfs(file, &system) == 0 && (uint64_t)system.f_type == K_TMPFS_MAGIC;
  return (struct reserve){tmpfs, position, end};
}

/* Where there is no room, writing will tell. */
static void reserve_up_to(struct reserve *reserve, int file, uint64_t position) {
  while (reserve->wanted && reserve->until < position) {
    uint64_t left = reserve->end - reserve->until, bytes = left > RESERVE_BYTES ? RESERVE_BYTES : left;
    reserve->wanted = fallocate(file, FALLOC_FL_KEEP_SIZE, (off_t)reserve->until, (off_t)bytes) == 0;
    if (reserve->wanted) reserve->until += bytes;
  }
}

static void give_back(const struct reserve *reserve, int file, uint64_t position) {
  if (reserve->until <= position) return;
  fallocate(file, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, (off_t)position, (off_t)(reserve->until - position));
}

/* Content of what came. `*have`: bytes, afterwards those that are content. */
static int unwrap(struct chunks *chunks, uint8_t *buffer, size_t *have, uint64_t left) {
  *have = chunks_take(chunks, buffer, *have);
  if (*have > left) {
    *have = (size_t)left;
    return EMSGSIZE;
  }
  return chunks->state == CHUNKS_BROKEN ? EPROTO : 0;
}

/*
 * A connection that is closed with bytes unread is reset, and who still sends sees that instead of the answer: what is left of the body is
 * read for nobody (RFC 9112, 9.6). `left`: bytes; not looked at where `chunks` tell. Of chunks that are none, only what is there already.
 */
static void drain(int connection, uint8_t *buffer, struct chunks *chunks, uint64_t left) {
  uint64_t until = milliseconds() + DRAIN_MS;
  for (uint64_t dropped = 0; dropped < DRAIN_BYTES && (chunks != NULL ? chunks->state != CHUNKS_DONE : left > 0);) {
    size_t came;
    bool ended = false, broken = chunks != NULL && chunks->state == CHUNKS_BROKEN;
    size_t wanted = chunks == NULL && left < CONVEY_BUFFER_BYTES ? (size_t)left : CONVEY_BUFFER_BYTES;
    if (receive_some(connection, buffer, wanted, &came, &ended) != 0 || ended) return;
    dropped += came;
    if (chunks == NULL) left -= came;
    else if (!broken) chunks_take(chunks, buffer, came);
    uint64_t now = milliseconds();
    if (now >= until || (came == 0 && broken)) return;
    struct pollfd more = {connection, POLLIN, 0};
    if (came == 0) poll(&more, 1, (int)(until - now));
  }
}

/* `two`: buffers. What is in one is hashed while the other is filled and written. */
static int receive(const struct order *order, int connection, int file, struct report *report, uint8_t *two, struct reserve *reserve,
                   struct hashing *hashing) {
  struct patience patience = {order->window, order->least, 0, 0};
  struct chunks chunks = chunks_from(order->chunk);
  bool chunked = order->kind == ORDER_CHUNKS;
  uint64_t flushed = order->position;
  int error = of_file(report, catch_up(&report->hash, file, order->position, two));
  uint8_t *buffer = two, *other = two + CONVEY_BUFFER_BYTES;
  bool ended = false;
  while (error == 0 && (chunked ? chunks.state != CHUNKS_DONE : report->count < order->count)) {
    if (ended) return ECONNRESET;
    uint64_t left = order->count - report->count;
    uint64_t position = order->position + report->count;
    size_t wanted = chunked || left > CONVEY_BUFFER_BYTES ? CONVEY_BUFFER_BYTES : (size_t)left;
    size_t came, have, wrote;
    int broken = receive_some(connection, buffer, wanted, &came, &ended);
    have = came;
    if (chunked) {
      int no_chunks = unwrap(&chunks, buffer, &have, left);
      if (no_chunks != 0) broken = no_chunks;
    }
    reserve_up_to(reserve, file, position + have);
    error = of_file(report, write_piece(file, buffer, have, position, &wrote));
    if (wrote > 0) {
      hashing_add(hashing, buffer, wrote);
      uint8_t *hashed = buffer;
      buffer = other;
      other = hashed;
    }
    report->count += wrote;
    patience.bytes += wrote;
    if (error != 0 || broken == EPROTO || broken == EMSGSIZE) drain(connection, buffer, chunked ? &chunks : NULL, left - came);
    if (error != 0) return error;
    if (broken != 0) return broken;
    if (position + wrote - flushed >= FLUSH_BYTES) {
      /* Only begun; whoever stores the blob waits for all of it, and hears of errors. */
      sync_file_range(file, (off_t)flushed, (off_t)(position + wrote - flushed), SYNC_FILE_RANGE_WRITE);
      flushed = position + wrote;
    }
    if (came > 0 || ended) continue;
    if (!may_wait(&patience)) return ETIMEDOUT;
    error = wait_for(&patience, connection, POLLIN);
  }
  return error;
}

/* Two buffers for each thread that receives. Those that were used last are taken first: memory is what was needed at once. */
static struct {
  pthread_mutex_t lock;
  uint8_t *free[CONVEY_THREADS_MAX];
  size_t count;
} buffers = {.lock = PTHREAD_MUTEX_INITIALIZER};

static uint8_t *take_buffers(void) {
  pthread_mutex_lock(&buffers.lock);
  uint8_t *taken = buffers.free[--buffers.count];
  pthread_mutex_unlock(&buffers.lock);
  return taken;
}

static void give_buffers(uint8_t *taken) {
  pthread_mutex_lock(&buffers.lock);
  buffers.free[buffers.count++] = taken;
  pthread_mutex_unlock(&buffers.lock);
}

static int carry_in(const struct order *order, int connection, int file, struct report *report) {
  uint8_t *two = take_buffers();
  struct hashing hashing;
  hashing_begin(&hashing, &report->hash);
  struct reserve reserve = reserve_for(file, order->position, order->position + order->count);
  int error = receive(order, connection, file, report, two, &reserve, &hashing);
  hashing_end(&hashing);
  give_buffers(two);
  give_back(&reserve, file, order->position + report->count);
  return error;
}

/* --- orders --- */

/* False where there will be no more. Orders that are none are passed over. */
static bool take_order(struct order *order, int fds[2]) {
  union {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(2 * sizeof(int))];
  } control;
  for (;;) {
    struct iovec part = {order, sizeof *order};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    ssize_t got = recvmsg(ORDERS, &message, MSG_CMSG_CLOEXEC);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    fds[0] = fds[1] = -1;
    struct cmsghdr *handed = CMSG_FIRSTHDR(&message);
    size_t count = 0;
    if (handed != NULL && handed->cmsg_level == SOL_SOCKET && handed->cmsg_type == SCM_RIGHTS && handed->cmsg_len >= CMSG_LEN(0)) {
      count = (handed->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      memcpy(fds, CMSG_DATA(handed), (count < 2 ? count : 2) * sizeof(int));
    }
    if ((size_t)got == sizeof *order && count == 2 && order->hash.size <= order->position) return true;
    for (int i = 0; i < 2; i++) {
      if (fds[i] >= 0) close(fds[i]);
    }
  }
}

static bool tell(const struct report *report) {
  static pthread_mutex_t speaking = PTHREAD_MUTEX_INITIALIZER;
  const char *at = (const char *)report;
  bool said = true;
  pthread_mutex_lock(&speaking);
  for (size_t left = sizeof *report; said && left > 0;) {
    ssize_t wrote = write(STDOUT_FILENO, at, left);
    if (wrote < 0 && errno == EINTR) continue;
    said = wrote > 0;
    if (!said) break;
    at += wrote;
    left -= (size_t)wrote;
  }
  pthread_mutex_unlock(&speaking);
  return said;
}

static _Noreturn void carry(void) {
  struct order order;
  int fds[2];
  while (take_order(&order, fds)) {
    struct report report = {.id = order.id, .hash = order.hash};
    report.error = order.kind == ORDER_OUT  ? carry_out(&order, fds[0], fds[1], &report)
                   : order.kind == ORDER_IN || order.kind == ORDER_CHUNKS ? carry_in(&order, fds[0], fds[1], &report)
                                            : EINVAL;
    struct sha256 hash = report.hash;
    sha256_hex(&hash, report.hex);
    close(fds[0]);
    close(fds[1]);
    if (!tell(&report)) _exit(1);
  }
  _exit(0);
}

/* --- the seal: not under a sanitizer, which has calls of its own --- */

#if defined(SEAL_ARCHITECTURE) && !defined(CONVEY_UNSEALED)
static bool seal(void) {
  static const struct k_filter filter[] = {
    {K_BPF_LOAD, 0, 0, SECCOMP_DATA_ARCHITECTURE},
    {K_BPF_JUMP_EQUAL, 1, 0, SEAL_ARCHITECTURE},
    {K_BPF_RETURN, 0, 0, K_SECCOMP_RET_KILL_PROCESS},
    {K_BPF_LOAD, 0, 0, SECCOMP_DATA_NUMBER},
    ALLOW(SYS_recvfrom),
    ALLOW(SYS_recvmsg),
    ALLOW(SYS_sendfile),
    ALLOW(SYS_pread64),
    ALLOW(SYS_pwrite64),
    ALLOW(SYS_sync_file_range),
    ALLOW(SYS_fstatfs),
    ALLOW(SYS_fallocate),
#ifdef SYS_poll
    ALLOW(SYS_poll),
#endif
    ALLOW(SYS_ppoll),
    ALLOW(SYS_write),
    ALLOW(SYS_close),
    ALLOW(SYS_futex),
    ALLOW(SYS_sched_yield),
    ALLOW(SYS_clock_gettime),
    ALLOW(SYS_exit_group),
    ALLOW(SYS_rt_sigreturn),
    ALLOW(SYS_restart_syscall),
    {K_BPF_RETURN, 0, 0, K_SECCOMP_RET_KILL_PROCESS},
  };
  struct k_filter_program program = {sizeof filter / sizeof *filter, filter};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, K_SECCOMP_MODE_FILTER, &program) == 0;
}
#else
static bool seal(void) { return true; }
#endif

/* A thread waits until all are there, then for its filter: one that is set by the first would be its own alone. */
static pthread_barrier_t begun;

static void begin(void) {
  pthread_barrier_wait(&begun);
  if (!seal()) _exit(1);
}

static void *begin_carrying(void *unused) {
  (void)unused;
  begin();
  carry();
}

static void *begin_hashing(void *unused) {
  begin();
  return hashing_thread(unused);
}

int convey_main(int argc, char **argv) {
  unsigned long threads = argc == 1 ? strtoul(argv[0], NULL, 10) : 0;
  if (threads < 1 || threads > CONVEY_THREADS_MAX) {
    complain("vitrine-helper: convey: a number of threads up to %d is expected", CONVEY_THREADS_MAX);
    return 1;
  }
  signal(SIGPIPE, SIG_IGN);
  /* A terminal's signals are for the registry, which lets what runs end. */
  signal(SIGINT, SIG_IGN);
  signal(SIGQUIT, SIG_IGN);
  signal(SIGHUP, SIG_IGN);
  uint8_t *memory = malloc(threads * 2 * CONVEY_BUFFER_BYTES);
  for (unsigned long i = 0; i < threads && memory != NULL; i++) give_buffers(memory + i * 2 * CONVEY_BUFFER_BYTES);
  unsigned long all = threads + hashing_threads();
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, STACK_BYTES);
  pthread_barrier_init(&begun, NULL, (unsigned)all + 1);
  for (unsigned long i = 0; i < all; i++) {
    pthread_t thread;
    if (memory == NULL || pthread_create(&thread, &attributes, i < threads ? begin_carrying : begin_hashing, NULL) != 0) {
      complain("vitrine-helper: convey: no memory for threads");
      return 1;
    }
  }
  pthread_barrier_wait(&begun);
  if (!seal()) return 1;
  /* Every other thread may be at work: this one sees at once when the registry is gone. */
  struct pollfd registry = {ORDERS, 0, 0};
  while (poll(&registry, 1, -1) < 0 && errno == EINTR) continue;
  _exit(0);
}
