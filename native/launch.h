/* A start that is repeated without the engine: docs/launch-record.md. Between the files of the launcher. */
#ifndef VITRINE_LAUNCH_H
#define VITRINE_LAUNCH_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The hash of all that a start is told by, in digits: the record's name. */
struct launch_key {
  char name[65];
};

/* Bytes with a null after them, or not. */
struct launch_text {
  char *at;
  size_t length;
};

/* What differs from container to container beside its id: docs/launch-record.md, "Captures". The codes are those of
   src/cli/launch-record/captures.ts. */
enum launch_capture_kind { CAPTURE_PATH = 1, CAPTURE_LOOSE_PATH, CAPTURE_HEX, CAPTURE_DATE, CAPTURE_ORDER, CAPTURE_PID, CAPTURE_NUMBER, CAPTURE_NAME };
enum { LAUNCH_CAPTURES_MAX = 48, LAUNCH_CAPTURE_BYTES = 1024, LAUNCH_HEX_MIN = 12, LAUNCH_HEX_MAX = 128, LAUNCH_NUMBER_MAX = 20 };
/* In a plan `/proc` is followed by so many bytes of slashes and a process's number: src/runtime/lifecycle/join.ts. */
enum { LAUNCH_PADDED_PID = 11 };
struct launch_captures {
  struct {
    uint8_t kind;
    struct launch_text text;
  } list[LAUNCH_CAPTURES_MAX];
  size_t count;
};

/* What stands for the engine: argv, of which the word `id` (NULL: the id is made up) and captures may be others, and programs.
   `file` is the container's own, `shape` the configuration of one that is there; NULL or empty: none. */
struct launch_start {
  char **argv;
  const char *id;
  const char *engine, *helper;
  const char *file, *shape;
  /* The word that names a container that is there. */
  const char *container;
  struct launch_captures *captures;
};

bool launch_key_of(const struct launch_start *start, struct launch_key *out);

/* Captures of a command line, and the file that tells of its container. False: there are too many. */
bool launch_capture_words(struct launch_start *start, char **words, bool creates);
/* The same of a container that is there: what `create` wrote down of it in `directory`. */
bool launch_capture_container(struct launch_start *start, const char *directory);
/* The same of one of the engine's own, by name, id or the beginning of one. */
bool launch_capture_named(struct launch_start *start, const char *root, const char *word);
/* The length of what may be captured here, where no letter or digit is before it; 0: nothing. */
size_t launch_hex_length(const char *at, const char *end);
size_t launch_date_length(const char *at, const char *end);
bool launch_is_letter_or_digit(char byte);
/* What begins there continues a word: no value does. The kubelet's `pod01234567-…` counts as two. */
bool launch_is_inside(const char *at, const char *begin);
/* Where a captured value (its index), or the id (-1), begins at `at`, with neither letter nor digit beside it: its length; else 0. */
size_t launch_captured_length(const struct launch_start *start, const char *text, const char *at, const char *end, int *index);

/* Where state is kept. False: the engine is to say. */
bool launch_root(const char *chosen, char *out, size_t size);
bool launch_runroot(const char *chosen, char *out, size_t size);
bool launch_runtime_root(const char *chosen, char *out, size_t size);
bool launch_in_first_user_namespace(void);

/* What is new at each start. The codes are src/cli/launch-record/slots.ts's. */
enum launch_slot {
  SLOT_ID = 1, SLOT_SHORT, SLOT_NAME, SLOT_PID, SLOT_START_TIME, SLOT_MILLISECONDS, SLOT_NANOSECONDS, SLOT_TEMPORARY, SLOT_PARENT,
  SLOT_DATE, SLOT_COUNT
};
struct launch_values {
  char text[SLOT_COUNT][256];
  /* The command line's first; the rest as they are met in files. */
  struct launch_captures captures;
  /* What the starts had that made the record: a value that never differed may not differ now. */
  struct {
    bool any;
    struct launch_text text;
  } seen[LAUNCH_CAPTURES_MAX];
  size_t seen_count;
  /* A value differed that never did. */
  bool is_news;
  /* What is read belongs to a fact: its literal texts are kept, to be held against the values. */
  bool in_fact;
};

