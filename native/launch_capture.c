/*
 * What an engine gives each container of its own: paths, and the random digits that stand in them. They are cut out of the key
 * of a start, so that the next container's start has the same, and put into the record's texts anew.
 */
#include "launch.h"
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool launch_is_letter_or_digit(char byte) {
  return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

bool launch_is_inside(const char *at, const char *begin) {
  if (at == begin || !launch_is_letter_or_digit(at[-1])) return false;
  if (at - begin < 3 || memcmp(at - 3, "pod", 3) != 0) return true;
  return at - begin > 3 && launch_is_letter_or_digit(at[-4]);
}

static bool is_hex(char byte) { return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'f'); }

/* RFC 9562, as engines know a pod by. */
static size_t uuid_length(const char *at, const char *end) {
  static const char shape[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
  size_t length = sizeof shape - 1;
  if ((size_t)(end - at) < length) return 0;
  for (size_t i = 0; i < length; i++) {
    if (shape[i] == 'x' ? !is_hex(at[i]) : at[i] != '-') return 0;
  }
  return at + length == end || !launch_is_letter_or_digit(at[length]) ? length : 0;
}

/* Of digits with a letter and a digit at least: no number is taken for them, and no word. */
size_t launch_hex_length(const char *at, const char *end) {
  size_t length = uuid_length(at, end);
  if (length > 0) return length;
  bool letter = false;
  bool digit = false;
  for (; at + length < end && is_hex(at[length]); length++) {
    letter |= at[length] >= 'a';
    digit |= at[length] <= '9';
  }
  bool ends = at + length == end || !launch_is_letter_or_digit(at[length]);
  return ends && letter && digit && length >= LAUNCH_HEX_MIN && length <= LAUNCH_HEX_MAX ? length : 0;
}

/* `d` stands for a digit. */
static size_t shape_length(const char *at, const char *end, const char *shape) {
  size_t length = strlen(shape);
  if ((size_t)(end - at) < length) return 0;
  for (size_t i = 0; i < length; i++) {
    bool digit = at[i] >= '0' && at[i] <= '9';
    if (shape[i] == 'd' ? !digit : at[i] != shape[i]) return 0;
  }
  return length;
}

/* RFC 3339, in UTC or with an offset. */
size_t launch_date_length(const char *at, const char *end) {
  enum { FRACTION_MAX = 9 };
  size_t length = shape_length(at, end, "dddd-dd-ddTdd:dd:dd");
  if (length == 0) return 0;
  if (at + length < end && at[length] == '.') {
    size_t digits = 0;
    while (at + length + 1 + digits < end && at[length + 1 + digits] >= '0' && at[length + 1 + digits] <= '9') digits++;
    if (digits == 0 || digits > FRACTION_MAX) return 0;
    length += 1 + digits;
  }
  size_t zone = at + length < end && at[length] == 'Z' ? 1 : 0;
  if (zone == 0) zone = shape_length(at + length, end, "+dd:dd");
  if (zone == 0) zone = shape_length(at + length, end, "-dd:dd");
  length += zone;
  return zone > 0 && (at + length == end || !launch_is_letter_or_digit(at[length])) ? length : 0;
}

/* Absolute, and the same when it is resolved as text. */
static bool is_plain_path(const char *path) {
  size_t length = strlen(path);
  if (path[0] != '/' || length < 2 || length >= LAUNCH_CAPTURE_BYTES || path[length - 1] == '/') return false;
  for (const char *at = path; *at != 0; at++) {
    if (!launch_is_letter_or_digit(*at) && strchr("/_+.:@,=~%-", *at) == NULL) return false;
    if (*at != '/') continue;
    size_t name = strcspn(at + 1, "/");
    if (name == 0 || (at[1] == '.' && (name == 1 || (name == 2 && at[2] == '.')))) return false;
  }
  return true;
}

static bool add(struct launch_captures *captures, uint8_t kind, const char *at, size_t length) {
  for (size_t i = 0; i < captures->count; i++) {
    const struct launch_text *known = &captures->list[i].text;
    if (known->length == length && memcmp(known->at, at, length) == 0) return true;
  }
  if (captures->count == LAUNCH_CAPTURES_MAX / 2) return false;
  captures->list[captures->count].kind = kind;
  captures->list[captures->count++].text = (struct launch_text){(char *)(uintptr_t)at, length};
  return true;
}

/* The value of `--name VALUE` or `--name=VALUE`, the last one; NULL: there is none. */
static const char *value_of(char **words, const char *name) {
  const char *value = NULL;
  size_t length = strlen(name);
  for (; *words != NULL; words++) {
    if (strncmp(*words, name, length) != 0) continue;
    if ((*words)[length] == '=' && name[1] == '-') value = *words + length + 1;
    else if ((*words)[length] == 0 && words[1] != NULL) value = words[1];
  }
  return value;
}

static bool add_digits(struct launch_captures *captures, const char *id, const char *text) {
  const char *end = text + strlen(text);
  for (const char *at = text; at < end;) {
    size_t length = launch_is_inside(at, text) ? 0 : launch_hex_length(at, end);
    bool is_id = id != NULL && strlen(id) == length && memcmp(id, at, length) == 0;
    if (length > 0 && !is_id && !add(captures, CAPTURE_HEX, at, length)) return false;
    at += length > 0 ? length : 1;
  }
  return true;
}

bool launch_capture_words(struct launch_start *start, char **words, bool creates) {
  static const struct {
    const char *name;
    uint8_t kind;
  } paths[] = {{"--bundle", CAPTURE_PATH}, {"-b", CAPTURE_PATH}, {"--pid-file", CAPTURE_PATH}, {"--console-socket", CAPTURE_PATH},
               {"--log", CAPTURE_PATH}, {"--process", CAPTURE_LOOSE_PATH}, {"-p", CAPTURE_LOOSE_PATH}};
  static char directory[PATH_MAX];
  static char config[PATH_MAX];
  struct launch_captures *captures = start->captures;
  for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
    const char *value = value_of(words, paths[i].name);
    if (value != NULL && is_plain_path(value) && !add(captures, paths[i].kind, value, strlen(value))) return false;
  }
  if (getcwd(directory, sizeof directory) == NULL || !add_digits(captures, start->id, directory)) return false;
  for (char **word = words; *word != NULL; word++) {
    if (!add_digits(captures, start->id, *word)) return false;
  }
  const char *process = value_of(words, "--process");
  const char *bundle = value_of(words, "--bundle");
  if (process == NULL) process = value_of(words, "-p");
  if (bundle == NULL) bundle = value_of(words, "-b");
  /* A pipe, as of `--process <(…)`, can be read once: by the engine. */
  struct stat st;
  if (process != NULL && (stat(process, &st) != 0 || !S_ISREG(st.st_mode))) return false;
  start->file = process;
  if (!creates || value_of(words, "--config") != NULL || value_of(words, "-f") != NULL) return true;
  int length = snprintf(config, sizeof config, "%s/config.json", bundle == NULL ? directory : bundle);
  start->file = length > 0 && (size_t)length < sizeof config ? config : NULL;
  return true;
}

