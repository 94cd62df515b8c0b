/** Flags that several commands have. A command spreads one to say its own `help`. */

export const textOrJson = {
  type: "string",
  value: "FORMAT",
  choices: ["text", "json"],
  default: "text",
  help: "text or json",
} as const;

export const outputFile = {
  type: "string",
  short: "o",
  value: "FILE",
  completion: "file",
  help: "write to a file; without it, or with '-', to stdout",
} as const;

export const detachKeys = {
  type: "string",
  value: "KEYS",
  default: "ctrl-p,ctrl-q",
  help: "what is typed on a terminal to leave the program running",
} as const;

export const digestFile = {
  type: "string",
  value: "FILE",
  completion: "file",
  help: "write the digest of what was sent here",
} as const;
