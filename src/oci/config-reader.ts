/** What the validators of config.json share: the fields, the warnings, and a few rules on text. */
import { type Complaint, type DocumentKind, Field } from "./field.ts";
import type { LinuxIdMapping, NamespaceType } from "./runtime-config.ts";

const runtimeConfigKind: DocumentKind = {
  name: "config.json",
  code: "runtime-config-invalid",
  errorKind: "invalid",
};

/** Something that the spec wants told but not refused (runtime.md#warnings). */
export interface ConfigWarning {
  /** Stable, in kebab-case. */
  readonly code: string;
  /** JSON pointer. */
  readonly pointer: string;
  readonly message: string;
}

export interface ConfigOptions {
  /** Whether the kernel has a capability of this name; default: whatever begins with `CAP_`. */
  readonly knowsCapability?: (name: string) => boolean;
}

export class ConfigReader {
  readonly root: Field;
  readonly warnings: ConfigWarning[] = [];
  readonly knowsCapability: (name: string) => boolean;

  constructor(value: unknown, options: ConfigOptions) {
    this.root = Field.root(runtimeConfigKind, value);
    this.knowsCapability = options.knowsCapability ?? ((name) => /^CAP_[A-Z0-9_]+$/.test(name));
  }

  warn(field: Field, code: string, message: string): void {
    this.warnings.push({ code, pointer: field.pointer, message });
  }
}

/** The namespaces that `linux.namespaces` lists: new ones and joined ones. */
export type NamespaceSet = ReadonlyMap<NamespaceType, { readonly path: string | undefined }>;

/** `0-3,7`: CPUs or memory nodes (cpuset's list format). */
export function numberList(field: Field): string {
  const text = field.string();
  const ranges = text === "" ? [] : text.split(",");
  for (const range of ranges) {
    const match = /^ *([0-9]{1,7})(?:-([0-9]{1,7}))? *$/.exec(range);
    if (match === null || (match[2] !== undefined && Number(match[2]) < Number(match[1]))) {
      field.fail("must be a list of numbers and ranges such as 0-3,7");
    }
  }
  return text;
}

export function withoutNewline(field: Field): string {
  const text = field.string();
  return text.includes("\n") ? field.fail("must not hold a newline") : text;
}

/** Fails unless the namespace is listed: without it the setting would change the host. */
export function requireNamespace(field: Field, namespaces: NamespaceSet, type: NamespaceType): void {
  if (!namespaces.has(type)) {
    field.fail(`needs a ${type} namespace in /linux/namespaces: without one it would change the host`, {
      code: "runtime-config-namespace-missing",
    });
  }
}

/** UID and GID maps (config-linux.md#user-namespace-mappings) under the kernel's rules: user_namespaces(7). */
export function idMappings(field: Field): readonly LinuxIdMapping[] {
  const mappings = field.array((entry) => {
    const mapping = {
      containerID: entry.at("containerID").uint32(),
      hostID: entry.at("hostID").uint32(),
      size: entry.at("size").integer(1, 0xffff_ffff),
    };
    // Id 2^32-1 means "no id" to the kernel and cannot be mapped.
    if (mapping.containerID + mapping.size > 0xffff_ffff || mapping.hostID + mapping.size > 0xffff_ffff) {
      entry.fail("reaches beyond the last id, 4294967294", mappingComplaint);
    }
    return mapping;
  }, 340);
  refuseOverlap(field, mappings, "containerID");
  refuseOverlap(field, mappings, "hostID");
  return mappings;
}

const mappingComplaint: Complaint = { code: "runtime-config-mapping-invalid" };

function refuseOverlap(
  field: Field,
  mappings: readonly LinuxIdMapping[],
  side: "containerID" | "hostID",
): void {
  const sorted = [...mappings].sort((left, right) => left[side] - right[side]);
  sorted.forEach((mapping, index) => {
    const before = sorted[index - 1];
    if (before !== undefined && before[side] + before.size > mapping[side]) {
      field.fail(`maps ${side} ${mapping[side]} twice`, mappingComplaint);
    }
  });
}