/* The first string of this name in a file that the engine wrote as JSON, where quotation marks within strings are escaped. */
static char *string_in(char *text, const char *head) {
  char *value = strstr(text, head);
  char *end = value == NULL ? NULL : strchr(value += strlen(head), '"');
  if (end == NULL) return NULL;
  *end = 0;
  return value;
}

/* Up to a whole file's beginning; with a null after it. */
static void read_beginning(const char *path, char *out, size_t size) {
  int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  ssize_t got = fd < 0 ? -1 : read(fd, out, size - 1);
  if (fd >= 0) close(fd);
  out[got < 0 ? 0 : got] = 0;
}

bool launch_capture_container(struct launch_start *start, const char *directory) {
  static char config[PATH_MAX];
  static char text[4096];
  char path[PATH_MAX];
  int length = snprintf(config, sizeof config, "%s/config.json", directory);
  if (length <= 0 || (size_t)length >= sizeof config || snprintf(path, sizeof path, "%s/state.json", directory) >= (int)sizeof path)
    return false;
  start->shape = config;
  read_beginning(path, text, sizeof text);
  const char *bundle = string_in(text, "\"bundle\":\"");
  return bundle == NULL || !is_plain_path(bundle) || add(start->captures, CAPTURE_PATH, bundle, strlen(bundle));
}

