/**
 * The profile format of Docker and podman: the runtime spec's, plus rules that count only with certain capabilities,
 * architectures and kernels, and `archMap` in place of `architectures`.
 */

import { type JsonValue, limits, parseJson, quoted, VitrineError } from "../../base/mod.ts";
import { isArchitectureName, machineNames, type SeccompMachine } from "./abi.ts";
import {
  type ResolvedProfile,
  type ResolvedRule,
  type SeccompAction,
  type SeccompArchitecture,
  type SeccompFlag,
  type SeccompOperator,
  seccompActions,
  seccompFlags,
  seccompOperators,
} from "./profile.ts";

/** When a rule counts. All that is present must hold. */
export interface RuleFilter {
  /** `includes`: all of them are held; `excludes`: none is. Of the bounding set. */
  readonly caps?: readonly string[];
  /** `amd64`, `arm64`, … */
  readonly arches?: readonly string[];
  /** `4.8`: this release or a newer one. */
  readonly minKernel?: string;
}

export interface ConditionalRule {
  readonly rule: ResolvedRule;
  readonly includes?: RuleFilter;
  readonly excludes?: RuleFilter;
}

export interface ConditionalProfile extends Omit<ResolvedProfile, "syscalls"> {
  readonly archMap?: readonly {
    readonly architecture: SeccompArchitecture;
    readonly subArchitectures: readonly SeccompArchitecture[];
  }[];
  readonly syscalls: readonly ConditionalRule[];
}

/** What the conditions of a profile are asked about. */
export interface ProfileSubject {
  /** The bounding set: `["CAP_CHOWN", …]`. */
  readonly caps: readonly string[];
  readonly machine: SeccompMachine;
  readonly kernel: { readonly major: number; readonly minor: number };
}

/** The rules that count for `subject`, as the runtime spec's `linux.seccomp`. */
export function resolveProfile(profile: ConditionalProfile, subject: ProfileSubject): ResolvedProfile {
  const { archMap, syscalls, ...rest } = profile;
  const native = archMap?.find((row) => row.architecture === nativeArchitecture(subject.machine));
  const architectures =
    native === undefined ? rest.architectures : [native.architecture, ...native.subArchitectures];
  const rules: ResolvedRule[] = [];
  for (const each of syscalls) {
    if (counts(each.includes, each.excludes, subject)) rules.push(each.rule);
  }
  return { ...rest, ...(architectures === undefined ? {} : { architectures }), syscalls: rules };
}

function nativeArchitecture(machine: SeccompMachine): SeccompArchitecture {
  return machine === "x86_64" ? "SCMP_ARCH_X86_64" : "SCMP_ARCH_AARCH64";
}

function counts(
  includes: RuleFilter | undefined,
  excludes: RuleFilter | undefined,
  { caps, machine, kernel }: ProfileSubject,
): boolean {
  if (includes !== undefined) {
    for (const cap of includes.caps ?? []) if (!caps.includes(cap)) return false;
    if (includes.arches !== undefined && includes.arches.length > 0) {
      if (!names(machine, includes.arches)) return false;
    }
    if (includes.minKernel !== undefined && !atLeast(kernel, includes.minKernel)) return false;
  }
  if (excludes !== undefined) {
    for (const cap of excludes.caps ?? []) if (caps.includes(cap)) return false;
    if (names(machine, excludes.arches ?? [])) return false;
    if (excludes.minKernel !== undefined && atLeast(kernel, excludes.minKernel)) return false;
  }
  return true;
}

function names(machine: SeccompMachine, arches: readonly string[]): boolean {
  for (const name of machineNames(machine)) if (arches.includes(name)) return true;
  return false;
}

function atLeast(kernel: ProfileSubject["kernel"], version: string): boolean {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  return kernel.major > major || (kernel.major === major && kernel.minor >= minor);
}

/**
 * Reads a profile of either format (the runtime spec's has no conditions and is a Docker profile as it is).
 * `{}`, with which Docker switches filtering off, is an error: an empty file is more often an accident. Throws
 * VitrineError `seccomp-profile-invalid`, or those of `parseJson`; `name` is what messages call it, such as its path.
 */
