#include "helper.h"
#define STUB(n) int op_##n(struct helper *h, const struct args_##n *a) { (void)h; (void)a; return ENOSYS; }
STUB(layer_entry) STUB(layer_data) STUB(layer_whiteout) STUB(layer_opaque) STUB(layer_end) STUB(layer_options) STUB(tmp_copy_up)
