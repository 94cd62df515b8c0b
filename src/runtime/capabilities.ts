/** process.capabilities as masks: what is asked for and can be had (config.md#linux-process). */
import { allCapabilities, capabilityBit } from "../kernel/mod.ts";
import { type CapabilitySetName, capabilitySetNames } from "../oci/mod.ts";
import { deviceRulesUnenforced } from "./cgroup-devices.ts";
import { type Draft, unsupported } from "./draft.ts";
import { processOf } from "./process.ts";

const section = "config.md#linux-process";
const pointer = "/process/capabilities";

export type CapabilityMasks = { readonly [Set in CapabilitySetName]: bigint };

/**
 * The five sets. The spec wants a warning for a capability that cannot be given, not an error: it becomes a note. A
 * config without `capabilities` gives none.
 */
export function capabilityMasks(draft: Draft): CapabilityMasks {
  const held = holdable(draft) & ~forbidden(draft);
  const masks: Record<CapabilitySetName, bigint> = {
    bounding: 0n,
    effective: 0n,
    inheritable: 0n,
    permitted: 0n,
    ambient: 0n,
  };
  const lost: string[] = [];
  for (const set of capabilitySetNames) {
    for (const [index, name] of (processOf(draft).capabilities?.[set] ?? []).entries()) {
      const bit = capabilityBit(name) ?? 0n;
      if ((bit & held) !== 0n) {
        masks[set] |= bit;
      } else if (!lost.includes(name)) {
        lost.push(name);
        draft.note(`${pointer}/${set}/${index}`, `${name} left out: ${whyLost(draft, name)}`);
      }
    }
  }
  const possible = withinEachOther(masks);
  noteUnraised(draft, masks.ambient & ~possible.ambient);
  return possible;
}

function noteUnraised(draft: Draft, lost: bigint): void {
  if (lost === 0n) return;
  for (const [index, name] of (processOf(draft).capabilities?.ambient ?? []).entries()) {
    if ((lost & (capabilityBit(name) ?? 0n)) !== 0n) {
      draft.note(
        `${pointer}/ambient/${index}`,
        `${cannotRaise} ${name}: it is not both permitted and inheritable`,
      );
    }
  }
}

/** The runtime's command line makes a warning of it, as runc. */
export const cannotRaise = "can't raise ambient capability";

/** What the kernel insists on: effective within permitted, ambient within permitted and inheritable. */
function withinEachOther(masks: CapabilityMasks): CapabilityMasks {
  return {
    ...masks,
    effective: masks.effective & masks.permitted,
    ambient: masks.ambient & masks.permitted & masks.inheritable,
  };
}

/** A new user namespace gives all there are, for its own resources; else nobody gets more than we have. */
function holdable(draft: Draft): bigint {
  const { host } = draft.input;
  const known = allCapabilities(host.lastCapability);
  return draft.namespace("user") !== undefined
    ? known
    : known & host.capabilities.permitted & host.capabilities.bounding;
}

function forbidden(draft: Draft): bigint {
  const mknod = capabilityBit("CAP_MKNOD") ?? 0n;
  return !draft.inUserNamespace && deviceRulesUnenforced(draft) ? mknod : 0n;
}

function whyLost(draft: Draft, name: string): string {
  const bit = capabilityBit(name);
  if (bit === undefined || (bit & allCapabilities(draft.input.host.lastCapability)) === 0n) {
    return "the kernel does not know it";
  }
  if ((bit & forbidden(draft)) === 0n) {
    return "this process does not have it to give";
  }
  for (const set of ["bounding", "effective", "permitted"] as const) {
    const index = (processOf(draft).capabilities?.[set] ?? []).indexOf(name);
    if (index >= 0 && draft.origin(`${pointer}/${set}/${index}`).by === "flag") {
      throw unsupported(
        "mknod-without-device-rules",
        `${pointer}/${set}/${index}`,
        "with no device cgroup to limit it, CAP_MKNOD would open every disk of the host",
        "bind the device with --device, or use --privileged",
      );
    }
  }
  return "no device cgroup limits which devices it could make here";
}

/** Init: what the program can never regain. */
export function dropBoundingSet(draft: Draft, masks: CapabilityMasks): void {
  draft.init({ op: "dropBoundingSet", keep: masks.bounding }, { pointer: `${pointer}/bounding`, section });
}

/** Init, as its user: what it has now. */
export function setCapabilities(draft: Draft, masks: CapabilityMasks): void {
  const { effective, permitted, inheritable, ambient } = masks;
  draft.init({ op: "setCapabilities", effective, permitted, inheritable, ambient }, { pointer, section });
}
