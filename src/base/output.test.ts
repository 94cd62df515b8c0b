import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { isatty } from "node:tty";
import { formatBytes, isTerminal, Progress, printable, styles, writeAll } from "./output.ts";
import { withDirectory } from "./testing.ts";

test("printable shows what a terminal would act on", () => {
  assert.equal(printable("plain naïve 😀 ファイル \\ \"'"), "plain naïve 😀 ファイル \\ \"'");
  assert.equal(printable("\x1b[31mred\x1b]0;title\x07"), "\\e[31mred\\e]0;title\\x07");
  assert.equal(printable("a\r\n\tb\x7f\x9b0"), "a\\r\\n\\tb\\x7f\\x9b0");
  assert.equal(printable("a\u202egnp.exe\u2066"), "a\\u{202e}gnp.exe\\u{2066}");
  assert.equal(printable("\u200b\ufeff\u2028\u{e0041}"), "\\u{200b}\\u{feff}\\u{2028}\\u{e0041}");
  assert.equal(printable("\udcff\ud800"), "\\xff\\u{d800}");
});

test("printable lines keep newline and tab and nothing else", () => {
  assert.equal(printable("a\n\tb\r\x1b", { lines: true }), "a\n\tb\\r\\e");
});

test("no control byte of any kind gets through", () => {
  for (let point = 0; point < 0x300; point++) {
    const shown = printable(String.fromCharCode(point));
    assert.equal(/[\x00-\x1f\x7f-\x9f]/.test(shown), false);
  }
});

test("styles follow NO_COLOR, TERM and the terminal", () => {
  assert.equal(styles({}, true).red("x"), "\x1b[31mx\x1b[39m");
  assert.equal(styles({ NO_COLOR: "1" }, true).red("x"), "x");
  assert.equal(styles({ NO_COLOR: "" }, true).bold("x"), "\x1b[1mx\x1b[22m");
  assert.equal(styles({ TERM: "dumb" }, true).red("x"), "x");
  assert.equal(styles({}, false).red("x"), "x");
  assert.equal(styles({ CLICOLOR_FORCE: "1" }, false).red("x"), "\x1b[31mx\x1b[39m");
  assert.equal(styles({ CLICOLOR_FORCE: "1", NO_COLOR: "1" }, false).red("x"), "x");
});

test("sizes for people", () => {
  assert.deepEqual([0, 1023, 1536, 1024 ** 3].map(formatBytes), ["0 B", "1023 B", "1.5 KiB", "1.0 GiB"]);
});

test("writeAll writes everything to a file", async () => {
  await withDirectory((dir) => {
    const file = path.join(dir, "out");
    const fd = fs.openSync(file, "w");
    assert.equal(writeAll(fd, "héllo"), true);
    assert.equal(writeAll(fd, Uint8Array.of(0, 255)), true);
    assert.equal(isTerminal(fd), false);
    fs.closeSync(fd);
    assert.deepEqual(fs.readFileSync(file), Buffer.concat([Buffer.from("héllo"), Buffer.of(0, 255)]));
  });
});

const output = path.join(import.meta.dirname, "output.ts");

/** Runs a module text that has writeAll, with stdout as given. */
function runScript(script: string, stdout: "pipe"): ReturnType<typeof spawn> {
  const code = `import { writeAll } from ${JSON.stringify(output)};\n${script}`;
  const isBun = process.versions.bun !== undefined;
  const args = isBun ? ["-e", code] : ["--input-type=module-typescript", "-e", code];
  return spawn(process.execPath, args, { stdio: ["ignore", stdout, "pipe"] });
}

test("a slow reader of a non-blocking pipe gets every byte", async () => {
  // A FIFO opened O_RDWR | O_NONBLOCK gives EAGAIN when full, as a pipe that some other program made non-blocking does.
  const child = runScript(
    `
    import * as fs from "node:fs"; import { spawnSync, spawn } from "node:child_process"; import * as os from "node:os";
    const dir = fs.mkdtempSync(os.tmpdir() + "/vitrine-base-");
    spawnSync("mkfifo", [dir + "/f"]);
    const fd = fs.openSync(dir + "/f", fs.constants.O_RDWR | fs.constants.O_NONBLOCK);
    const reader = spawn("sh", ["-c", "sleep 0.2; head -c 3000000 " + dir + "/f | wc -c"], { stdio: ["ignore", "inherit", "inherit"] });
    const done = writeAll(fd, new Uint8Array(3000000));
    reader.on("exit", () => { fs.rmSync(dir, { recursive: true }); process.exit(done ? 0 : 1); });
    `,
    "pipe",
  );
  let text = "";
  child.stdout!.on("data", (chunk) => {
    text += String(chunk);
  });
  const code = await new Promise((resolve) => child.on("close", resolve));
  assert.equal(code, 0);
  assert.equal(text.trim(), "3000000");
});

test("a closed pipe is reported, not thrown", async () => {
  const child = runScript(
    'let ok = true; for (let i = 0; i < 200 && ok; i++) ok = writeAll(1, "x".repeat(65536)); process.exit(ok ? 1 : 7);',
    "pipe",
  );
  child.stdout!.destroy();
  const code = await new Promise((resolve) => child.on("close", resolve));
  assert.equal(code, 7);
});

test("progress draws at most ten times a second and clears its line", async () => {
  await withDirectory((dir) => {
    const file = path.join(dir, "out");
    const fd = fs.openSync(file, "w");
    let now = 0;
    const progress = new Progress({ fd, label: "load", total: 1000, enabled: true, now: () => now });
    for (now = 0; now < 1000; now += 10) progress.add(10);
    progress.clear();
    fs.closeSync(fd);
    const text = fs.readFileSync(file, "utf8");
    assert.equal(text.split("load").length - 1, 10);
    assert.ok(text.includes("91%"));
    assert.ok(text.endsWith("\r\x1b[K"));
  });
});

test("progress is silent where there is no terminal", async () => {
  await withDirectory((dir) => {
    const file = path.join(dir, "out");
    const fd = fs.openSync(file, "w");
    const progress = new Progress({ fd, label: "load" });
    progress.add(5);
    progress.clear();
    fs.closeSync(fd);
    assert.equal(fs.statSync(file).size, 0);
  });
});

test("a terminal is told from what is none", () => {
  for (const [file, flags, expected] of [
    ["/dev/ptmx", "r+", true],
    ["/dev/null", "r+", false],
    ["/proc/self/status", "r", false],
    ["/", "r", false],
  ] as const) {
    const fd = fs.openSync(file, flags);
    assert.equal(isTerminal(fd), expected, file);
    assert.equal(isatty(fd), expected, file);
    fs.closeSync(fd);
  }
  assert.equal(isTerminal(2 ** 30), false);
});
