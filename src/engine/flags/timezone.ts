import type { Timezone } from "../options.ts";
import { badValue } from "./bad-flag.ts";

const directory = "/usr/share/zoneinfo";

/** `local`, or the name of a file below the host's zoneinfo; "" is not asked. Error: `invalid-flag-value`. */
export function parseTimezone(
  text: string,
  environment: Readonly<Record<string, string | undefined>>,
): Timezone | undefined {
  if (text === "") return undefined;
  if (text === "local") return { name: text, file: "/etc/localtime" };
  // As Go's time.LoadLocation has it, which podman asks.
  if (!/^[A-Za-z0-9_+-][A-Za-z0-9_+./-]*$/.test(text) || text.split("/").includes("..")) {
    throw badValue("--tz", text, "not the name of a time zone", "for example Europe/Berlin, UTC or local");
  }
  return { name: text, file: `${environment["TZDIR"] || directory}/${text}` };
}
