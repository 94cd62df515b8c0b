/* The state of a layer being applied, shared by ops_layer.c, layer_meta.c and layer_names.c. */
#ifndef VITRINE_LAYER_H
#define VITRINE_LAYER_H
#include "helper.h"
#include "unpacker.h"
#include <limits.h>
#include <sys/stat.h>

/* Times of directories wait until nothing is written into them any more. */
struct directory_time {
  int64_t seconds;
  uint32_t nanoseconds;
  uint32_t path; /* where it begins in `paths` */
};

/* The names that this layer brought, as hashes: its whiteouts spare them (image-spec layer.md). */
struct name_set {
  uint64_t *slots;
  size_t count, capacity;
};

/* Owner, mode, time and xattrs of an entry; xattrs point into the frame, or into `layer->xattrs` while data comes. */
struct metadata {
  uint32_t mode, uid, gid, nanoseconds;
  int64_t seconds;
  struct list xattr_names;
  struct bytes xattr_values;
};

struct layer {
  bool ignore_owner, ignore_xattrs, skip_devices, keep_kinds, begin_flush;
  int output, copy; /* where reading ops write their answers, and trees without one; -1: nowhere */
  bool is_root; /* what it makes belongs to 0:0 of its user namespace */
  uint64_t skipped_devices;
  struct unpacker unpacker; /* `bytes` is NULL without one */
  /* The directory of the last entry: the next one mostly shares it. */
  int parent;
  bool parent_setgid;
  char parent_path[PATH_MAX];
  /* The file whose data is coming, -1 without one. */
  int file;
  uint64_t file_size, file_end;
  bool file_inherited;
  bool file_mounted; /* it was there and cannot be replaced: only its content is new */
  struct metadata file_metadata;
  uint8_t *xattrs;
  char file_path[PATH_MAX];
  struct directory_time *times;
  size_t times_count, times_capacity;
  char *paths;
  size_t paths_size, paths_capacity;
  struct name_set names;
};

/* An entry's place: the descriptor of its directory (the layer's, not to be closed) and its last component. */
struct place {
  int parent;
  const char *name; /* into `path`; "." for the root itself */
  char path[PATH_MAX]; /* cleaned: no "", ".", ".." components, no slash at either end */
};

/* --- layer_names.c --- */
/* Cleans a name as filepath.Clean does: ".." never leads out of the root. False (errno) when too long. */
bool clean_path(struct str name, char out[static PATH_MAX]);
/* Finds the entry's directory, making what is missing with 0755. An errno. */
int layer_place(struct helper *h, struct str name, bool make, struct place *out);
void layer_forget_parent(struct layer *layer);
/* Something is being removed, and the cached directory may be below it: the next entry looks it up again. It stays open
   for the entry at hand. */
void layer_doubt_parent(struct layer *layer);
bool name_set_add(struct name_set *set, const char *path);
void name_set_clear(struct name_set *set);
/* Removes `name` and what is below, less what this layer brought. -1 and errno. */
int remove_unnamed(struct layer *layer, int parent, const char *name, char path[static PATH_MAX], unsigned depth);
/* The same for what is inside the directory only. */
int remove_unnamed_content(struct layer *layer, int directory, char path[static PATH_MAX], unsigned depth);

/* --- layer_meta.c; errnos --- */
/* `fd` is the open file or -1: then the entry is `name` in `parent`. `inherited`: the kernel may have given it
   its parent's group. */
int apply_metadata(struct helper *h, int fd, int parent, const char *name, const struct metadata *meta, mode_t type,
                   bool inherited, const char *path);
int set_opaque(struct helper *h, int directory, uint32_t style, const char *path);
int restore_times(struct helper *h);

#endif
