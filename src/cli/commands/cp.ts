import * as path from "node:path";
import { VitrineError, writeAll } from "../../base/mod.ts";
import { findContainer, loadFiles } from "../../engine/mod.ts";
import { sweep } from "../container-trees.ts";
import { defineCommand } from "../framework/command.ts";
import { type Context, OutputClosed } from "../framework/context.ts";
import { interruptible } from "../framework/interrupt.ts";
import { readStdin } from "../framework/stdin.ts";

export const command = defineCommand({
  usage: [
    "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-",
    "[OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH",
    "[OPTIONS] CONTAINER:SRC_PATH CONTAINER:DEST_PATH",
  ],
  description: `Copies files and directories into, out of or between containers, whether they run or not, through their volumes
    and binds. '-' is a tar archive on stdin or stdout. A directory is copied under its name into one that is there, to the new
    name into nothing; 'DIR/.' is its content. What comes out of a container is the caller's; what goes into one keeps its ids.`,
  options: {
    archive: {
      type: "boolean",
      short: "a",
      help: "keep owners: into a container that has a user of its own they are this user; out of one, as root, as they are",
    },
    "follow-link": { type: "boolean", short: "L", help: "copy what a link at SRC_PATH leads to" },
    overwrite: { type: "boolean", help: "let directories replace files and files directories" },
    quiet: { type: "boolean", short: "q", help: "say nothing" },
    pause: { type: "boolean", default: true, hidden: true, help: "ignored: nothing is paused" },
  },
  positionals: [
    { name: "SRC_PATH", completion: "file" },
    { name: "DEST_PATH", completion: "file" },
  ],
  examples: [
    {
      command: "vitrine cp web:/etc/nginx ./conf",
      does: "the directory, as ./conf/nginx where ./conf is there",
    },
    { command: "vitrine cp site/. web:/usr/share/nginx/html", does: "what is in site" },
    { command: "tar -c site | vitrine cp - web:/srv", does: "an archive" },
  ],
  exitCodes: { "not-found": 1, exists: 1, invalid: 1, denied: 1, unavailable: 1, unsupported: 1, corrupt: 1 },
  async run({ options, positionals, context }) {
    const { readCopyPlace, copyFiles, copyIn, copyOut } = await loadFiles();
    const [from, to] = [readCopyPlace(positionals[0]!), readCopyPlace(positionals[1]!)];
    if (from.kind !== "container" && to.kind !== "container") {
      throw new VitrineError("invalid", "one of the two paths is to be in a container", {
        code: "copy-without-container",
        operand: positionals.join(" "),
        hint: "write it as CONTAINER:PATH",
      });
    }
    await sweep(context, 8);
    const request = {
      archive: options.archive,
      followLink: options["follow-link"],
      overwrite: options.overwrite,
    };
    const deps = { paths: context.paths(), helperPath: context.helperPath() };
    const end = (place: Exclude<typeof from, { kind: "stream" }>) =>
      place.kind === "local"
        ? ({ kind: "local", path: absolute(place.path) } as const)
        : ({
            kind: "container",
            container: findContainer(deps.paths, place.container),
            path: place.path,
          } as const);
    if (from.kind !== "stream" && to.kind !== "stream") {
      await copyFiles(end(from), end(to), request, deps);
      return;
    }
    const other = end((from.kind === "stream" ? to : from) as Exclude<typeof from, { kind: "stream" }>);
    if (other.kind !== "container")
      throw new VitrineError("internal", "no container", { code: "copy-without-container" });
    if (to.kind === "stream") {
      requireNoTerminal(context);
      await interruptible((guard) =>
        copyOut(other, request, deps, async (stream) => {
          for await (const chunk of guard.guard(stream)) {
            if (!writeAll(1, chunk)) throw new OutputClosed();
          }
        }),
      );
      return;
    }
    const input = readStdin(context, {
      what: "an archive",
      hint: "tar -c DIRECTORY | vitrine cp - CONTAINER:PATH",
    });
    await interruptible((guard) => copyIn(guard.guard(input), other, request, deps));
  },
});

/** A slash or `/.` at its end says something: it stays. */
function absolute(text: string): string {
  const ending = /(?:^|\/)\.$/.test(text) ? "/." : text.endsWith("/") ? "/" : "";
  const whole = path.resolve(text);
  return whole === "/" ? "/" : `${whole}${ending}`;
}

export function requireNoTerminal(context: Context): void {
  if (!context.stdoutIsTerminal) return;
  throw new VitrineError("invalid", "an archive is not written to a terminal", {
    code: "output-is-a-terminal",
    operand: "-",
    hint: "redirect it: > FILE",
  });
}
