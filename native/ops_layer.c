/*
 * Layers: entries that an image author wrote, below the work handle. Names are resolved by the kernel in that root;
 * everything new is made with O_EXCL or the like, so that nothing is ever written through what is there already.
 */
#include "layer.h"
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

static int need_layer(struct helper *h) {
  return h->layer != NULL ? 0 : fail_as(h, EINVAL, "only in stage apply");
}

void layer_reset(struct layer *layer) {
  layer_forget_parent(layer);
  name_set_clear(&layer->names);
  layer->times_count = 0;
  layer->paths_size = 0;
}

int op_layer_options(struct helper *h, const struct args_layer_options *a) {
  int error = need_layer(h);
  if (error != 0) return error;
  h->layer->ignore_owner = a->ignore_owner;
  h->layer->ignore_xattrs = a->ignore_xattrs;
  h->layer->skip_devices = a->skip_devices;
  h->layer->keep_kinds = a->keep_kinds;
  h->layer->begin_flush = a->begin_flush;
  return 0;
}

/* --- making room --- */

static bool is_whiteout(const struct stat *st) {
  return S_ISCHR(st->st_mode) && st->st_rdev == 0;
}

/* Takes away what is at the place: a layer's entry replaces it (image-spec layer.md, applying changesets). */
static int clear_place(struct helper *h, const struct place *place) {
  struct stat st;
  if (h->layer->keep_kinds) {
    if (fstatat(place->parent, place->name, &st, AT_SYMLINK_NOFOLLOW) != 0) return fail(h, "fstatat %s", place->path);
    if (S_ISDIR(st.st_mode)) return fail_as(h, EISDIR, "replace %s", place->path);
  }
  layer_doubt_parent(h->layer);
  return remove_tree(place->parent, place->name) == 0 ? 0 : fail(h, "replace %s", place->path);
}

/* --- entries --- */

/* Files from here on are most of a layer's bytes, and few of its files. */
#define EARLY_BYTES (256u * 1024)

static int finish_file(struct helper *h) {
  struct layer *layer = h->layer;
  int fd = layer->file;
  layer->file = -1;
  int error = 0;
  /* A hole at the end was never written. */
  if (layer->file_end < layer->file_size && ftruncate(fd, (off_t)layer->file_size) != 0)
    error = fail(h, "truncate %s", layer->file_path);
  if (error == 0 && !layer->file_mounted)
    error = apply_metadata(h, fd, -1, NULL, &layer->file_metadata, S_IFREG, layer->file_inherited, layer->file_path);
  /* The disk begins now with what is worth a turn of it, so that layerEnd waits for little; whether it can is not our matter. */
  if (layer->begin_flush && layer->file_end >= EARLY_BYTES) (void)sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
  if (close(fd) != 0 && error == 0) error = fail(h, "close %s", layer->file_path);
  free(layer->xattrs);
  layer->xattrs = NULL;
  return error;
}

int layer_flush(struct helper *h) {
  return h->layer != NULL && h->layer->file >= 0 ? finish_file(h) : 0;
}

/* The frame's memory is reused while the data arrives: what is needed at the end is copied. */
static bool keep_xattrs(struct layer *layer) {
  struct metadata *meta = &layer->file_metadata;
  if (meta->xattr_names.count == 0) return true;
  /* In a frame the values follow the names: one stretch of memory holds both. */
  size_t size = (size_t)(meta->xattr_values.at + meta->xattr_values.length - meta->xattr_names.at);
  layer->xattrs = malloc(size);
  if (layer->xattrs == NULL) return false;
  memcpy(layer->xattrs, meta->xattr_names.at, size);
  meta->xattr_values.at = layer->xattrs + (meta->xattr_values.at - meta->xattr_names.at);
  meta->xattr_names.at = layer->xattrs;
  return true;
}

