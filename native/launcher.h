/* Between the files of the launcher. */
#ifndef VITRINE_LAUNCHER_H
#define VITRINE_LAUNCHER_H
#include <stdbool.h>

/* Becomes the helper where `words` (what follows `runtime`) is a verb that it does alone. Returns where it is not.
   `engine` is the engine's path, `name` the place in it after its directory; the helper lies in the same one. */
void try_runtime_verb(char *engine, char *name, char **words);

/* Whether the words after the program's name are a `pull` of one name that the store has, as far as can be seen here. */
bool pulls_what_is_here(char **words);
#endif
