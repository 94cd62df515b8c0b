/** Where a runtime is known to differ, by test; docs/runtime-conformance.md is for people. */
const time = {
  "config-linux.md#namespaces: a new time namespace":
    "knows no time namespaces (before 1.2, crun before 1.9)",
  "config-linux.md#offset-for-time-namespace: offsets are those given": "knows no time namespaces",
};

const scheduler = {
  "config.md#linux-process: a scheduler policy that there is not is an error": "ignores process.scheduler",
  "config.md#linux-process: scheduler": "ignores process.scheduler",
};

const options = "config.md#linux-mount-options";
const idMapped = {
  [`${options}: idmap: maps of the mount, of it alone`]:
    "maps ids with a user namespace of the container's alone",
  [`${options}: ridmap: maps of the whole tree`]: "knows no ridmap",
  [`${options}: maps without the option are applied as well`]: "wants a user namespace",
  [`${options}: idmap with a user namespace: what a file of the container shows is the container's id`]:
    "does not take the maps of the container",
  [`${options}: maps of the mount go before those of the container's user namespace`]: "wants the same maps",
};

const alone = "binds what is mounted below only without maps";
const crunIdMapped = {
  [`${options}: idmap: maps of the mount, of it alone`]: alone,
  [`${options}: ridmap: maps of the whole tree`]: alone,
  [`${options}: maps without the option are applied as well`]: alone,
  [`${options}: idmap with a user namespace: what a file of the container shows is the container's id`]:
    "does not take the maps of the container",
  [`${options}: maps of the mount go before those of the container's user namespace`]: alone,
};

const withMappings = "wants the mappings beside the path, and does not compare them (before 1.2)";
const joined = Object.fromEntries(
  [
    "config-linux.md#namespaces: a user namespace that is joined, with new namespaces of all other types",
    "config-linux.md#namespaces: a user and a pid namespace that are joined together",
    "config-linux.md#namespaces: with a user namespace that is joined, bind sources that only the host's root reaches",
    "config-linux.md#user-namespace-mappings: named beside a path they are those of the namespace",
  ].map((name) => [name, withMappings]),
);

const netDevices = Object.fromEntries(
  [
    "a device is moved, is up, and keeps its permanent global addresses",
    "name: it is renamed",
    "a device that is not there is an error, as is a name that is taken",
    "without a network namespace it is an error, and the device stays",
    "name: one %d is a number that is free",
  ].map((what) => [`config-linux.md#network-devices: ${what}`, "knows no netDevices (before 1.4)"]),
);

const attributes = Object.fromEntries(
  [
    "config.md#linux-process: scheduler: nice of SCHED_OTHER and SCHED_BATCH, SCHED_IDLE",
    "config.md#linux-process: scheduler: flags",
    "config.md#linux-process: scheduler: values of another policy are an error",
    "config.md#linux-process: ioPriority: class and priority",
    "config.md#linux-process: execCPUAffinity: final is that of the program, of exec alone",
    "config.md#linux-process: execCPUAffinity: what is no list is an error",
    "config-linux.md#memory-policy: mode and nodes",
    "config-linux.md#memory-policy: a node that is not there, a mode without its nodes are errors",
    "config-linux.md#offset-for-time-namespace: exec has the container's clocks",
  ].map((name) => [name, "knows it from 1.2, 1.3 or 1.4 on"]),
);

const crunAlone = Object.fromEntries(
  [
    "a user namespace without maps has the caller as root",
    "idmap= with maps of its own",
    "copy-symlink: a source that is a link is the same link in the container",
    "a device that the host has not, in a user namespace: its numbers, mode and owner",
    "run.oci.keep_original_groups: the caller's groups stay",
    "run.oci.hooks.stdout and .stderr: files that get what hooks print",
    "run.oci.seccomp_fail_unknown_syscall: a name that no machine has is an error",
    "delete --regex: all whose ids match",
    "a poststop hook that fails is told, and is no error",
  ].map((what) => [`the options of crun: ${what}`, "is not crun"]),
);

const timeOfUser = {
  "config-linux.md#offset-for-time-namespace: with a user namespace": "knows no time namespaces",
};

const twice = "config.md#posix-process: a type given twice is an error";

