/* Stage apply: runs the ops that arrive on stdin, one after the other, until its end. */
#include "layer.h"
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define INPUT_BYTES (1024 * 1024)
#define LAYER_DATA_BYTES 12 /* of a layerData body before its data: offset, length */

/* stdin, buffered. `at` to `end` is unread. */
struct input {
  uint8_t *buffer;
  size_t at, end, capacity;
};

/* Reads until `count` unread bytes are there. 1; 0 at the end of input; -1 and errno. */
static int fill(struct input *input, size_t count) {
  if (count > input->capacity - input->at) {
    memmove(input->buffer, input->buffer + input->at, input->end - input->at);
    input->end -= input->at;
    input->at = 0;
  }
  if (count > input->capacity) {
    uint8_t *larger = realloc(input->buffer, count);
    if (larger == NULL) return -1;
    input->buffer = larger;
    input->capacity = count;
  }
  while (input->end - input->at < count) {
    ssize_t got = read(STDIN_FILENO, input->buffer + input->end, input->capacity - input->end);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return got == 0 ? 0 : -1;
    input->end += (size_t)got;
  }
  return 1;
}

static int cut_off(struct helper *h, int filled) {
  return filled < 0 ? fail(h, "read stdin") : fail_as(h, EPROTO, "the input ends inside an op");
}

/* A layerData op as it arrives, piece by piece: it may be larger than what is worth buffering. */
static int run_layer_data(struct helper *h, struct input *input, const struct frame *frame) {
  int filled = fill(input, LAYER_DATA_BYTES);
  if (filled <= 0) return cut_off(h, filled);
  uint64_t offset = wire_u64(input->buffer + input->at);
  size_t left = wire_u32(input->buffer + input->at + 8);
  if (left != frame->length - LAYER_DATA_BYTES) return fail_as(h, EBADMSG, "malformed arguments");
  input->at += LAYER_DATA_BYTES;
  while (left > 0) {
    if (input->at == input->end) input->at = input->end = 0;
    filled = fill(input, 1);
    if (filled <= 0) return cut_off(h, filled);
    size_t have = input->end - input->at;
    if (have > left) have = left;
    struct args_layer_data args = {offset, {input->buffer + input->at, (uint32_t)have}};
    int error = op_layer_data(h, &args);
    if (error != 0) return error;
    input->at += have;
    offset += have;
    left -= have;
  }
  return 0;
}

static int run_next(struct helper *h, struct input *input, bool *end) {
  if (input->at == input->end) input->at = input->end = 0;
  int filled = fill(input, FRAME_HEADER_BYTES);
  if (filled == 0 && input->at == input->end) {
    *end = true;
    return 0;
  }
  if (filled <= 0) return cut_off(h, filled);
  struct frame frame;
  if (!frame_header(input->buffer + input->at, &frame) || frame.stage != STAGE_APPLY)
    return fail_as(h, EBADMSG, "not an op of stage apply");
  if (frame.length > FRAME_BYTES_MAX) return fail_as(h, EMSGSIZE, "an op of %u bytes", frame.length);
  if (frame.code == OP_LAYER_DATA && frame.length >= LAYER_DATA_BYTES) {
    input->at += FRAME_HEADER_BYTES;
    return run_layer_data(h, input, &frame);
  }
  filled = fill(input, FRAME_HEADER_BYTES + (size_t)frame.length);
  if (filled <= 0) return cut_off(h, filled);
  frame.body = input->buffer + input->at + FRAME_HEADER_BYTES;
  int error = run_op_tolerant(h, &frame);
  input->at += FRAME_HEADER_BYTES + (size_t)frame.length;
  return error;
}

/* --- the answer --- */

static void print_line(const char *line, size_t size) {
  while (size > 0) {
    ssize_t wrote = write(STDOUT_FILENO, line, size);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) return;
    line += wrote;
    size -= (size_t)wrote;
  }
}

static void answer_failure(uint64_t index, int error, const char *detail) {
  char text[2 * DETAIL_BYTES + 1];
  char line[sizeof text + 128];
  size_t size = 0;
  for (; *detail != 0 && size + 2 < sizeof text; detail++) {
    /* Names of a layer may be any bytes; the answer is ASCII. */
    char byte = *detail;
    if ((unsigned char)byte < 0x20 || (unsigned char)byte >= 0x7f) byte = '?';
    if (byte == '"' || byte == '\\') text[size++] = '\\';
    text[size++] = byte;
  }
  text[size] = 0;
  int length = snprintf(line, sizeof line, "{\"ok\":false,\"index\":%llu,\"errno\":%d,\"detail\":\"%s\"}\n",
                        (unsigned long long)index, error, text);
  print_line(line, (size_t)length);
}

