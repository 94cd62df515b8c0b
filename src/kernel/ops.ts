/**
 * The op vocabulary: everything vitrine does to the kernel, as data.
 *
 * This table, in groups (`ops/`), is the only place an op is defined. The TypeScript union (`Op`), the plan encoding
 * (`encode.ts`), the C header (`native/ops.gen.h`) and the reference (`docs/ops.md`) all come from it:
 * `make generate` writes the last two. Codes are wire values, unique over all groups: append, never renumber.
 */
import { attributeOps } from "./ops/attributes.ts";
import type { ArgType, IdMapRange, OpDefinition, OpPath } from "./ops/definition.ts";
import { fileOps } from "./ops/files.ts";
import { layerOps } from "./ops/layers.ts";
import { mountOps } from "./ops/mounts.ts";
import { processOps } from "./ops/process.ts";

export { type ArgType, type IdMapRange, type OpPath, type PathBase, pathBases } from "./ops/definition.ts";

export const opTable = {
  ...processOps,
  ...mountOps,
  ...fileOps,
  ...attributeOps,
  ...layerOps,
} as const satisfies Readonly<Record<string, OpDefinition>>;

export type OpName = keyof typeof opTable;

/** The TypeScript value of each argument type. */
export interface ArgValues {
  bool: boolean;
  u32: number;
  i32: number;
  u64: bigint;
  i64: bigint;
  str: string;
  raw: string | Uint8Array;
  bytes: Uint8Array;
  strs: readonly string[];
  u32s: readonly number[];
  path: OpPath;
  maps: readonly IdMapRange[];
}

type ArgsOf<Name extends OpName> = {
  readonly [Arg in keyof (typeof opTable)[Name]["args"]]: (typeof opTable)[Name]["args"][Arg] extends ArgType
    ? ArgValues[(typeof opTable)[Name]["args"][Arg]]
    : never;
};

/** One op without its place in a plan: `{ op: "setHostname", name: "web" }`. */
export type Op = { [Name in OpName]: { readonly op: Name } & ArgsOf<Name> }[OpName];
