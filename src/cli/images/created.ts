import { VitrineError } from "../../base/mod.ts";

/** SOURCE_DATE_EPOCH (reproducible-builds.org) makes the same input the same image, whenever it is made. */
export function creationTime(epoch: string | undefined, now: number): number {
  if (epoch === undefined || epoch === "") return now;
  const seconds = /^\d{1,12}$/.test(epoch) ? Number(epoch) : Number.NaN;
  if (!Number.isNaN(seconds)) return seconds * 1000;
  throw new VitrineError("invalid", `invalid SOURCE_DATE_EPOCH ${JSON.stringify(epoch)}`, {
    code: "invalid-environment",
    operand: "SOURCE_DATE_EPOCH",
    hint: "it is a count of seconds since 1970",
  });
}
