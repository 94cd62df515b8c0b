import * as fs from "node:fs";
import { errnoOf, limits, parseJson, VitrineError, writeFileAtomically } from "../../../base/mod.ts";
import { probeHost, runApply, setUnitProperties } from "../../../kernel/mod.ts";
import {
  encodeRuntimeConfig,
  type LinuxIntelRdt,
  parseRuntimeConfig,
  validateRuntimeConfig,
} from "../../../oci/mod.ts";
import {
  applyUpdate,
  lifecycleFiles,
  mergeResources,
  planUpdate,
  readState,
  resctrlMountPoint,
  resourceProperties,
  schemataFile,
} from "../../../runtime/mod.ts";
import type { OptionTable, OptionValues } from "../../framework/command.ts";
import { defineVerb } from "../verb.ts";

const table = {
  resources: { type: "string", short: "r", value: "FILE", help: "a JSON of linux.resources; - is stdin" },
  memory: { type: "string", value: "BYTES", help: "memory limit" },
  "memory-reservation": { type: "string", value: "BYTES", help: "soft memory limit" },
  "memory-swap": { type: "string", value: "BYTES", help: "memory and swap; -1 is unlimited" },
  "cpu-period": { type: "string", value: "US", help: "CFS period" },
  "cpu-quota": { type: "string", value: "US", help: "CFS quota in a period" },
  "cpu-burst": { type: "string", value: "US", help: "CFS burst in a period" },
  "cpu-share": { type: "string", value: "N", aliases: ["cpu-shares"], help: "CPU shares" },
  "cpu-rt-period": { type: "string", value: "US", help: "realtime period" },
  "cpu-rt-runtime": { type: "string", value: "US", help: "realtime runtime in a period" },
  "cpu-idle": { type: "string", value: "0|1", help: "SCHED_IDLE for the cgroup" },
  "cpuset-cpus": { type: "string", value: "LIST", help: "CPUs" },
  "cpuset-mems": { type: "string", value: "LIST", help: "memory nodes" },
  "blkio-weight": { type: "string", value: "N", help: "block I/O weight, 10 to 1000" },
  "pids-limit": { type: "string", value: "N", help: "number of processes; -1 is unlimited" },
  "l3-cache-schema": {
    type: "string",
    value: "LINE",
    help: "share of the cache, a line of resctrl's schemata",
  },
  "mem-bw-schema": { type: "string", value: "LINE", help: "share of the memory bandwidth, likewise" },
  "kernel-memory": { type: "string", hidden: true, help: "ignored, as by the kernel" },
  "kernel-memory-tcp": { type: "string", hidden: true, help: "ignored, as by the kernel" },
} as const satisfies OptionTable;

export const verb = defineVerb({
  summary: "Change the limits of a container",
  usage: "CONTAINER",
  options: table,
  positionals: [1, 1],
  async run({ options, positionals, globals, context }) {
    const id = positionals[0] ?? "";
    const { record, status } = readState(globals.root, id);
    if (status === "stopped") {
      throw new VitrineError("invalid", `container ${id} has stopped`, {
        code: "container-not-running",
        operand: id,
      });
    }
    const file = lifecycleFiles(`${globals.root}/${id}`).config;
    const config = parseRuntimeConfig(fs.readFileSync(file)).config;
    updateSchemata(id, config.linux?.intelRdt, [options["l3-cache-schema"], options["mem-bw-schema"]]);
    const resources = { ...fromFlags(options), ...fromFile(options.resources) };
    const wanted = validateRuntimeConfig({ ...config, linux: { ...config.linux, resources } }).config;
    const given = wanted.linux?.resources ?? {};
    if (record.scope !== undefined) {
      const merged = mergeResources(config.linux?.resources, given);
      const properties = resourceProperties(merged, record.cgroup.mode === "v2" ? "v2" : "v1");
      await setUnitProperties(record.scope, properties, context.uid);
    }
    const update = planUpdate({ id, cgroup: record.cgroup, config, resources: given, host: probeHost() });
    applyUpdate(update);
    const [directory] = record.cgroup.directories;
    if (update.deviceProgram !== undefined && directory !== undefined) {
      runApply({ helperPath: context.helperPath() }, [
        { op: "deviceProgram", path: { base: "host", path: directory }, program: update.deviceProgram },
      ]);
    }
    // The next update begins from these.
    const merged = mergeResources(config.linux?.resources, given);
    const bytes = encodeRuntimeConfig({ ...config, linux: { ...config.linux, resources: merged } });
    writeFileAtomically(file, bytes, { mode: 0o600 });
    return 0;
  },
});

