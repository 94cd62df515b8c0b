/*
 * Paths to descriptors. Inside a root filesystem nothing is ever done by a joined path: the kernel resolves beneath
 * the root handle, whatever links the image holds and whoever renames directories meanwhile.
 */
#include "helper.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

int open_in_root(int root, const char *path, uint64_t flags, uint64_t mode) {
  /* The kernel answers EAGAIN when a rename or mount anywhere made a ".." unsafe to follow. */
  for (int attempt = 0; attempt < 64; attempt++) {
    int fd = k_openat2(root, path, flags, mode, K_RESOLVE_IN_ROOT | K_RESOLVE_NO_MAGICLINKS);
    if (fd >= 0 || errno != EAGAIN) return fd;
  }
  return -1;
}

static bool is_real_proc(int fd) {
  struct statfs fs;
  struct stat st;
  return fstatfs(fd, &fs) == 0 && fs.f_type == K_PROC_SUPER_MAGIC && fstat(fd, &st) == 0 && st.st_ino == K_PROC_ROOT_INO;
}

int proc_handle(struct helper *h) {
  if (h->proc >= 0) return h->proc;
  /* A procfs of our own has nothing mounted over its files. Where it is refused (a host whose /proc is masked, seen
     from a user namespace) /proc must do: verified, and RESOLVE_NO_XDEV below refuses what is mounted over it. */
  int context = k_fsopen("proc");
  if (context >= 0) {
    if (k_fsconfig(context, K_FSCONFIG_CMD_CREATE, NULL, NULL) == 0) {
      h->proc = k_fsmount(context, K_MOUNT_ATTR_NOSUID | K_MOUNT_ATTR_NODEV | K_MOUNT_ATTR_NOEXEC);
    }
    close(context);
  }
  if (h->proc < 0) h->proc = open("/proc", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (h->proc >= 0 && !is_real_proc(h->proc)) {
    close(h->proc);
    h->proc = -1;
    errno = EXDEV;
  }
  return h->proc;
}

/* `self/…` with the number in its place: RESOLVE_NO_SYMLINKS refuses the link itself. */
static int open_in_proc(struct helper *h, const char *path, uint64_t flags) {
  int proc = proc_handle(h);
  if (proc < 0) return -1;
  while (*path == '/') path++;
  char full[PATH_MAX];
  if (strncmp(path, "self/", 5) == 0) {
    char self[16];
    ssize_t length = readlinkat(proc, "self", self, sizeof self - 1);
    if (length < 0) return -1;
    self[length] = 0;
    if (snprintf(full, sizeof full, "%s/%s", self, path + 5) >= (int)sizeof full) {
      errno = ENAMETOOLONG;
      return -1;
    }
    path = full;
  }
  return k_openat2(proc, path, flags, 0, K_RESOLVE_BENEATH | K_RESOLVE_NO_XDEV | K_RESOLVE_NO_SYMLINKS);
}

/* The directory handle of base `root` or `work`. */
static int base_handle(const struct helper *h, uint8_t base) {
  int fd = base == BASE_ROOT ? h->root : h->work;
  if (fd < 0) errno = EBADF;
  return fd;
}

int resolve(struct helper *h, const struct path *path, uint64_t flags, uint64_t mode) {
  if (path->base == BASE_HOST) return open_on_host(path->path.at, flags, mode);
  if (path->base == BASE_PROC) return open_in_proc(h, path->path.at, flags);
  int root = base_handle(h, path->base);
  if (root < 0) return -1;
  /* RESOLVE_IN_ROOT takes "" as an error: it is the root itself. */
  return open_in_root(root, path->path.length == 0 ? "/" : path->path.at, flags, mode);
}

bool split_path(const char *path, char *buffer, const char **directory, const char **name) {
  size_t length = strlen(path);
  if (length >= PATH_MAX) {
    errno = ENAMETOOLONG;
    return false;
  }
  memcpy(buffer, path, length + 1);
  while (length > 0 && buffer[length - 1] == '/') buffer[--length] = 0;
  char *slash = strrchr(buffer, '/');
  *name = slash == NULL ? buffer : slash + 1;
  if (**name == 0 || strcmp(*name, ".") == 0 || strcmp(*name, "..") == 0) {
    errno = EINVAL;
    return false;
  }
  if (strlen(*name) >= PARENT_NAME_MAX) {
    errno = ENAMETOOLONG;
    return false;
  }
  if (slash == NULL) {
    *directory = ".";
  } else if (slash == buffer) {
    *directory = "/";
  } else {
    *slash = 0;
    *directory = buffer;
  }
  return true;
}

int resolve_parent(struct helper *h, const struct path *path, char name[static PARENT_NAME_MAX]) {
  char buffer[PATH_MAX];
  const char *directory;
  const char *last;
  if (!split_path(path->path.at, buffer, &directory, &last)) return -1;
  snprintf(name, PARENT_NAME_MAX, "%s", last);
  struct path parent = {{directory, (uint32_t)strlen(directory)}, path->base};
  return resolve(h, &parent, O_PATH | O_DIRECTORY, 0);
}

/* A walk that makes what is missing. `done` holds the components walked, free of links and "..". */
struct walk {
  int root, here;
  char done[PATH_MAX];
  char rest[PATH_MAX];
  int links;
};

static int walk_to(struct walk *walk, int fd) {
  if (fd < 0) return -1;
  close(walk->here);
  walk->here = fd;
  return 0;
}

static int walk_reopen(struct walk *walk) {
  const char *path = walk->done[0] == 0 ? "/" : walk->done;
  return walk_to(walk, k_openat2(walk->root, path, O_PATH | O_DIRECTORY, 0, K_RESOLVE_IN_ROOT | K_RESOLVE_NO_SYMLINKS));
}

static int walk_up(struct walk *walk) {
  char *slash = strrchr(walk->done, '/');
  if (slash != NULL) *slash = 0;
  return walk_reopen(walk);
}

/* Puts the link's target before what is left of the path. */
static int walk_link(struct walk *walk, int link) {
  char target[PATH_MAX];
  ssize_t length = readlinkat(link, "", target, sizeof target - 1);
  if (length < 0) return -1;
  target[length] = 0;
  size_t rest = strlen(walk->rest);
  if ((size_t)length + 1 + rest >= sizeof walk->rest) {
    errno = ENAMETOOLONG;
    return -1;
  }
  if (++walk->links > 40) {
    errno = ELOOP;
    return -1;
  }
  memmove(walk->rest + length + 1, walk->rest, rest + 1);
  memcpy(walk->rest, target, (size_t)length);
  walk->rest[length] = '/';
  if (target[0] != '/') return 0;
  walk->done[0] = 0;
  return walk_reopen(walk);
}

static int walk_down(struct walk *walk, const char *name, int fd) {
  size_t length = strlen(walk->done);
  if (length + 1 + strlen(name) >= sizeof walk->done) {
    errno = ENAMETOOLONG;
    return -1;
  }
  walk->done[length] = '/';
  strcpy(walk->done + length + 1, name);
  return walk_to(walk, fd);
}

/* Takes the next component off the rest; false at the end. */
static bool walk_next(struct walk *walk, char name[static NAME_MAX + 1], bool *last) {
  char *at = walk->rest;
  while (*at == '/') at++;
  if (*at == 0) return false;
  size_t length = strcspn(at, "/");
  bool fits = length <= NAME_MAX;
  /* Too long a name is cut to one that the kernel refuses in the same way. */
  memcpy(name, at, fits ? length : NAME_MAX);
  name[fits ? length : NAME_MAX] = 0;
  at += length;
  *last = at[strspn(at, "/")] == 0;
  memmove(walk->rest, at, strlen(at) + 1);
  return true;
}

static int open_or_make(const struct walk *walk, const char *name, bool file, mode_t mode) {
  for (int attempt = 0; attempt < 8; attempt++) {
    int fd = openat(walk->here, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0 || errno != ENOENT) return fd;
    if (file) {
      fd = openat(walk->here, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
      if (fd >= 0 || errno != EEXIST) return fd;
    } else if (mkdirat(walk->here, name, mode) != 0 && errno != EEXIST) {
      return -1;
    }
  }
  errno = EAGAIN;
  return -1;
}

static int walk_make(struct walk *walk, bool file, mode_t mode) {
  char name[NAME_MAX + 1];
  bool last;
  while (walk_next(walk, name, &last)) {
    if (strcmp(name, ".") == 0) continue;
    if (strcmp(name, "..") == 0) {
      if (walk_up(walk) != 0) return -1;
      continue;
    }
    int fd = open_or_make(walk, name, file && last, last ? mode : 0755);
    struct stat st;
    if (fd < 0) return -1;
    if (fstat(fd, &st) != 0) {
      close(fd);
      return -1;
    }
    if (S_ISLNK(st.st_mode)) {
      int result = walk_link(walk, fd);
      close(fd);
      if (result != 0) return -1;
    } else if (S_ISDIR(st.st_mode)) {
      if (walk_down(walk, name, fd) != 0) return -1;
    } else if (last) {
      return fd;
    } else {
      close(fd);
      errno = ENOTDIR;
      return -1;
    }
  }
  int fd = walk->here;
  walk->here = -1;
  return fd;
}

int make_in_root(int root, const char *path, bool file, mode_t mode) {
  struct walk *walk = malloc(sizeof *walk);
  if (walk == NULL) return -1;
  size_t length = strlen(path);
  int fd = -1;
  walk->root = root;
  walk->links = 0;
  walk->done[0] = 0;
  walk->here = open_in_root(root, "/", O_PATH | O_DIRECTORY, 0);
  if (length >= sizeof walk->rest) {
    errno = ENAMETOOLONG;
  } else if (walk->here >= 0) {
    memcpy(walk->rest, path, length + 1);
    fd = walk_make(walk, file, mode);
  }
  int saved = errno;
  if (walk->here >= 0) close(walk->here);
  free(walk);
  errno = saved;
  return fd;
}

int resolve_make(struct helper *h, const struct path *path, bool file, mode_t mode) {
  int fd = resolve(h, path, O_PATH, 0);
  if (fd >= 0 || errno != ENOENT || path->base == BASE_PROC) return fd;
  if (path->base != BASE_HOST) return make_in_root(base_handle(h, path->base), path->path.at, file, mode);
  int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (root < 0) return -1;
  fd = make_in_root(root, path->path.at, file, mode);
  int saved = errno;
  close(root);
  errno = saved;
  return fd;
}
