/** What `checkpoint` and `restore` share: options, and criu itself. */
import * as fs from "node:fs";
import * as path from "node:path";
import { VitrineError } from "../../../base/mod.ts";
import { complaintOf } from "../../../runtime/mod.ts";
import type { OptionTable, OptionValues } from "../../framework/command.ts";
import type { Context } from "../../framework/context.ts";

export const criuOptions = {
  "image-path": {
    type: "string",
    value: "DIR",
    default: "checkpoint",
    help: "where the images of the processes are; default: ./checkpoint",
  },
  "work-path": {
    type: "string",
    value: "DIR",
    help: "where criu writes its log; default: as --image-path",
  },
  "tcp-established": { type: "boolean", help: "TCP connections too" },
  "ext-unix-sk": { type: "boolean", help: "Unix sockets with another end outside" },
  "shell-job": { type: "boolean", help: "processes of a session that began outside" },
  "lazy-pages": { type: "boolean", help: "memory comes when it is needed (userfaultfd)" },
  "file-locks": { type: "boolean", help: "locks of files" },
  "manage-cgroups-mode": {
    type: "string",
    default: "soft",
    choices: ["soft", "full", "strict", "ignore"],
    help: "what criu does about cgroups",
  },
  "empty-ns": {
    type: "strings",
    value: "network",
    help: "a namespace whose contents are left to who restores",
  },
  "auto-dedup": { type: "boolean", help: "what a later image replaces is punched out of the earlier one" },
} as const satisfies OptionTable;

/** The options of both, as criu's command line wants them. */
export function commonOptions(options: OptionValues<typeof criuOptions>) {
  const imagePath = path.resolve(options["image-path"]);
  const unknown = options["empty-ns"].find((name) => name !== "network");
  if (unknown !== undefined) {
    throw new VitrineError("invalid", `--empty-ns ${unknown}: only network can be left empty`, {
      code: "invalid-flag-value",
      operand: "--empty-ns",
    });
  }
  return {
    imagePath,
    workPath: options["work-path"] === undefined ? imagePath : path.resolve(options["work-path"]),
    tcpEstablished: options["tcp-established"],
    extUnixSk: options["ext-unix-sk"],
    shellJob: options["shell-job"],
    fileLocks: options["file-locks"],
    lazyPages: options["lazy-pages"],
    autoDedup: options["auto-dedup"],
    manageCgroups: options["manage-cgroups-mode"],
    emptyNetwork: options["empty-ns"].length > 0,
  };
}

/** Errors: `checkpoint-needs-root`, `criu-missing`. */
export function requireCriu({ uid }: Context): string {
  const directories = [...(process.env["PATH"] ?? "").split(":"), "/usr/local/sbin", "/usr/sbin", "/sbin"];
  const criu = directories.map((directory) => `${directory}/criu`).find((file) => fs.existsSync(file));
  if (criu === undefined) {
    throw new VitrineError("unavailable", "criu is not installed", {
      code: "criu-missing",
      hint: "install the package criu",
    });
  }
  if (uid === 0) return path.resolve(criu);
  throw new VitrineError("denied", "criu needs root to read and to make processes", {
    code: "checkpoint-needs-root",
    hint: "checkpoint and restore as root",
  });
}

/** criu starts programs of its own (tar, ip, iptables-save). */
export const criuEnvironment = [
  "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  "LANG=C",
] as const;

/** What criu's log says. Error code: `criu-failed`. */
export function criuFailure(verb: string, workPath: string, log: string): VitrineError {
  const file = `${workPath}/${log}`;
  let text = "";
  try {
    text = fs.readFileSync(file, "utf8");
  } catch {
    // It did not get so far.
  }
  const complaint = complaintOf(text) || "it gave no reason";
  return new VitrineError("unavailable", `criu cannot ${verb} the container: ${complaint}`, {
    code: "criu-failed",
    operand: file,
    hint: `all of it is in ${file}; 'criu check' says what the kernel lacks`,
  });
}
