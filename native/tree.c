/* Removing trees that others wrote: by descriptors, without following a link, however deep they are. */
#include "helper.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

/* Descriptors are few. A directory deeper than this is moved up to the top of the tree and taken from there. */
#define DEPTH_MAX 100

struct removal {
  int top; /* the directory whose content is being removed */
  unsigned moved;
};

static int remove_content(struct removal *removal, int directory, unsigned depth, dev_t device);

static int remove_directory(struct removal *removal, int parent, const char *name, unsigned depth, dev_t device) {
  if (depth == DEPTH_MAX) {
    char up[32];
    do snprintf(up, sizeof up, ".vitrine-deep-%u", removal->moved++);
    while (faccessat(removal->top, up, F_OK, AT_SYMLINK_NOFOLLOW) == 0);
    return renameat(parent, name, removal->top, up);
  }
  int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0 && errno == EACCES && fchmodat(parent, name, 0700, 0) == 0)
    fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return errno == ENOENT ? 0 : -1;
  int result = remove_content(removal, fd, depth + 1, device);
  int saved = errno;
  close(fd);
  errno = saved;
  if (result != 0) return -1;
  return unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT ? 0 : -1;
}

static int remove_entry(struct removal *removal, int parent, const struct dirent *entry, unsigned depth, dev_t device) {
  if (entry->d_type != DT_DIR) {
    if (unlinkat(parent, entry->d_name, 0) == 0 || errno == ENOENT) return 0;
    if (errno != EISDIR && errno != EPERM) return -1;
  }
  return remove_directory(removal, parent, entry->d_name, depth, device);
}

/* Another filesystem mounted inside is not ours to empty: EBUSY, as rmdir would say. */
static int remove_content(struct removal *removal, int directory, unsigned depth, dev_t device) {
  struct stat st;
  if (fstat(directory, &st) != 0) return -1;
  if (st.st_dev != device) {
    errno = EBUSY;
    return -1;
  }
  DIR *stream = take_stream(fcntl(directory, F_DUPFD_CLOEXEC, 3));
  if (stream == NULL) return -1;
  int result = 0;
  bool writable = false;
  const struct dirent *entry;
  while (result == 0 && (entry = next_entry(stream)) != NULL) {
    result = remove_entry(removal, directory, entry, depth, device);
    if (result != 0 && errno == EACCES && !writable) {
      /* A directory that its owner made unwritable. */
      writable = fchmod(directory, 0700) == 0;
      if (writable) result = remove_entry(removal, directory, entry, depth, device);
    }
  }
  if (entry == NULL && errno != 0) result = -1;
  int saved = errno;
  closedir(stream);
  errno = saved;
  return result;
}

int remove_tree(int parent, const char *name) {
  struct stat st;
  if (unlinkat(parent, name, 0) == 0 || errno == ENOENT) return 0;
  if (errno != EISDIR && errno != EPERM && errno != EACCES) return -1;
  int saved = errno;
  if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) != 0) return errno == ENOENT ? 0 : -1;
  if (!S_ISDIR(st.st_mode)) {
    errno = saved;
    return -1;
  }
  for (;;) {
    int top = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (top < 0 && errno == EACCES && fchmodat(parent, name, 0700, 0) == 0)
      top = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (top < 0) return errno == ENOENT ? 0 : -1;
    struct removal removal = {.top = top};
    int result = remove_content(&removal, top, 0, st.st_dev);
    saved = errno;
    close(top);
    errno = saved;
    if (result != 0) return -1;
    if (unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT) return 0;
    /* Deep directories that were moved up while their parent was read are still there. */
    if (errno != ENOTEMPTY && errno != EEXIST) return -1;
    if (removal.moved == 0) return -1;
  }
}

/* --- owners --- */

#define OWNER_DEPTH_MAX 400

struct owning {
  uid_t uid;
  gid_t gid;
  dev_t device;
};

static int own_directory(const struct owning *owning, int directory, unsigned depth);

static int own_entry(const struct owning *owning, int parent, const char *name, unsigned depth) {
  struct stat st;
  if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) != 0) return errno == ENOENT ? 0 : -1;
  if (st.st_dev != owning->device) return 0;
  if (fchownat(parent, name, owning->uid, owning->gid, AT_SYMLINK_NOFOLLOW) != 0 && errno != ENOENT) return -1;
  if (!S_ISDIR(st.st_mode)) return 0;
  int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  /* Somebody put another thing in its place. */
  if (fd < 0) return errno == ENOENT || errno == ENOTDIR || errno == ELOOP ? 0 : -1;
  int result = own_directory(owning, fd, depth + 1);
  int saved = errno;
  close(fd);
  errno = saved;
  return result;
}

static int own_directory(const struct owning *owning, int directory, unsigned depth) {
  struct stat st;
  if (depth > OWNER_DEPTH_MAX) {
    errno = ELOOP;
    return -1;
  }
  if (fstat(directory, &st) != 0) return -1;
  if (st.st_dev != owning->device) return 0;
  DIR *stream = take_stream(fcntl(directory, F_DUPFD_CLOEXEC, 3));
  if (stream == NULL) return -1;
  int result = 0;
  const struct dirent *entry;
  while (result == 0 && (entry = next_entry(stream)) != NULL) {
    result = own_entry(owning, directory, entry->d_name, depth);
  }
  if (entry == NULL && errno != 0) result = -1;
  int saved = errno;
  closedir(stream);
  errno = saved;
  return result;
}

int own_tree(int top, uid_t uid, gid_t gid) {
  struct stat st;
  if (fstat(top, &st) != 0 || fchown(top, uid, gid) != 0) return -1;
  struct owning owning = {uid, gid, st.st_dev};
  return S_ISDIR(st.st_mode) ? own_directory(&owning, top, 0) : 0;
}

/* --- cgroups: only directories can be removed, and each only after those in it --- */

static bool is_cgroup(int fd) {
  struct statfs fs;
  return fstatfs(fd, &fs) == 0 && (fs.f_type == K_CGROUP_SUPER_MAGIC || fs.f_type == K_CGROUP2_SUPER_MAGIC);
}

static void remove_groups_below(int parent, const char *name, unsigned depth) {
  int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd >= 0 && !is_cgroup(fd)) {
    close(fd);
    return;
  }
  DIR *stream = take_stream(fd);
  if (stream == NULL) return;
  for (const struct dirent *entry; (entry = next_entry(stream)) != NULL;) {
    if (entry->d_type != DT_DIR) continue;
    if (unlinkat(fd, entry->d_name, AT_REMOVEDIR) == 0 || errno != EBUSY || depth == DEPTH_MAX) continue;
    remove_groups_below(fd, entry->d_name, depth + 1);
    unlinkat(fd, entry->d_name, AT_REMOVEDIR);
  }
  closedir(stream);
}

int remove_group(int parent, const char *name) {
  if (unlinkat(parent, name, AT_REMOVEDIR) == 0) return 0;
  if (errno != EBUSY) return -1;
  remove_groups_below(parent, name, 0);
  return unlinkat(parent, name, AT_REMOVEDIR);
}