static int run_all(struct helper *h) {
  struct input input = {.buffer = malloc(INPUT_BYTES), .capacity = INPUT_BYTES};
  uint64_t index = 0;
  bool end = false;
  int error = input.buffer == NULL ? fail(h, "memory") : 0;
  while (error == 0) {
    error = run_next(h, &input, &end);
    if (end || error != 0) break;
    index++;
  }
  if (error == 0) error = layer_flush(h);
  free(input.buffer);
  if (error != 0) {
    answer_failure(index, error, h->detail);
    return 1;
  }
  char line[96];
  int length = snprintf(line, sizeof line, "{\"ok\":true,\"skippedDevices\":%llu}\n",
                        (unsigned long long)h->layer->skipped_devices);
  print_line(line, (size_t)length);
  return 0;
}

/* What the caller opened: where answers go, where trees go, and what inflates. -1: none. */
struct channels {
  int output, copy;
  struct unpacker_files unpacker;
};

static int run_apply(const struct channels *channels) {
  struct layer *layer = calloc(1, sizeof *layer);
  if (layer == NULL) return 1;
  layer->parent = layer->file = -1;
  layer->output = channels->output;
  layer->copy = channels->copy;
  layer->is_root = geteuid() == 0;
  struct helper h = {.stage = STAGE_APPLY, .root = -1, .work = -1, .proc = -1, .masks = -1, .null = -1, .fifo = -1,
                     .channel = -1,
                     .layer = layer};
  h.umask = umask(0);
  struct rlimit files;
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  /* Fewer turns between the two processes: stdin is a pipe, or the socket that node and bun make for one. */
  int size = INPUT_BYTES;
  if (fcntl(STDIN_FILENO, F_SETPIPE_SZ, size) < 0) setsockopt(STDIN_FILENO, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
  if (channels->unpacker.memory >= 0 && !unpacker_start(&layer->unpacker, &channels->unpacker)) {
    answer_failure(0, errno, "start what inflates");
    _exit(1);
  }
  int status = run_all(&h);
  usher_end();
  layer_reset(layer);
  free(layer->paths);
  free(layer->times);
  free(layer->xattrs);
  free(layer);
  return status;
}

/* --- in a user namespace --- */

/* "c:h:n,c:h:n" as the bytes of a `maps` argument. False when it is not one. */
static bool parse_map(const char *text, uint8_t *out, size_t capacity, struct list *list) {
  *list = (struct list){out, 0};
  for (size_t size = 0; *text != 0; list->count++) {
    if (size + 12 > capacity) return false;
    for (int i = 0; i < 3; i++, size += 4) {
      char *rest;
      if (*text < '0' || *text > '9') return false;
      errno = 0;
      unsigned long long value = strtoull(text, &rest, 10);
      if (errno != 0 || value > UINT32_MAX) return false;
      for (int byte = 0; byte < 4; byte++) out[size + (size_t)byte] = (uint8_t)(value >> (8 * byte));
      char expected = i < 2 ? ':' : ',';
      if (*rest != expected && !(i == 2 && *rest == 0)) return false;
      text = *rest == 0 ? rest : rest + 1;
    }
  }
  return list->count > 0;
}

static int become_namespace_root(struct helper *h, int go) {
  struct message message;
  int usher;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  /* The parent writes the maps; its end closes without a message when it could not. */
  if (channel_receive(go, &message, &usher) != 1) return -1;
  close(go);
  if (usher >= 0) usher_use(usher);
  h->new_user_namespace = true;
  h->die_with_monitor = true;
  return enter_user_namespace(h);
}

static int run_in_namespace(const struct args_id_map *map, const struct channels *channels) {
  struct helper h = {.channel = -1};
  int go[2];
  h.umask = umask(022);
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, go) != 0) return 1;
  struct k_clone_args args = {.flags = K_CLONE_NEWUSER | K_CLONE_NEWNS, .exit_signal = SIGCHLD};
  pid_t pid = k_clone3(&args);
  if (pid < 0 && errno == ENOSYS) pid = (pid_t)syscall(SYS_clone, args.flags | SIGCHLD, NULL, NULL, NULL, NULL);
  if (pid < 0) {
    answer_failure(0, errno, "clone(CLONE_NEWUSER)");
    return 1;
  }
  if (pid == 0) {
    close(go[1]);
    int error = become_namespace_root(&h, go[0]);
    if (error > 0) answer_failure(0, error, h.detail);
    _exit(error == 0 ? run_apply(channels) : 1);
  }
  close(go[0]);
  int error = map_ids_of(&h, pid, map);
  if (error != 0) answer_failure(0, error, h.detail);
  struct message message = {.type = MESSAGE_BARRIER};
  int usher = error == 0 && geteuid() == 0 ? usher_start(NULL, pid) : -1;
  if (error == 0 && !channel_send(go[1], &message, usher)) complain("vitrine-helper: cannot start in the user namespace");
  if (usher >= 0) close(usher);
  close(go[1]);
  /* The child alone reads the ops: when it ends, whoever writes them must see it. */
  close(STDIN_FILENO);
  const int theirs[] = {channels->output, channels->copy, channels->unpacker.memory, channels->unpacker.compressed, channels->unpacker.growth[0]};
  for (size_t i = 0; i < sizeof theirs / sizeof *theirs; i++) {
    if (theirs[i] >= 0) close(theirs[i]);
  }
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  usher_reap();
  if (WIFSIGNALED(status)) {
    answer_failure(0, EINTR, "killed by a signal");
    return 1;
  }
  return WEXITSTATUS(status);
}

