/*
 * The verbs of the OCI runtime that need no engine: the helper knows all that start, state, kill and delete take from
 * the container's directory. Whatever is out of the ordinary here or there is the engine's, which then has the same
 * command line.
 */
#include "launch.h"
#include "launcher.h"
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

/* Engines start the runtime with few words. */
#define WORDS_MAX 64

struct line {
  char **next;
  const char *root, *verb, *id, *signal;
  bool force;
};

/* `--name VALUE` or `--name=VALUE`; NULL where it is another option. Leaves `next` on its last word. */
static const char *value_of(struct line *line, const char *name) {
  size_t length = strlen(name);
  const char *word = *line->next;
  if (strncmp(word, name, length) != 0) return NULL;
  if (word[length] == '=') return word + length + 1;
  if (word[length] != 0 || line->next[1] == NULL) return NULL;
  return *++line->next;
}

/* Global options; true when the verb follows. */
static bool read_globals(struct line *line) {
  for (; *line->next != NULL; line->next++) {
    const char *word = *line->next;
    const char *root;
    if (word[0] != '-') return true;
    if ((root = value_of(line, "--root")) != NULL) line->root = root;
    else if (value_of(line, "--log-format") == NULL && value_of(line, "--log") == NULL &&
             value_of(line, "--rootless") == NULL && strcmp(word, "--debug") != 0 && strcmp(word, "--systemd-cgroup") != 0)
      return false;
  }
  return false;
}

/* The verb and its arguments, in the orders that engines use. */
static bool read_verb(struct line *line) {
  line->verb = *line->next++;
  bool deletes = strcmp(line->verb, "delete") == 0;
  for (; *line->next != NULL; line->next++) {
    const char *word = *line->next;
    if (deletes && (strcmp(word, "--force") == 0 || strcmp(word, "-f") == 0)) line->force = true;
    else if (word[0] == '-' || word[0] == 0) return false;
    else if (line->id == NULL) line->id = word;
    else if (line->signal == NULL && strcmp(line->verb, "kill") == 0) line->signal = word;
    else return false;
  }
  return line->id != NULL;
}

static bool id_is_plain(const char *id) {
  size_t length = strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+.-");
  return id[length] == 0 && length <= 255 && id[0] != '.';
}

static const char *signal_number(const char *word) {
  static const struct {
    const char *name, *number;
  } names[] = {{"KILL", "9"}, {"TERM", "15"}, {"INT", "2"}, {"HUP", "1"}, {"QUIT", "3"}, {"USR1", "10"}, {"USR2", "12"}};
  if (word == NULL) return "15";
  if (strspn(word, "0123456789") == strlen(word)) {
    int number = atoi(word);
    return number >= 1 && number <= 64 ? word : NULL;
  }
  if (strncmp(word, "SIG", 3) == 0) word += 3;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    if (strcmp(word, names[i].name) == 0) return names[i].number;
  }
  return NULL;
}

void try_runtime_verb(char *self, char *name, char **words) {
  struct line line = {.next = words};
  char helper[PATH_MAX];
  char directory[PATH_MAX];
  char *arguments[WORDS_MAX + 8];
  size_t count = 0;
  if (!read_globals(&line) || !read_verb(&line) || !id_is_plain(line.id)) return;
  if (getenv("VITRINE_HELPER") != NULL) return;
  if (line.root == NULL) {
    if (geteuid() != 0 || !launch_in_first_user_namespace()) return;
    line.root = "/run/vitrine-runtime";
  }
  if (snprintf(directory, sizeof directory, "%s/%s", line.root, line.id) >= (int)sizeof directory) return;
  arguments[count++] = (char *)(uintptr_t)"vitrine-helper";
  arguments[count++] = (char *)(uintptr_t)line.verb;
  if (strcmp(line.verb, "kill") == 0) {
    const char *number = signal_number(line.signal);
    if (number == NULL) return;
    arguments[count++] = (char *)(uintptr_t)number;
  } else if (strcmp(line.verb, "delete") == 0) {
    arguments[count++] = (char *)(uintptr_t)(line.force ? "force" : "stopped");
  } else if (strcmp(line.verb, "start") != 0 && strcmp(line.verb, "state") != 0) {
    return;
  }
  arguments[count++] = directory;
  /* The engine's own path comes before its arguments: `self` is already that of the engine. */
  arguments[count++] = self;
  arguments[count++] = (char *)(uintptr_t)"vitrine";
  arguments[count++] = (char *)(uintptr_t)"runtime";
  for (char **word = words; *word != NULL; word++) {
    if (count == WORDS_MAX + 7) return;
    arguments[count++] = *word;
  }
  arguments[count] = NULL;
  size_t length = (size_t)(name - self);
  if (length + sizeof "vitrine-helper" > sizeof helper) return;
  memcpy(helper, self, length);
  memcpy(helper + length, "vitrine-helper", sizeof "vitrine-helper");
  execve(helper, arguments, environ);
}
