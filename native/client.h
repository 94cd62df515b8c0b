/*
 * What the monitor of a detached container and those who follow it say to each other: one SOCK_SEQPACKET message each,
 * a type byte and what belongs to it. Every client is of the user who owns the container: the socket lies in a
 * directory that nobody else may enter.
 */
#ifndef VITRINE_CLIENT_H
#define VITRINE_CLIENT_H
#include "sys.h"
#include <stdbool.h>
#include <stddef.h>

enum client_message {
  /* from the monitor */
  CLIENT_READY = 'R', /* u8 flags: the user's program runs */
  CLIENT_STDOUT = 'o', /* bytes */
  CLIENT_STDERR = 'e', /* bytes */
  CLIENT_EXIT = 'x', /* u8 status: the last message */
  /* from the client */
  CLIENT_INPUT = 'i', /* bytes for stdin */
  CLIENT_INPUT_END = 'c',
  CLIENT_WINDOW = 'w', /* u16 rows, u16 columns of the client's terminal */
  CLIENT_SIGNAL = 's', /* u8 number, for the user's program */
};
enum client_flags { CLIENT_HAS_TERMINAL = 1, CLIENT_HAS_INPUT = 2 };
#define CLIENT_BYTES 32768 /* most data in one message */

/* The client's side: front.c. */
struct front {
  int socket;
  pid_t monitor; /* gets signals until the program runs; 0: there is no need */
  bool attach; /* stay after CLIENT_READY */
  bool input, pass_signals;
  bool without_stdout, without_stderr;
  bool tells; /* prints how the container ended, where the monitor told it */
  const char *announce;
  size_t announce_size;
  const uint8_t *keys; /* what a user types to detach */
  size_t key_count;
};
/* Returns the exit status of the process that is the client. */
int front_run(const struct front *front);
int attach_main(int argc, char **argv);
int await_main(char **argv); /* await.c */

/* An address of a path that may be longer than sun_path: through a descriptor of its directory, which the caller
   closes. -1 and errno. */
struct sockaddr_un;
int long_address(const char *path, struct sockaddr_un *address);
#endif
