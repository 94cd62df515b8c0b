/* Mounts. Sources and targets are descriptors before anything is mounted, so that no name can be swapped in between
   (CVE-2021-30465, CVE-2025-31133, CVE-2025-52565). */
#include "mount.h"
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#ifndef MS_REC
#define MS_REC 0x4000
#endif

void context_message(int context, char *text, size_t size) {
  char line[256];
  text[0] = 0;
  /* One line a read, "e overlay: …": the last one is the reason. */
  for (;;) {
    ssize_t got = read(context, line, sizeof line - 1);
    if (got <= 0) return;
    line[got] = 0;
    while (got > 0 && line[got - 1] == '\n') line[--got] = 0;
    snprintf(text, size, "%s", got > 2 && line[1] == ' ' ? line + 2 : line);
  }
}

static int context_failure(struct helper *h, int context, const char *type, const char *step) {
  int error = errno;
  char reason[160];
  context_message(context, reason, sizeof reason);
  return fail_as(h, error, "%s: fsconfig(%s)%s%s", type, step, reason[0] == 0 ? "" : ": ", reason);
}

/* `key` or `key=value`, handed to fsconfig. */
static int configure(struct helper *h, int context, const char *type, struct list options) {
  while (options.count > 0) {
    struct str option = list_str(&options);
    char key[128];
    const char *equals = strchr(option.at, '=');
    size_t length = equals == NULL ? option.length : (size_t)(equals - option.at);
    if (length >= sizeof key) return fail_as(h, EINVAL, "%s: too long an option name", type);
    memcpy(key, option.at, length);
    key[length] = 0;
    unsigned command = equals == NULL ? K_FSCONFIG_SET_FLAG : K_FSCONFIG_SET_STRING;
    if (k_fsconfig(context, command, key, equals == NULL ? NULL : equals + 1) != 0)
      return context_failure(h, context, type, key);
  }
  return 0;
}

int make_filesystem(struct helper *h, const char *type, const char *source, uint64_t attributes, struct list options,
                    int *out) {
  int context = k_fsopen(type);
  if (context < 0) return fail(h, "fsopen(%s)", type);
  int error = 0;
  if (*source != 0 && k_fsconfig(context, K_FSCONFIG_SET_STRING, "source", source) != 0)
    error = context_failure(h, context, type, "source");
  if (error == 0) error = configure(h, context, type, options);
  if (error == 0 && k_fsconfig(context, K_FSCONFIG_CMD_CREATE, NULL, NULL) != 0)
    error = context_failure(h, context, type, "create");
  if (error == 0) {
    *out = k_fsmount(context, attributes);
    if (*out < 0) error = fail(h, "fsmount(%s)", type);
  }
  close(context);
  return error;
}

static bool names_proc(const char *path) {
  return strncmp(path, "/proc", 5) == 0 && (path[5] == 0 || path[5] == '/');
}

/* Where something is mounted on. What the container's procfs shows is never covered by way of a link: the masks of
   /proc, and what is written to it for the container, would be the image's to choose (CVE-2023-27561). */
int open_target(struct helper *h, const struct path *path) {
  int fd = resolve(h, path, O_PATH, 0);
  struct statfs fs;
  if (fd < 0 || path->base != BASE_ROOT || names_proc(path->path.at)) return fd;
  if (fstatfs(fd, &fs) == 0 && fs.f_type != K_PROC_SUPER_MAGIC) return fd;
  close(fd);
  errno = ELOOP;
  return -1;
}

/* proc and sysfs go on a real directory of the root, reached through no link: an image could otherwise send them
   elsewhere and put its own files in their place (CVE-2019-19921). */
static int mount_target(struct helper *h, const struct args_mount_filesystem *a) {
  bool exact = strcmp(a->fstype.at, "proc") == 0 || strcmp(a->fstype.at, "sysfs") == 0;
  if (!exact || a->target.base != BASE_ROOT) return open_target(h, &a->target);
  if (h->root < 0) {
    errno = EBADF;
    return -1;
  }
  return k_openat2(h->root, a->target.path.at, O_PATH | O_DIRECTORY, 0, K_RESOLVE_IN_ROOT | K_RESOLVE_NO_SYMLINKS);
}

