/* Owner, mode, xattrs and times of a layer's entries. */
#include "layer.h"
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

/* Directory times kept for layerEnd; beyond it they are restored early, so that no layer fills the memory. */
#define TIMES_BYTES_MAX (64u * 1024 * 1024)

static bool is_overlay_xattr(const char *name) {
  /* They would steer the overlay that the layer becomes part of: redirects, opaque directories. */
  return strncmp(name, "trusted.overlay.", 16) == 0 || strncmp(name, "user.overlay.", 13) == 0;
}

static int set_xattrs(struct helper *h, int fd, int parent, const char *name, const struct metadata *meta,
                      const char *path) {
  struct list names = meta->xattr_names;
  const uint8_t *at = meta->xattr_values.at;
  size_t left = meta->xattr_values.length;
  /* No call takes a directory and a name, and where a container's namespaces were joined /proc is not ours. */
  if (fd < 0 && fchdir(parent) != 0) return fail(h, "fchdir to %s", path);
  while (names.count > 0) {
    const char *xattr = list_str(&names).at;
    uint32_t length = left < 4 ? 0 : wire_u32(at);
    if (left < 4 || length > left - 4) return fail_as(h, EBADMSG, "%s: xattr values are cut off", path);
    const uint8_t *value = at + 4;
    at += 4 + (size_t)length;
    left -= 4 + (size_t)length;
    if (is_overlay_xattr(xattr)) continue;
    int result = fd >= 0 ? fsetxattr(fd, xattr, value, length, 0) : lsetxattr(name, xattr, value, length, 0);
    if (result != 0 && !(h->layer->ignore_xattrs && (errno == EPERM || errno == EOPNOTSUPP || errno == EINVAL)))
      return fail(h, "setxattr %.60s of %s", xattr, path);
  }
  return left == 0 ? 0 : fail_as(h, EBADMSG, "%s: too many xattr values", path);
}

static int set_owner(struct helper *h, int fd, int parent, const char *name, const struct metadata *meta,
                     const char *path) {
  int result = fd >= 0 ? fchown(fd, meta->uid, meta->gid) : fchownat(parent, name, meta->uid, meta->gid, AT_SYMLINK_NOFOLLOW);
  if (result == 0) return 0;
  /* EINVAL: an id that the user namespace does not map. */
  if (h->layer->ignore_owner && (errno == EINVAL || errno == EPERM)) return 0;
  return fail(h, "chown %s to %u:%u", path, meta->uid, meta->gid);
}

static bool reserve(void **memory, size_t *capacity, size_t needed, size_t item) {
  if (needed <= *capacity) return true;
  size_t larger = *capacity == 0 ? 1024 : *capacity * 2;
  if (larger < needed) larger = needed;
  void *moved = realloc(*memory, larger * item);
  if (moved == NULL) return false;
  *memory = moved;
  *capacity = larger;
  return true;
}

/* A directory's time, for layerEnd. */
static int remember_time(struct helper *h, const char *path, const struct metadata *meta) {
  struct layer *layer = h->layer;
  size_t size = strlen(path) + 1;
  if (layer->paths_size + size > TIMES_BYTES_MAX) {
    int error = restore_times(h);
    if (error != 0) return error;
  }
  void *paths = layer->paths;
  void *times = layer->times;
  bool fits = reserve(&paths, &layer->paths_capacity, layer->paths_size + size, 1) &&
              reserve(&times, &layer->times_capacity, layer->times_count + 1, sizeof *layer->times);
  layer->paths = paths;
  layer->times = times;
  if (!fits) return fail_as(h, ENOMEM, "%s", path);
  memcpy(layer->paths + layer->paths_size, path, size);
  layer->times[layer->times_count++] =
      (struct directory_time){meta->seconds, meta->nanoseconds, (uint32_t)layer->paths_size};
  layer->paths_size += size;
  return 0;
}

int apply_metadata(struct helper *h, int fd, int parent, const char *name, const struct metadata *meta, mode_t type,
                   bool inherited, const char *path) {
  mode_t mode = meta->mode & 07777;
  /* Owner before mode and xattrs: changing it clears set-id bits and file capabilities. */
  bool own = meta->uid != 0 || meta->gid != 0 || inherited || !h->layer->is_root;
  if (own) {
    int error = set_owner(h, fd, parent, name, meta, path);
    if (error != 0) return error;
  }
  /* The umask is 0: creation has set the plain bits already. */
  if (!S_ISLNK(type) && (inherited || (mode & 07000) != 0)) {
    if ((fd >= 0 ? fchmod(fd, mode) : fchmodat(parent, name, mode, 0)) != 0) return fail(h, "chmod %s", path);
  }
  if (meta->xattr_names.count > 0) {
    int error = set_xattrs(h, fd, parent, name, meta, path);
    if (error != 0) return error;
  }
  if (S_ISDIR(type)) return remember_time(h, path, meta);
  struct timespec time = {(time_t)meta->seconds, (long)meta->nanoseconds};
  struct timespec times[2] = {time, time};
  int result = fd >= 0 ? futimens(fd, times) : utimensat(parent, name, times, AT_SYMLINK_NOFOLLOW);
  return result == 0 ? 0 : fail(h, "utimensat %s", path);
}

int set_opaque(struct helper *h, int directory, uint32_t style, const char *path) {
  if (style != 2 && fsetxattr(directory, "trusted.overlay.opaque", "y", 1, 0) == 0) return 0;
  if (style == 1) return fail(h, "setxattr trusted.overlay.opaque of %s", path);
  if (fsetxattr(directory, "user.overlay.opaque", "y", 1, 0) == 0) return 0;
  return fail(h, "setxattr user.overlay.opaque of %s", path);
}

/* In the order of the entries, so that of a directory named twice the last one counts: setting the times of a
   directory does not touch its parent's. */
int restore_times(struct helper *h) {
  struct layer *layer = h->layer;
  int error = 0;
  for (size_t i = 0; error == 0 && i < layer->times_count; i++) {
    const struct directory_time *time = &layer->times[i];
    const char *path = layer->paths + time->path;
    int fd = k_openat2(h->work, *path == 0 ? "/" : path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0,
                       K_RESOLVE_IN_ROOT | K_RESOLVE_NO_MAGICLINKS);
    if (fd < 0) {
      /* A later entry or a whiteout replaced it. */
      if (errno != ENOENT && errno != ENOTDIR && errno != ELOOP) error = fail(h, "open %s", path);
      continue;
    }
    struct timespec value = {(time_t)time->seconds, (long)time->nanoseconds};
    struct timespec times[2] = {value, value};
    if (futimens(fd, times) != 0) error = fail(h, "utimensat %s", path);
    close(fd);
  }
  layer->times_count = 0;
  layer->paths_size = 0;
  return error;
}
