/*
 * Overlays of many layers. Linux 6.7 takes one `lowerdir+` a layer. Before, all paths go into one page of mount(2) data:
 * there each layer is named by the number of a descriptor, relative to /proc/self/fd, so that 500 of them fit.
 * Linux up to 6.4, whose overlay knows mount(2) data alone, writes each option that it does not know into the kernel's
 * log, so that there it is not asked.
 */
#include "mount.h"
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/utsname.h>

/* fsconfig takes strings of up to 255 bytes, and overlay unescapes backslashes and splits at colons. */
static bool is_plain(const char *path) {
  return strlen(path) < 256 && strpbrk(path, "\\:,") == NULL;
}

/* The kernel looks at the path as we would: where an usher is needed, it is to be a descriptor. */
static bool is_reachable(const char *path) {
  int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return errno != EACCES;
  close(fd);
  return true;
}

static bool is_directory_key(const char *key, size_t length) {
  static const char *const keys[] = {"lowerdir+", "upperdir", "workdir"};
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
    if (strlen(keys[i]) == length && strncmp(key, keys[i], length) == 0) return true;
  }
  return false;
}

/* The descriptors that stand for awkward paths, open until the mount is made. */
struct held {
  int *fds;
  size_t count;
};

static int hold(struct held *held, const char *path) {
  int fd = open_on_host(path, O_PATH | O_DIRECTORY, 0);
  if (fd >= 0) held->fds[held->count++] = fd;
  return fd;
}

static void release(struct held *held) {
  while (held->count > 0) close(held->fds[--held->count]);
  free(held->fds);
}

static int set_option(struct helper *h, int context, struct held *held, struct str option) {
  char key[128];
  const char *equals = strchr(option.at, '=');
  size_t length = equals == NULL ? option.length : (size_t)(equals - option.at);
  if (length >= sizeof key) return fail_as(h, EINVAL, "overlay: too long an option name");
  memcpy(key, option.at, length);
  key[length] = 0;
  const char *value = equals == NULL ? NULL : equals + 1;
  char by_descriptor[32];
  if (value != NULL && is_directory_key(key, length) && (!is_plain(value) || !is_reachable(value))) {
    int fd = hold(held, value);
    if (fd < 0) return fail(h, "overlay: open %s %s", key, value);
    snprintf(by_descriptor, sizeof by_descriptor, "/proc/self/fd/%d", fd);
    value = by_descriptor;
  }
  unsigned command = value == NULL ? K_FSCONFIG_SET_FLAG : K_FSCONFIG_SET_STRING;
  if (k_fsconfig(context, command, key, value) == 0) return 0;
  int error = errno;
  char reason[120];
  context_message(context, reason, sizeof reason);
  return fail_as(h, error, "overlay: fsconfig(%s)%s%s", option.at, reason[0] == 0 ? "" : ": ", reason);
}

static int modern(struct helper *h, const struct args_mount_filesystem *a, struct held *held, int target) {
  int context = k_fsopen("overlay");
  if (context < 0) return fail(h, "fsopen(overlay)");
  int error = 0;
  if (a->source.length > 0 && k_fsconfig(context, K_FSCONFIG_SET_STRING, "source", a->source.at) != 0)
    error = fail(h, "overlay: fsconfig(source)");
  struct list options = a->options;
  while (error == 0 && options.count > 0) error = set_option(h, context, held, list_str(&options));
  if (error == 0 && k_fsconfig(context, K_FSCONFIG_CMD_CREATE, NULL, NULL) != 0) {
    int reason_errno = errno;
    char reason[160];
    context_message(context, reason, sizeof reason);
    error = fail_as(h, reason_errno, "overlay: fsconfig(create)%s%s", reason[0] == 0 ? "" : ": ", reason);
  }
  if (error == 0) {
    int mount_fd = k_fsmount(context, a->attributes);
    if (mount_fd < 0) {
      error = fail(h, "fsmount(overlay)");
    } else {
      if (k_move_mount(mount_fd, target) != 0) error = fail(h, "move_mount(%s)", a->target.path.at);
      close(mount_fd);
    }
  }
  close(context);
  return error;
}

