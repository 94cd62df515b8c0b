/* Programs of the host: hooks, newuidmap, the explainer of a failure. */
#include "helper.h"
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

char **list_strings(struct list list, size_t extra) {
  char **strings = calloc((size_t)list.count + extra + 1, sizeof *strings);
  if (strings == NULL) return NULL;
  for (size_t i = 0; list.count > 0; i++) strings[i] = (char *)(uintptr_t)list_str(&list).at;
  return strings;
}

static bool add_to(const char *path, int stream) {
  if (path == NULL || *path == 0) return true;
  int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOCTTY | O_CLOEXEC, 0600);
  return fd >= 0 && dup2(fd, stream) >= 0;
}

static _Noreturn void fail_to_become(int failed) {
  int error = errno;
  if (write(failed, &error, sizeof error) != sizeof error) _exit(127);
  _exit(127);
}

static _Noreturn void become(const struct program *program, int input, int failed) {
  sigset_t none;
  sigemptyset(&none);
  reset_signals(&none);
  /* What a program with a timeout started itself must go with it. */
  if (program->timeout_seconds != 0) setpgid(0, 0);
  umask(program->umask);
  if (program->directory != NULL && fchdir(*program->directory) != 0) _exit(127);
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (input < 0) input = null;
  if (program->quiet && dup2(null, STDOUT_FILENO) < 0) _exit(127);
  if (input < 0 || dup2(input, STDIN_FILENO) < 0) _exit(127);
  if (!add_to(program->output_file, STDOUT_FILENO) || !add_to(program->error_file, STDERR_FILENO)) fail_to_become(failed);
  execve(program->path, program->argv, program->envp);
  fail_to_become(failed);
}

static int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Feeds the input and waits for the end of `failed`, which exec closes; 0, an errno of execve, or ETIME. */
static int feed(const struct program *program, int input, int failed, int64_t deadline) {
  size_t done = 0;
  int error = 0;
  while (input >= 0 || failed >= 0) {
    struct pollfd polls[2] = {{input, POLLOUT, 0}, {failed, POLLIN, 0}};
    int64_t left = deadline - now_ms();
    if (deadline != 0 && left <= 0) {
      error = ETIME;
      break;
    }
    if (poll(polls, 2, deadline == 0 ? -1 : (int)left) < 0) {
      if (errno == EINTR) continue;
      error = errno;
      break;
    }
    if (failed >= 0 && polls[1].revents != 0) {
      ssize_t got = read(failed, &error, sizeof error);
      if (got != sizeof error) error = 0;
      close(failed);
      failed = -1;
      if (error != 0) break;
    }
    if (input >= 0 && polls[0].revents != 0) {
      ssize_t wrote = write(input, (const char *)program->input + done, program->input_size - done);
      if (wrote > 0) done += (size_t)wrote;
      /* A program that does not read its input is in its right: EPIPE ends the feeding. */
      bool ended = done == program->input_size || (wrote < 0 && errno != EAGAIN && errno != EINTR);
      if (ended) {
        close(input);
        input = -1;
      }
    }
  }
  if (input >= 0) close(input);
  if (failed >= 0) close(failed);
  return error;
}

static void kill_program(pid_t pid, bool group) {
  if (group) kill(-pid, SIGKILL);
  kill(pid, SIGKILL);
}

static int reap_child(pid_t pid, int64_t deadline, int *error) {
  int status = 0;
  for (;;) {
    pid_t got = waitpid(pid, &status, deadline != 0 && *error == 0 ? WNOHANG : 0);
    if (got == pid) return status;
    if (got < 0 && errno != EINTR) return -1;
    if (got == 0) {
      if (now_ms() >= deadline) {
        *error = ETIME;
        kill_program(pid, true);
      } else {
        struct timespec pause = {0, 2000000};
        nanosleep(&pause, NULL);
      }
    }
  }
}

int run_program(const struct program *program) {
  int input[2] = {-1, -1};
  int failed[2];
  if (pipe2(failed, O_CLOEXEC) != 0) return -1;
  if (program->input != NULL) {
    if (pipe2(input, O_CLOEXEC) != 0) {
      close(failed[0]);
      close(failed[1]);
      return -1;
    }
    fcntl(input[1], F_SETFL, O_NONBLOCK);
  }
  pid_t pid = fork();
  if (pid == 0) become(program, input[0], failed[1]);
  close(failed[1]);
  if (input[0] >= 0) close(input[0]);
  if (pid < 0) {
    close(failed[0]);
    if (input[1] >= 0) close(input[1]);
    errno = EAGAIN;
    return -1;
  }
  int64_t deadline = program->timeout_seconds == 0 ? 0 : now_ms() + (int64_t)program->timeout_seconds * 1000;
  int error = feed(program, input[1], failed[0], deadline);
  if (error != 0) kill_program(pid, deadline != 0);
  int status = reap_child(pid, deadline, &error);
  if (error != 0) {
    errno = error;
    return -1;
  }
  return status;
}
