/* The container's terminal, from its own devpts. */
#include "mount.h"
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <termios.h>

static bool is_terminal_device(int fd, unsigned first_major, unsigned last_major) {
  struct stat st;
  struct statfs fs;
  if (fstat(fd, &st) != 0 || fstatfs(fd, &fs) != 0) return false;
  return fs.f_type == K_DEVPTS_SUPER_MAGIC && S_ISCHR(st.st_mode) && major(st.st_rdev) >= first_major &&
         major(st.st_rdev) <= last_major;
}

/* Both ends, checked to be what they should: a container sharing its /dev/pts could have put other files there
   (CVE-2025-52565). */
static int open_pair(struct helper *h, int *ours, int *theirs) {
  int multiplexer = k_openat2(h->root, "dev/pts/ptmx", O_RDWR | O_NOCTTY, 0, K_RESOLVE_IN_ROOT | K_RESOLVE_NO_SYMLINKS);
  if (multiplexer < 0) return fail(h, "open /dev/pts/ptmx");
  int unlock = 0;
  int error = 0;
  *theirs = -1;
  if (!is_terminal_device(multiplexer, 5, 5)) error = fail_as(h, ENODEV, "/dev/pts/ptmx is not on a devpts");
  else if (ioctl(multiplexer, TIOCSPTLCK, &unlock) != 0) error = fail(h, "ioctl(TIOCSPTLCK)");
  else if ((*theirs = ioctl(multiplexer, K_TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC)) < 0)
    error = fail(h, "ioctl(TIOCGPTPEER)");
  else if (!is_terminal_device(*theirs, 136, 143)) error = fail_as(h, ENODEV, "not a pseudoterminal");
  if (error == 0) {
    *ours = multiplexer;
    return 0;
  }
  if (*theirs >= 0) close(*theirs);
  close(multiplexer);
  return error;
}

/* Binds the descriptor itself, not a path that could be swapped, on a /dev/console reached through no link. */
static int bind_console(struct helper *h, int terminal) {
  struct path console = {{"dev/console", 11}, BASE_ROOT};
  int made = resolve_make(h, &console, true, 0600);
  if (made < 0) return fail(h, "make /dev/console");
  close(made);
  int target = k_openat2(h->root, "dev/console", O_PATH, 0, K_RESOLVE_IN_ROOT | K_RESOLVE_NO_SYMLINKS);
  if (target < 0) return fail(h, "open /dev/console");
  int tree = k_open_tree(terminal, "", K_OPEN_TREE_CLONE | (unsigned)AT_EMPTY_PATH);
  int error = 0;
  if (tree < 0) error = fail(h, "open_tree(terminal)");
  else if (k_move_mount(tree, target) != 0) error = fail(h, "move_mount(/dev/console)");
  if (error == ENOSYS) {
    char from[32];
    char to[32];
    snprintf(from, sizeof from, "/proc/self/fd/%d", terminal);
    snprintf(to, sizeof to, "/proc/self/fd/%d", target);
    error = bind_by_name(from, to) == 0 ? 0 : fail(h, "mount(MS_BIND, /dev/console)");
  }
  if (tree >= 0) close(tree);
  close(target);
  return error;
}

static int become_owner(struct helper *h, const struct args_open_terminal *a, int terminal) {
  struct stat st;
  if (fstat(terminal, &st) != 0) return fail(h, "fstat terminal");
  if (st.st_uid != a->uid && fchown(terminal, a->uid, (gid_t)-1) != 0) return fail(h, "fchown terminal");
  return 0;
}

static void keep_newlines(int terminal) {
  struct termios state;
  if (tcgetattr(terminal, &state) != 0) return;
  state.c_oflag &= ~(tcflag_t)ONLCR;
  tcsetattr(terminal, TCSANOW, &state);
}

static int use_terminal(struct helper *h, int terminal) {
  if (setsid() < 0 && errno != EPERM) return fail(h, "setsid");
  if (ioctl(terminal, TIOCSCTTY, 0) != 0) return fail(h, "ioctl(TIOCSCTTY)");
  for (int fd = 0; fd < 3; fd++) {
    if (dup2(terminal, fd) < 0) return fail(h, "dup2");
  }
  return 0;
}

int op_open_terminal(struct helper *h, const struct args_open_terminal *a) {
  if (h->root < 0 || h->channel < 0) return fail_as(h, EBADF, "no setRoot or no monitor");
  int ours = -1;
  int theirs = -1;
  int error = open_pair(h, &ours, &theirs);
  if (error != 0) return error;
  /* Before the program can ask for it: the monitor, which follows the user's terminal, may come later. */
  struct winsize size = {.ws_row = (unsigned short)a->rows, .ws_col = (unsigned short)a->columns};
  for (int fd = 0; fd < 3 && size.ws_row == 0 && size.ws_col == 0; fd++) {
    if (ioctl(fd, TIOCGWINSZ, &size) != 0) size = (struct winsize){0};
  }
  if (size.ws_row != 0 || size.ws_col != 0) ioctl(ours, TIOCSWINSZ, &size);
  if (a->plain_newlines) keep_newlines(theirs);
  error = become_owner(h, a, theirs);
  if (error == 0 && a->bind_console) error = bind_console(h, theirs);
  struct message message = {.type = MESSAGE_TERMINAL, .value = h->index};
  if (error == 0 && !channel_send(h->channel, &message, ours)) error = fail(h, "send the terminal");
  if (error == 0) error = use_terminal(h, theirs);
  close(ours);
  close(theirs);
  return error;
}
