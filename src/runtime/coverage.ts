/** Fields that are asked for and that no op honours yet: an error, never silence. docs/runtime-coverage.md lists them. */
import { deviceRulesUnenforced } from "./cgroup-devices.ts";
import { type Draft, unsupported } from "./draft.ts";

export function refuseUnsupported(draft: Draft): void {
  const { linux } = draft.input.config;
  if (linux?.intelRdt !== undefined) {
    throw unsupported(
      "intel-rdt-unsupported",
      "/linux/intelRdt",
      "cache and bandwidth allocation is not supported yet",
    );
  }
  if (Object.keys(linux?.netDevices ?? {}).length > 0) {
    throw unsupported(
      "net-devices-unsupported",
      "/linux/netDevices",
      "moving network devices is not supported yet",
    );
  }
}

/** Device rules that nothing enforces are made up for (`deviceRulesUnenforced`): say so. */
export function tellOfRules(draft: Draft): void {
  if (!draft.inUserNamespace && deviceRulesUnenforced(draft)) {
    draft.note(
      "/linux/resources/devices",
      "no device cgroup enforces these rules here: device nodes in the root filesystem do not open (nodev), and none can be made (no CAP_MKNOD)",
    );
  }
}