int op_mount_filesystem(struct helper *h, const struct args_mount_filesystem *a) {
  int target = mount_target(h, a);
  if (target < 0) return fail(h, "open %s", a->target.path.at);
  int error;
  if (strcmp(a->fstype.at, "overlay") == 0) {
    error = mount_overlay(h, a, target);
  } else {
    int mount_fd = -1;
    error = make_filesystem(h, a->fstype.at, a->source.at, a->attributes, a->options, &mount_fd);
    if (error == 0 && k_move_mount(mount_fd, target) != 0) error = fail(h, "move_mount(%s)", a->target.path.at);
    if (error == ENOSYS) error = classic_filesystem(h, a, target);
    if (mount_fd >= 0) close(mount_fd);
  }
  close(target);
  return error;
}

/* `options` with one more at its end; free() what it lies in. */
static struct list list_with(struct list options, const char *more, uint8_t **memory) {
  struct list rest = options;
  while (rest.count > 0) list_str(&rest);
  size_t size = (size_t)(rest.at - options.at);
  uint32_t length = (uint32_t)strlen(more);
  *memory = malloc(size + 4 + length + 1);
  if (*memory == NULL) return options;
  memcpy(*memory, options.at, size);
  for (unsigned i = 0; i < 4; i++) (*memory)[size + i] = (uint8_t)(length >> 8 * i);
  memcpy(*memory + size + 4, more, length + 1);
  return (struct list){*memory, options.count + 1};
}

int op_tmpfs_over(struct helper *h, const struct args_tmpfs_over *a) {
  struct args_mount_filesystem wanted = {
      .fstype = {"tmpfs", 5}, .source = {"tmpfs", 5}, .target = a->target, .attributes = a->attributes, .options = a->options};
  struct stat st;
  uint8_t *memory = NULL;
  int covered = resolve(h, &a->target, O_PATH, 0);
  if (covered >= 0 && fstat(covered, &st) == 0) {
    char mode[16];
    snprintf(mode, sizeof mode, "mode=%04o", (unsigned)st.st_mode & 07777);
    wanted.options = list_with(a->options, mode, &memory);
  } else if (covered < 0) {
    covered = resolve_make(h, &a->target, false, 0755);
  }
  if (covered < 0) return fail(h, "make %s", a->target.path.at);
  close(covered);
  int error = op_mount_filesystem(h, &wanted);
  free(memory);
  return error;
}

/* --- attributes --- */

int set_attributes(int fd, unsigned flags, uint64_t set, uint64_t clear) {
  /* The atime bits are one field: setting one value means clearing the field, and a cleared bit means its default. */
  if (((set | clear) & K_MOUNT_ATTR_ATIME) != 0) clear |= K_MOUNT_ATTR_ATIME;
  struct k_mount_attr attr = {.attr_set = set, .attr_clr = clear};
  return set == 0 && clear == 0 ? 0 : k_mount_setattr(fd, flags, &attr);
}

int op_reconfigure_filesystem(struct helper *h, const struct args_reconfigure_filesystem *a) {
  const char *path = a->path.path.at;
  int at = resolve(h, &a->path, O_PATH, 0);
  if (at < 0) return fail(h, "open %s", path);
  int context = k_fspick(at);
  int error = context < 0 ? fail(h, "fspick(%s)", path) : configure(h, context, path, a->options);
  if (error == 0 && k_fsconfig(context, K_FSCONFIG_CMD_RECONFIGURE, NULL, NULL) != 0)
    error = context_failure(h, context, path, "reconfigure");
  if (context >= 0) close(context);
  close(at);
  return error;
}

int op_clear_unasked(struct helper *h, const struct args_clear_unasked *a) {
  int fd = resolve(h, &a->path, O_PATH, 0);
  if (fd < 0) return fail(h, "open %s", a->path.path.at);
  int error = 0;
  if (set_attributes(fd, 0, 0, a->clear) != 0) error = fail(h, "mount_setattr(%s)", a->path.path.at);
  if (error == EPERM) {
    /* One by one: some are locked, others are not. */
    error = 0;
    uint64_t left = a->clear & ~K_MOUNT_ATTR_ATIME;
    for (uint64_t flag = 1; left != 0 && error == 0; flag <<= 1) {
      if ((left & flag) != 0 && set_attributes(fd, 0, 0, flag) != 0 && errno != EPERM)
        error = fail(h, "mount_setattr(%s)", a->path.path.at);
      left &= ~flag;
    }
  }
  close(fd);
  return error == ENOSYS ? classic_attributes(h, &a->path, 0, a->clear, true) : error;
}

