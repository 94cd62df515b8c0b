/* Files of several names, by inode: where the first of them was met. */
#include "links.h"
#include <stdlib.h>
#include <string.h>

/* The slot of an inode in the table, or the free one where it belongs. */
static struct linked *slot_of(struct linked *slots, size_t capacity, ino_t inode, dev_t device) {
  size_t at = (size_t)(inode * 0x9e3779b97f4a7c15u >> 20) & (capacity - 1);
  while (slots[at].path != NULL && (slots[at].inode != inode || slots[at].device != device)) at = (at + 1) & (capacity - 1);
  return &slots[at];
}

const char *link_set_find(const struct link_set *set, const struct stat *st) {
  return set->count == 0 ? NULL : slot_of(set->slots, set->capacity, st->st_ino, st->st_dev)->path;
}

int link_set_add(struct link_set *set, const struct stat *st, const char *path) {
  if (set->count * 2 >= set->capacity) {
    size_t capacity = set->capacity == 0 ? 64 : set->capacity * 2;
    struct linked *slots = calloc(capacity, sizeof *slots);
    if (slots == NULL) return -1;
    for (size_t i = 0; i < set->capacity; i++) {
      const struct linked *old = &set->slots[i];
      if (old->path != NULL) *slot_of(slots, capacity, old->inode, old->device) = *old;
    }
    free(set->slots);
    set->slots = slots;
    set->capacity = capacity;
  }
  char *copy = strdup(path);
  if (copy == NULL) return -1;
  *slot_of(set->slots, set->capacity, st->st_ino, st->st_dev) = (struct linked){st->st_ino, st->st_dev, copy};
  set->count++;
  return 0;
}

void link_set_free(struct link_set *set) {
  for (size_t i = 0; i < set->capacity; i++) free(set->slots[i].path);
  free(set->slots);
  *set = (struct link_set){0};
}
