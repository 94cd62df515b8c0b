/* seccomp(2), bpf(2): what a process that seals itself needs. */
#ifndef VITRINE_FILTER_H
#define VITRINE_FILTER_H
#include <stdint.h>

/* AUDIT_ARCH_… of this processor; not defined where nobody seals. */
#if defined(__x86_64__)
#define SEAL_ARCHITECTURE 0xc000003eu
#elif defined(__aarch64__)
#define SEAL_ARCHITECTURE 0xc00000b7u
#endif

#define K_BPF_LOAD 0x20 /* BPF_LD | BPF_W | BPF_ABS */
#define K_BPF_JUMP_EQUAL 0x15 /* BPF_JMP | BPF_JEQ | BPF_K */
#define K_BPF_RETURN 0x06 /* BPF_RET | BPF_K */
#define K_SECCOMP_MODE_FILTER 2
#define K_SECCOMP_RET_KILL_PROCESS 0x80000000u
#define K_SECCOMP_RET_ALLOW 0x7fff0000u
#define SECCOMP_DATA_NUMBER 0
#define SECCOMP_DATA_ARCHITECTURE 4
struct k_filter {
  uint16_t code;
  uint8_t if_true, if_false;
  uint32_t value;
};
struct k_filter_program {
  unsigned short count;
  const struct k_filter *filter;
};

#define ALLOW(number) {K_BPF_JUMP_EQUAL, 0, 1, (number)}, {K_BPF_RETURN, 0, 0, K_SECCOMP_RET_ALLOW}
#endif
