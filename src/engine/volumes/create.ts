import { VitrineError } from "../../base/mod.ts";
import type { EnginePaths } from "../containers/record.ts";
import { recordVolumeEvent } from "./event.ts";
import { checkVolumeDriver, checkVolumeOptions } from "./options.ts";
import { checkVolumeName, makeVolume, readVolume, type Volume } from "./record.ts";

export interface VolumeRequest {
  /** Absent: 64 hex digits are made up. */
  readonly name?: string | undefined;
  readonly driver: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly options: Readonly<Record<string, string>>;
}

/**
 * As docker: a volume that is there with the same options is the one that was asked for.
 * Errors: `volume-name-invalid`, `volume-driver-unsupported`, those of the options, `volume-exists`.
 */
export function createVolume(
  paths: EnginePaths,
  request: VolumeRequest,
  now: number,
  { ignore = false }: { readonly ignore?: boolean } = {},
): Volume {
  checkVolumeDriver(request.driver);
  checkVolumeOptions(request.options);
  const name = request.name === undefined ? randomVolumeName() : checkVolumeName(request.name);
  const volume: Volume = {
    name,
    driver: "local",
    created: now,
    labels: request.labels,
    options: request.options,
    ...(request.name === undefined ? { anonymous: true } : {}),
  };
  for (;;) {
    const there = readVolume(paths, name);
    if (there !== undefined) return ignore ? there : sameVolume(there, request);
    if (!makeVolume(paths, volume)) continue;
    recordVolumeEvent(paths, name, "create");
    return volume;
  }
}

function randomVolumeName(): string {
  return Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString("hex");
}

function sameVolume(there: Volume, { options, labels }: VolumeRequest): Volume {
  if (holds(options, there.options) && holds(labels, there.labels)) return there;
  throw new VitrineError("exists", `a volume ${there.name} with other options is there already`, {
    code: "volume-exists",
    operand: there.name,
    hint: `choose another name, or see 'vitrine volume inspect ${there.name}'`,
  });
}

/** What was asked for is a part of what is there, or nothing was. */
function holds(asked: Readonly<Record<string, string>>, there: Readonly<Record<string, string>>): boolean {
  const keys = Object.keys(asked);
  return (
    keys.length === 0 ||
    (keys.length === Object.keys(there).length && keys.every((key) => there[key] === asked[key]))
  );
}
