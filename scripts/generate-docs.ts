/**
 * Writes the completion scripts and the man page into build/ from the command table:
 *
 *   node scripts/generate-docs.ts
 */
import * as fs from "node:fs";
import * as path from "node:path";
import { manPage } from "../src/cli/shells/manpage.ts";
import { completionScript } from "../src/cli/shells/scripts.ts";
import { version } from "../src/cli/version.ts";

const build = path.join(import.meta.dirname, "../build");
const completions = path.join(build, "completions");
fs.mkdirSync(completions, { recursive: true });
fs.writeFileSync(path.join(completions, "vitrine.bash"), completionScript("bash"));
fs.writeFileSync(path.join(completions, "_vitrine"), completionScript("zsh"));
fs.writeFileSync(path.join(completions, "vitrine.fish"), completionScript("fish"));

// The same sources give the same bytes, so the footer's date is given or left out, never now.
const epoch = process.env["SOURCE_DATE_EPOCH"];
const date = epoch === undefined ? "" : new Date(Number(epoch) * 1000).toISOString().slice(0, 10);
fs.writeFileSync(path.join(build, "vitrine.1"), await manPage(version, date));