/* Bytes not decoded yet. `bad`: they ended too early, or are no record. */
struct launch_reader {
  const uint8_t *at, *end;
  bool bad;
};
uint8_t launch_u8(struct launch_reader *r);
uint32_t launch_u32(struct launch_reader *r);
uint64_t launch_u64(struct launch_reader *r);

/* Without slots; not copied, no null after it. */
struct launch_text launch_plain(struct launch_reader *r);
/* With this start's values in the slots, in memory that lasts. */
struct launch_text launch_text(struct launch_reader *r, const struct launch_values *values);
/* The same without a null in it: a path or an argument. */
char *launch_string(struct launch_reader *r, const struct launch_values *values);
/* How long the text may become. */
size_t launch_text_bound(struct launch_reader r, const struct launch_values *values);
/* Whether `size` bytes, or their beginning, are the text that follows; captures what is met for the first time. */
bool launch_match(struct launch_reader *r, struct launch_values *values, const char *bytes, size_t size, bool prefix);
/* Decodes alone: what would be captured gets values that stand for it. */
void launch_match_dry(struct launch_reader *r, struct launch_values *values);
/* No value of this start is among the literal texts of facts: it would have been cut out of them. */
bool launch_values_are_apart(const struct launch_values *values);
/* Takes back all texts. */
void launch_forget_texts(void);
/* The last path that was read: for those who ask why. */
const char *launch_last_string(void);

/* All but the name, which `launch_choose_name` makes of the record's words, as long as that of the record. `id` NULL: made up. */
bool launch_make_values(struct launch_values *out, const char *id, const struct launch_captures *captures);
/* `.PID-STARTTIME-PIDNAMESPACE-RANDOM.tmp`, of a length. */
bool launch_name_temporaries(struct launch_values *out, size_t length);
bool launch_choose_name(struct launch_values *out, size_t length, struct launch_text adjectives, struct launch_text surnames);
/* Of a process that has not ended; field 22 of /proc/PID/stat. */
bool launch_start_time(const char *pid, char *out, size_t size);

enum launch_note {
  FACT_ACCESS = 1, FACT_STAT, FACT_CONTENT, FACT_LINK, FACT_REAL_PATH, FACT_MONITORS, FACT_TEMPORARIES, FACT_PROCESS,
  FACT_ENDED, FACT_IDS, FACT_KIND, FACT_NAMESPACES, FACT_ANSWER,
  STEP_MAKE_DIRECTORY = 16, STEP_OPEN, STEP_BELOW, STEP_WRITE, STEP_SYNC, STEP_CLOSE, STEP_RENAME, STEP_SYMLINK, STEP_MODE,
  STEP_OWNER, STEP_TIMES, STEP_PRINT, STEP_EXECUTE, STEP_REMOVE, STEP_EXIT
};

/* Whether it is still so; with `dry` it is only decoded. */
bool launch_fact(uint8_t kind, struct launch_reader *r, struct launch_values *values, bool dry);
/* The same of what a registry on this machine says. */
bool launch_answer_is(struct launch_reader *r, struct launch_values *values, bool dry);
/* A connection to `localhost:PORT`, `127.N.N.N:PORT` or `[::1]:PORT` that does not wait, closed on exec; -1: there is none within so
   many milliseconds, or it is another name. */
int launch_reach(const char *host, int patience);

/* Becomes the program that the record's body ends with. Returns where it is not to be repeated: then nothing stays of it.
   True: it might be, if only the engine had once seen such values. */
bool launch_walk(const uint8_t *body, size_t size, const struct launch_start *start);
/* The decoder alone. */
bool launch_is_whole(const uint8_t *body, size_t size, const struct launch_start *start);

/* Where VITRINE_LAUNCH_RECORD asks for it, says what became of a start: `why` to stderr, a path to that file. */
void launch_tell(const char *what, const char *operand);

/* Room that `environ` needs for what launch_or_ask adds. */
#define LAUNCH_VARIABLES 3

/* `words` follow the program's name. Becomes the helper where it can; else names the variables by which the engine is asked
   to keep a record, if it is: their number. */
size_t launch_or_ask(const struct launch_start *start, bool runtime, char *variables[LAUNCH_VARIABLES]);
#endif
