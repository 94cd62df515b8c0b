/** What a flag or the image's VOLUME asks for: binds of the host, volumes and images, as `mounts` of config.json. */
import { hashHex, VitrineError } from "../../base/mod.ts";
import type { Mount } from "../../oci/mod.ts";
import { defaults } from "../defaults.ts";
import type { AnonymousRequest, BindRequest, ImageRequest, VolumeRequestMount } from "../options.ts";
import { type DriverMount, driverMount } from "../volumes/options.ts";
import { inUserNamespace, type SpecInput } from "./input.ts";

/** A mount that is remembered with the container: `inspect` shows it, `--volumes-from` takes it. */
export type KeptMount = BindRequest | VolumeRequestMount | ImageRequest;

export interface ContainerVolume {
  /** Absent in what an earlier release wrote: a directory of the container's own. */
  readonly name?: string;
  /** Absolute path on the host of what is mounted: the volume's `_data`, or the device of its options. */
  readonly source: string;
  readonly target: string;
  /** Filled from the image where it is empty. */
  readonly copyUp: boolean;
  /** It was made for this container. */
  readonly own?: true;
  /** The directory whose lock is held meanwhile. Absent: the one above `source`. */
  readonly lock?: string;
}

/** An image that is mounted at `at`, a directory of the container's own, to be bound from there. */
export interface StagedImage {
  readonly image: string;
  readonly at: string;
  readonly writable: boolean;
}

/** A bind source that is looked up in `root` when it is mounted, so that no link in it leads out. */
export interface BeneathSource {
  readonly source: string;
  readonly root: string;
  readonly path: string;
}

export interface UserMounts {
  readonly kept: readonly KeptMount[];
  readonly volumes: readonly ContainerVolume[];
  readonly images: readonly StagedImage[];
  readonly beneath: readonly BeneathSource[];
  /** Absolute host paths of trees that are given to the container's user (`U`). */
  readonly chown: readonly string[];
}

/** Mounts that another container had first. */
export const inheritedFlag = "--volumes-from";

export class UserMountList {
  readonly #input: SpecInput;
  readonly #kept: KeptMount[] = [];
  readonly #volumes: ContainerVolume[] = [];
  readonly #images: StagedImage[] = [];
  readonly #beneath: BeneathSource[] = [];
  readonly #chown: string[] = [];

  constructor(input: SpecInput) {
    this.#input = input;
  }

  result(): UserMounts {
    return {
      kept: this.#kept,
      volumes: this.#volumes,
      images: this.#images,
      beneath: this.#beneath,
      chown: this.#chown,
    };
  }

  bind(request: BindRequest): Mount {
    this.#kept.push(request);
    if (request.chown === true) this.#chown.push(request.source);
    return bindMount(request);
  }

  /** Its name is made from the container's id and the target, which gives 64 digits that nobody can know before. */
  anonymous(request: Omit<AnonymousRequest, "kind">): Mount {
    const name = hashHex("sha256", new TextEncoder().encode(`${this.#input.id} ${request.target}`));
    return this.volume({ ...request, kind: "volume", name, anonymous: true });
  }

  volume(request: VolumeRequestMount): Mount {
    const { name, target, readOnly, options = [] } = request;
    this.#kept.push(request);
    const data = `${this.#input.volumesDirectory}/${name}/_data`;
    const driver = driverMount(this.#input.volumeOptions?.get(name) ?? request.volumeOptions ?? {});
    if (driver !== undefined && driver.type !== "bind") return this.#filesystem(request, driver);
    const root = driver?.device ?? data;
    this.#volumes.push({
      name,
      source: root,
      target,
      copyUp: request.copyUp,
      ...(request.anonymous === true && request.flag !== inheritedFlag ? { own: true } : {}),
      ...(driver === undefined ? {} : { lock: `${this.#input.volumesDirectory}/${name}` }),
    });
    if (request.chown === true) this.#chown.push(root);
    return {
      destination: target,
      type: "bind",
      source: this.#below(root, request.subpath),
      options: volumeWords(
        [...(driver?.options ?? []).filter((word) => words.test(word)), ...options],
        readOnly,
      ),
    };
  }

  image(request: ImageRequest): Mount {
    this.#kept.push(request);
    const at = `${this.#input.directory}/images/${this.#images.length}`;
    this.#images.push({ image: request.image, at, writable: request.writable });
    return {
      destination: request.target,
      type: "bind",
      source: this.#below(at, request.subpath),
      options: volumeWords([], !request.writable),
    };
  }

  #below(root: string, subpath: string | undefined): string {
    if (subpath === undefined) return root;
    const source = `${root}/${subpath}`;
    this.#beneath.push({ source, root, path: subpath });
    return source;
  }

  /** tmpfs, nfs and whatever else mount(8) knows, mounted in the container itself. */
  #filesystem(request: VolumeRequestMount, { type, device, options }: DriverMount): Mount {
    const { target, readOnly } = request;
    if (request.subpath !== undefined || request.chown === true) {
      throw refused(
        request.name,
        `a volume of type ${type} has no part of its own and no owner before it is mounted`,
      );
    }
    if (type !== "tmpfs" && inUserNamespace(this.#input)) {
      throw refused(request.name, `a user namespace may not mount a filesystem of type ${type}`);
    }
    const all = [
      ...defaults.bindFlags.value,
      ...options,
      ...(request.options ?? []),
      ...(readOnly ? ["ro"] : []),
    ];
    return { destination: target, type, source: device, options: [...new Set(all)] };
  }
}

function refused(name: string, reason: string): VitrineError {
  return new VitrineError("unsupported", `volume ${name} cannot be mounted: ${reason}`, {
    code: "volume-type-unsupported",
    operand: name,
    hint: `see its options: vitrine volume inspect ${name}`,
  });
}

/** Words of `o=` that say something about a bind mount; the others are of a filesystem. */
const words = /^(?:no)?(?:exec|suid|dev|atime|diratime|relatime|strictatime)$|^r?(?:private|slave|shared)$/;

function volumeWords(asked: readonly string[], readOnly: boolean): readonly string[] {
  const propagation = asked.find((word) => /(?:private|slave|shared)$/.test(word));
  const flags: readonly string[] = defaults.bindFlags.value.filter(
    (flag) => !asked.includes(flag.slice("no".length)),
  );
  const more = asked.filter((word) => word !== propagation && !flags.includes(word));
  return ["rbind", propagation ?? defaults.bindPropagation.value, ...flags, ...more, readOnly ? "ro" : "rw"];
}

function bindMount(request: BindRequest): Mount {
  const options: string[] = [request.recursive ? "rbind" : "bind"];
  options.push(request.propagation ?? defaults.bindPropagation.value);
  for (const flag of defaults.bindFlags.value) {
    const opposite = flag.slice("no".length);
    // Devices of a bound /dev are what it is bound for.
    const device = flag === "nodev" && /^\/dev(\/|$)/.test(request.source);
    if (!request.options.includes(opposite) && !device) options.push(flag);
  }
  options.push(...request.options.filter((word) => !options.includes(word)));
  switch (request.readOnly) {
    case "writable":
      options.push("rw");
      break;
    case "top":
      options.push("ro");
      break;
    // The kernel has mount_setattr(AT_RECURSIVE) wherever it has the calls the helper needs (5.12).
    case "recursive":
    case "recursive-if-possible":
      options.push(request.recursive ? "rro" : "ro");
      break;
  }
  return { destination: request.target, type: "bind", source: request.source, options };
}
