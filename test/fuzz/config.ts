/**
 * Fuzzes the way from config.json to the helper: mutants of the documents in `corpus/` go through parse, validate,
 * compile and encode, and what comes out through both decoders, ours and the helper's under AddressSanitizer.
 * Whatever a config says, the answer is a plan or an error that names the field; every plan decodes to itself.
 *
 *   node test/fuzz/config.ts DECODER    (build/plan-decoder: make plan-decoder)
 *
 * VITRINE_FUZZ_SECONDS (30), VITRINE_FUZZ_SEED (the clock). A failure writes its config.json and says where.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { VitrineError } from "../../src/base/mod.ts";
import { decodePlan, encodePlan, type HostFacts, type Plan, seccompFilter } from "../../src/kernel/mod.ts";
import { encodeRuntimeConfig, parseRuntimeConfig, type RuntimeConfig } from "../../src/oci/mod.ts";
import { rootInput, userInput, v2Host } from "../../src/runtime/fixtures.ts";
import { type CompileInput, compile, encodeReasons, type SourceKind } from "../../src/runtime/mod.ts";
import { bindSources } from "../../src/runtime/mount-entry.ts";
import { Mutator } from "./mutate.ts";

const here = import.meta.dirname;
const seconds = Number(process.env["VITRINE_FUZZ_SECONDS"] ?? 30);
const seed = Number(process.env["VITRINE_FUZZ_SEED"] ?? Date.now() % 0x7fff_ffff);
const failures = path.join(here, "../../build/fuzz-failures");
const counts = { configs: 0, valid: 0, plans: 0, damaged: 0 };

const read = (name: string) => fs.readFileSync(path.join(here, "corpus", name), "utf8");
const corpus = fs.readdirSync(path.join(here, "corpus")).sort().map(read);
const mutator = new Mutator(
  seed,
  corpus.map((text) => JSON.parse(text) as unknown),
);

/** The helper's decoder: one answer for each plan, in order. */
class Decoder {
  readonly #process = spawn(process.argv[2] ?? "build/plan-decoder", {
    stdio: ["pipe", "pipe", "inherit"],
  });
  readonly #waiting: ((answer: string) => void)[] = [];

  constructor() {
    this.#process.stdout.on("data", (chunk: Buffer) => {
      for (const answer of chunk.toString("latin1")) this.#waiting.shift()?.(answer);
    });
    this.#process.on("exit", () => {
      for (const answer of this.#waiting.splice(0)) answer("it died");
    });
    this.#process.stdin.on("error", () => {});
  }

  async ask(bytes: Uint8Array): Promise<string> {
    const answer = new Promise<string>((resolve) => this.#waiting.push(resolve));
    const size = Buffer.alloc(4);
    size.writeUInt32LE(bytes.length);
    this.#process.stdin.write(Buffer.concat([size, bytes]));
    return await answer;
  }

  end(): void {
    this.#process.stdin.end();
  }
}

/** undefined: refused, as it should. An error of another kind is a bug. */
function refusedOr<T>(make: () => T): T | undefined {
  try {
    return make();
  } catch (error) {
    if (error instanceof VitrineError && error.kind !== "internal") {
      assert.ok(error.code !== "" && error.message !== "");
      return undefined;
    }
    throw error;
  }
}

async function check(text: string, decoder: Decoder): Promise<void> {
  counts.configs++;
  const config = refusedOr(() => parseRuntimeConfig(Buffer.from(text)))?.config;
  if (config === undefined) return;
  counts.valid++;
  assert.deepEqual(
    parseRuntimeConfig(encodeRuntimeConfig(config)).config,
    config,
    "it is not read as it was written",
  );
  for (const base of [rootInput, userInput, { ...rootInput, host: v2Host }]) {
    const input = await inputOf(config, base);
    const plan = input === undefined ? undefined : refusedOr(() => compile(input));
    if (plan !== undefined) await checkPlan(plan, decoder);
  }
}

async function inputOf(config: RuntimeConfig, base: CompileInput): Promise<CompileInput | undefined> {
  const { bundle } = base.container;
  const sources = refusedOr(() => bindSources(config, bundle));
  if (sources === undefined) return undefined;
  const kinds: readonly SourceKind[] = ["file", "directory", "directory", "missing"];
  const filter = await filterOf(config, base.host);
  if (filter === "refused") return undefined;
  return {
    ...base,
    config,
    origins: new Map(),
    sourceKinds: new Map(sources.map((source) => [source, mutator.pick(kinds)])),
    resctrl: "/sys/fs/resctrl",
    ...(filter === undefined ? { seccompFilter: undefined } : { seccompFilter: filter }),
  } as CompileInput;
}

async function filterOf({ linux }: RuntimeConfig, { arch }: HostFacts) {
  if (linux?.seccomp === undefined || arch === "other") return undefined;
  try {
    return await seccompFilter(linux.seccomp, arch);
  } catch (error) {
    if (error instanceof VitrineError && error.kind !== "internal") return "refused";
    throw error;
  }
}

async function checkPlan(plan: Plan, decoder: Decoder): Promise<void> {
  counts.plans++;
  encodeReasons(plan);
  const bytes = encodePlan(plan);
  assert.ok(Buffer.from(encodePlan(decodePlan(bytes))).equals(bytes), "it does not decode to itself");
  assert.equal(await decoder.ask(bytes), "y", "the helper refuses it");
  const damaged = mutator.damage(bytes);
  counts.damaged++;
  refusedOr(() => decodePlan(damaged));
  assert.match(await decoder.ask(damaged), /^[yn]$/, "the helper's decoder");
}

async function main(): Promise<void> {
  const decoder = new Decoder();
  const end = performance.now() + seconds * 1000;
  // The corpus itself, and plans that once meant trouble.
  const next = [...corpus];
  for (const name of fs.readdirSync(path.join(here, "plans")).sort()) {
    const bytes = fs.readFileSync(path.join(here, "plans", name));
    const ours = refusedOr(() => decodePlan(bytes)) !== undefined;
    const answer = await decoder.ask(bytes);
    assert.equal(answer, ours ? "y" : "n", `plans/${name}: ours says ${ours}`);
  }
  for (let text = next.shift(); text !== undefined || performance.now() < end; text = next.shift()) {
    text ??= mutator.document();
    try {
      await check(text, decoder);
    } catch (error) {
      fs.mkdirSync(failures, { recursive: true });
      const file = path.join(failures, `config-${seed}-${counts.configs}.json`);
      fs.writeFileSync(file, text);
      console.error((error as Error).stack ?? String(error));
      console.error(`fuzz: config.json ${counts.configs} of seed ${seed} fails: ${file}`);
      process.exit(1);
    }
  }
  decoder.end();
  const { configs, valid, plans, damaged } = counts;
  console.log(
    `fuzz: seed ${seed}, ${configs} configs, ${valid} valid, ${plans} plans and ${damaged} damaged ones decoded`,
  );
}

await main();
