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

/* What stands for the engine: argv without the word `id` (NULL: the id is made up), and three programs. */
struct launch_start {
  char **argv;
  const char *id;
  const char *engine, *helper;
};

bool launch_key_of(const struct launch_start *start, struct launch_key *out);

/* What is new at each start. The codes are src/cli/launch-record/slots.ts's. */
enum launch_slot {
  SLOT_ID = 1, SLOT_SHORT, SLOT_NAME, SLOT_PID, SLOT_START_TIME, SLOT_MILLISECONDS, SLOT_NANOSECONDS, SLOT_TEMPORARY, SLOT_PARENT,
  SLOT_DATE, SLOT_COUNT
};
struct launch_values {
  char text[SLOT_COUNT][256];
};

/* Bytes not decoded yet. `bad`: they ended too early, or are no record. */
struct launch_reader {
  const uint8_t *at, *end;
  bool bad;
};
uint8_t launch_u8(struct launch_reader *r);
uint32_t launch_u32(struct launch_reader *r);
uint64_t launch_u64(struct launch_reader *r);

/* Bytes with a null after them. */
struct launch_text {
  char *at;
  size_t length;
};
/* Without slots; not copied, no null after it. */
struct launch_text launch_plain(struct launch_reader *r);
/* With this start's values in the slots, in memory that lasts. */
struct launch_text launch_text(struct launch_reader *r, const struct launch_values *values);
/* The same without a null in it: a path or an argument. */
char *launch_string(struct launch_reader *r, const struct launch_values *values);
/* Takes back all texts. */
void launch_forget_texts(void);

/* All but the name, which `launch_choose_name` makes of the record's words, as long as that of the record. `id` NULL: made up. */
bool launch_make_values(struct launch_values *out, const char *id);
/* `.PID-STARTTIME-PIDNAMESPACE-RANDOM.tmp`, of a length. */
bool launch_name_temporaries(struct launch_values *out, size_t length);
bool launch_choose_name(struct launch_values *out, size_t length, struct launch_text adjectives, struct launch_text surnames);
/* Of a process that has not ended; field 22 of /proc/PID/stat. */
bool launch_start_time(const char *pid, char *out, size_t size);

enum launch_note {
  FACT_ACCESS = 1, FACT_STAT, FACT_CONTENT, FACT_LINK, FACT_REAL_PATH, FACT_MONITORS, FACT_TEMPORARIES, FACT_PROCESS,
  FACT_ENDED, FACT_IDS,
  STEP_MAKE_DIRECTORY = 16, STEP_OPEN, STEP_BELOW, STEP_WRITE, STEP_SYNC, STEP_CLOSE, STEP_RENAME, STEP_SYMLINK, STEP_MODE,
  STEP_OWNER, STEP_TIMES, STEP_PRINT, STEP_EXECUTE, STEP_REMOVE
};

/* Whether it is still so; with `dry` it is only decoded. */
bool launch_fact(uint8_t kind, struct launch_reader *r, const struct launch_values *values, bool dry);

/* Becomes the program that the record's body ends with. Returns where it is not to be repeated: then nothing stays of it. */
void launch_walk(const uint8_t *body, size_t size, const char *id);
/* The decoder alone. */
bool launch_is_whole(const uint8_t *body, size_t size);

/* Room that `environ` needs for what launch_or_ask adds. */
#define LAUNCH_VARIABLES 2

/* `words` follow the program's name. Becomes the helper where it can; else names the variables by which the engine is asked
   to keep a record, if it is: their number. */
size_t launch_or_ask(const struct launch_start *start, bool runtime, char *variables[LAUNCH_VARIABLES]);
#endif
