/* Privileges: capabilities, ids, seccomp, LSM labels. */
#include "helper.h"
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#ifndef PR_CAP_AMBIENT
#define PR_CAP_AMBIENT 47
#define PR_CAP_AMBIENT_RAISE 2
#define PR_CAP_AMBIENT_CLEAR_ALL 4
#endif

struct cap_header {
  uint32_t version;
  int pid;
};
struct cap_half {
  uint32_t effective, permitted, inheritable;
};
#define CAP_VERSION_3 0x20080522u

int op_drop_bounding_set(struct helper *h, const struct args_drop_bounding_set *a) {
  for (unsigned cap = 0; cap < 64; cap++) {
    if ((a->keep >> cap & 1) != 0) continue;
    if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0) continue;
    if (errno == EINVAL) return 0; /* past the last one that this kernel knows */
    return fail(h, "prctl(PR_CAPBSET_DROP, %u)", cap);
  }
  return 0;
}

static int set_capabilities(uint64_t effective, uint64_t permitted, uint64_t inheritable) {
  struct cap_header header = {CAP_VERSION_3, 0};
  struct cap_half halves[2];
  for (int i = 0; i < 2; i++) {
    halves[i].effective = (uint32_t)(effective >> (32 * i));
    halves[i].permitted = (uint32_t)(permitted >> (32 * i));
    halves[i].inheritable = (uint32_t)(inheritable >> (32 * i));
  }
  return (int)syscall(SYS_capset, &header, halves);
}

int op_set_capabilities(struct helper *h, const struct args_set_capabilities *a) {
  if (set_capabilities(a->effective, a->permitted, a->inheritable) != 0) return fail(h, "capset");
  if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0 && (a->ambient != 0 || errno != EINVAL))
    return fail(h, "prctl(PR_CAP_AMBIENT_CLEAR_ALL)");
  for (unsigned cap = 0; cap < 64; cap++) {
    if ((a->ambient >> cap & 1) != 0 && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) != 0)
      return fail(h, "prctl(PR_CAP_AMBIENT_RAISE, %u)", cap);
  }
  return 0;
}

/* Pipes belong to who made them: without this /dev/stdout could not be opened by another user of the container. */
static void give_pipes(uid_t uid, gid_t gid) {
  for (int fd = 0; fd < 3; fd++) {
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISFIFO(st.st_mode)) continue;
    if ((st.st_uid != uid || st.st_gid != gid) && fchown(fd, uid, gid) != 0) continue;
  }
}

int op_set_user(struct helper *h, const struct args_set_user *a) {
  gid_t *groups = calloc((size_t)a->groups.count + 1, sizeof *groups);
  if (groups == NULL) return fail(h, "memory");
  struct list list = a->groups;
  size_t count = 0;
  while (list.count > 0) groups[count++] = list_u32(&list);
  int error = 0;
  give_pipes(a->uid, a->gid);
  /* Else leaving uid 0 drops the permitted set, which setCapabilities is to choose from. */
  if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0) error = fail(h, "prctl(PR_SET_KEEPCAPS)");
  else if (!a->skip_groups && setgroups(count, groups) != 0) error = fail(h, "setgroups");
  else if (setresgid(a->gid, a->gid, a->gid) != 0) error = fail(h, "setresgid(%u)", a->gid);
  else if (setresuid(a->uid, a->uid, a->uid) != 0) error = fail(h, "setresuid(%u)", a->uid);
  free(groups);
  if (error != 0) return error;
  prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0);
  /* The change emptied the effective set; the ops that follow still need what is permitted. */
  struct cap_header header = {CAP_VERSION_3, 0};
  struct cap_half halves[2];
  if (syscall(SYS_capget, &header, halves) != 0) return fail(h, "capget");
  for (int i = 0; i < 2; i++) halves[i].effective = halves[i].permitted;
  if (syscall(SYS_capset, &header, halves) != 0) return fail(h, "capset");
  /* The kernel forgets it when ids change. */
  arm_parent_death(h);
  return 0;
}

int op_seccomp(struct helper *h, const struct args_seccomp *a) {
  enum { SET_MODE_FILTER = 1, FILTER_FLAG_NEW_LISTENER = 8, INSTRUCTION_BYTES = 8 };
  if (a->program.length == 0 || a->program.length % INSTRUCTION_BYTES != 0 ||
      a->program.length / INSTRUCTION_BYTES > UINT16_MAX)
    return fail_as(h, EINVAL, "not a BPF program");
  void *filter = malloc(a->program.length);
  if (filter == NULL) return fail(h, "memory");
  memcpy(filter, a->program.at, a->program.length);
  struct {
    unsigned short length;
    void *filter;
  } program = {(unsigned short)(a->program.length / INSTRUCTION_BYTES), filter};
  uint32_t flags = a->flags | (a->listener_path.length > 0 ? (uint32_t)FILTER_FLAG_NEW_LISTENER : 0);
  int result = (int)syscall(SYS_seccomp, SET_MODE_FILTER, flags, &program);
  int error = result < 0 ? fail(h, "seccomp(SECCOMP_SET_MODE_FILTER)") : 0;
  free(filter);
  if (error != 0 || a->listener_path.length == 0) return error;
  struct message message = {.type = MESSAGE_LISTENER, .value = h->index};
  if (!channel_send(h->channel, &message, result)) error = fail(h, "send the seccomp listener");
  close(result);
  /* read and write alone, as in await_release. Without an agent the monitor ends us here. */
  ssize_t got;
  do got = error == 0 ? read(h->channel, &message, sizeof message) : 0;
  while (got < 0 && errno == EINTR);
  if (error == 0 && (got != sizeof message || message.type != MESSAGE_LISTENER)) _exit(125);
  return error;
}

/* Writes an attribute of this process in the verified procfs: a mount over /proc/self/attr would swallow it
   (CVE-2019-16884, CVE-2025-52881). */
static int write_attribute(struct helper *h, const char *name, const char *prefix, struct str value) {
  char file[64];
  snprintf(file, sizeof file, "self/attr/%s", name);
  struct path path = {{file, (uint32_t)strlen(file)}, BASE_PROC};
  int fd = resolve(h, &path, O_WRONLY, 0);
  if (fd < 0) return fail(h, "open /proc/%s", file);
  size_t length = strlen(prefix) + value.length;
  char *text = malloc(length + 1);
  int error = 0;
  if (text == NULL) {
    error = fail(h, "memory");
  } else {
    snprintf(text, length + 1, "%s%s", prefix, value.at);
    if (write(fd, text, length) != (ssize_t)length) error = fail(h, "write /proc/%s", file);
  }
  free(text);
  close(fd);
  return error;
}

int op_apparmor_profile(struct helper *h, const struct args_apparmor_profile *a) {
  int error = write_attribute(h, "apparmor/exec", "exec ", a->profile);
  /* Before Linux 5.8 the LSMs shared one file. */
  return error == ENOENT ? write_attribute(h, "exec", "exec ", a->profile) : error;
}

int op_selinux_label(struct helper *h, const struct args_selinux_label *a) {
  return write_attribute(h, "exec", "", a->label);
}
