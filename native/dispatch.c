#include "helper.h"

static int run_op(struct helper *h, const struct frame *frame) {
  union op_args args;
  h->detail[0] = 0;
  if (!frame_decode(frame, &args)) return fail_as(h, EBADMSG, "malformed arguments");
  switch ((enum op_code)frame->code) {
#define X(name, code, text)                                                                                            \
  case code:                                                                                                           \
    return op_##name(h, &args.name);
    OP_LIST(X)
#undef X
  }
  return fail_as(h, EBADMSG, "unknown op");
}

static bool is_tolerated(uint32_t mask, int error) {
  static const int errnos[] = {TOLERATED_ERRNOS};
  for (unsigned bit = 0; bit < TOLERATED_COUNT; bit++) {
    if ((mask >> bit & 1) != 0 && errnos[bit] == error) return true;
  }
  return false;
}

int run_op_tolerant(struct helper *h, const struct frame *frame) {
  int error = run_op(h, frame);
  return error != 0 && is_tolerated(frame->tolerate, error) ? 0 : error;
}
