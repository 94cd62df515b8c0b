/* Inflating beside an apply helper: see unpacker.c. */
#ifndef VITRINE_UNPACKER_H
#define VITRINE_UNPACKER_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where plain bytes stand between the process that inflates and those that use them. */
#define UNPACKER_BYTES (4u * 1024 * 1024)

struct unpacker {
  uint8_t *bytes; /* mapped three times in a row, so that what begins in it can be read on over its end */
  struct unpacker_counts *counts;
};

/*
 * What the caller opens as /proc/PID/fd/N: `memory` to read plain bytes at their place modulo UNPACKER_BYTES, and `growth[1]`, where it writes
 * how many bytes `compressed` (a file that it gave us, and which still grows) has by now, each time as u64, little endian; its end is the file's.
 */
struct unpacker_files {
  int memory;
  int compressed;
  int growth[2];
};

/* Memory and pipe. False and errno; also where there is no seal for this processor. */
bool unpacker_offer(struct unpacker_files *files);
/* Starts the two processes; `files` are closed. False and errno. */
bool unpacker_start(struct unpacker *unpacker, const struct unpacker_files *files);
/* Plain bytes at `position`; NULL where that many are not there. */
const uint8_t *unpacker_at(const struct unpacker *unpacker, uint64_t position, size_t length);
/* Everything before `position` is used. */
void unpacker_release(struct unpacker *unpacker, uint64_t position);
#endif
