/*
 * vitrine: what users start. It cleans the environment, chooses how the JavaScript engine runs, and becomes it.
 *
 * The engine is an executable that Bun built, and Bun lets the environment decide what such a program is: BUN_OPTIONS
 * preloads a script into it, BUN_BE_BUN makes it another program, BUN_INSPECT* opens a debugger. That happens before
 * its first own line, so it is prevented here. See SECURITY.md.
 */
#include "launch.h"
#include "launcher.h"
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

/*
 * Commands that end in milliseconds: compiling their code to machine code takes longer than interpreting it. Where
 * `run` has to unpack an image, the engine starts itself again without this (src/cli/framework/restart.ts). A `pull` of what is
 * present is one of them (native/launcher_pull.c).
 */
static const char *const quick_commands[] = {
  "run", "exec", "create", "start", "stop", "kill", "wait", "ps", "rm", "container", "images", "inspect", "history",
  "tag", "untag", "info", "version", "help", "runtime", "__failed", "__complete", NULL,
};

/* Those that may be repeated without the engine (native/launch.c). */
static const char *const repeated_commands[] = {"run", "start", "exec", "container", "pull", NULL};

/* Those that have --preserve-fds. */
static const char *const preserving_commands[] = {"runtime", "run", "exec", "container", NULL};

/*
 * Commands through which large content passes. Their garbage is buffers: the collector, which by default takes its time on a
 * machine with much memory, is told of a small one, so that resident memory stays flat. And a flush of a large file may not
 * hold one of few threads while others have work.
 */
static const char *const streaming_commands[] = {
  "pull", "push", "copy", "sync", "load", "save", "image", "artifact", "registry", NULL,
};

/*
 * Of these, the ones whose own code has little to do: bytes pass beside it. Its most thorough compiler would take a fifth of a second, and
 * be done when all is over.
 */
static const char *const plain_commands[] = {"pull", "push", "copy", "load", "save", NULL};

/*
 * Those that make most garbage, and may have nothing to do at all: looking for garbage would take an eighth of their time and more, and what
 * is there already is told before anything pays for its compilation. One of much is not slower for compiling later.
 */
static const char *const remote_commands[] = {"pull", "push", "copy", NULL};

/* The global options whose value is the next word. */
static const char *const valued_options[] = {"--root", "--runroot", "--log-level", "--storage-driver", NULL};

static bool among(const char *word, const char *const *words) {
  for (; *words != NULL; words++) {
    if (strcmp(word, *words) == 0) return true;
  }
  return false;
}

static bool starts_with(const char *text, const char *start) { return strncmp(text, start, strlen(start)) == 0; }

/* The first word that is no global option; "help" without one. */
static const char *command_of(char **words) {
  for (; *words != NULL; words++) {
    if (**words != '-') return *words;
    if (among(*words, valued_options) && words[1] != NULL) words++;
  }
  return "help";
}

/* Names that Bun, its JavaScript engine or its allocator read. The container gets none of them either way. */
static bool is_dropped(const char *variable) {
  static const char *const prefixes[] = {"BUN_", "__BUN", "JSC_", "MIMALLOC_", "mimalloc_", "VITRINE_LAUNCH_FILE=",
                                         "VITRINE_LAUNCH_ID=", "VITRINE_LAUNCH_CAPTURES=", "VITRINE_REACHED=", NULL};
  for (const char *const *prefix = prefixes; *prefix != NULL; prefix++) {
    if (starts_with(variable, *prefix)) return true;
  }
  return false;
}

static void clean_environment(void) {
  char **kept = environ;
  for (char **variable = environ; *variable != NULL; variable++) {
    if (!is_dropped(*variable)) *kept++ = *variable;
  }
  *kept = NULL;
}

/* The environment with one variable more; `room` has place for it. */
static void add_variable(char **room, size_t size, char *variable) {
  size_t count = 0;
  while (environ[count] != NULL) count++;
  if (count + 2 > size) return;
  memmove(room + 1, environ, (count + 1) * sizeof *room);
  room[0] = variable;
  environ = room;
}

/* Becomes the helper where the same command was started before (native/launch.c); else the engine may be asked to take notes: true. */
static bool try_launch(char **argv, const char *engine, bool runtime) {
  static char helper[PATH_MAX];
  const char *set = getenv("VITRINE_HELPER");
  const char *slash = strrchr(engine, '/');
  if (set != NULL && *set != 0) snprintf(helper, sizeof helper, "%s", set);
  else snprintf(helper, sizeof helper, "%.*s/vitrine-helper", (int)(slash - engine), engine);
  struct launch_start start = {.argv = argv, .engine = engine, .helper = helper};
  char *variables[LAUNCH_VARIABLES];
  static char *rooms[LAUNCH_VARIABLES][4096];
  size_t count = launch_or_ask(&start, runtime, variables);
  for (size_t i = 0; i < count; i++) add_variable(rooms[i], sizeof rooms[i] / sizeof *rooms[i], variables[i]);
  return count > 0;
}

/* After the record's key was made: it is that of the pull that brought the image. */
static void prepare_pull(char **words, bool is_noted) {
  static char without_jit[] = "BUN_JSC_useJIT=0";
  static char *rooms[2][4096];
  const char *name = pulled_name_that_is_here(words);
  if (name == NULL) return;
  add_variable(rooms[0], sizeof rooms[0] / sizeof *rooms[0], without_jit);
  /* What is asked on it, no record has. */
  char *reached = is_noted ? NULL : reach_registry_of(name);
  if (reached != NULL) add_variable(rooms[1], sizeof rooms[1] / sizeof *rooms[1], reached);
}

