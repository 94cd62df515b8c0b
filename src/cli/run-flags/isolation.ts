import type { OptionTable } from "../framework/command.ts";

const isolation = "Isolation";
const network = "Network";

/** Namespaces, user ids, and the network. */
export const isolationFlags = {
  hostname: {
    type: "string",
    short: "h",
    value: "NAME",
    defaultText: "the first 12 digits of the id",
    section: isolation,
    help: "host name in the container",
  },
  domainname: { type: "string", value: "NAME", section: isolation, help: "NIS domain name in the container" },
  pid: {
    type: "string",
    value: "MODE",
    defaultText: "private",
    section: isolation,
    help: "pid namespace: private, host, container:NAME, ns:PATH",
  },
  ipc: {
    type: "string",
    value: "MODE",
    defaultText: "shareable",
    section: isolation,
    help: "IPC namespace: shareable, private (no other may join it), host, none (no /dev/shm), container:NAME, ns:PATH",
  },
  uts: {
    type: "string",
    value: "MODE",
    defaultText: "private",
    section: isolation,
    help: "UTS namespace: private, host, container:NAME, ns:PATH",
  },
  cgroupns: {
    type: "string",
    value: "MODE",
    defaultText: "private",
    section: isolation,
    help: "cgroup namespace: private, host, container:NAME, ns:PATH",
  },
  timens: {
    type: "string",
    value: "MODE",
    defaultText: "private",
    section: isolation,
    help: "time namespace: private, host, container:NAME, ns:PATH",
  },
  userns: {
    type: "string",
    value: "MODE",
    defaultText: "private, as root host",
    section: isolation,
    help: "user namespace: private, host, container:NAME, auto[:size=N], nomap, keep-id[:uid=N,gid=N,size=N]",
  },
  uidmap: {
    type: "strings",
    value: "CTR:FROM[:SIZE]",
    section: isolation,
    help: "map uids: FROM counts the host's as root, else your own as 0 and your subordinate ones from 1; @N is the host's",
  },
  gidmap: {
    type: "strings",
    value: "CTR:FROM[:SIZE]",
    section: isolation,
    help: "map gids; without it as --uidmap",
  },
  subuidname: {
    type: "string",
    value: "NAME",
    section: isolation,
    help: "map the ids of this entry of /etc/subuid",
  },
  subgidname: {
    type: "string",
    value: "NAME",
    section: isolation,
    help: "map the ids of this entry of /etc/subgid; without it as --subuidname",
  },

  network: {
    type: "string",
    value: "MODE",
    aliases: ["net"],
    defaultText: "none",
    section: network,
    help: "network: none, host, container:NAME, ns:PATH",
  },
  "no-hosts": { type: "boolean", section: network, help: "make no /etc/hosts" },
  "no-hostname": { type: "boolean", section: network, help: "make no /etc/hostname" },
  expose: { type: "strings", value: "PORT", section: network, help: "note that the program listens there" },
  "add-host": { type: "strings", value: "NAME:ADDRESS", section: network, help: "add a line to /etc/hosts" },
  dns: {
    type: "strings",
    value: "ADDRESS",
    section: network,
    help: "name server in /etc/resolv.conf; 'none' makes none",
  },
  "dns-search": {
    type: "strings",
    value: "DOMAIN",
    section: network,
    help: "search domain in /etc/resolv.conf",
  },
  "dns-option": {
    type: "strings",
    value: "OPTION",
    aliases: ["dns-opt"],
    section: network,
    help: "option in /etc/resolv.conf",
  },
} as const satisfies OptionTable;
