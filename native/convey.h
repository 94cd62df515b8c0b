/* What `convey` and the registry say to each other (src/registry/server/convey/wire.ts has the same in TypeScript). Little endian. */
#ifndef VITRINE_CONVEY_H
#define VITRINE_CONVEY_H
#include "sha256.h"

/* Two buffers a thread. */
#define CONVEY_BUFFER_BYTES (256u * 1024)
#define CONVEY_TURN_BYTES (64u * 1024 * 1024)
#define CONVEY_THREADS_MAX 256

/* ORDER_CHUNKS: what comes is in chunks (native/chunks.h), `count` bytes of content at most. */
enum { ORDER_OUT = 1, ORDER_IN = 2, ORDER_CHUNKS = 3 };

/* Comes with two descriptors: the connection, non-blocking, and the file. */
struct order {
  uint64_t id;
  uint32_t kind, reserved;
  uint64_t position, count; /* in the file; bytes */
  uint64_t chunk; /* bytes until the next chunk begins, the CRLF before it among them. Only ORDER_CHUNKS */
  uint64_t window, least; /* ms; bytes that each of them must bring: else ETIMEDOUT */
  struct sha256 hash; /* of the file's first `hash.size` bytes, at most `position`. Not ORDER_OUT */
};

struct report {
  uint64_t id;
  int32_t error; /* errno; of the connection, ECONNRESET: it ended early, ETIMEDOUT: it was too slow, EPROTO: no chunks, EMSGSIZE: too many */
  uint32_t of_file; /* 1: the error is the file's; ENODATA: it ended early */
  uint64_t count; /* what was carried */
  struct sha256 hash; /* not ORDER_OUT: of the file's bytes up to position + count, where all were hashed */
  char hex[72];
};

_Static_assert(sizeof(struct sha256) == 104, "hash on the wire");
_Static_assert(sizeof(struct order) == 160, "order on the wire");
_Static_assert(sizeof(struct report) == 200, "report on the wire");

int convey_main(int argc, char **argv);
#endif