/* --- the input --- */

/* node and bun give their children sockets for pipes, through which a layer takes four times as long. So the helper
   makes a pipe and says its number: the caller opens it as /proc/PID/fd/NUMBER and ends stdin. A caller that cannot
   writes to stdin instead. With `unpacker` it says the numbers of that as well, where it can be had. False (errno) on failure. */
static bool offer_pipe(struct unpacker_files *unpacker) {
  int ends[2];
  char line[96];
  int unread = 0;
  if (pipe2(ends, O_CLOEXEC) != 0) return false;
  fcntl(ends[0], F_SETPIPE_SZ, INPUT_BYTES);
  int length;
  if (unpacker != NULL && unpacker_offer(unpacker))
    length = snprintf(line, sizeof line, "{\"pipe\":%d,\"growth\":%d,\"memory\":%d,\"bytes\":%u}\n", ends[1], unpacker->growth[1],
                      unpacker->memory, UNPACKER_BYTES);
  else length = snprintf(line, sizeof line, "{\"pipe\":%d}\n", ends[1]);
  print_line(line, (size_t)length);
  struct pollfd input = {STDIN_FILENO, POLLIN, 0};
  while (poll(&input, 1, -1) < 0) {
    if (errno != EINTR) return false;
  }
  bool ended = ioctl(STDIN_FILENO, FIONREAD, &unread) == 0 && unread == 0;
  if (ended && dup2(ends[0], STDIN_FILENO) < 0) return false;
  close(ends[0]);
  close(ends[1]);
  if (unpacker != NULL && unpacker->memory >= 0) close(unpacker->growth[1]);
  return true;
}

/* The other way: the caller opens the reading end in the same manner, and writes its first op after that. */
static int offer_output(void) {
  int ends[2];
  char line[32];
  if (pipe2(ends, O_CLOEXEC) != 0) return -1;
  fcntl(ends[1], F_SETPIPE_SZ, INPUT_BYTES);
  int length = snprintf(line, sizeof line, "{\"output\":%d}\n", ends[0]);
  print_line(line, (size_t)length);
  struct pollfd input = {STDIN_FILENO, POLLIN, 0};
  while (poll(&input, 1, -1) < 0 && errno == EINTR) continue;
  close(ends[0]);
  return ends[1];
}

int apply_main(int argc, char **argv) {
  static uint8_t uids[340 * 12];
  static uint8_t gids[340 * 12];
  struct args_id_map map = {.newuidmap = {"", 0}, .newgidmap = {"", 0}};
  prctl(PR_SET_NAME, "vitrine-apply");
  signal(SIGPIPE, SIG_IGN);
  struct channels channels = {-1, -1, {-1, -1, {-1, -1}}};
  bool pipe = argc > 0 && strcmp(argv[0], "--pipe") == 0;
  if (pipe) {
    argc--;
    argv++;
  }
  bool inflate = pipe && argc > 0 && strcmp(argv[0], "--inflate=3") == 0;
  if (inflate) {
    /* The compressed file; programs that we start do not get it. */
    channels.unpacker.compressed = fcntl(3, F_SETFD, FD_CLOEXEC) == 0 ? 3 : -1;
    argc--;
    argv++;
  }
  if (pipe && !offer_pipe(inflate ? &channels.unpacker : NULL)) {
    answer_failure(0, errno, "pipe");
    return 1;
  }
  if (argc > 0 && strcmp(argv[0], "--output") == 0) {
    channels.output = offer_output();
    if (channels.output < 0) {
      answer_failure(0, errno, "pipe");
      return 1;
    }
    argc--;
    argv++;
  }
  if (argc > 0 && strcmp(argv[0], "--copy=3") == 0) {
    /* What the caller opened for it; programs that we start do not get it. */
    channels.copy = fcntl(3, F_SETFD, FD_CLOEXEC) == 0 ? 3 : -1;
    argc--;
    argv++;
  }
  if (argc == 0) return run_apply(&channels);
  if ((argc != 3 && argc != 7) || strcmp(argv[0], "--userns") != 0 || !parse_map(argv[1], uids, sizeof uids, &map.uids) ||
      !parse_map(argv[2], gids, sizeof gids, &map.gids)) {
    complain("usage: vitrine-helper apply [--pipe [--inflate=3]] [--output] [--copy=3] [--userns UIDMAP GIDMAP [--newuidmap PATH --newgidmap PATH]]");
    return 125;
  }
  if (argc == 7) {
    if (strcmp(argv[3], "--newuidmap") != 0 || strcmp(argv[5], "--newgidmap") != 0) return 125;
    map.newuidmap = (struct str){argv[4], (uint32_t)strlen(argv[4])};
    map.newgidmap = (struct str){argv[6], (uint32_t)strlen(argv[6])};
  }
  /* Without privilege the kernel takes a gid map only from who gave up setgroups; the setuid tools have it. */
  map.deny_setgroups = argc == 3 && geteuid() != 0;
  return run_in_namespace(&map, &channels);
}
