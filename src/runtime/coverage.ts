/** What stands in for a field that cannot be honoured here: said, never passed over. docs/runtime-coverage.md lists it. */
import { deviceRulesUnenforced } from "./cgroup-devices.ts";
import type { Draft } from "./draft.ts";

/** Device rules that nothing enforces are made up for (`deviceRulesUnenforced`): say so. */
export function tellOfRules(draft: Draft): void {
  if (!draft.inUserNamespace && deviceRulesUnenforced(draft)) {
    draft.note(
      "/linux/resources/devices",
      "no device cgroup enforces these rules here: device nodes in the root filesystem do not open (nodev), and none can be made (no CAP_MKNOD)",
    );
  }
}
