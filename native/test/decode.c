/*
 * Plans from a fuzzer, through the helper's decoder: on stdin each u32 length and bytes, on stdout a byte each, `y` for
 * a plan and `n` for none. Every buffer has its exact size, so that AddressSanitizer sees a read past its end.
 */
#include "fuzz.c"
#include <stdio.h>

int main(void) {
  uint32_t size;
  while (fread(&size, sizeof size, 1, stdin) == 1) {
    if (size > PLAN_BYTES_MAX) return 2;
    uint8_t *bytes = malloc(size + (size == 0));
    if (bytes == NULL || fread(bytes, 1, size, stdin) != size) return 2;
    struct plan plan;
    const char *problem = "";
    bool whole = plan_parse(bytes, size, &plan, &problem);
    LLVMFuzzerTestOneInput(bytes, size);
    putchar(whole ? 'y' : 'n');
    fflush(stdout);
    free(bytes);
  }
  return 0;
}
