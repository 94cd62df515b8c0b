/* The verbs of the runtime on a container that is there; `argv` is described at each. The exit status. */
#ifndef VITRINE_LIFECYCLE_H
#define VITRINE_LIFECYCLE_H

int state_main(char **argv);
int kill_main(char **argv);
int delete_main(char **argv);
#endif
