/* Names of a layer: where they lead, and which ones it brought. */
#include "layer.h"
#include <stdlib.h>
#include <string.h>

bool clean_path(struct str name, char out[static PATH_MAX]) {
  size_t size = 0;
  for (const char *at = name.at; *at != 0;) {
    size_t length = strcspn(at, "/");
    if (length == 2 && at[0] == '.' && at[1] == '.') {
      while (size > 0 && out[size - 1] != '/') size--;
      if (size > 0) size--;
    } else if (length > 0 && !(length == 1 && at[0] == '.')) {
      if (size + 1 + length >= PATH_MAX) {
        errno = ENAMETOOLONG;
        return false;
      }
      if (size > 0) out[size++] = '/';
      memcpy(out + size, at, length);
      size += length;
    }
    at += length;
    while (*at == '/') at++;
  }
  out[size] = 0;
  return true;
}

void layer_forget_parent(struct layer *layer) {
  if (layer->parent >= 0) close(layer->parent);
  layer->parent = -1;
}

void layer_doubt_parent(struct layer *layer) {
  /* No cleaned path is equal to it. */
  strcpy(layer->parent_path, "/");
}

static int open_parent(struct helper *h, const char *path, bool make) {
  struct layer *layer = h->layer;
  if (layer->parent >= 0 && strcmp(path, layer->parent_path) == 0) return 0;
  layer_forget_parent(layer);
  int fd = open_in_root(h->work, *path == 0 ? "/" : path, O_PATH | O_DIRECTORY, 0);
  if (fd < 0 && errno == ENOENT && make) fd = make_in_root(h->work, path, false, 0755);
  if (fd < 0) return fail(h, "open directory %s", path);
  struct stat st;
  if (fstat(fd, &st) != 0) {
    int error = fail(h, "fstat %s", path);
    close(fd);
    return error;
  }
  if (!S_ISDIR(st.st_mode)) {
    close(fd);
    return fail_as(h, ENOTDIR, "%s", path);
  }
  layer->parent = fd;
  layer->parent_setgid = (st.st_mode & S_ISGID) != 0;
  strcpy(layer->parent_path, path);
  return 0;
}

int layer_place(struct helper *h, struct str name, bool make, struct place *out) {
  if (h->work < 0) return fail_as(h, EBADF, "no setWork before it");
  if (!clean_path(name, out->path)) return fail(h, "%.100s…", name.at);
  char *slash = strrchr(out->path, '/');
  if (out->path[0] == 0) {
    out->name = ".";
  } else {
    out->name = slash == NULL ? out->path : slash + 1;
  }
  if (slash != NULL) *slash = 0;
  int error = open_parent(h, slash == NULL ? "" : out->path, make);
  if (slash != NULL) *slash = '/';
  out->parent = h->layer->parent;
  return error;
}

/* --- the set of names --- */

static uint64_t hash_path(const char *path) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (; *path != 0; path++) hash = (hash ^ (uint8_t)*path) * 0x100000001b3u;
  hash ^= hash >> 29;
  return hash == 0 ? 1 : hash;
}

static uint64_t *slot_of(const struct name_set *set, uint64_t hash) {
  size_t at = (size_t)hash & (set->capacity - 1);
  while (set->slots[at] != 0 && set->slots[at] != hash) at = (at + 1) & (set->capacity - 1);
  return &set->slots[at];
}

static bool name_set_has(const struct name_set *set, const char *path) {
  return set->count > 0 && *slot_of(set, hash_path(path)) != 0;
}

bool name_set_add(struct name_set *set, const char *path) {
  if (set->count * 2 >= set->capacity) {
    struct name_set larger = {.count = set->count, .capacity = set->capacity == 0 ? 1024 : set->capacity * 2};
    larger.slots = calloc(larger.capacity, sizeof *larger.slots);
    if (larger.slots == NULL) return false;
    for (size_t i = 0; i < set->capacity; i++) {
      if (set->slots[i] != 0) *slot_of(&larger, set->slots[i]) = set->slots[i];
    }
    free(set->slots);
    *set = larger;
  }
  uint64_t hash = hash_path(path);
  uint64_t *slot = slot_of(set, hash);
  if (*slot == 0) set->count++;
  *slot = hash;
  return true;
}

void name_set_clear(struct name_set *set) {
  free(set->slots);
  *set = (struct name_set){0};
}

/* --- removal for whiteouts of the copy driver --- */

#define REMOVAL_DEPTH_MAX 400

int remove_unnamed_content(struct layer *layer, int directory, char path[static PATH_MAX], unsigned depth) {
  DIR *stream = take_stream(openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (stream == NULL) return -1;
  size_t length = strlen(path);
  int result = 0;
  const struct dirent *entry;
  while (result == 0 && (entry = next_entry(stream)) != NULL) {
    const char *name = entry->d_name;
    int more = snprintf(path + length, PATH_MAX - length, "%s%s", length == 0 ? "" : "/", name);
    if (more < 0 || (size_t)more >= PATH_MAX - length) {
      errno = ENAMETOOLONG;
      result = -1;
    } else {
      result = remove_unnamed(layer, directory, name, path, depth + 1);
    }
    path[length] = 0;
  }
  if (entry == NULL && errno != 0) result = -1;
  int saved = errno;
  closedir(stream);
  errno = saved;
  return result;
}

int remove_unnamed(struct layer *layer, int parent, const char *name, char path[static PATH_MAX], unsigned depth) {
  struct stat st;
  if (depth > REMOVAL_DEPTH_MAX) {
    errno = ELOOP;
    return -1;
  }
  if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) != 0) return errno == ENOENT ? 0 : -1;
  bool named = name_set_has(&layer->names, path);
  if (!S_ISDIR(st.st_mode)) return named ? 0 : unlinkat(parent, name, 0);
  int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return -1;
  int result = remove_unnamed_content(layer, fd, path, depth);
  int saved = errno;
  close(fd);
  errno = saved;
  if (result != 0 || named) return result;
  return unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOTEMPTY || errno == EEXIST ? 0 : -1;
}