int op_mount_attributes(struct helper *h, const struct args_mount_attributes *a) {
  int fd = resolve(h, &a->path, O_PATH, 0);
  if (fd < 0) return fail(h, "open %s", a->path.path.at);
  int error = 0;
  if (set_attributes(fd, a->recursive ? K_AT_RECURSIVE : 0, a->set, a->clear) != 0)
    error = fail(h, "mount_setattr(%s)", a->path.path.at);
  close(fd);
  if (error == ENOSYS && !a->recursive) error = classic_attributes(h, &a->path, a->set, a->clear, false);
  return error;
}

int op_mount_propagation(struct helper *h, const struct args_mount_propagation *a) {
  int fd = resolve(h, &a->path, O_PATH, 0);
  if (fd < 0) return fail(h, "open %s", a->path.path.at);
  struct k_mount_attr attr = {.propagation = a->propagation};
  int error = 0;
  if (k_mount_setattr(fd, a->recursive ? K_AT_RECURSIVE : 0, &attr) != 0)
    error = fail(h, "mount_setattr(%s)", a->path.path.at);
  if (error == ENOSYS)
    error = classic_propagation(fd, a->propagation, a->recursive) == 0 ? 0 : fail(h, "mount(%s)", a->path.path.at);
  close(fd);
  return error;
}

/* --- bind mounts --- */

int set_tree_propagation(struct helper *h, int tree, uint32_t propagation, const char *target) {
  if (propagation == 0) return 0;
  struct k_mount_attr attr = {.propagation = propagation & ~(uint32_t)MS_REC};
  if (k_mount_setattr(tree, (propagation & MS_REC) != 0 ? K_AT_RECURSIVE : 0, &attr) == 0) return 0;
  return fail(h, "mount_setattr(propagation of %s)", target);
}

static int prepare_tree(struct helper *h, const struct args_bind_mount *a, int tree) {
  if (set_attributes(tree, a->recursive_attributes ? K_AT_RECURSIVE : 0, a->set, a->clear) != 0)
    return fail(h, "mount_setattr(%s)", a->target.path.at);
  return set_tree_propagation(h, tree, a->propagation, a->target.path.at);
}

int op_bind_mount(struct helper *h, const struct args_bind_mount *a) {
  int source = resolve(h, &a->source, O_PATH, 0);
  if (source < 0) return fail(h, "open %s", a->source.path.at);
  int target = open_target(h, &a->target);
  int error = target < 0 ? fail(h, "open %s", a->target.path.at) : 0;
  if (error == 0) {
    unsigned flags = K_OPEN_TREE_CLONE | (unsigned)AT_EMPTY_PATH | (a->recursive ? K_AT_RECURSIVE : 0);
    int tree = k_open_tree(source, "", flags);
    error = tree < 0 ? fail(h, "open_tree(%s)", a->source.path.at) : prepare_tree(h, a, tree);
    if (error == 0 && k_move_mount(tree, target) != 0) error = fail(h, "move_mount(%s)", a->target.path.at);
    if (error == ENOSYS) error = classic_bind(h, a, source, target);
    if (tree >= 0) close(tree);
  }
  close(source);
  if (target >= 0) close(target);
  return error;
}

