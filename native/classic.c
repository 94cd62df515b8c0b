/* The fallbacks of the mount API: mount(2), with descriptors named through /proc/self/fd. */
#include "mount.h"
#include <string.h>
#include <sys/mount.h>
#include <sys/statvfs.h>

#ifndef MS_NOSYMFOLLOW
#define MS_NOSYMFOLLOW 256
#endif

struct by_descriptor {
  char text[32];
};

static struct by_descriptor named(int fd) {
  struct by_descriptor name;
  snprintf(name.text, sizeof name.text, "/proc/self/fd/%d", fd);
  return name;
}

unsigned long classic_flags(uint64_t attributes) {
  unsigned long flags = 0;
  if ((attributes & K_MOUNT_ATTR_RDONLY) != 0) flags |= MS_RDONLY;
  if ((attributes & K_MOUNT_ATTR_NOSUID) != 0) flags |= MS_NOSUID;
  if ((attributes & K_MOUNT_ATTR_NODEV) != 0) flags |= MS_NODEV;
  if ((attributes & K_MOUNT_ATTR_NOEXEC) != 0) flags |= MS_NOEXEC;
  if ((attributes & K_MOUNT_ATTR_NODIRATIME) != 0) flags |= MS_NODIRATIME;
  if ((attributes & K_MOUNT_ATTR_NOSYMFOLLOW) != 0) flags |= MS_NOSYMFOLLOW;
  uint64_t atime = attributes & K_MOUNT_ATTR_ATIME;
  flags |= atime == K_MOUNT_ATTR_NOATIME ? MS_NOATIME : atime == K_MOUNT_ATTR_STRICTATIME ? MS_STRICTATIME : MS_RELATIME;
  return flags;
}

/* A label of SELinux may hold commas (`s0:c1,c2`), which part options: the kernel takes quotes around it. */
static bool needs_quotes(const char *option) {
  static const char *const labels[] = {"context=", "fscontext=", "defcontext=", "rootcontext="};
  for (size_t i = 0; i < sizeof labels / sizeof *labels; i++) {
    if (strncmp(option, labels[i], strlen(labels[i])) == 0) return strchr(option, ',') != NULL;
  }
  return false;
}

bool append_option(char *data, size_t size, size_t *length, const char *option) {
  const char *quote = needs_quotes(option) ? "\"" : "";
  int key = quote[0] == 0 ? 0 : (int)strcspn(option, "=") + 1;
  int more = snprintf(data + *length, size - *length, "%s%.*s%s%s%s", *length == 0 ? "" : ",", key, option, quote,
                      option + key, quote);
  if (more < 0 || (size_t)more >= size - *length) return false;
  *length += (size_t)more;
  return true;
}

int classic_filesystem(struct helper *h, const struct args_mount_filesystem *a, int target) {
  char data[4096] = "";
  size_t length = 0;
  struct list options = a->options;
  while (options.count > 0) {
    if (!append_option(data, sizeof data, &length, list_str(&options).at))
      return fail_as(h, E2BIG, "%s: options", a->fstype.at);
  }
  const char *source = a->source.length > 0 ? a->source.at : a->fstype.at;
  if (mount(source, named(target).text, a->fstype.at, classic_flags(a->attributes), data) != 0)
    return fail(h, "mount(%s, %s)", a->fstype.at, a->target.path.at);
  return 0;
}

int bind_by_name(const char *from, const char *to) {
  return mount(from, to, NULL, MS_BIND, NULL);
}

int classic_propagation(int fd, uint32_t propagation, bool recursive) {
  return mount(NULL, named(fd).text, NULL, propagation | (recursive ? MS_REC : 0ul), NULL);
}

/* The attributes that the mount has: a remount replaces all of them. */
static uint64_t present_attributes(int fd) {
  struct statvfs fs;
  uint64_t attributes = 0;
  if (fstatvfs(fd, &fs) != 0) return 0;
  if ((fs.f_flag & ST_RDONLY) != 0) attributes |= K_MOUNT_ATTR_RDONLY;
  if ((fs.f_flag & ST_NOSUID) != 0) attributes |= K_MOUNT_ATTR_NOSUID;
  if ((fs.f_flag & 4 /* ST_NODEV */) != 0) attributes |= K_MOUNT_ATTR_NODEV;
  if ((fs.f_flag & 8 /* ST_NOEXEC */) != 0) attributes |= K_MOUNT_ATTR_NOEXEC;
  if ((fs.f_flag & 2048 /* ST_NODIRATIME */) != 0) attributes |= K_MOUNT_ATTR_NODIRATIME;
  if ((fs.f_flag & 1024 /* ST_NOATIME */) != 0) attributes |= K_MOUNT_ATTR_NOATIME;
  else if ((fs.f_flag & 4096 /* ST_RELATIME */) == 0) attributes |= K_MOUNT_ATTR_STRICTATIME;
  return attributes;
}

int classic_attributes(struct helper *h, const struct path *path, uint64_t set, uint64_t clear, bool spare) {
  if (set == 0 && clear == 0) return 0;
  if (((set | clear) & K_MOUNT_ATTR_ATIME) != 0) clear |= K_MOUNT_ATTR_ATIME;
  int fd = resolve(h, path, O_PATH, 0);
  if (fd < 0) return fail(h, "open %s", path->path.at);
  uint64_t present = present_attributes(fd);
  unsigned long base = MS_REMOUNT | MS_BIND;
  int error = 0;
  if (mount(NULL, named(fd).text, NULL, base | classic_flags((present & ~clear) | set), NULL) != 0) {
    error = fail(h, "mount(MS_REMOUNT, %s)", path->path.at);
    /* Locked flags of a user namespace stay. */
    uint64_t kept = present | (set & ~K_MOUNT_ATTR_ATIME);
    if (error == EPERM && spare && mount(NULL, named(fd).text, NULL, base | classic_flags(kept), NULL) == 0) error = 0;
  }
  close(fd);
  return error;
}

int classic_bind(struct helper *h, const struct args_bind_mount *a, int source, int target) {
  if (a->recursive_attributes)
    return fail_as(h, ENOSYS, "mount_setattr(%s)", a->target.path.at);
  if (mount(named(source).text, named(target).text, NULL, MS_BIND | (a->recursive ? MS_REC : 0ul), NULL) != 0)
    return fail(h, "mount(MS_BIND, %s)", a->target.path.at);
  int error = classic_attributes(h, &a->target, a->set, a->clear, false);
  if (error != 0 || a->propagation == 0) return error;
  int fd = resolve(h, &a->target, O_PATH, 0);
  if (fd < 0) return fail(h, "open %s", a->target.path.at);
  if (classic_propagation(fd, a->propagation, false) != 0) error = fail(h, "mount(propagation of %s)", a->target.path.at);
  close(fd);
  return error;
}
