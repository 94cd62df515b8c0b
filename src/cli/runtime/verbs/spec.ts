import * as fs from "node:fs";
import * as path from "node:path";
import { errnoOf, VitrineError } from "../../../base/mod.ts";
import { probeHost } from "../../../kernel/mod.ts";
import { specTemplate } from "../spec-template.ts";
import { defineVerb } from "../verb.ts";

export const verb = defineVerb({
  summary: "Write a config.json to begin with",
  usage: "",
  options: {
    bundle: {
      type: "string",
      short: "b",
      value: "DIR",
      default: ".",
      help: "where; default: this directory",
    },
    rootless: { type: "boolean", help: "for a user without privileges" },
  },
  positionals: [0, 0],
  run({ options, context }) {
    const file = path.resolve(options.bundle, "config.json");
    const ids = options.rootless ? { uid: context.uid, gid: context.gid } : undefined;
    const config = specTemplate(ids, probeHost().cgroup.mode === "v2");
    try {
      fs.writeFileSync(file, `${JSON.stringify(config, undefined, "\t")}\n`, { mode: 0o666, flag: "wx" });
    } catch (cause) {
      if (errnoOf(cause) !== "EEXIST") throw cause;
      throw new VitrineError("exists", "File config.json exists. Remove it first", {
        code: "bundle-config-exists",
        operand: file,
      });
    }
    return 0;
  },
});
