import type { OptionTable } from "../framework/command.ts";

const filesystem = "Filesystem";

/** Mounts and volumes. */
export const filesystemFlags = {
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
} as const satisfies OptionTable;
