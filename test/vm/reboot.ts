/** What the two halves of the reboot tests share: vitrine on its usual directories, and what the first half left. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { isRoot, slowness, vitrine } from "../integration/support.ts";

const home = process.env["HOME"]!;
export const root = isRoot ? "/var/lib/vitrine" : path.join(home, ".local/share/vitrine");
export const runroot = isRoot ? "/run/vitrine" : path.join(process.env["XDG_RUNTIME_DIR"]!, "vitrine");
export const noteFile = path.join(isRoot ? "/var/lib" : home, "vt-reboot.json");

export function call(...words: readonly string[]) {
  return spawnSync(vitrine, words, { encoding: "utf8", timeout: 100_000 * slowness });
}

/** Fails the test unless it ends with 0. Its output without the last newline. */
export function good(...words: readonly string[]): string {
  const done = call(...words);
  assert.equal(done.status, 0, `${words.join(" ")}: ${done.stderr}`);
  return done.stdout.replace(/\n$/, "");
}

export const inspect = (name: string, field: string): string => good("inspect", "-f", `{{${field}}}`, name);

export const sleeping = "trap 'exit 0' TERM; sleep 100000 & wait";
/** Containers by name: flags, script, and what the next boot is to say of them. */
export const left: Readonly<Record<string, { flags: readonly string[]; script: string }>> = {
  ever: { flags: ["--restart", "always"], script: sleeping },
  unless: { flags: ["--restart", "unless-stopped"], script: sleeping },
  backoff: { flags: ["--restart", "always"], script: "exit 5" },
  plain: { flags: ["-v", "kept:/data"], script: "while :; do date >>/data/log; echo line; sleep 1; done" },
  checked: { flags: ["--health-cmd", "true", "--health-interval", "1s"], script: sleeping },
};

export const exists = (file: string): boolean => fs.existsSync(file);
