/** Flags about a container's streams: --detach-keys, --log-driver, --log-opt. */
import type { LogOptions } from "../options.ts";
import { badValue, unsupportedFlag } from "./bad-flag.ts";
import { parseBytes } from "./sizes.ts";

/** `ctrl-p,ctrl-q` or `a,b`: the bytes that a user types. Empty: none. */
export function parseDetachKeys(text: string): Uint8Array {
  if (text === "") return new Uint8Array();
  return Uint8Array.from(text.split(","), (key) => {
    const control = /^ctrl-([a-zA-Z@[\\\]^_])$/.exec(key)?.[1];
    if (control !== undefined) return control.toUpperCase().charCodeAt(0) & 0x1f;
    if (/^[\x20-\x7e]$/.test(key)) return key.charCodeAt(0);
    throw badValue(
      "--detach-keys",
      text,
      "keys are one character or ctrl-X, with commas between them: ctrl-p,ctrl-q",
    );
  });
}

/** Logs are files in the CRI format, whatever their driver is called. Errors: `flag-unsupported`, `invalid-flag-value`. */
export function parseLog(driver: string | undefined, options: readonly string[]): LogOptions | undefined {
  if (driver === "none") return { driver: "none", maxBytes: 0, files: 1 };
  if (driver !== undefined && !["k8s-file", "json-file", "local", "file"].includes(driver)) {
    throw unsupportedFlag(
      "--log-driver",
      `there is no log driver ${JSON.stringify(driver)}`,
      "k8s-file (json-file and local are taken for it) or none",
    );
  }
  let maxBytes = 0;
  let files = 1;
  for (const option of options) {
    const equals = option.indexOf("=");
    const [name, value] = [option.slice(0, equals), option.slice(equals + 1)];
    if (name === "max-size") maxBytes = value === "-1" ? 0 : Number(parseBytes("--log-opt", value));
    else if (name === "max-file" && /^[1-9]\d{0,3}$/.test(value)) files = Number(value);
    else throw badValue("--log-opt", option, "max-size=SIZE or max-file=NUMBER");
  }
  return driver === undefined && options.length === 0 ? undefined : { driver: "file", maxBytes, files };
}

/** `--preserve-fds`. Error: `invalid-flag-value`. */
export function parseDescriptorCount(count: number): number | undefined {
  if (!Number.isInteger(count) || count < 0 || count > 4096) {
    throw badValue("--preserve-fds", String(count), "expected how many descriptors", "for example 1");
  }
  return count === 0 ? undefined : count;
}
