import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { describe, it } from "node:test";
import { type Command, defineCommand } from "./command.ts";
import { renderCommand, renderGroup, renderOverview } from "./help.ts";

const golden = path.resolve(import.meta.dirname, "../golden");

/** UPDATE_GOLDEN=1 writes what was rendered. */
function matchesGolden(name: string, text: string): void {
  const file = path.join(golden, name);
  if (process.env["UPDATE_GOLDEN"] === "1") fs.writeFileSync(file, text);
  assert.equal(text, fs.readFileSync(file, "utf8"));
}

/** One of everything that help can show. */
const everything: Command = defineCommand({
  description: `A first paragraph that is long enough to be broken, because it goes on and on about nothing in particular,
    over lines of the source.

    A second one.`,
  options: {
    all: { type: "boolean", short: "a", help: "a boolean" },
    "a-name-that-is-too-long-for-a-column": { type: "string", value: "VALUE", help: "on a line of its own" },
    count: { type: "number", default: 3, help: "a number" },
    format: { type: "string", default: "text", help: "with a default" },
    later: { type: "boolean", hidden: true, help: "not shown" },
    on: { type: "boolean", default: true, help: "on by itself" },
    pull: {
      type: "string",
      value: "POLICY",
      implied: "always",
      defaultText: "missing",
      help: "an optional value",
    },
    wide: {
      type: "strings",
      short: "w",
      section: "Another section",
      help: "a help text that does not fit into one line of a hundred columns and therefore goes on in the next one",
    },
  },
  positionals: [{ name: "IMAGE" }, { name: "NAME", variadic: true }],
  examples: [
    { command: "vitrine x a b", does: "one" },
    { command: "vitrine x -a c d", does: "another" },
  ],
  run: () => undefined,
});

describe("help", () => {
  const entry = { name: "x", group: "Images", summary: "Show everything" } as const;
  it("of a command", () => matchesGolden("command-help.txt", renderCommand(["x"], entry, everything)));
  it("of all commands", () => matchesGolden("overview.txt", renderOverview()));
  it("of a group", () => {
    const group = {
      name: "thing",
      group: "Management",
      summary: "Manage things",
      subcommands: [entry, { ...entry, name: "secret", hidden: true }],
    } as const;
    matchesGolden("group-help.txt", renderGroup(group));
  });
});
