import { dropBoundingSet, setCapabilities } from "./capabilities.ts";
import type { Draft } from "./draft.ts";
import { becomeUser, closeDescriptors, enterDirectory, setAttributes } from "./process.ts";
import { installEarly, installLate } from "./seccomp.ts";

/**
 * The last steps of init before it executes the program, in runc's order: a filter that a process without no_new_privs asks for
 * comes while it still has privilege; ids before capabilities, because a change of ids clears them.
 */
export function becomeProgram(draft: Draft, capabilities: Parameters<typeof setCapabilities>[1]): void {
  setAttributes(draft);
  enterDirectory(draft);
  closeDescriptors(draft);
  installEarly(draft);
  dropBoundingSet(draft, capabilities);
  becomeUser(draft);
  setCapabilities(draft, capabilities);
  installLate(draft);
}
