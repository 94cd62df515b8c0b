/*
 * Kernel interfaces that a libc may not know: numbers and structures from the kernel's headers, defined here so that
 * musl and old glibc build without linux/ headers. System calls from 424 on have one number on every architecture.
 */
#ifndef VITRINE_SYS_H
#define VITRINE_SYS_H
#include <fcntl.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif
#ifndef SYS_open_tree
#define SYS_open_tree 428
#endif
#ifndef SYS_move_mount
#define SYS_move_mount 429
#endif
#ifndef SYS_fsopen
#define SYS_fsopen 430
#endif
#ifndef SYS_fsconfig
#define SYS_fsconfig 431
#endif
#ifndef SYS_fsmount
#define SYS_fsmount 432
#endif
#ifndef SYS_fspick
#define SYS_fspick 433
#endif
#ifndef SYS_clone3
#define SYS_clone3 435
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#ifndef SYS_openat2
#define SYS_openat2 437
#endif
#ifndef SYS_mount_setattr
#define SYS_mount_setattr 442
#endif

/* openat2(2) */
struct k_open_how {
  uint64_t flags, mode, resolve;
};
#define K_RESOLVE_NO_XDEV 0x01
#define K_RESOLVE_NO_MAGICLINKS 0x02
#define K_RESOLVE_NO_SYMLINKS 0x04
#define K_RESOLVE_BENEATH 0x08
#define K_RESOLVE_IN_ROOT 0x10

/* clone3(2) */
struct k_clone_args {
  uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup;
};
#define K_CLONE_PIDFD 0x00001000ull
#define K_CLONE_PARENT 0x00008000ull
#define K_CLONE_NEWTIME 0x00000080ull
#define K_CLONE_NEWNS 0x00020000ull
#define K_CLONE_NEWCGROUP 0x02000000ull
#define K_CLONE_NEWUTS 0x04000000ull
#define K_CLONE_NEWIPC 0x08000000ull
#define K_CLONE_NEWUSER 0x10000000ull
#define K_CLONE_NEWPID 0x20000000ull
#define K_CLONE_NEWNET 0x40000000ull
#define K_CLONE_INTO_CGROUP 0x200000000ull

/* mount_setattr(2) and the mount API */
struct k_mount_attr {
  uint64_t attr_set, attr_clr, propagation, userns_fd;
};
#define K_MOUNT_ATTR_RDONLY 0x00000001ull
#define K_MOUNT_ATTR_NOSUID 0x00000002ull
#define K_MOUNT_ATTR_NODEV 0x00000004ull
#define K_MOUNT_ATTR_NOEXEC 0x00000008ull
#define K_MOUNT_ATTR_ATIME 0x00000070ull /* a field of three values, not bits */
#define K_MOUNT_ATTR_NOATIME 0x00000010ull
#define K_MOUNT_ATTR_STRICTATIME 0x00000020ull
#define K_MOUNT_ATTR_NODIRATIME 0x00000080ull
#define K_MOUNT_ATTR_IDMAP 0x00100000ull
#define K_MOUNT_ATTR_NOSYMFOLLOW 0x00200000ull
#define K_OPEN_TREE_CLONE 1u
#define K_AT_RECURSIVE 0x8000u
#define K_FSCONFIG_SET_FLAG 0u
#define K_FSCONFIG_SET_STRING 1u
#define K_FSCONFIG_CMD_CREATE 6u
#define K_FSCONFIG_CMD_RECONFIGURE 7u
#define K_FSPICK_CLOEXEC 1u
#define K_FSPICK_EMPTY_PATH 8u
#define K_FSOPEN_CLOEXEC 1u
#define K_FSMOUNT_CLOEXEC 1u
#define K_MOVE_MOUNT_F_EMPTY_PATH 0x04u
#define K_MOVE_MOUNT_T_EMPTY_PATH 0x40u

/* close_range(2) */
#define K_CLOSE_RANGE_CLOEXEC 4u

/* statfs(2) magic numbers */
#define K_PROC_SUPER_MAGIC 0x9fa0
#define K_CGROUP_SUPER_MAGIC 0x27e0eb
#define K_CGROUP2_SUPER_MAGIC 0x63677270
#define K_PROC_ROOT_INO 1
#define K_DEVPTS_SUPER_MAGIC 0x1cd1

/* memfd_create(2) */
#define K_MFD_CLOEXEC 1u
#define K_MFD_ALLOW_SEALING 2u
#define K_MFD_EXEC 0x10u

/* ioctl(2) */
#define K_FICLONE 0x40049409u
#define K_TIOCGPTPEER 0x5441u
#define K_NS_GET_NSTYPE 0xb703u

static inline int k_openat2(int dir, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve) {
  struct k_open_how how = {flags | O_CLOEXEC, mode, resolve};
  return (int)syscall(SYS_openat2, dir, path, &how, sizeof how);
}
static inline pid_t k_clone3(const struct k_clone_args *args) {
  return (pid_t)syscall(SYS_clone3, args, sizeof *args);
}
static inline int k_pidfd_open(pid_t pid) {
  return (int)syscall(SYS_pidfd_open, pid, 0);
}

static inline int k_pidfd_send_signal(int pidfd, int signal) {
  return (int)syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0);
}
static inline int k_close_range(unsigned first, unsigned last, unsigned flags) {
  return (int)syscall(SYS_close_range, first, last, flags);
}

/* With VITRINE_CLASSIC_MOUNTS the kernel seems to lack the mount API of Linux 5.2: the tests of the fallbacks. */
#ifdef VITRINE_CLASSIC_MOUNTS
#include <errno.h>
#define K_MOUNT_API(call) (errno = ENOSYS, -1)
#else
#define K_MOUNT_API(call) ((int)(call))
#endif
static inline int k_open_tree(int dir, const char *path, unsigned flags) {
  (void)dir, (void)path, (void)flags;
  return K_MOUNT_API(syscall(SYS_open_tree, dir, path, flags | O_CLOEXEC));
}
static inline int k_move_mount(int from, int to) {
  (void)from, (void)to;
  return K_MOUNT_API(
      syscall(SYS_move_mount, from, "", to, "", K_MOVE_MOUNT_F_EMPTY_PATH | K_MOVE_MOUNT_T_EMPTY_PATH));
}
static inline int k_fspick(int at) {
  (void)at;
  return K_MOUNT_API(syscall(SYS_fspick, at, "", K_FSPICK_CLOEXEC | K_FSPICK_EMPTY_PATH));
}
static inline int k_fsopen(const char *type) {
  (void)type;
  return K_MOUNT_API(syscall(SYS_fsopen, type, K_FSOPEN_CLOEXEC));
}
static inline int k_fsconfig(int fd, unsigned command, const char *key, const char *value) {
  (void)fd, (void)command, (void)key, (void)value;
  return K_MOUNT_API(syscall(SYS_fsconfig, fd, command, key, value, 0));
}
static inline int k_fsmount(int fd, uint64_t attributes) {
  (void)fd, (void)attributes;
  return K_MOUNT_API(syscall(SYS_fsmount, fd, K_FSMOUNT_CLOEXEC, (unsigned)attributes));
}
static inline int k_mount_setattr(int fd, unsigned flags, const struct k_mount_attr *attr) {
  (void)fd, (void)flags, (void)attr;
  return K_MOUNT_API(syscall(SYS_mount_setattr, fd, "", flags | (unsigned)AT_EMPTY_PATH, attr, sizeof *attr));
}
#endif
