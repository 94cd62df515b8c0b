/* Hard links of a tree that is walked: the path at which an inode was met first. */
#ifndef VITRINE_LINKS_H
#define VITRINE_LINKS_H
#include <stddef.h>
#include <sys/stat.h>

struct linked {
  ino_t inode;
  dev_t device;
  char *path;
};

struct link_set {
  struct linked *slots;
  size_t count, capacity;
};

/* NULL when it was not met yet. */
const char *link_set_find(const struct link_set *set, const struct stat *st);
/* 0, or -1 and errno. */
int link_set_add(struct link_set *set, const struct stat *st, const char *path);
void link_set_free(struct link_set *set);
#endif
