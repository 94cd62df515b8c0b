/** --cap-add and --cap-drop values. */
import { capabilityNames } from "../../kernel/mod.ts";
import { badValue } from "./bad-flag.ts";

/** `net_admin,CAP_CHOWN`, `ALL` → names with the prefix, or `ALL`. */
export function parseCapabilities(flag: string, values: readonly string[]): readonly string[] {
  const result: string[] = [];
  for (const text of values.flatMap((value) => value.split(","))) {
    const upper = text.trim().toUpperCase();
    if (upper === "ALL" || upper === "CAP_ALL") {
      result.push("ALL");
      continue;
    }
    const name = upper.startsWith("CAP_") ? upper : `CAP_${upper}`;
    if (!(capabilityNames as readonly string[]).includes(name)) {
      throw badValue(
        flag,
        text,
        "no such capability",
        "names as in capabilities(7): NET_ADMIN, SYS_PTRACE, ALL",
      );
    }
    result.push(name);
  }
  return result;
}
