/* What stands in a directory. */
#include "helper.h"
#include <string.h>

DIR *take_stream(int fd) {
  if (fd < 0) return NULL;
  DIR *stream = fdopendir(fd);
  if (stream == NULL) {
    int saved = errno;
    close(fd);
    errno = saved;
  }
  return stream;
}

const struct dirent *next_entry(DIR *stream) {
  for (;;) {
    errno = 0;
    const struct dirent *entry = readdir(stream);
    if (entry == NULL || (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)) return entry;
  }
}
