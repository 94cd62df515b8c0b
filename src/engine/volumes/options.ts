/**
 * The options of docker's local driver: `type`, `device` and `o` as mount(8) takes them. Such a volume is mounted in each
 * container that uses it, never on the host, so nothing of it outlives the container.
 */
import { VitrineError } from "../../base/mod.ts";

export interface DriverMount {
  /** `bind` for a directory of the host. */
  readonly type: string;
  readonly device: string;
  readonly options: readonly string[];
}

const known = ["type", "device", "o"];

/**
 * `--opt KEY=VALUE` of `volume create`. Errors: `volume-option-invalid`, `volume-quota-unsupported`.
 */
export function checkVolumeOptions(options: Readonly<Record<string, string>>): void {
  for (const key of Object.keys(options)) {
    if (key === "size") throw noQuota();
    if (!known.includes(key)) {
      throw invalid(key, `unknown option ${JSON.stringify(key)}`, `known: ${known.join(", ")}`);
    }
  }
  if (Object.keys(options).length === 0) return;
  const { type = "", device = "", o = "" } = options;
  if (/[\0\n]/.test(`${type}${device}${o}`))
    throw invalid("o", "a control character in an option", "leave it out");
  if (type === "" && device === "" && o !== "") {
    throw invalid("o", "mount options need a type and a device", "for example -o type=tmpfs -o device=tmpfs");
  }
  const mount = driverMount(options)!;
  if (mount.type === "bind" && !mount.device.startsWith("/")) {
    throw invalid(
      "device",
      `the directory ${JSON.stringify(mount.device)} is not absolute`,
      "-o device=/srv/data",
    );
  }
  if (mount.type === "") throw invalid("type", "it says no type", "-o type=none -o o=bind, or -o type=tmpfs");
  if (mount.device === "") throw invalid("device", "it says no device", `-o device=… for type ${mount.type}`);
  requireAddress(mount);
}

/** undefined: a plain directory of the store. */
export function driverMount({
  type = "",
  device = "",
  o = "",
}: Readonly<Record<string, string>>): DriverMount | undefined {
  if (type === "" && device === "") return undefined;
  const words = o.split(",").filter((word) => word !== "");
  if (words.includes("bind") || words.includes("rbind") || type === "bind") {
    return { type: "bind", device, options: words };
  }
  return { type: type === "none" ? "" : type, device: type === "tmpfs" ? "tmpfs" : device, options: words };
}

/** The kernel knows addresses; names are looked up by mount.nfs, which is not asked here. */
function requireAddress({ type, options }: DriverMount): void {
  if (!/^(nfs4?|cifs)$/.test(type)) return;
  const address = options.find((word) => word.startsWith("addr="))?.slice("addr=".length);
  if (address !== undefined && /^(\d{1,3}(\.\d{1,3}){3}|[0-9a-fA-F:]*:[0-9a-fA-F:.]*)$/.test(address)) return;
  throw invalid(
    "o",
    `type ${type} needs the server's address`,
    "for example -o type=nfs -o o=addr=192.0.2.1,rw -o device=:/export",
  );
}

function noQuota(): VitrineError {
  return new VitrineError("unsupported", "the size of a volume on disk cannot be limited: no quota support", {
    code: "volume-quota-unsupported",
    operand: "size",
    hint: "a volume in memory has a size: -o type=tmpfs -o device=tmpfs -o o=size=100m",
  });
}

function invalid(key: string, message: string, hint: string): VitrineError {
  return new VitrineError("invalid", `option ${key} of the volume: ${message}`, {
    code: "volume-option-invalid",
    operand: key,
    hint,
  });
}

/** Error: `volume-driver-unsupported`. */
export function checkVolumeDriver(driver: string): void {
  if (driver === "local" || driver === "") return;
  throw new VitrineError("unsupported", `there is no volume driver ${JSON.stringify(driver)}`, {
    code: "volume-driver-unsupported",
    operand: driver,
    hint: "the driver is local: directories, tmpfs and what mount(8) mounts (-o type=, device=, o=)",
  });
}
