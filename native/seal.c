/*
 * The helper runs from a sealed copy of itself in memory: a container's process that gets hold of /proc/PID/exe of the
 * helper (CVE-2019-5736) finds a file nobody can write to, not the host's program.
 */
#include "helper.h"
#include <sys/sendfile.h>
#include <sys/stat.h>

#ifndef F_ADD_SEALS
#define F_ADD_SEALS 1033
#define F_GET_SEALS 1034
#endif
#define ALL_SEALS 0xf /* seal, shrink, grow, write */

static int copy_in_memory(int from) {
  struct stat st;
  if (fstat(from, &st) != 0) return -1;
  unsigned flags = K_MFD_CLOEXEC | K_MFD_ALLOW_SEALING;
  /* MFD_EXEC is for hosts with vm.memfd_noexec; kernels before 6.3 do not know it. */
  int copy = (int)syscall(SYS_memfd_create, "vitrine-helper", flags | K_MFD_EXEC);
  if (copy < 0 && errno == EINVAL) copy = (int)syscall(SYS_memfd_create, "vitrine-helper", flags);
  if (copy < 0) return -1;
  for (off_t left = st.st_size; left > 0;) {
    ssize_t sent = sendfile(copy, from, NULL, (size_t)left);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) {
      close(copy);
      return -1;
    }
    left -= sent;
  }
  if (fchmod(copy, 0500) != 0 || fcntl(copy, F_ADD_SEALS, ALL_SEALS) != 0) {
    close(copy);
    return -1;
  }
  return copy;
}

bool seal_self(char **argv) {
  int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  if (self < 0) {
    complain("vitrine-helper: cannot open /proc/self/exe: is /proc mounted?");
    return false;
  }
  int seals = fcntl(self, F_GET_SEALS);
  if (seals >= 0 && (seals & ALL_SEALS) == ALL_SEALS) {
    close(self);
    return true;
  }
  int copy = copy_in_memory(self);
  close(self);
  if (copy >= 0) syscall(SYS_execveat, copy, "", argv, environ, AT_EMPTY_PATH);
  complain("vitrine-helper: cannot run from a sealed copy in memory: errno %d", errno);
  return false;
}