/* The page of data, built option by option. */
struct data {
  char text[4096];
  size_t length;
};

static bool append(struct data *data, const char *separator, const char *text) {
  int more = snprintf(data->text + data->length, sizeof data->text - data->length, "%s%s",
                      data->length == 0 ? "" : separator, text);
  if (more < 0 || (size_t)more >= sizeof data->text - data->length) return false;
  data->length += (size_t)more;
  return true;
}

static int classic_data(struct helper *h, struct list options, struct held *held, struct data *data) {
  struct list again = options;
  char number[48];
  bool first = true;
  bool fits = true;
  while (options.count > 0) {
    const char *option = list_str(&options).at;
    if (strncmp(option, "lowerdir+=", 10) != 0) continue;
    int fd = hold(held, option + 10);
    if (fd < 0) return fail(h, "overlay: open %s", option);
    snprintf(number, sizeof number, first ? "lowerdir=%d" : "%d", fd);
    fits = fits && append(data, ":", number);
    first = false;
  }
  while (again.count > 0) {
    const char *option = list_str(&again).at;
    size_t key = strcspn(option, "=");
    if (strncmp(option, "lowerdir+=", 10) == 0) continue;
    if (is_directory_key(option, key)) {
      int fd = hold(held, option + key + 1);
      if (fd < 0) return fail(h, "overlay: open %s", option);
      snprintf(number, sizeof number, "%.*s=%d", (int)key, option, fd);
      option = number;
    }
    fits = fits && append_option(data->text, sizeof data->text, &data->length, option);
  }
  return fits ? 0 : fail_as(h, E2BIG, "overlay: too many layers for this kernel");
}

static int classic(struct helper *h, const struct args_mount_filesystem *a, struct held *held, int target) {
  struct data *data = calloc(1, sizeof *data);
  if (data == NULL) return fail(h, "overlay: memory");
  int error = classic_data(h, a->options, held, data);
  int before = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (error == 0 && (before < 0 || chdir("/proc/self/fd") != 0)) error = fail(h, "overlay: chdir /proc/self/fd");
  if (error == 0) {
    char at[16];
    snprintf(at, sizeof at, "%d", target);
    const char *source = a->source.length > 0 ? a->source.at : "overlay";
    if (mount(source, at, "overlay", classic_flags(a->attributes), data->text) != 0)
      error = fail(h, "mount(overlay, %.120s)", data->text);
    if (fchdir(before) != 0 && error == 0) error = fail(h, "fchdir");
  }
  if (before >= 0) close(before);
  free(data);
  return error;
}

static bool knows_mount_data_alone(void) {
  struct utsname kernel;
  unsigned major = 0;
  unsigned minor = 0;
  if (uname(&kernel) != 0 || sscanf(kernel.release, "%u.%u", &major, &minor) != 2) return false;
  return major < 6 || (major == 6 && minor < 5);
}

static int modern_or_classic(struct helper *h, const struct args_mount_filesystem *a, struct held *held, int target) {
  int error = modern(h, a, held, target);
  if (error != EINVAL && error != ENOSYS) return error;
  /* Perhaps a kernel without `lowerdir+`; if that is not it, the first reason is the better one. */
  char reason[DETAIL_BYTES];
  memcpy(reason, h->detail, sizeof reason);
  int second = classic(h, a, held, target);
  if (second != 0 && error == EINVAL) memcpy(h->detail, reason, sizeof reason);
  return second == 0 ? 0 : error == ENOSYS ? second : error;
}

int mount_overlay(struct helper *h, const struct args_mount_filesystem *a, int target) {
  struct held held = {calloc((size_t)a->options.count * 2 + 1, sizeof(int)), 0};
  if (held.fds == NULL) return fail(h, "overlay: memory");
  int error =
    knows_mount_data_alone() ? classic(h, a, &held, target) : modern_or_classic(h, a, &held, target);
  release(&held);
  return error;
}
