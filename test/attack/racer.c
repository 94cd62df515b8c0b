/* Swaps two names of a directory without a pause, each time in one step: `racer DIRECTORY A B`. */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv) {
  if (argc != 4 || chdir(argv[1]) != 0) return 2;
  for (;;) {
    if (renameat2(AT_FDCWD, argv[2], AT_FDCWD, argv[3], RENAME_EXCHANGE) != 0) return 1;
  }
}
