/** linux.devices and the rules of the device cgroup (config-linux.md#devices, #allowed-device-list). */
import { VitrineError } from "../../base/mod.ts";
import type { Origin } from "../../kernel/mod.ts";
import type { LinuxDevice, LinuxDeviceRule, Mount } from "../../oci/mod.ts";
import { defaults } from "../defaults.ts";
import { type HostDevice, inUserNamespace, type SpecInput } from "./input.ts";
import { byDefault, byFlag, type Notebook, type Sourced, sourced } from "./notebook.ts";

export interface DevicesPart {
  readonly devices: readonly LinuxDevice[];
  /** In a user namespace nobody may make device nodes: the host's are bound. */
  readonly mounts: readonly Sourced<Mount>[];
  readonly rules: readonly LinuxDeviceRule[];
}

/** Made afresh in every container: the runtime does it. */
const standard = ["null", "zero", "full", "random", "urandom", "tty", "console", "ptmx"].map(
  (name) => `/dev/${name}`,
);
/** Terminals of the host are not handed out by --privileged, as docker and podman have it. */
const terminals = /^\/dev\/(tty\d*|tty[A-Z].*|vcs.*|(pts|shm|mqueue)\/.*)$/;

/** Error: `device-not-found`. */
export function devices(input: SpecInput, notebook: Notebook): DevicesPart {
  const list = new Map<string, Sourced<LinuxDevice>>();
  const mounts = new Map<string, Sourced<Mount>>();
  const add = (device: HostDevice, path: string, origin: Origin): void => {
    if (inUserNamespace(input)) mounts.set(path, sourced(bindOf(device, path), origin));
    else list.set(path, sourced(nodeOf(device, path), origin));
  };
  const rules: Sourced<LinuxDeviceRule>[] = [];
  const { options } = input;
  if (options.privileged) {
    const origin = byFlag("--privileged");
    for (const device of input.hostDevices("/dev")) {
      if (standard.includes(device.path) || terminals.test(device.path)) continue;
      add(device, device.path, origin);
    }
    rules.push(sourced({ allow: true, access: "rwm" }, origin));
  } else {
    rules.push(...defaults.deviceRules.value.map((rule) => sourced(rule, byDefault)));
  }
  for (const request of options.devices) {
    const origin = byFlag("--device");
    const found = input.hostDevices(request.source);
    if (found.length === 0) {
      throw new VitrineError("not-found", `the host has no device ${JSON.stringify(request.source)}`, {
        code: "device-not-found",
        operand: "--device",
        hint: "it must be a device node, or a directory with device nodes: ls -l /dev",
      });
    }
    for (const device of found) {
      add(device, request.target + device.path.slice(request.source.length), origin);
      const { type, major, minor } = device;
      rules.push(sourced({ allow: true, type, major, minor, access: request.access }, origin));
    }
  }
  for (const rule of options.resources.deviceRules) rules.push(sourced(rule, byFlag("--device-cgroup-rule")));
  return {
    devices: notebook.list("/linux/devices", [...list.values()]),
    mounts: [...mounts.values()],
    // The kernel refuses all but the devices that are bound, whatever a device cgroup would say.
    rules: inUserNamespace(input) ? [] : notebook.list("/linux/resources/devices", rules),
  };
}

function nodeOf({ type, major, minor, mode, uid, gid }: HostDevice, path: string): LinuxDevice {
  return { type, path, major, minor, fileMode: mode, uid, gid };
}

function bindOf(device: HostDevice, path: string): Mount {
  return {
    destination: path,
    type: "bind",
    source: device.path,
    options: ["bind", "rprivate", "nosuid", "noexec"],
  };
}
