/* libFuzzer's door to the decoder: any bytes as a plan file, and as the body of every op. */
#include "plan.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void touch_list(struct list list) {
  for (struct list items = list; items.count > 0;) {
    struct str item = list_str(&items);
    if (strlen(item.at) != item.length) abort();
  }
}

/* Uses what was decoded as the ops would. */
static void touch(const struct frame *frame, const union op_args *args) {
  if (frame->code == OP_EXECUTE) touch_list(args->execute.argv);
  if (frame->code == OP_LAYER_ENTRY) touch_list(args->layer_entry.xattr_names);
  if (frame->code == OP_ID_MAP) {
    for (struct list maps = args->id_map.uids; maps.count > 0;) list_range(&maps);
  }
  if (frame->code == OP_SET_USER) {
    for (struct list groups = args->set_user.groups; groups.count > 0;) list_u32(&groups);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct plan plan;
  const char *problem;
  if (plan_parse(data, size, &plan, &problem)) {
    const uint8_t *at = plan.at;
    struct frame frame;
    uint32_t count = 0;
    for (; plan_next(&plan, &at, &frame); count++) {
      union op_args args;
      if (!frame_decode(&frame, &args)) abort();
      touch(&frame, &args);
    }
    if (count != plan.count || at != plan.end) abort();
    if (!plan_shrink(&plan)) abort();
    free((void *)(uintptr_t)plan.at);
  }
  if (size < 1) return 0;
  for (uint16_t code = 0; code <= OP_CODE_MAX; code++) {
    if (op_name(code) == NULL) continue;
    struct frame frame = {.code = code, .length = (uint32_t)(size - 1), .body = data + 1};
    union op_args args;
    if (frame_decode(&frame, &args)) touch(&frame, &args);
  }
  return 0;
}