function updateSchemata(
  id: string,
  rdt: LinuxIntelRdt | undefined,
  said: readonly (string | undefined)[],
): void {
  const lines = said.filter(Boolean);
  if (lines.length === 0) return;
  const mountPoint = resctrlMountPoint(fs.readFileSync("/proc/self/mountinfo", "utf8"));
  const file = schemataFile(mountPoint, id, rdt);
  try {
    fs.writeFileSync(file, `${lines.join("\n")}\n`, { flag: "r+" });
  } catch (cause) {
    throw new VitrineError(
      "invalid",
      `cannot write ${JSON.stringify(lines.join(" "))} to ${file}: ${errnoOf(cause)}`,
      {
        code: "schemata-refused",
        operand: id,
        hint: "/sys/fs/resctrl/info/last_cmd_status says why",
        cause,
      },
    );
  }
}

function fromFile(file: string | undefined): Readonly<Record<string, unknown>> {
  if (file === undefined) return {};
  let bytes: Uint8Array;
  try {
    bytes = fs.readFileSync(file === "-" ? 0 : file);
  } catch (cause) {
    throw new VitrineError("not-found", `cannot read ${file}`, {
      code: "resources-file-missing",
      operand: "--resources",
      cause,
    });
  }
  const value = parseJson(bytes, { maxBytes: limits.runtimeConfigBytes, name: file, exactIntegers: true });
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return value as Readonly<Record<string, unknown>>;
  }
  throw new VitrineError("invalid", `${file} is not a JSON object`, {
    code: "runtime-config-invalid",
    operand: "--resources",
  });
}

function fromFlags(options: OptionValues<typeof table>): Readonly<Record<string, unknown>> {
  const memory = present({
    limit: bytesOf(options.memory, "--memory"),
    reservation: bytesOf(options["memory-reservation"], "--memory-reservation"),
    swap: bytesOf(options["memory-swap"], "--memory-swap"),
  });
  const cpu = present({
    period: integerOf(options["cpu-period"], "--cpu-period"),
    quota: integerOf(options["cpu-quota"], "--cpu-quota"),
    burst: integerOf(options["cpu-burst"], "--cpu-burst"),
    shares: integerOf(options["cpu-share"], "--cpu-share"),
    realtimePeriod: integerOf(options["cpu-rt-period"], "--cpu-rt-period"),
    realtimeRuntime: integerOf(options["cpu-rt-runtime"], "--cpu-rt-runtime"),
    idle: integerOf(options["cpu-idle"], "--cpu-idle"),
    cpus: options["cpuset-cpus"],
    mems: options["cpuset-mems"],
  });
  const weight = integerOf(options["blkio-weight"], "--blkio-weight");
  const pids = integerOf(options["pids-limit"], "--pids-limit");
  return {
    ...(memory === undefined ? {} : { memory }),
    ...(cpu === undefined ? {} : { cpu }),
    ...(weight === undefined ? {} : { blockIO: { weight: Number(weight) } }),
    ...(pids === undefined ? {} : { pids: { limit: pids } }),
  };
}

function present(values: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> | undefined {
  const given = Object.entries(values).filter(([, value]) => value !== undefined && value !== "");
  return given.length === 0 ? undefined : Object.fromEntries(given);
}

function integerOf(text: string | undefined, flag: string): bigint | undefined {
  if (text === undefined || text === "") return undefined;
  if (/^-?\d{1,18}$/.test(text)) return BigInt(text);
  throw badValue(text, flag);
}

const units: Readonly<Record<string, bigint>> = {
  "": 1n,
  k: 1n << 10n,
  m: 1n << 20n,
  g: 1n << 30n,
  t: 1n << 40n,
};

/** `512m`, `1g`, `-1`. */
function bytesOf(text: string | undefined, flag: string): bigint | undefined {
  if (text === undefined || text === "") return undefined;
  const match = /^(-1|\d{1,15})([kmgt]?)(?:i?b)?$/i.exec(text);
  if (match === null) throw badValue(text, flag);
  return BigInt(match[1]!) * units[match[2]!.toLowerCase()]!;
}

function badValue(text: string, flag: string): VitrineError {
  return new VitrineError("invalid", `invalid value ${JSON.stringify(text)} for ${flag}`, {
    code: "invalid-flag-value",
    operand: flag,
  });
}
