/** Devices of the host's network that become the container's (config-linux.md#network-devices). */
import { type Draft, invalid, pointerSegment, unsupported } from "./draft.ts";

const section = "config-linux.md#network-devices";
const pointer = "/linux/netDevices";

/** Monitor, while init waits in its network namespace. */
export function moveNetDevices(draft: Draft): void {
  const devices = Object.entries(draft.input.config.linux?.netDevices ?? {});
  if (devices.length === 0) {
    return;
  }
  if (draft.namespace("network") === undefined) {
    throw invalid(
      "net-devices-without-namespace",
      pointer,
      "the container has the host's network: there is nowhere to move them",
      'add {"type":"network"} to linux.namespaces',
    );
  }
  if (draft.input.host.identity.euid !== 0) {
    throw unsupported("net-devices-unprivileged", pointer, "only root may move network devices of the host");
  }
  draft.barrier({ pointer, section });
  for (const [device, { name = "" }] of devices) {
    draft.monitor(
      { op: "moveNetDevice", device, name: name === "" ? device : name },
      { pointer: `${pointer}/${pointerSegment(device)}`, section },
    );
  }
  draft.barrier({ pointer, section });
}
