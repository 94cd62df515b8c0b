import type { OptionTable } from "../framework/command.ts";

const later = "Not yet";

/** Words of docker and podman for what is so anyway, or was given up long ago. */
export const acceptedWords = {
  "disable-content-trust": {
    type: "boolean",
    default: true,
    section: later,
    hidden: true,
    help: "accepted for compatibility",
  },
  "kernel-memory": {
    type: "string",
    value: "BYTES",
    section: later,
    hidden: true,
    help: "ignored: no kernel has this limit any more",
  },
  "volume-driver": {
    type: "string",
    value: "DRIVER",
    default: "local",
    choices: ["local"],
    section: later,
    hidden: true,
    help: "there is one driver",
  },
  systemd: {
    type: "string",
    value: "MODE",
    default: "false",
    choices: ["false"],
    section: later,
    hidden: true,
    help: "nothing is done for a systemd inside",
  },
} as const satisfies OptionTable;

/** Words of docker and podman that this release cannot serve: a clear error, not an unknown flag. */
export const refusedWords = {
  publish: {
    type: "strings",
    short: "p",
    value: "PORTS",
    section: later,
    hidden: true,
    help: "publish a port",
  },
  "publish-all": { type: "boolean", short: "P", section: later, hidden: true, help: "publish all ports" },
} as const satisfies OptionTable;
