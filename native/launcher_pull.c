/*
 * Whether a `pull` is likely of what is here already: a tag of the store has the name. Such a pull asks the registry and ends, in less
 * time than the compiler needs. It is a guess, and decides about speed alone: where the registry has another image by now, the
 * engine starts itself again with its compiler (src/cli/framework/restart.ts).
 */
#include "launch.h"
#include "launcher.h"
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

enum { INDEX_BYTES_MAX = 1024 * 1024 };

/* The only name; NULL where there are more, or it is not told for sure. */
static const char *only_name(char **words) {
  static const char *const valued[] = {"--platform", "--os", "--arch", "--variant", "--creds", "--authfile", "--cert-dir", "--retry",
                                       "--retry-delay", "--registry-token", "--policy", "--digestfile", NULL};
  const char *name = NULL;
  for (; *words != NULL; words++) {
    if (**words != '-') {
      if (name != NULL) return NULL;
      name = *words;
      continue;
    }
    for (size_t i = 0; valued[i] != NULL; i++) {
      if (strcmp(*words, valued[i]) != 0) continue;
      if (words[1] == NULL) return NULL;
      words++;
      break;
    }
  }
  return name;
}

/* How a tag of that name, or what it leads to, ends in index.json. */
static bool end_of(const char *name, char *out, size_t size) {
  const char *digest = strchr(name, '@');
  const char *slash = strrchr(name, '/');
  if (digest != NULL) return snprintf(out, size, "\"%s\"", digest + 1) < (int)size;
  const char *last = slash == NULL ? name : slash + 1;
  return snprintf(out, size, "/%s%s\"", last, strchr(last, ':') == NULL ? ":latest" : "") < (int)size;
}

static bool holds(const char *path, const char *text) {
  struct stat st;
  int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return false;
  char *bytes = fstat(fd, &st) == 0 && st.st_size > 0 && st.st_size <= INDEX_BYTES_MAX ? malloc((size_t)st.st_size + 1) : NULL;
  ssize_t got = bytes == NULL ? -1 : read(fd, bytes, (size_t)st.st_size);
  close(fd);
  if (got < 0) return false;
  bytes[got] = 0;
  bool found = strstr(bytes, text) != NULL;
  free(bytes);
  return found;
}

const char *pulled_name_that_is_here(char **words) {
  char root[PATH_MAX];
  char path[PATH_MAX + 32];
  char end[512];
  const char *chosen = NULL;
  for (; *words != NULL && strcmp(*words, "pull") != 0; words++) {
    if (strcmp(*words, "--root") == 0) chosen = words[1];
    else if (strncmp(*words, "--root=", 7) == 0) chosen = *words + 7;
  }
  const char *name = *words == NULL ? NULL : only_name(words + 1);
  if (name == NULL || !end_of(name, end, sizeof end) || !launch_root(chosen, root, sizeof root)) return NULL;
  if (snprintf(path, sizeof path, "%s/oci/index.json", root) >= (int)sizeof path) return NULL;
  return holds(path, end) ? name : NULL;
}

/*
 * The engine says what it wants there, once it has read what registries.conf says of the name: src/registry/client/quick-head.ts. Its number is
 * none that the engine's runtime would leave open in other programs.
 */
char *reach_registry_of(const char *name) {
  enum { PATIENCE_MILLISECONDS = 1000, ANSWER_SECONDS = 2, FIRST_NUMBER = 16 };
  static char variable[96];
  char host[64];
  const char *slash = strchr(name, '/');
  if (slash == NULL || (size_t)(slash - name) >= sizeof host) return NULL;
  memcpy(host, name, (size_t)(slash - name));
  host[slash - name] = 0;
  int near = launch_reach(host, PATIENCE_MILLISECONDS);
  if (near < 0) return NULL;
  const struct timeval patience = {.tv_sec = ANSWER_SECONDS};
  int flags = fcntl(near, F_GETFL);
  bool ready = flags >= 0 && fcntl(near, F_SETFL, flags & ~O_NONBLOCK) == 0 &&
               setsockopt(near, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0 &&
               setsockopt(near, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) == 0;
  int fd = ready ? fcntl(near, F_DUPFD, FIRST_NUMBER) : -1;
  close(near);
  if (fd < 0) return NULL;
  snprintf(variable, sizeof variable, "VITRINE_REACHED=%d %s", fd, host);
  return variable;
}