/* A file that is mounted there (a container's /etc/hosts) cannot be replaced: it gets the content, and stays whose it is. */
static int open_mounted(struct helper *h, const struct place *place) {
  struct stat st;
  int fd = openat(place->parent, place->name, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  int error = 0;
  if (fd < 0) error = fail(h, "open %s", place->path);
  else if (fstat(fd, &st) != 0) error = fail(h, "fstat %s", place->path);
  else if (!S_ISREG(st.st_mode)) error = fail_as(h, EBUSY, "replace %s", place->path);
  else if (ftruncate(fd, 0) != 0) error = fail(h, "truncate %s", place->path);
  if (error == 0) {
    h->layer->file = fd;
    h->layer->file_mounted = true;
  } else if (fd >= 0) {
    close(fd);
  }
  return error;
}

static int make_file(struct helper *h, const struct place *place, uint64_t size, const struct metadata *meta) {
  struct layer *layer = h->layer;
  int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
  int fd = openat(place->parent, place->name, flags, meta->mode & 0777);
  layer->file_mounted = false;
  if (fd < 0 && errno == EEXIST) {
    int error = clear_place(h, place);
    if (error == EBUSY) error = open_mounted(h, place);
    if (error != 0) return error;
    fd = layer->file_mounted ? layer->file : openat(place->parent, place->name, flags, meta->mode & 0777);
  }
  if (fd < 0) return fail(h, "create %s", place->path);
  layer->file = fd;
  layer->file_size = size;
  layer->file_end = 0;
  layer->file_inherited = layer->parent_setgid;
  layer->file_metadata = *meta;
  strcpy(layer->file_path, place->path);
  if (size == 0) return finish_file(h);
  return keep_xattrs(layer) ? 0 : fail_as(h, ENOMEM, "%s", place->path);
}

/* A directory over a directory keeps its content; over anything else it replaces it. */
static int make_directory(struct helper *h, const struct place *place, const struct metadata *meta) {
  bool fresh = mkdirat(place->parent, place->name, meta->mode & 01777) == 0;
  bool hides = false;
  if (!fresh) {
    struct stat st;
    if (errno != EEXIST) return fail(h, "mkdir %s", place->path);
    if (fstatat(place->parent, place->name, &st, AT_SYMLINK_NOFOLLOW) != 0) return fail(h, "fstatat %s", place->path);
    if (!S_ISDIR(st.st_mode)) {
      if (h->layer->keep_kinds) return fail_as(h, ENOTDIR, "replace %s", place->path);
      /* The layer's whiteout came first: what is below stays hidden, behind a new directory. */
      hides = is_whiteout(&st);
      int error = clear_place(h, place);
      if (error != 0) return error;
      if (mkdirat(place->parent, place->name, meta->mode & 01777) != 0) return fail(h, "mkdir %s", place->path);
      fresh = true;
    }
  }
  int fd = -1;
  int error = 0;
  if (hides || meta->xattr_names.count > 0 || !fresh) {
    fd = openat(place->parent, place->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return fail(h, "open %s", place->path);
    if (hides) error = set_opaque(h, fd, 0, place->path);
  }
  /* Of one that was there, owner and mode are of another entry. */
  if (error == 0)
    error = apply_metadata(h, fd, place->parent, place->name, meta, S_IFDIR, h->layer->parent_setgid || !fresh, place->path);
  if (fd >= 0) close(fd);
  return error;
}

static int make_link(struct helper *h, const struct place *place, struct str target) {
  char path[PATH_MAX];
  if (!clean_path(target, path) || path[0] == 0) return fail_as(h, EINVAL, "%s: bad link target", place->path);
  char *slash = strrchr(path, '/');
  const char *name = slash == NULL ? path : slash + 1;
  if (slash != NULL) *slash = 0;
  int parent = open_in_root(h->work, slash == NULL ? "/" : path, O_PATH | O_DIRECTORY, 0);
  if (parent < 0) return fail(h, "%s: open directory of its link target", place->path);
  int error = 0;
  if (linkat(parent, name, place->parent, place->name, 0) != 0) {
    struct stat there;
    struct stat here;
    error = fail(h, "link %s to %s", place->path, target.at);
    bool both = error == EEXIST && fstatat(parent, name, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
                fstatat(place->parent, place->name, &here, AT_SYMLINK_NOFOLLOW) == 0;
    if (both && there.st_ino == here.st_ino && there.st_dev == here.st_dev) {
      error = 0; /* a link to itself: clearing the place would lose it */
    } else if (both) {
      error = clear_place(h, place);
      if (error == 0 && linkat(parent, name, place->parent, place->name, 0) != 0)
        error = fail(h, "link %s to %s", place->path, target.at);
    }
  }
  close(parent);
  return error;
}

static int make_special(struct helper *h, const struct place *place, mode_t type, const struct args_layer_entry *a,
                        const struct metadata *meta) {
  for (int attempt = 0;; attempt++) {
    int result = S_ISLNK(type) ? symlinkat(a->link_target.at, place->parent, place->name)
                               : mknodat(place->parent, place->name, type | (meta->mode & 0777), makedev(a->major, a->minor));
    if (result == 0) break;
    if (errno != EEXIST || attempt > 0) return fail(h, "make %s", place->path);
    int error = clear_place(h, place);
    if (error != 0) return error;
  }
  return apply_metadata(h, -1, place->parent, place->name, meta, type, h->layer->parent_setgid, place->path);
}

static int make_entry(struct helper *h, const struct args_layer_entry *a, const struct place *place,
                      const struct metadata *meta) {
  switch (a->type) {
  case '0':
    return make_file(h, place, a->size, meta);
  case '1':
    return make_link(h, place, a->link_target);
  case '2':
    return make_special(h, place, S_IFLNK, a, meta);
  case '3':
    return make_special(h, place, S_IFCHR, a, meta);
  case '4':
    return make_special(h, place, S_IFBLK, a, meta);
  case '5':
    return make_directory(h, place, meta);
  case '6':
    return make_special(h, place, S_IFIFO, a, meta);
  default:
    return fail_as(h, EINVAL, "%s: unknown type %u", place->path, a->type);
  }
}

int op_layer_entry(struct helper *h, const struct args_layer_entry *a) {
  struct place place;
  int error = need_layer(h);
  if (error == 0) error = layer_flush(h);
  if (error != 0) return error;
  if ((a->type == '3' || a->type == '4') && h->layer->skip_devices) {
    h->layer->skipped_devices++;
    return 0;
  }
  error = layer_place(h, a->path, true, &place);
  if (error != 0) return error;
  /* -1 would mean "leave the owner as it is". */
  if (a->uid == UINT32_MAX || a->gid == UINT32_MAX || a->mtime_nanoseconds > 999999999 || a->size > INT64_MAX)
    return fail_as(h, EINVAL, "%s: a number out of range", place.path);
  if (strcmp(place.name, ".") == 0 && a->type != '5') return fail_as(h, EINVAL, "the root is not a directory");
  struct metadata meta = {.mode = a->mode, .uid = a->uid, .gid = a->gid, .nanoseconds = a->mtime_nanoseconds,
                          .seconds = a->mtime_seconds, .xattr_names = a->xattr_names, .xattr_values = a->xattr_values};
  if (!name_set_add(&h->layer->names, place.path)) return fail_as(h, ENOMEM, "%s", place.path);
  return make_entry(h, a, &place, &meta);
}

static int write_data(struct helper *h, uint64_t offset, const uint8_t *at, size_t left) {
  struct layer *layer = h->layer;
  if (layer->file < 0) return fail_as(h, EINVAL, "data without a file");
  if (offset > layer->file_size || left > layer->file_size - offset)
    return fail_as(h, EFBIG, "%s: more data than its size", layer->file_path);
  while (left > 0) {
    ssize_t wrote = pwrite(layer->file, at, left, (off_t)offset);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) return fail(h, "write %s", layer->file_path);
    at += wrote;
    left -= (size_t)wrote;
    offset += (uint64_t)wrote;
  }
  if (offset > layer->file_end) layer->file_end = offset;
  return layer->file_end == layer->file_size ? finish_file(h) : 0;
}

int op_layer_data(struct helper *h, const struct args_layer_data *a) {
  int error = need_layer(h);
  return error != 0 ? error : write_data(h, a->offset, a->data.at, a->data.length);
}

int op_layer_inflated(struct helper *h, const struct args_layer_inflated *a) {
  int error = need_layer(h);
  if (error != 0) return error;
  struct unpacker *unpacker = &h->layer->unpacker;
  const uint8_t *at = unpacker->bytes == NULL || a->length > SIZE_MAX ? NULL : unpacker_at(unpacker, a->position, (size_t)a->length);
  if (at == NULL) return fail_as(h, EINVAL, "bytes that were not inflated");
  if (a->length > 0) error = write_data(h, a->offset, at, (size_t)a->length);
  if (error == 0) unpacker_release(unpacker, a->position + a->length);
  return error;
}

int op_layer_copy(struct helper *h, const struct args_layer_copy *a) {
  struct place place;
  struct stat st;
  int error = need_layer(h);
  if (error == 0) error = layer_flush(h);
  if (error == 0) error = layer_place(h, a->path, true, &place);
  if (error != 0) return error;
  if (!name_set_add(&h->layer->names, place.path)) return fail_as(h, ENOMEM, "%s", place.path);
  int from = resolve(h, &a->from, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0);
  if (from < 0) return fail(h, "open %s", a->from.path.at);
  if (fstat(from, &st) != 0) error = fail(h, "fstat %s", a->from.path.at);
  else if (!S_ISREG(st.st_mode)) error = fail_as(h, EINVAL, "%s is not a file", a->from.path.at);
  if (error == 0 && copy_one_file(from, place.parent, place.name) != 0) {
    error = errno == EEXIST ? clear_place(h, &place) : fail(h, "copy to %s", place.path);
    if (error == 0 && copy_one_file(from, place.parent, place.name) != 0) error = fail(h, "copy to %s", place.path);
  }
  close(from);
  return error;
}

/* --- what hides lower layers --- */

int op_layer_whiteout(struct helper *h, const struct args_layer_whiteout *a) {
  struct place place;
  int error = need_layer(h);
  if (error == 0) error = layer_flush(h);
  if (error == 0) error = layer_place(h, a->path, a->style != 0, &place);
  if (error != 0) return error == ENOENT && a->style == 0 ? 0 : error;
  if (strcmp(place.name, ".") == 0) return fail_as(h, EINVAL, "a whiteout of the root");
  if (a->style == 0) {
    layer_doubt_parent(h->layer);
    return remove_unnamed(h->layer, place.parent, place.name, place.path, 0) == 0 ? 0 : fail(h, "remove %s", place.path);
  }
  if (mknodat(place.parent, place.name, S_IFCHR, 0) == 0) return 0;
  if (errno != EEXIST) return fail(h, "whiteout %s", place.path);
  /* The layer brought something of this name: it stays. A directory hides what lower layers have in theirs. */
  int fd = openat(place.parent, place.name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return errno == ENOTDIR || errno == ELOOP ? 0 : fail(h, "open %s", place.path);
  error = set_opaque(h, fd, 0, place.path);
  close(fd);
  return error;
}

int op_layer_opaque(struct helper *h, const struct args_layer_opaque *a) {
  char path[PATH_MAX];
  int error = need_layer(h);
  if (error == 0) error = layer_flush(h);
  if (error != 0) return error;
  if (h->work < 0) return fail_as(h, EBADF, "no setWork before it");
  if (!clean_path(a->path, path)) return fail(h, "opaque directory");
  int fd = open_in_root(h->work, path[0] == 0 ? "/" : path, O_RDONLY | O_DIRECTORY, 0);
  if (fd < 0 && errno == ENOENT && a->style != 0) {
    int made = make_in_root(h->work, path, false, 0755);
    if (made >= 0) {
      close(made);
      fd = open_in_root(h->work, path, O_RDONLY | O_DIRECTORY, 0);
    }
  }
  if (fd < 0) return errno == ENOENT && a->style == 0 ? 0 : fail(h, "open %s", path);
  if (a->style == 0) {
    layer_forget_parent(h->layer);
    if (remove_unnamed_content(h->layer, fd, path, 0) != 0) error = fail(h, "empty %s", path);
  } else {
    error = set_opaque(h, fd, a->style, path);
  }
  close(fd);
  return error;
}

int op_layer_end(struct helper *h, const struct args_layer_end *a) {
  int error = need_layer(h);
  if (error == 0) error = layer_flush(h);
  if (error == 0) error = restore_times(h);
  if (error != 0) return error;
  layer_reset(h->layer);
  if (!a->sync) return 0;
  int fd = open_in_root(h->work, "/", O_RDONLY | O_DIRECTORY, 0);
  if (fd < 0) return fail(h, "open the work directory");
  error = syncfs(fd) == 0 ? 0 : fail(h, "syncfs");
  close(fd);
  return error;
}