static bool is_id(const char *text) { return strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64; }

/* The only one that begins so: false where there is none, or another. */
static bool find_id(const char *root, const char *beginning, char out[65]) {
  char path[PATH_MAX];
  size_t length = strlen(beginning);
  bool found = false;
  DIR *directory = snprintf(path, sizeof path, "%s/containers", root) < (int)sizeof path ? opendir(path) : NULL;
  if (directory == NULL) return false;
  for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
    if (!is_id(entry->d_name) || strncmp(entry->d_name, beginning, length) != 0) continue;
    if (found) {
      found = false;
      break;
    }
    memcpy(out, entry->d_name, 65);
    found = true;
  }
  closedir(directory);
  return found;
}

/* What is not found, or is no name that the engine gives, is the engine's to say: then nothing is captured. */
bool launch_capture_named(struct launch_start *start, const char *root, const char *word) {
  static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
  static char id[65];
  static char config[PATH_MAX];
  static char text[16 * 1024];
  char path[PATH_MAX];
  size_t length = strlen(word);
  if (length == 0 || word[strspn(word, plain)] != 0 || snprintf(path, sizeof path, "%s/names/%s", root, word) >= (int)sizeof path)
    return true;
  ssize_t got = readlink(path, id, sizeof id);
  bool named = got == 64;
  /* A beginning is a value only where it is as random as an id. */
  size_t digits = launch_hex_length(word, word + length);
  if (named) id[64] = 0;
  else if (got >= 0 || digits != length || length > 64 || !find_id(root, word, id)) return true;
  if (!is_id(id)) return true;
  if (snprintf(config, sizeof config, "%s/containers/%s/config.json", root, id) >= (int)sizeof config ||
      snprintf(path, sizeof path, "%s/containers/%s/container.json", root, id) >= (int)sizeof path)
    return true;
  read_beginning(path, text, sizeof text);
  const char *name = named ? word : string_in(text, "\"name\":\"");
  if (name == NULL || *name == 0 || name[strspn(name, plain)] != 0) return true;
  start->shape = config;
  start->container = word;
  return add(start->captures, CAPTURE_HEX, id, 64) && add(start->captures, CAPTURE_NAME, name, strlen(name)) &&
         (named || length == 64 || add(start->captures, CAPTURE_HEX, word, length));
}

size_t launch_captured_length(const struct launch_start *start, const char *text, const char *at, const char *end, int *index) {
  size_t longest = 0;
  if (launch_is_inside(at, text)) return 0;
  size_t count = start->captures == NULL ? 0 : start->captures->count;
  for (int i = start->id == NULL ? 0 : -1; i < (int)count; i++) {
    struct launch_text value = {NULL, 0};
    if (i >= 0) value = start->captures->list[i].text;
    else value = (struct launch_text){(char *)(uintptr_t)start->id, strlen(start->id)};
    if (i >= 0 && start->captures->list[i].kind == CAPTURE_NAME) continue;
    if (value.length <= longest || (size_t)(end - at) < value.length || *at != *value.at || memcmp(at, value.at, value.length) != 0)
      continue;
    if (at + value.length < end && launch_is_letter_or_digit(at[value.length])) continue;
    longest = value.length;
    *index = i;
  }
  return longest;
}
