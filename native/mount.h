/* Mounting by descriptors, shared by the ops of ops_mount.c, ops_mask.c and overlay.c; 0 or an errno. */
#ifndef VITRINE_MOUNT_H
#define VITRINE_MOUNT_H
#include "helper.h"

/* A new filesystem as a detached mount in `*out`. ENOSYS: the kernel lacks the mount API. */
int make_filesystem(struct helper *h, const char *type, const char *source, uint64_t attributes, struct list options,
                    int *out);
/* An overlay; falls back to one mount(2) call on kernels whose overlay does not know `lowerdir+`. */
int mount_overlay(struct helper *h, const struct args_mount_filesystem *a, int target);
/* Sets attributes on the mount at `fd`; `flags` may hold K_AT_RECURSIVE. -1 and errno. */
int set_attributes(int fd, unsigned flags, uint64_t set, uint64_t clear);
/* The descriptor that something is mounted on; -1 and errno. */
int open_target(struct helper *h, const struct path *path);
/* MS_* bits, with MS_REC for the whole tree; 0 changes nothing. */
int set_tree_propagation(struct helper *h, int tree, uint32_t propagation, const char *target);
/* lend.c: what `make` gives, asked in a child; `what` is for the error when that one dies. */
typedef int tree_maker(struct helper *h, const void *of, int *tree);
int lent_tree(struct helper *h, tree_maker *make, const void *of, const char *what, int *tree);
/* What fsopen's context says about its last failure; "" when nothing. */
void context_message(int context, char *text, size_t size);

/* --- classic.c: the same with mount(2), before Linux 5.2 (5.12 for attributes) --- */
int classic_filesystem(struct helper *h, const struct args_mount_filesystem *a, int target);
int classic_bind(struct helper *h, const struct args_bind_mount *a, int source, int target);
/* `path` is resolved again: the descriptor of before the mount is beneath it. `spare`: what is locked stays. */
int classic_attributes(struct helper *h, const struct path *path, uint64_t set, uint64_t clear, bool spare);
int classic_propagation(int fd, uint32_t propagation, bool recursive);
/* Adds an option to the page of mount(2)'s data; false: no room. */
bool append_option(char *data, size_t size, size_t *length, const char *option);
int bind_by_name(const char *from, const char *to);
unsigned long classic_flags(uint64_t attributes);
#endif
