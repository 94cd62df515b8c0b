import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { describe, it } from "node:test";
import type { CommandEntry } from "./framework/command.ts";
import { renderCommand } from "./framework/help.ts";
import { registry } from "./registry.ts";
import { manPage } from "./shells/manpage.ts";
import { version } from "./version.ts";

const source = path.resolve(import.meta.dirname, "..");

function everyCommand(): { words: readonly string[]; entry: CommandEntry }[] {
  return registry.flatMap((entry) =>
    entry.subcommands === undefined
      ? [{ words: [entry.name], entry }]
      : entry.subcommands.map((subentry) => ({ words: [entry.name, subentry.name], entry: subentry })),
  );
}

describe("the registry", () => {
  it("gives each name once", () => {
    for (const entries of [
      registry,
      ...registry.flatMap(({ subcommands }) => (subcommands ? [subcommands] : [])),
    ]) {
      const names = entries.flatMap(({ name, aliases }) => [name, ...(aliases ?? [])]);
      assert.deepEqual(names, [...new Set(names)]);
    }
  });

  for (const { words, entry } of everyCommand()) {
    it(`${words.join(" ")} loads, and its table is sound`, async () => {
      const { command } = await entry.load!();
      const shorts = Object.values(command.options).flatMap(({ short }) =>
        short === undefined ? [] : [short],
      );
      assert.deepEqual(shorts, [...new Set(shorts)], "a short flag twice");
      const longs = Object.entries(command.options).flatMap(([long, { aliases }]) => [
        long,
        ...(aliases ?? []),
      ]);
      assert.deepEqual(longs, [...new Set(longs)], "a long flag twice");
      for (const [long, option] of Object.entries(command.options)) {
        assert.match(long, /^[a-z][a-z0-9-]*$/);
        assert.ok(option.short === undefined || /^[A-Za-z]$/.test(option.short));
        assert.doesNotMatch(option.help, /\.$/, `help of --${long}`);
        assert.ok(option.default === undefined || option.choices?.includes(String(option.default)) !== false);
      }
      const variadic = command.positionals.findIndex((positional) => positional.variadic);
      assert.ok(variadic === -1 || variadic === command.positionals.length - 1);
      assert.match(renderCommand(words, entry, command), new RegExp(`^Usage: {2}vitrine ${words.join(" ")}`));
    });
  }

  it("summaries are one short line", () => {
    for (const { entry } of everyCommand()) {
      assert.match(entry.summary, /^[A-Z].{5,60}[^.]$/);
    }
  });
});

describe("start-up", () => {
  /** Modules that `file` imports before anything runs; imports of types vanish. */
  function staticImports(file: string): string[] {
    const text = fs.readFileSync(file, "utf8");
    return [...text.matchAll(/^(?:import|export) (?!type\b)[^;]*?from "([^"]+)";/gms)].map(
      ([, name]) => name!,
    );
  }

  it("imports no folder as a whole on use: all of it would land in one chunk, which every command loads", () => {
    const files = fs.readdirSync(source, { recursive: true, encoding: "utf8" });
    const whole = files
      .filter((file) => file.endsWith(".ts") && !file.endsWith(".test.ts"))
      .filter((file) =>
        /\bimport\("(?:\.\.\/)+\w+\/mod\.ts"\)/.test(fs.readFileSync(path.join(source, file), "utf8")),
      );
    assert.deepEqual(whole, []);
  });

  it("loads the framework and base, and no command, store or engine", () => {
    const seen = new Set<string>();
    const pending = [path.join(source, "cli/main.ts")];
    for (let file = pending.pop(); file !== undefined; file = pending.pop()) {
      if (seen.has(file)) continue;
      seen.add(file);
      for (const name of staticImports(file)) {
        if (name.startsWith(".")) pending.push(path.resolve(path.dirname(file), name));
      }
    }
    const loaded = [...seen]
      .map((file) => path.relative(source, file))
      .filter((file) => !file.startsWith("base/"));
    assert.deepEqual(loaded.sort(), [
      "api/locations.ts",
      ...["containers", "images", "remotes", "system", "volumes"].map(
        (name) => `cli/command-list/${name}.ts`,
      ),
      "cli/framework/context.ts",
      "cli/framework/dispatch.ts",
      "cli/framework/failure.ts",
      "cli/framework/globals.ts",
      "cli/framework/interrupt.ts",
      "cli/framework/nearest.ts",
      "cli/framework/parse.ts",
      "cli/framework/restart.ts",
      "cli/framework/terminal.ts",
      "cli/framework/world.ts",
      "cli/main.ts",
      "cli/registry.ts",
      "cli/version.ts",
    ]);
  });
});

describe("the version", () => {
  it("is that of package.json", () => {
    const text = fs.readFileSync(path.join(source, "../package.json"), "utf8");
    assert.equal((JSON.parse(text) as { version: string }).version, version);
  });
});

describe("the man page", () => {
  it("names every command and has no line that roff would take for a request", async () => {
    const page = await manPage(version, "2026-01-31");
    for (const { entry } of everyCommand()) {
      // An alias in a group, with a summary of its own, is described as the command that it is.
      const described =
        registry.find((command) => command.load !== undefined && command.load === entry.load) ?? entry;
      if (!entry.hidden)
        assert.ok(
          page.includes(described.summary.replaceAll("-", "\\-").replaceAll("'", "\\(aq")),
          entry.name,
        );
    }
    const requests = new Set([...page.matchAll(/^[.']\S*/gm)].map(([request]) => request));
    assert.deepEqual(
      [...requests].sort(),
      [".B", ".BR", ".I", ".IR", ".PP", ".RE", ".RS", ".SH", ".SS", ".TH", ".TP", ".fi", ".nf"].filter(
        (name) => requests.has(name),
      ),
    );
  });
});
