/**
 * The executable's first lines. Where the launcher asked that this start be noted (docs/launch-record.md), noting begins
 * before anything else is loaded: what was imported earlier would go by it.
 */
const file = process.env["VITRINE_LAUNCH_FILE"];
const id = process.env["VITRINE_LAUNCH_ID"];
const captures = process.env["VITRINE_LAUNCH_CAPTURES"] ?? "";
delete process.env["VITRINE_LAUNCH_FILE"];
delete process.env["VITRINE_LAUNCH_ID"];
delete process.env["VITRINE_LAUNCH_CAPTURES"];
if (file !== undefined) {
  const { beginNoting } = await import("./launch-record/noter.ts");
  let keep: typeof import("./launch-record/keep.ts") | undefined;
  beginNoting((notes, program) => {
    keep?.tellOutcome(keep.keepRecord({ file, id, captures }, notes, program));
  });
  keep = await import("./launch-record/keep.ts");
}
await import("./main.ts");

export {};
