import type { OptionTable } from "../framework/command.ts";
import { firstLimitOptionTable, limitOptionTable } from "../limit-flags.ts";

const privileges = "Privileges";
const resources = "Resources";

/** Capabilities, devices, seccomp, LSM labels, and limits. */
export const privilegeFlags = {
  "cap-add": { type: "strings", value: "CAP", section: privileges, help: "add a capability; ALL for all" },
  "cap-drop": { type: "strings", value: "CAP", section: privileges, help: "drop a capability; ALL for all" },
  privileged: {
    type: "boolean",
    section: privileges,
    help: "all capabilities and devices, no seccomp, nothing masked",
  },
  "security-opt": {
    type: "strings",
    value: "OPTION",
    section: privileges,
    help: "seccomp=FILE|unconfined, no-new-privileges, apparmor=, label=, mask=, unmask=PATHS|ALL, proc-opts=",
  },
  device: {
    type: "strings",
    value: "HOST[:CTR][:rwm]",
    section: privileges,
    help: "add a device of the host",
  },
  "device-cgroup-rule": {
    type: "strings",
    value: "RULE",
    section: privileges,
    help: "allow a device number: 'c 10:229 rwm'",
  },
  sysctl: {
    type: "strings",
    value: "NAME=VALUE",
    section: privileges,
    help: "set a sysctl of the container's namespaces",
  },

  ...limitOptionTable,
  ...firstLimitOptionTable,
  "cgroup-parent": {
    type: "string",
    value: "PATH",
    defaultText: "/vitrine",
    section: resources,
    help: "where its cgroup is made",
  },
  cgroups: {
    type: "string",
    value: "MODE",
    choices: ["enabled", "disabled"],
    default: "enabled",
    section: resources,
    help: "enabled or disabled",
  },
} as const satisfies OptionTable;