/* As vitrine-runtime it is `vitrine runtime`: engines start an OCI runtime by one path, without a word of their own. */
static bool is_runtime(const char *self) {
  const char *name = strrchr(self, '/');
  return strcmp(name == NULL ? self : name + 1, "vitrine-runtime") == 0;
}

static char **with_runtime(int argc, char **argv) {
  static char *words[4096];
  static char runtime[] = "runtime";
  if (argc + 2 > (int)(sizeof words / sizeof *words)) return argv;
  words[0] = argv[0];
  words[1] = runtime;
  /* The terminating null as well. */
  memcpy(words + 2, argv + 1, (size_t)argc * sizeof *argv);
  return words;
}

/* Bun closes on exec whatever it was given. The engine gives those of --preserve-fds on, which it is told of here: it could
   not tell them from its own. True: it will call libc for them, which Bun does only with its compiler. */
static bool note_descriptors(char **words, bool runtime, char **room, size_t size) {
  static char list[1024] = "VITRINE_DESCRIPTORS=";
  bool wanted = runtime && getenv("LISTEN_FDS") != NULL;
  for (; !wanted && *words != NULL; words++) wanted = starts_with(*words, "--preserve-fds");
  DIR *open_ones = wanted ? opendir("/proc/self/fd") : NULL;
  if (open_ones == NULL) return false;
  size_t length = strlen(list);
  for (struct dirent *entry; (entry = readdir(open_ones)) != NULL;) {
    int fd = atoi(entry->d_name);
    size_t more = strlen(entry->d_name);
    if (fd < 3 || fd == dirfd(open_ones) || length + more + 2 > sizeof list) continue;
    memcpy(list + length, entry->d_name, more);
    length += more;
    list[length++] = ',';
  }
  closedir(open_ones);
  list[length] = 0;
  add_variable(room, size, list);
  return true;
}

static void complain(const char *what, const char *why) {
  /* dprintf would be the only user of stdio's formatting in this program. */
  const char *const parts[] = {"error: ", what, ": ", why, "\nhint: 'make build' and 'make install' put it there\n"};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
    if (write(STDERR_FILENO, parts[i], strlen(parts[i])) < 0) return;
  }
}

int main(int argc, char **argv) {
  static const char *const places[] = {"vitrine-engine", "../libexec/vitrine/vitrine-engine"};
  static char path[PATH_MAX];
  static char *room[4096];
  static char without_jit[] = "BUN_JSC_useJIT=0";
  static char more_threads[] = "UV_THREADPOOL_SIZE=8";
  static char without_ftl[] = "BUN_JSC_useFTLJIT=0";
  static char little_memory[] = "BUN_JSC_forceRAMSize=67108864";
  static char late_compiler[] = "BUN_JSC_thresholdForJITAfterWarmUp=3000";
  static char more_memory[] = "BUN_JSC_forceRAMSize=100663296";

  ssize_t length = readlink("/proc/self/exe", path, sizeof path - 64);
  char *name = NULL;
  if (length > 0) name = strrchr(path, '/');
  if (name == NULL) {
    complain("cannot read /proc/self/exe", "is /proc mounted?");
    return 125;
  }
  clean_environment();
  /* Bun does not start in a directory that was removed, as engines do with the bundle they clean up after. */
  char directory[PATH_MAX];
  if (getcwd(directory, sizeof directory) == NULL && chdir("/") != 0) return 125;
  if (argc > 0 && is_runtime(argv[0])) {
    argv = with_runtime(argc, argv);
    argc++;
  }
  const char *command = argc < 2 ? "help" : command_of(argv + 1);
  bool hands_on = among(command, preserving_commands) &&
                  note_descriptors(argv + 2, strcmp(command, "runtime") == 0, room, sizeof room / sizeof *room);
  if (among(command, quick_commands) && !hands_on) add_variable(room, sizeof room / sizeof *room, without_jit);
  if (among(command, streaming_commands)) {
    bool remote = among(command, remote_commands);
    add_variable(room, sizeof room / sizeof *room, remote ? more_memory : little_memory);
    if (among(command, plain_commands)) add_variable(room, sizeof room / sizeof *room, without_ftl);
    if (remote) add_variable(room, sizeof room / sizeof *room, late_compiler);
    if (getenv("UV_THREADPOOL_SIZE") == NULL) add_variable(room, sizeof room / sizeof *room, more_threads);
  }
  bool runtime = argc > 2 && strcmp(argv[1], "runtime") == 0;
  for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
    memcpy(name + 1, places[i], strlen(places[i]) + 1);
    if (access(path, X_OK) != 0 && errno == ENOENT) continue;
    if (runtime) try_runtime_verb(path, strrchr(path, '/') + 1, argv + 2);
    bool is_noted = (runtime || among(command, repeated_commands)) && try_launch(argv, path, runtime);
    if (strcmp(command, "pull") == 0) prepare_pull(argv + 1, is_noted);
    execve(path, argv, environ);
    if (errno != ENOENT) break;
  }
  complain(path, strerror(errno));
  return 125;
}
