/* Where state is kept, as the engine decides it: src/api/locations.ts, src/cli/runtime/mod.ts. What is out of the ordinary there
   is false here, and nothing is kept or repeated. */
#include "launch.h"
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool launch_root(const char *chosen, char *out, size_t size) {
  const char *set = chosen != NULL ? chosen : getenv("VITRINE_ROOT");
  if (set != NULL && *set != 0) return *set == '/' && snprintf(out, size, "%s", set) < (int)size;
  if (geteuid() == 0) return snprintf(out, size, "/var/lib/vitrine") < (int)size;
  if ((set = getenv("XDG_DATA_HOME")) != NULL && *set == '/') return snprintf(out, size, "%s/vitrine", set) < (int)size;
  return (set = getenv("HOME")) != NULL && *set == '/' && snprintf(out, size, "%s/.local/share/vitrine", set) < (int)size;
}

bool launch_runroot(const char *chosen, char *out, size_t size) {
  const char *set = chosen != NULL ? chosen : getenv("VITRINE_RUNROOT");
  struct stat st;
  if (set != NULL && *set != 0) return *set == '/' && snprintf(out, size, "%s", set) < (int)size;
  if (geteuid() == 0) return snprintf(out, size, "/run/vitrine") < (int)size;
  set = getenv("XDG_RUNTIME_DIR");
  if (set == NULL || *set != '/' || lstat(set, &st) != 0 || !S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077) != 0)
    return false;
  return snprintf(out, size, "%s/vitrine", set) < (int)size;
}

bool launch_in_first_user_namespace(void) {
  char map[64];
  char *at = map;
  int fd = open("/proc/self/uid_map", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return true;
  ssize_t got = read(fd, map, sizeof map - 1);
  close(fd);
  if (got <= 0) return true;
  map[got] = 0;
  unsigned long first = strtoul(at, &at, 10);
  unsigned long host = strtoul(at, &at, 10);
  return first == 0 && host == 0 && strtoul(at, &at, 10) == 4294967295ul;
}

/* Absolute, of a path that may be relative to the current directory. */
static bool absolute(const char *path, char *out, size_t size) {
  char here[PATH_MAX];
  if (*path == '/') return snprintf(out, size, "%s", path) < (int)size;
  return getcwd(here, sizeof here) != NULL && snprintf(out, size, "%s/%s", here, path) < (int)size;
}

bool launch_runtime_root(const char *chosen, char *out, size_t size) {
  const char *user = getenv("USER");
  const char *own = getenv("XDG_RUNTIME_DIR");
  if (chosen != NULL && *chosen != 0) return absolute(chosen, out, size);
  bool is_root = geteuid() == 0 && ((user != NULL && strcmp(user, "root") == 0) || launch_in_first_user_namespace());
  if (is_root || own == NULL || *own == 0) return snprintf(out, size, "/run/vitrine-runtime") < (int)size;
  return snprintf(out, size, "%s/vitrine-runtime", own) < (int)size;
}
