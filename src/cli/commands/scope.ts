/**
 * `__scope`: the helper runs it once init is there, with the request of the plan on stdin, in which init's pid stands: it has
 * systemd make the container's scope. Errors go to stderr; the op that ran it then failed.
 */
import * as fs from "node:fs";
import { limits, parseJson } from "../../base/mod.ts";
import { type ScopeRequest, startScope } from "../../kernel/mod.ts";
import { defineCommand } from "../framework/command.ts";

export const command = defineCommand({
  description: "Has systemd make a container's scope. The helper runs it; it is of no use otherwise.",
  options: {},
  positionals: [],
  async run() {
    // Our own plan's words.
    const request = parseJson(fs.readFileSync(0), {
      maxBytes: limits.runtimeConfigBytes,
    }) as unknown as ScopeRequest & {
      readonly uid: number;
    };
    await startScope(request, request.uid);
  },
});
