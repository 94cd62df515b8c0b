/** The plan while it is being written: ops with their reasons, notes, and what of the config decides about many ops. */
import { VitrineError } from "../base/mod.ts";
import type {
  IdMapRange,
  Op,
  Origin,
  Plan,
  PlanNote,
  PlannedOp,
  Stage,
  ToleratedErrno,
} from "../kernel/mod.ts";
import type { LinuxNamespace, NamespaceType } from "../oci/mod.ts";
import type { CompileInput, Origins } from "./types.ts";

/** Why an op is there: the pointer into config.json and the section of the spec. */
export interface Reason {
  readonly pointer: string;
  readonly section: string;
  /** When it is not whoever asked for what stands at `pointer`. */
  readonly origin?: Origin;
  readonly tolerate?: readonly ToleratedErrno[];
}

/** A namespace of the config with its index, for the pointer. */
export interface WantedNamespace extends LinuxNamespace {
  readonly index: number;
}

const nothing: readonly ToleratedErrno[] = [];
const config: Origin = { by: "config" };

export class Draft {
  readonly input: CompileInput;
  /** The container's user namespace is not the machine's first: made or joined, or the engine is in one itself. */
  readonly inUserNamespace: boolean;
  private readonly namespaces = new Map<NamespaceType, WantedNamespace>();
  private readonly ops: PlannedOp[] = [];
  private readonly notes: PlanNote[] = [];
  private barriers = 0;
  private cgroupAwaited = false;

  constructor(input: CompileInput) {
    this.input = input;
    for (const [index, wanted] of (input.config.linux?.namespaces ?? []).entries()) {
      if (this.namespaces.has(wanted.type)) {
        throw invalid("namespace-duplicate", `/linux/namespaces/${index}`, `two ${wanted.type} namespaces`);
      }
      this.namespaces.set(wanted.type, { ...wanted, index });
    }
    this.inUserNamespace = this.namespaces.has("user") || !input.host.userNamespace.initial;
  }

  monitor(op: Op, reason: Reason): void {
    this.add("monitor", op, reason);
  }

  init(op: Op, reason: Reason): void {
    this.add("init", op, reason);
  }

  cleanup(op: Op, reason: Reason): void {
    this.add("cleanup", op, reason);
  }

  note(pointer: string, text: string): void {
    this.notes.push({ pointer, text });
  }

  /** Monitor and init wait for each other here. */
  barrier(reason: Reason): void {
    this.barriers += 1;
    this.add("monitor", { op: "barrier", id: this.barriers }, reason);
    this.add("init", { op: "barrier", id: this.barriers }, reason);
  }

  /** The namespace that the config names, new or joined; undefined: the engine's own is kept. */
  namespace(type: NamespaceType): WantedNamespace | undefined {
    return this.namespaces.get(type);
  }

  wantedNamespaces(): Iterable<WantedNamespace> {
    return this.namespaces.values();
  }

  /** The container gets a new namespace of this type, so it belongs to the container's user namespace. */
  owns(type: NamespaceType): boolean {
    const wanted = this.namespaces.get(type);
    return wanted !== undefined && wanted.path === undefined;
  }

  /** As `owns`; and one that is joined together with a user namespace is taken to be that one's. */
  belongs(type: NamespaceType): boolean {
    const wanted = this.namespaces.get(type);
    return (
      wanted !== undefined && (wanted.path === undefined || this.namespaces.get("user")?.path !== undefined)
    );
  }

  /** An id of the container is there in its user namespace. A joined namespace's map is not known: assume it. */
  isMapped(kind: "uid" | "gid", id: number): boolean {
    if (!this.owns("user")) {
      return true;
    }
    const linux = this.input.config.linux;
    const map: readonly IdMapRange[] = (kind === "uid" ? linux?.uidMappings : linux?.gidMappings) ?? [];
    return map.some((range) => id >= range.containerID && id < range.containerID + range.size);
  }

  /** The host's id behind one of the new user namespace; undefined: it is not mapped. */
  hostId(kind: "uid" | "gid", id: number): number | undefined {
    const linux = this.input.config.linux;
    const map: readonly IdMapRange[] = (kind === "uid" ? linux?.uidMappings : linux?.gidMappings) ?? [];
    const range = map.find(({ containerID, size }) => id >= containerID && id < containerID + size);
    return range === undefined ? undefined : range.hostID + (id - range.containerID);
  }

  /** True the first time alone: init waits for its cgroup where it is first needed. */
  takeCgroupWait(): boolean {
    const first = !this.cgroupAwaited;
    this.cgroupAwaited = true;
    return first;
  }

  origin(pointer: string): Origin {
    return originOf(this.input.origins, pointer);
  }

  finish(): Plan {
    return this.notes.length === 0 ? { ops: this.ops } : { ops: this.ops, notes: this.notes };
  }

  private add(stage: Stage, op: Op, reason: Reason): void {
    this.ops.push({
      stage,
      tolerate: reason.tolerate ?? nothing,
      why: {
        pointer: reason.pointer,
        section: reason.section,
        origin: reason.origin ?? this.origin(reason.pointer),
      },
      op,
    });
  }
}

/** Who asked for what stands at `pointer`: the entry with the longest prefix, whole segments only. */
function originOf(origins: Origins, pointer: string): Origin {
  let prefix = pointer;
  for (;;) {
    const found = origins.get(prefix);
    if (found !== undefined) {
      return found;
    }
    if (prefix === "") {
      return config;
    }
    prefix = prefix.slice(0, prefix.lastIndexOf("/"));
  }
}

/** A config that contradicts itself or the spec. `pointer` says where. */
export function invalid(code: string, pointer: string, message: string, hint?: string): VitrineError {
  return new VitrineError("invalid", `config.json${pointer}: ${message}`, { code, operand: pointer, hint });
}

/** A field that is asked for and cannot be honoured: never passed over in silence. */
export function unsupported(code: string, pointer: string, message: string, hint?: string): VitrineError {
  return new VitrineError("unsupported", `config.json${pointer}: ${message}`, {
    code,
    operand: pointer,
    hint,
  });
}

/** One segment of a JSON pointer (RFC 6901). */
export function pointerSegment(name: string): string {
  return name.includes("~") || name.includes("/") ? name.replaceAll("~", "~0").replaceAll("/", "~1") : name;
}
