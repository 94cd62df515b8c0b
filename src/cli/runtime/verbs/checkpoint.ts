import * as fs from "node:fs";
import { VitrineError } from "../../../base/mod.ts";
import { defineVerb } from "../verb.ts";

export const verb = defineVerb({
  summary: "Checkpoint or restore a container with criu (not supported yet)",
  usage: "CONTAINER",
  options: {
    "image-path": { type: "string", value: "DIR", help: "where the images of the processes are" },
    "work-path": { type: "string", value: "DIR", help: "where criu writes its log" },
    "leave-running": { type: "boolean", help: "the container goes on" },
    bundle: { type: "string", short: "b", value: "DIR", help: "the bundle" },
    detach: { type: "boolean", short: "d", help: "return once it runs" },
    "pid-file": { type: "string", value: "FILE", help: "a file that gets the pid" },
    "console-socket": { type: "string", value: "PATH", help: "a unix socket that gets the terminal" },
  },
  positionals: [1, 1],
  run() {
    const paths = (process.env["PATH"] ?? "").split(":");
    const criu = paths.map((path) => `${path}/criu`).find((path) => fs.existsSync(path));
    throw criu === undefined
      ? new VitrineError("unavailable", "criu is not installed", {
          code: "criu-missing",
          hint: "install the package criu",
        })
      : new VitrineError("unsupported", "checkpoint and restore are not supported yet", {
          code: "checkpoint-unsupported",
        });
  },
});
