/** The flags of `run` and `explain run`, in docker's and podman's words: for the parser, help, completion and the man page. */
import type { OptionTable, OptionValues } from "./framework/command.ts";
import { firstLimitOptionTable, limitOptionTable } from "./limit-flags.ts";
import { registryOptions } from "./remote/options.ts";

const process_ = "Process";
const filesystem = "Filesystem";
const isolation = "Isolation";
const network = "Network";
const privileges = "Privileges";
const resources = "Resources";
const container = "Container";
const health = "Health";
const later = "Not yet";

export const runOptionTable = {
  // the container and the command itself
  rm: { type: "boolean", section: container, help: "remove the container when it ends" },
  name: { type: "string", value: "NAME", section: container, help: "name of the container" },
  replace: {
    type: "boolean",
    section: container,
    help: "remove the container that has the name first, though it runs",
  },
  cidfile: {
    type: "string",
    value: "FILE",
    completion: "file",
    section: container,
    help: "write the container's id to FILE, which must not be there",
  },
  pidfile: {
    type: "string",
    value: "FILE",
    completion: "file",
    section: container,
    help: "write the pid of the container's program to FILE each time it starts",
  },
  label: { type: "strings", short: "l", value: "KEY=VALUE", section: container, help: "set a label" },
  "label-file": {
    type: "strings",
    value: "FILE",
    completion: "file",
    section: container,
    help: "read labels from FILE",
  },
  annotation: {
    type: "strings",
    value: "KEY=VALUE",
    section: container,
    help: "set an annotation in config.json",
  },
  platform: {
    type: "string",
    value: "OS/ARCH[/VARIANT]",
    defaultText: "this machine's",
    section: container,
    help: "the image to choose from an index",
  },
  os: { type: "string", value: "OS", section: container, hidden: true, help: "as --platform OS/…" },
  arch: { type: "string", value: "ARCH", section: container, hidden: true, help: "as --platform …/ARCH" },
  variant: {
    type: "string",
    value: "VARIANT",
    section: container,
    hidden: true,
    help: "as --platform …/…/VARIANT",
  },
  pull: {
    type: "string",
    value: "POLICY",
    defaultText: "missing",
    section: container,
    help: "when to pull the image: missing, always, never, or newer (always, if the registry can be asked)",
  },
  quiet: { type: "boolean", short: "q", section: container, help: "say nothing but errors" },
  rootfs: {
    type: "boolean",
    section: container,
    help: "IMAGE is a directory with a root filesystem, used as it is",
  },

  detach: {
    type: "boolean",
    short: "d",
    section: container,
    help: "run in the background and print the container's id",
  },
  attach: {
    type: "strings",
    short: "a",
    value: "STREAM",
    section: container,
    help: "have only these of stdin, stdout and stderr",
  },
  "detach-keys": {
    type: "string",
    value: "KEYS",
    defaultText: "ctrl-p,ctrl-q",
    section: container,
    help: "what is typed to leave an attached container",
  },
  "log-driver": {
    type: "string",
    value: "DRIVER",
    defaultText: "k8s-file",
    section: container,
    help: "what keeps the output of a container in the background: k8s-file or none",
  },
  "log-opt": {
    type: "strings",
    value: "OPTION",
    section: container,
    help: "max-size=SIZE, max-file=NUMBER: a longer log is begun anew",
  },
  restart: {
    type: "string",
    value: "POLICY",
    defaultText: "no",
    section: container,
    help: "run it again when it ends: no, on-failure[:N], always, unless-stopped",
  },
  "health-cmd": {
    type: "string",
    value: "COMMAND",
    defaultText: "the image's",
    section: health,
    help: "a command that finds out whether the container is well, or 'none'",
  },
  "health-interval": {
    type: "string",
    value: "DURATION",
    defaultText: "30s",
    section: health,
    help: "time between two checks",
  },
  "health-timeout": {
    type: "string",
    value: "DURATION",
    defaultText: "30s",
    section: health,
    help: "how long a check may take",
  },
  "health-retries": {
    type: "number",
    value: "N",
    defaultText: "3",
    section: health,
    help: "failures in a row that make it unhealthy",
  },
  "health-start-period": {
    type: "string",
    value: "DURATION",
    defaultText: "0s",
    section: health,
    help: "time to start in: failures do not count before a first success",
  },
  "health-start-interval": {
    type: "string",
    value: "DURATION",
    defaultText: "5s",
    section: health,
    help: "time between two checks within the start period",
  },
  "health-on-failure": {
    type: "string",
    value: "ACTION",
    defaultText: "none",
    section: health,
    help: "what is done to an unhealthy container: none, kill, restart, stop",
  },
  "no-healthcheck": { type: "boolean", section: health, help: "run no check" },

  // the process
  interactive: { type: "boolean", short: "i", section: process_, help: "keep stdin open" },
  tty: { type: "boolean", short: "t", section: process_, help: "give the program a terminal" },
  entrypoint: {
    type: "string",
    value: "PROGRAM",
    defaultText: "the image's",
    section: process_,
    help: "what is run, in place of the image's entrypoint; '' for none",
  },
  env: {
    type: "strings",
    short: "e",
    value: "NAME[=VALUE]",
    section: process_,
    help: "set an environment variable",
  },
  "env-file": {
    type: "strings",
    value: "FILE",
    completion: "file",
    section: process_,
    help: "read environment variables from FILE",
  },
  "env-host": { type: "boolean", section: process_, help: "pass the whole environment on" },
  unsetenv: { type: "strings", value: "NAME", section: process_, help: "leave an environment variable out" },
  "unsetenv-all": {
    type: "boolean",
    section: process_,
    help: "leave the default variables and the image's out",
  },
  "http-proxy": { type: "boolean", section: process_, help: "pass http_proxy and its like on" },
  workdir: {
    type: "string",
    short: "w",
    value: "DIR",
    defaultText: "the image's",
    section: process_,
    help: "directory to run in, made where missing",
  },
  user: {
    type: "string",
    short: "u",
    value: "USER[:GROUP]",
    defaultText: "the image's",
    section: process_,
    help: "user to run as: a name of the image's /etc/passwd or a number",
  },
  "group-add": { type: "strings", value: "GROUP", section: process_, help: "add a supplementary group" },
  umask: {
    type: "string",
    value: "MODE",
    defaultText: "0022",
    section: process_,
    help: "file mode creation mask",
  },
  passwd: {
    type: "boolean",
    default: true,
    section: process_,
    help: "give a user whom the image does not know an entry in /etc/passwd",
  },
  init: { type: "boolean", section: process_, help: "run an init as pid 1 that passes signals on and reaps" },
  "sig-proxy": { type: "boolean", default: true, section: process_, help: "pass signals on to the program" },
  "stop-signal": {
    type: "string",
    value: "SIGNAL",
    defaultText: "the image's, else SIGTERM",
    section: process_,
    help: "signal that stops the container",
  },
  "stop-timeout": {
    type: "number",
    value: "SECONDS",
    defaultText: "10",
    section: process_,
    help: "time from the stop signal to SIGKILL",
  },
  timeout: {
    type: "number",
    value: "SECONDS",
    defaultText: "0: none",
    section: process_,
    help: "kill the container when it has run for so long; the exit status is then 255",
  },
  tz: {
    type: "string",
    value: "ZONE",
    defaultText: "the image's",
    section: process_,
    help: "time zone: a name as Europe/Berlin, or 'local' for the host's",
  },
  ulimit: {
    type: "strings",
    value: "NAME=SOFT[:HARD]",
    section: process_,
    help: "set a resource limit, -1 for none; 'host' keeps the caller's",
  },
  "oom-score-adj": { type: "string", value: "N", section: process_, help: "OOM preference, -1000 to 1000" },

  // namespaces
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

  // network
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

  // files
  volume: {
    type: "strings",
    short: "v",
    value: "[HOST|VOLUME:]CTR[:OPTIONS]",
    section: filesystem,
    help: "mount a volume, or a directory or file of the host: ro, rro, nocopy, U, exec, suid, dev, rslave, …",
  },
  "volumes-from": {
    type: "strings",
    value: "CTR[:ro]",
    completion: "container",
    section: filesystem,
    help: "mount what another container has mounted",
  },
  mount: {
    type: "strings",
    value: "type=TYPE,…",
    section: filesystem,
    help: "mount type=bind, volume, image or tmpfs: source=…,target=…,readonly",
  },
  tmpfs: {
    type: "strings",
    value: "DIR[:OPTIONS]",
    section: filesystem,
    help: "mount a tmpfs: size=64m,mode=1777,exec",
  },
  "read-only": { type: "boolean", section: filesystem, help: "make the root filesystem read-only" },
  "read-only-tmpfs": {
    type: "boolean",
    default: true,
    section: filesystem,
    help: "with --read-only, tmpfs on /run, /tmp and /var/tmp",
  },
  "image-volume": {
    type: "string",
    value: "MODE",
    choices: ["anonymous", "bind", "tmpfs", "ignore"],
    default: "anonymous",
    aliases: ["builtin-volume"],
    section: filesystem,
    help: "what the image's VOLUMEs become: anonymous, tmpfs, ignore",
  },
  "shm-size": {
    type: "string",
    value: "SIZE",
    defaultText: "64m",
    section: filesystem,
    help: "size of /dev/shm",
  },

  // privileges
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

  // resources
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

  // words of docker and podman for what is so anyway, or was given up long ago
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

  ...registryOptions,

  // words of docker and podman that this release cannot serve: a clear error, not an unknown flag
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

/** Of `run` alone: who starts a container later has descriptors of his own. */
export const preserveOption = {
  "preserve-fds": {
    type: "number",
    value: "N",
    default: 0,
    section: process_,
    help: "hand N open descriptors from 3 on to the program",
  },
} as const satisfies OptionTable;

export type RunFlags = OptionValues<typeof runOptionTable>;
