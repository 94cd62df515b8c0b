/** The sizes of huge pages that the machine has, as control files name them. */
import * as fs from "node:fs";

/** `["2MB", "1GB"]`. */
export function pageSizes(directory = "/sys/kernel/mm/hugepages"): readonly string[] {
  let names: readonly string[];
  try {
    names = fs.readdirSync(directory);
  } catch {
    return [];
  }
  return names.flatMap((name) => {
    const match = /^hugepages-(\d{1,12})kB$/.exec(name);
    return match === null ? [] : [inUnits(Number(match[1]))];
  });
}

function inUnits(kibibytes: number): string {
  let value = kibibytes;
  let unit = 0;
  while (value >= 1024 && unit < 2) {
    value /= 1024;
    unit += 1;
  }
  return `${value}${["KB", "MB", "GB"][unit]}`;
}
