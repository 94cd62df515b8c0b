/* Between the files of the launcher. */
#ifndef VITRINE_LAUNCHER_H
#define VITRINE_LAUNCHER_H
#include <stdbool.h>

/* Becomes the helper where `words` (what follows `runtime`) is a verb that it does alone. Returns where it is not.
   `engine` is the engine's path, `name` the place in it after its directory; the helper lies in the same one. */
void try_runtime_verb(char *engine, char *name, char **words);

/* Of a `pull` of one name that the store has, as far as can be seen here: that name; NULL otherwise. `words` follow the program's name. */
const char *pulled_name_that_is_here(char **words);

/* A connection to the registry of that name, for the engine to ask on, where it is one of this machine: as an environment variable.
   NULL: there is none. */
char *reach_registry_of(const char *name);
#endif