export function parseProfile(bytes: Uint8Array, name: string): ConditionalProfile {
  const json = parseJson(bytes, { maxBytes: limits.seccompProfileBytes, name, exactIntegers: true });
  return new Reader(name).profile(json);
}

type Json = JsonValue<bigint>;
type JsonObject = { readonly [key: string]: Json | undefined };

/** Checks shapes; every method names the field it is at, `syscalls[3].args[0].op`. */
class Reader {
  readonly #name: string;

  constructor(name: string) {
    this.#name = name;
  }

  profile(json: Json): ConditionalProfile {
    const from = this.#object(json, "");
    const syscalls = this.#list(from.syscalls, "syscalls");
    if ((from.defaultAction ?? "") === "" && syscalls.length === 0) {
      throw this.#invalid("", "is empty; seccomp=unconfined is the way to have no filter");
    }
    const architectures = this.#list(from.architectures, "architectures").map((each, index) =>
      this.#architecture(each, `architectures[${index}]`),
    );
    const archMap = this.#list(from.archMap, "archMap").map((each, index) => {
      const at = `archMap[${index}]`;
      const row = this.#object(each, at);
      return {
        architecture: this.#architecture(row.architecture, `${at}.architecture`),
        subArchitectures: this.#list(row.subArchitectures, `${at}.subArchitectures`).map((sub) =>
          this.#architecture(sub, `${at}.subArchitectures`),
        ),
      };
    });
    if (architectures.length > 0 && archMap.length > 0) {
      throw this.#invalid("archMap", "stands beside architectures; one of them must go");
    }
    const defaultAction = this.#word(from.defaultAction, "defaultAction", seccompActions);
    const defaultErrnoRet = this.#errno(from.defaultErrnoRet, from.defaultErrno, "defaultErrno");
    const flags = this.#list(from.flags, "flags").map((flag) => this.#word(flag, "flags", seccompFlags));
    const listenerPath = this.#optionalText(from.listenerPath, "listenerPath");
    const listenerMetadata = this.#optionalText(from.listenerMetadata, "listenerMetadata");
    return {
      defaultAction: defaultAction as SeccompAction,
      ...(defaultErrnoRet === undefined ? {} : { defaultErrnoRet }),
      ...(architectures.length === 0 ? {} : { architectures }),
      ...(archMap.length === 0 ? {} : { archMap }),
      ...(from.flags === undefined ? {} : { flags: flags as SeccompFlag[] }),
      ...(listenerPath === undefined ? {} : { listenerPath }),
      ...(listenerMetadata === undefined ? {} : { listenerMetadata }),
      syscalls: syscalls.map((each, index) => this.#rule(each, `syscalls[${index}]`)),
    };
  }

  #rule(json: Json, at: string): ConditionalRule {
    const from = this.#object(json, at);
    const errnoRet = this.#errno(from.errnoRet, from.errno, `${at}.errno`);
    const args = this.#list(from.args, `${at}.args`).map((each, index) =>
      this.#argument(each, `${at}.args[${index}]`),
    );
    const includes = this.#filter(from.includes, `${at}.includes`);
    const excludes = this.#filter(from.excludes, `${at}.excludes`);
    return {
      rule: {
        names: this.#names(from, at),
        action: this.#word(from.action, `${at}.action`, seccompActions) as SeccompAction,
        ...(errnoRet === undefined ? {} : { errnoRet }),
        ...(args.length === 0 ? {} : { args }),
      },
      includes,
      excludes,
    };
  }

  /** `name` is the form of profiles before 2017. */
  #names(from: JsonObject, at: string): readonly string[] {
    const names = this.#list(from.names, `${at}.names`).map((name) => this.#text(name, `${at}.names`));
    const single = this.#optionalText(from.name, `${at}.name`);
    if (single !== undefined && names.length > 0) {
      throw this.#invalid(`${at}.name`, "stands beside names; one of them must go");
    }
    const all = single === undefined ? names : [single];
    if (all.length === 0) throw this.#invalid(`${at}.names`, "is missing");
    return all;
  }

  #argument(json: Json, at: string): NonNullable<ResolvedRule["args"]>[number] {
    const from = this.#object(json, at);
    return {
      index: Number(this.#integer(from.index, `${at}.index`)),
      value: this.#integer(from.value, `${at}.value`),
      ...(from.valueTwo === undefined ? {} : { valueTwo: this.#integer(from.valueTwo, `${at}.valueTwo`) }),
      op: this.#word(from.op, `${at}.op`, seccompOperators) as SeccompOperator,
    };
  }

  #filter(json: Json | undefined, at: string): RuleFilter | undefined {
    if (json === undefined || json === null) return undefined;
    const from = this.#object(json, at);
    const texts = (field: string): readonly string[] | undefined =>
      from[field] === undefined
        ? undefined
        : this.#list(from[field], `${at}.${field}`).map((each) => this.#text(each, `${at}.${field}`));
    const minKernel = this.#optionalText(from.minKernel, `${at}.minKernel`);
    if (minKernel !== undefined && !/^\d{1,3}\.\d{1,3}$/.test(minKernel)) {
      throw this.#invalid(`${at}.minKernel`, 'is not a release such as "4.8"');
    }
    const caps = texts("caps");
    const arches = texts("arches");
    return {
      ...(caps === undefined ? {} : { caps }),
      ...(arches === undefined ? {} : { arches }),
      ...(minKernel === undefined ? {} : { minKernel }),
    };
  }

  /** podman writes the errno's name beside its number; the number counts. */
  #errno(number: Json | undefined, name: Json | undefined, at: string): number | undefined {
    if (number !== undefined && number !== null) return Number(this.#integer(number, `${at}Ret`));
    if (name === undefined || name === null || name === "") return undefined;
    const known = errnoNumbers[this.#text(name, at)];
    if (known === undefined) throw this.#invalid(at, `${quoted(String(name))} is not known; give errnoRet`);
    return known;
  }

  #architecture(json: Json | undefined, at: string): SeccompArchitecture {
    const text = this.#text(json, at);
    if (!isArchitectureName(text)) throw this.#invalid(at, `${quoted(text)} is not known`);
    return text;
  }

  #word(json: Json | undefined, at: string, words: readonly string[]): string {
    const text = this.#text(json, at);
    if (words.includes(text)) return text;
    throw this.#invalid(at, `${quoted(text)} is not one of ${words.join(", ")}`);
  }

  #integer(json: Json | undefined, at: string): bigint {
    if (typeof json === "bigint" || (typeof json === "number" && Number.isSafeInteger(json))) {
      const value = BigInt(json);
      if (value >= 0n && value < 1n << 64n) return value;
    }
    throw this.#invalid(at, "is not an unsigned 64-bit integer");
  }

  #optionalText(json: Json | undefined, at: string): string | undefined {
    if (json === undefined || json === null || json === "") return undefined;
    return this.#text(json, at);
  }

  #text(json: Json | undefined, at: string): string {
    if (typeof json === "string") return json;
    throw this.#invalid(at, json === undefined ? "is missing" : "is not a string");
  }

  #list(json: Json | undefined, at: string): readonly Json[] {
    if (json === undefined || json === null) return [];
    if (Array.isArray(json)) return json;
    throw this.#invalid(at, "is not a list");
  }

  #object(json: Json | undefined, at: string): JsonObject {
    if (typeof json === "object" && json !== null && !Array.isArray(json)) return json as JsonObject;
    throw this.#invalid(at, "is not an object");
  }

  #invalid(at: string, what: string): VitrineError {
    const subject = at === "" ? "" : `: ${at}`;
    return new VitrineError("invalid", `seccomp profile ${quoted(this.#name)}${subject} ${what}`, {
      code: "seccomp-profile-invalid",
      operand: this.#name,
      hint: "the format is the runtime spec's linux.seccomp, or Docker's with archMap, includes and excludes",
    });
  }
}

/** Those that profiles in the field name. */
const errnoNumbers: Readonly<Record<string, number>> = {
  EPERM: 1,
  ENOENT: 2,
  EIO: 5,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EINVAL: 22,
  ENOSYS: 38,
  ENOTSUP: 95,
  EOPNOTSUPP: 95,
  EAFNOSUPPORT: 97,
};
