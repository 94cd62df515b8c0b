/* The last op: init becomes the user's program. */
#include "helper.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define STANDARD_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static const char *search_path(char *const *envp) {
  for (; *envp != NULL; envp++) {
    if (strncmp(*envp, "PATH=", 5) == 0) return *envp + 5;
  }
  return STANDARD_PATH;
}

/* `#!`: execve says ENOENT of the interpreter, and people look at the script. The line goes into a detail, which is
   made printable before it is printed. */
static bool missing_interpreter(const char *file, char *out, size_t size) {
  char line[128];
  int fd = open(file, O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return false;
  ssize_t got = read(fd, line, sizeof line - 1);
  close(fd);
  if (got < 2) return false;
  line[got] = 0;
  if (strncmp(line, "#!", 2) != 0) {
    snprintf(out, size, "its loader");
    return memcmp(line, "\177ELF", 4) == 0;
  }
  line[strcspn(line, "\n")] = 0;
  const char *interpreter = line + 2 + strspn(line + 2, " \t");
  snprintf(out, size, "%.*s", (int)strcspn(interpreter, " \t\r"), interpreter);
  return true;
}

static int execute_file(struct helper *h, const char *file, char **argv, char **envp) {
  execve(file, argv, envp);
  int error = errno;
  struct stat st;
  char interpreter[120];
  if (error == ENOENT && stat(file, &st) == 0 && missing_interpreter(file, interpreter, sizeof interpreter))
    return fail_as(h, error, "execve %.100s: %s is missing", file, interpreter);
  return fail_as(h, error, "execve %.200s", file);
}

/* As execvp, but an empty component does not mean the current directory: an image's PATH is not the user's word. */
static int execute_in_path(struct helper *h, char **argv, char **envp) {
  char file[PATH_MAX];
  bool denied = false;
  for (const char *at = search_path(envp); *at != 0;) {
    size_t length = strcspn(at, ":");
    int size = snprintf(file, sizeof file, "%.*s/%s", (int)length, at, argv[0]);
    if (length > 0 && size > 0 && (size_t)size < sizeof file) {
      struct stat st;
      /* A directory answers EACCES: the program may still be further on. */
      errno = 0;
      if (stat(file, &st) == 0 && !S_ISDIR(st.st_mode)) {
        int error = execute_file(h, file, argv, envp);
        if (error != EACCES) return error;
        denied = true;
      } else if (errno == EACCES) {
        denied = true;
      }
    }
    at += length;
    if (*at == ':') at++;
  }
  return fail_as(h, denied ? EACCES : ENOENT, "%.180s in PATH", argv[0]);
}

/* A filter may refuse the call: then execve will tell. */
static bool runnable(const char *file) {
  struct stat st;
  if (syscall(SYS_faccessat2, AT_FDCWD, file, X_OK, AT_EACCESS) != 0)
    return errno != ENOENT && errno != EACCES && errno != ENOTDIR && errno != ELOOP && errno != ENAMETOOLONG;
  if (stat(file, &st) != 0 || !S_ISDIR(st.st_mode)) return true;
  errno = EACCES;
  return false;
}

static int check_in_path(struct helper *h, const char *name, char *const *envp) {
  char file[PATH_MAX];
  bool denied = false;
  for (const char *at = search_path(envp); *at != 0;) {
    size_t length = strcspn(at, ":");
    int size = snprintf(file, sizeof file, "%.*s/%s", (int)length, at, name);
    if (length > 0 && size > 0 && (size_t)size < sizeof file) {
      if (runnable(file)) return 0;
      denied |= errno == EACCES;
    }
    at += length;
    if (*at == ':') at++;
  }
  return fail_as(h, denied ? EACCES : ENOENT, "%.180s in PATH", name);
}

int check_program(struct helper *h) {
  const uint8_t *at = h->plan->at;
  struct frame frame;
  union op_args args;
  uint32_t waiting = h->index;
  for (uint32_t index = 0; plan_next(h->plan, &at, &frame); index++) {
    if (frame.code != OP_EXECUTE || frame.stage != STAGE_INIT || !frame_decode(&frame, &args)) continue;
    if (args.execute.argv.count == 0) return 0;
    struct list argv = args.execute.argv;
    const char *name = list_str(&argv).at;
    char **envp = list_strings(args.execute.env, 0);
    if (envp == NULL) return fail_as(h, ENOMEM, "memory");
    int error = 0;
    h->index = index;
    if (*name == 0) error = fail_as(h, ENOENT, "an empty program name");
    else if (strchr(name, '/') == NULL) error = check_in_path(h, name, envp);
    else if (!runnable(name)) error = fail(h, "execve %.200s", name);
    if (error == 0) h->index = waiting;
    free(envp);
    return error;
  }
  return 0;
}

int op_execute(struct helper *h, const struct args_execute *a) {
  if (a->argv.count == 0) return fail_as(h, EINVAL, "no program");
  char **argv = list_strings(a->argv, 0);
  char **envp = list_strings(a->env, 0);
  if (argv == NULL || envp == NULL) return fail_as(h, ENOMEM, "memory");
  sigset_t none;
  sigemptyset(&none);
  umask(h->umask);
  arm_parent_death(h);
  announce_execute(h);
  reset_signals(&none);
  int error;
  if (argv[0][0] == 0) error = fail_as(h, ENOENT, "an empty program name");
  else if (strchr(argv[0], '/') != NULL) error = execute_file(h, argv[0], argv, envp);
  else error = execute_in_path(h, argv, envp);
  free(argv);
  free(envp);
  return error;
}