int op_tmp_copy_up(struct helper *h, const struct args_tmp_copy_up *a) {
  int at = open_target(h, &a->target);
  int from = at < 0 ? -1 : openat(at, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (at >= 0) close(at);
  if (from < 0) return fail(h, "open %s", a->target.path.at);
  int mount_fd = -1;
  int error = make_filesystem(h, "tmpfs", "tmpfs", a->attributes & ~K_MOUNT_ATTR_RDONLY, a->options, &mount_fd);
  char failed[COPY_FAILED_BYTES];
  /* Filled before it is anywhere, read-only only when full. A detached mount's descriptor cannot list a directory. */
  int to = error != 0 ? -1 : openat(mount_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (error == 0 && (to < 0 || copy_tree(from, to, failed) != 0)) error = fail(h, "copy %s", a->target.path.at);
  if (error == 0 && (a->attributes & K_MOUNT_ATTR_RDONLY) != 0 && set_attributes(mount_fd, 0, K_MOUNT_ATTR_RDONLY, 0) != 0)
    error = fail(h, "mount_setattr(%s)", a->target.path.at);
  if (error == 0 && k_move_mount(mount_fd, from) != 0) error = fail(h, "move_mount(%s)", a->target.path.at);
  if (to >= 0) close(to);
  if (mount_fd >= 0) close(mount_fd);
  close(from);
  return error;
}

int op_make_mount_point(struct helper *h, const struct args_make_mount_point *a) {
  int fd = resolve_make(h, &a->path, a->file, a->file ? 0644 : 0755);
  if (fd < 0) return fail(h, "make %s", a->path.path.at);
  close(fd);
  return 0;
}

int op_make_mount_point_for(struct helper *h, const struct args_make_mount_point_for *a) {
  struct stat st;
  int source = resolve(h, &a->source, O_PATH, 0);
  if (source < 0) return fail(h, "open %s", a->source.path.at);
  bool known = fstat(source, &st) == 0;
  close(source);
  if (!known) return fail(h, "fstat %s", a->source.path.at);
  struct args_make_mount_point wanted = {.path = a->path, .file = !S_ISDIR(st.st_mode)};
  return op_make_mount_point(h, &wanted);
}

/* --- roots --- */

/* \040 and the like of proc(5), in place. */
static void unescape(char *text) {
  char *to = text;
  for (const char *at = text; *at != 0; to++) {
    if (at[0] == '\\' && at[1] >= '0' && at[1] <= '3' && at[2] != 0 && at[3] != 0) {
      *to = (char)((at[1] - '0') * 64 + (at[2] - '0') * 8 + (at[3] - '0'));
      at += 4;
    } else {
      *to = *at++;
    }
  }
  *to = 0;
}

/* Without a pivot the host's mounts stay in the namespace, out of sight. A whole procfs or sysfs among them would allow the
   container a new one in a user namespace of its own, without what was masked. */
static int cover_host_trees(struct helper *h) {
  char root[4096];
  char name[32];
  snprintf(name, sizeof name, "/proc/self/fd/%d", h->root);
  ssize_t length = readlink(name, root, sizeof root - 1);
  FILE *mounts = length < 0 ? NULL : fopen("/proc/self/mountinfo", "re");
  if (mounts == NULL) return fail(h, "mountinfo");
  root[length] = 0;
  char **points = NULL;
  size_t count = 0;
  char *line = NULL;
  size_t size = 0;
  int error = 0;
  while (error == 0 && getline(&line, &size, mounts) >= 0) {
    char *point = line;
    for (int field = 0; field < 4 && point != NULL; field++) point = strchr(point + 1, ' ');
    const char *type = strstr(line, " - ");
    if (point == NULL || type == NULL || (strncmp(type + 3, "proc ", 5) != 0 && strncmp(type + 3, "sysfs ", 6) != 0)) continue;
    point[1 + strcspn(point + 1, " ")] = 0;
    unescape(++point);
    if (strncmp(point, root, (size_t)length) == 0 && (point[length] == '/' || point[length] == 0)) continue;
    char **more = realloc(points, (count + 1) * sizeof *points);
    if (more != NULL) points = more;
    if (more == NULL || (points[count] = strdup(point)) == NULL) error = fail_as(h, ENOMEM, "memory");
    else count++;
  }
  free(line);
  fclose(mounts);
  while (count > 0) {
    const char *point = points[--count];
    /* A slave first, or the unmount would reach the host. */
    if (error == 0 && mount(NULL, point, NULL, MS_SLAVE | MS_REC, NULL) == 0 && umount2(point, MNT_DETACH) != 0 &&
        mount("tmpfs", point, "tmpfs", 0, "size=0") != 0)
      error = fail(h, "umount2(%s)", point);
    free(points[count]);
  }
  free(points);
  return error;
}

static int change_root_by_move(struct helper *h) {
  int error = cover_host_trees(h);
  if (error != 0) return error;
  if (mount(".", "/", NULL, MS_MOVE, NULL) != 0) return fail(h, "mount(MS_MOVE)");
  if (chroot(".") != 0) return fail(h, "chroot");
  return chdir("/") == 0 ? 0 : fail(h, "chdir(/)");
}

static int detach_old_root(struct helper *h, int old) {
  /* Slaves first, or the unmount would reach the host through a shared mount. */
  struct k_mount_attr slave = {.propagation = MS_SLAVE};
  int result = k_mount_setattr(old, K_AT_RECURSIVE, &slave);
  bool missing = result != 0 && errno == ENOSYS;
  if (fchdir(old) != 0) return fail(h, "fchdir(old root)");
  if (missing) result = mount(NULL, ".", NULL, MS_SLAVE | MS_REC, NULL);
  if (result != 0) return fail(h, "mount_setattr(old root)");
  return umount2(".", MNT_DETACH) == 0 ? 0 : fail(h, "umount2(old root)");
}

int op_pivot_root(struct helper *h, const struct args_pivot_root *a) {
  usher_end(); /* the host's paths end here */
  if (h->root < 0) return fail_as(h, EBADF, "no setRoot before it");
  if (fchdir(h->root) != 0) return fail(h, "fchdir(root)");
  if (a->no_pivot) return change_root_by_move(h);
  int old = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (old < 0) return fail(h, "open old root");
  int error = 0;
  /* The old root comes to lie over the new one, where the unmount takes it off: no directory is needed for it. */
  if (syscall(SYS_pivot_root, ".", ".") != 0) error = fail(h, "pivot_root");
  else error = detach_old_root(h, old);
  close(old);
  if (error != 0) return error;
  return chdir("/") == 0 ? 0 : fail(h, "chdir(/)");
}

int op_change_root(struct helper *h, const struct args_change_root *a) {
  (void)a;
  usher_end(); /* the host's paths end here */
  if (h->root < 0) return fail_as(h, EBADF, "no setRoot before it");
  if (fchdir(h->root) != 0) return fail(h, "fchdir(root)");
  if (chroot(".") != 0) return fail(h, "chroot");
  return chdir("/") == 0 ? 0 : fail(h, "chdir(/)");
}

int op_unmount(struct helper *h, const struct args_unmount *a) {
  if (a->path.base == BASE_HOST)
    return umount2(a->path.path.at, (int)a->flags | UMOUNT_NOFOLLOW) == 0 ? 0 : fail(h, "umount2(%s)", a->path.path.at);
  /* umount2 takes no descriptor: the last component, from its directory. */
  char name[PARENT_NAME_MAX];
  int before = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
  int parent = before < 0 ? -1 : resolve_parent(h, &a->path, name);
  int error = 0;
  if (parent < 0 || fchdir(parent) != 0) {
    error = fail(h, "open %s", a->path.path.at);
  } else {
    if (umount2(name, (int)a->flags | UMOUNT_NOFOLLOW) != 0) error = fail(h, "umount2(%s)", a->path.path.at);
    if (fchdir(before) != 0 && error == 0) error = fail(h, "fchdir");
  }
  if (parent >= 0) close(parent);
  if (before >= 0) close(before);
  return error;
}

int op_set_root(struct helper *h, const struct args_set_root *a) {
  int fd = resolve(h, &a->path, O_PATH | O_DIRECTORY, 0);
  if (fd < 0) return fail(h, "open %s", a->path.path.at);
  if (h->root >= 0) close(h->root);
  h->root = fd;
  return 0;
}

int op_set_work(struct helper *h, const struct args_set_work *a) {
  int fd = resolve(h, &a->path, O_PATH | O_DIRECTORY, 0);
  if (fd < 0) return fail(h, "open %s", a->path.path.at);
  if (h->work >= 0) close(h->work);
  h->work = fd;
  if (h->layer != NULL) layer_reset(h->layer);
  return 0;
}
