import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { OptionTable } from "./command.ts";
import { parseLine } from "./parse.ts";

const options = {
  interactive: { type: "boolean", short: "i", help: "" },
  tty: { type: "boolean", short: "t", help: "" },
  human: { type: "boolean", short: "H", default: true, help: "" },
  env: { type: "strings", short: "e", help: "" },
  name: { type: "string", help: "", aliases: ["called"] },
  format: { type: "string", short: "f", choices: ["json", "table"], help: "" },
  swap: { type: "number", short: "s", help: "" },
  memory: { type: "number", default: 64, help: "" },
  pull: { type: "string", implied: "always", help: "" },
  hidden: { type: "boolean", hidden: true, help: "" },
  x: { type: "string", help: "a long name of one letter" },
} as const satisfies OptionTable;

function parse(args: readonly string[], stopAtFirstPositional = false) {
  return parseLine(args, { options, stopAtFirstPositional, helpCommand: "vitrine run --help" });
}

function fails(args: readonly string[], code: string, hint?: RegExp): void {
  assert.throws(
    () => parse(args),
    (error: { code?: string; hint?: string }) => {
      assert.equal(error.code, code);
      if (hint !== undefined) assert.match(error.hint ?? "", hint);
      return true;
    },
  );
}

describe("parseLine reads flags as pflag does", () => {
  it("takes values after a space, '=' and directly", () => {
    assert.deepEqual(parse(["-e", "A=B", "-eC=D", "--env=E=F", "--env", "G=H", "-e=I=J"]).options["env"], [
      "A=B",
      "C=D",
      "E=F",
      "G=H",
      "I=J",
    ]);
  });

  it("combines short flags, the last one with a value", () => {
    const { options: values } = parse(["-ite", "A=B", "-its5"]);
    assert.equal(values["interactive"], true);
    assert.equal(values["tty"], true);
    assert.deepEqual(values["env"], ["A=B"]);
    assert.equal(values["swap"], 5);
  });

  it("reads booleans with a value, long and short, and the last one wins", () => {
    assert.equal(parse(["--tty=false"]).options["tty"], false);
    assert.equal(parse(["--tty=T"]).options["tty"], true);
    assert.equal(parse(["-t", "-t=false"]).options["tty"], false);
    assert.equal(parse(["--human=0"]).options["human"], false);
    assert.equal(parse(["-H=false"]).options["human"], false);
    assert.equal(parse(["-i=false", "-t"]).options["interactive"], false);
    assert.equal(parse(["-i=false", "-t"]).options["tty"], true);
    fails(["--tty=perhaps"], "invalid-flag-value");
  });

  it("a boolean does not take the next argument", () => {
    const line = parse(["--tty", "false"]);
    assert.equal(line.options["tty"], true);
    assert.deepEqual(line.positionals, ["false"]);
  });

  it("takes negative numbers and dashes as values", () => {
    assert.equal(parse(["--swap", "-1"]).options["swap"], -1);
    assert.equal(parse(["-s-1"]).options["swap"], -1);
    assert.equal(parse(["--name", "--tty"]).options["name"], "--tty");
    assert.equal(parse(["--name="]).options["name"], "");
    fails(["--swap=many"], "invalid-flag-value");
    fails(["--swap=1e3"], "invalid-flag-value");
    fails(["--swap=99999999999999999999"], "invalid-flag-value");
  });

  it("gives defaults, and says what was given", () => {
    const line = parse(["--called", "web"]);
    assert.equal(line.options["name"], "web");
    assert.equal(line.options["memory"], 64);
    assert.equal(line.options["human"], true);
    assert.equal(line.options["swap"], undefined);
    assert.deepEqual(line.options["env"], []);
    assert.deepEqual([...line.given], ["name"]);
  });

  it("implies a value where none is written, and then leaves the next argument alone", () => {
    const line = parse(["--pull", "alpine"]);
    assert.equal(line.options["pull"], "always");
    assert.deepEqual(line.positionals, ["alpine"]);
    assert.equal(parse(["--pull=never"]).options["pull"], "never");
  });

  it("mixes flags and positionals, until '--'", () => {
    const line = parse(["a", "-t", "b", "--", "-i", "--nonsense"]);
    assert.deepEqual(line.positionals, ["a", "b", "-i", "--nonsense"]);
    assert.equal(line.options["interactive"], false);
    assert.equal(line.options["tty"], true);
  });

  it("a lone dash is a positional", () => {
    assert.deepEqual(parse(["-", "-t"]).positionals, ["-"]);
  });

  it("stops at the first positional when asked to", () => {
    const line = parse(["-t", "--name", "n", "alpine", "ls", "-i", "--nonsense", "--", "x"], true);
    assert.deepEqual(line.positionals, ["alpine", "ls", "-i", "--nonsense", "--", "x"]);
    assert.equal(line.options["interactive"], false);
    assert.deepEqual(parse(["-t", "--", "-i", "--", "b"], true).positionals, ["-i", "--", "b"]);
  });

  it("tells a one-letter long name from a short one", () => {
    assert.equal(parse(["--x", "1"]).options["x"], "1");
    fails(["-x", "1"], "unknown-flag");
    fails(["--t"], "unknown-flag");
  });

  it("refuses what it does not know, with the nearest that it does", () => {
    fails(["--interactve"], "unknown-flag", /--interactive/);
    fails(["--memroy=5"], "unknown-flag", /--memory/);
    fails(["--zzzzzz"], "unknown-flag", /vitrine run --help/);
    fails(["--hiden"], "unknown-flag", /^see/);
    fails(["-q"], "unknown-flag");
    fails(["-itq"], "unknown-flag");
    fails(["--__proto__=1"], "unknown-flag");
    fails(["--constructor"], "unknown-flag");
  });

  it("says that a global flag goes before the command", () => {
    const rules = {
      options,
      stopAtFirstPositional: false,
      helpCommand: "h",
      globals: { root: { type: "string", help: "" } },
    } as const;
    assert.throws(
      () => parseLine(["--root", "/x"], rules),
      (error: { hint?: string }) => /before the command/.test(error.hint ?? ""),
    );
  });

  it("refuses a missing value and one that is not among the choices", () => {
    fails(["--name"], "flag-needs-value");
    fails(["-e"], "flag-needs-value");
    fails(["-ie"], "flag-needs-value");
    fails(["--format", "jsn"], "invalid-flag-value");
  });

  it("help needs nothing else to be right, and can be a value", () => {
    assert.equal(parse(["--help", "--swap=many"]).help, true);
    assert.equal(parse(["-h"]).help, true);
    assert.equal(parse(["--name", "--help"]).help, false);
    assert.equal(parse(["alpine", "--help"], true).help, false);
  });
});