export const exceptions: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  "vitrine-runtime": {},
  /** 1.1.5 of Debian 12. */
  runc: {
    ...time,
    ...timeOfUser,
    ...crunAlone,
    ...scheduler,
    ...idMapped,
    ...joined,
    ...netDevices,
    ...attributes,
    [`${options}: idmap is an error without a map, on a new filesystem, or where the filesystem has none`]:
      "ignores the word idmap",
    "config-linux.md#seccomp: the listener stays with nobody but the agent":
      "does not know SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
    [twice]: "takes the last of two rlimits of one type",
    "config-linux.md#personality: LINUX32": "ignores linux.personality",
    "config.md#domainname: is the container's": "ignores domainname",
    "config-linux.md#namespaces: without mount it is the runtime's: mounts are made below the root, and gone after delete":
      "leaves them on the host",
    "config.md#poststart: a hook that fails is an error of start, and destroys the container":
      "runs the hooks at the end of create",
    "runtime.md#state: hooks are told id, status, bundle and annotations":
      "tells the poststart hooks that the status is created",
    "config.md#poststart: hooks run after the program began, before start returns":
      "tells the hooks that the status is created",
    "config.md#poststop: hooks run after the container is deleted; one that fails is no error":
      "runs no hook after one that failed",
    "config.md#specification-version: a version that is none is an error": "does not read ociVersion",
    "config.md#specification-version: another major version is an error": "does not read ociVersion",
    "the command line of runc: --preserve-fds hands descriptors on, and no others": "wants each of them open",
    "the command line of runc: the CPUs of the caller are not the container's":
      "resets the affinity from 1.2 on",
    "the command line of runc: a cgroup that somebody is in, or that is frozen, is refused":
      "only warns (before 1.2)",
    "the command line of runc: a hook that fails is told by its point and number":
      "does not name the point (before 1.3)",
    "the command line of runc: without a pid namespace of its own, KILL is for all processes":
      "kills init alone (before 1.2)",
  },
  /** 1.8.1 of Debian 12, where no controller is in the v2 hierarchy of a hybrid machine. */
  crun: {
    ...time,
    ...timeOfUser,
    ...scheduler,
    ...netDevices,
    ...attributes,
    ...crunIdMapped,
    "config-linux.md#seccomp: the agent is told the ContainerProcessState, of create and of exec":
      "writes a state that is no JSON",
    "config-linux.md#seccomp: SCMP_ACT_NOTIFY without an agent, for write, or for all is an error":
      "takes SCMP_ACT_NOTIFY as the default, or for write",
    "config-linux.md#seccomp: listenerPath is ignored where nothing notifies": "connects to it all the same",
    "config-linux.md#user-namespace-mappings: named beside a path they are those of the namespace":
      "does not compare them",
    "config-linux.md#namespaces: without mount it is the runtime's: mounts are made below the root, and gone after delete":
      "leaves them on the host",
    "runtime.md#state: hooks are told id, status, bundle and annotations": "tells the first hooks created",
    "runtime.md#state: hooks are told the pid as they see it": "tells hooks in the container no pid",
    "config.md#poststart: a hook that fails is an error of start, and destroys the container": "goes on",
    [`${options}: each recursive word is for the mounts below as well`]: "knows no rnosymfollow",
    "config.md#linux-process: capabilities: exec has the container's, and those of --cap beside them":
      "gives those of --cap alone",
    "runtime.md#operations: exec: --ignore-paused waits in a container that is paused": "has no such option",
    "the options of crun: a user namespace without maps has the caller as root":
      "maps what /etc/subuid gives root",
    "the options of crun: copy-symlink: a source that is a link is the same link in the container":
      "knows it from 1.9 on",
    "the options of crun: a poststop hook that fails is told, and is no error": "says it in other words",
    [twice]: "takes the last of two rlimits of one type",
    "config-linux.md#namespaces: a type given twice is an error": "takes a namespace given twice",
    "config.md#linux-mount-options: later words undo earlier ones": "`rw` does not undo `ro`",
    "config.md#process: a relative cwd is an error": "takes it as relative to the root",
    "the command line of runc: HOME is set where it is missing or empty, from the container's /etc/passwd":
      "leaves an empty HOME as it is",
    "the command line of runc: a cgroup that somebody is in, or that is frozen, is refused": "takes it",
    "the command line of runc: a hook that fails is told by its point and number": "says it in other words",
    "the command line of runc: a working directory that is not there is told in runc's words":
      "says it in other words",
    "the command line of runc: hooks of the container's own namespaces begin in its root":
      "keeps the working directory of the runtime",
    "the command line of runc: run --keep leaves a stopped container to look at and delete":
      "knows no --keep (before 1.9)",
    "the command line of runc: the CPUs of the caller are not the container's": "leaves them as they were",
    "the command line of runc: without a pid namespace of its own, KILL is for all processes":
      "kills init alone",
  },
};
