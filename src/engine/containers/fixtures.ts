import type { Container } from "./record.ts";

/** A record for the tests of this folder, with nothing special in it. */
export function makeRecord(
  particulars: Pick<Container, "id" | "name" | "monitor"> & Partial<Container>,
): Container {
  return {
    image: "alpine",
    imageId: "sha256:1",
    manifestDigest: "sha256:2",
    layers: [],
    created: 1,
    command: ["true"],
    remove: false,
    labels: {},
    stopSignal: "SIGTERM",
    stopTimeoutSeconds: 10,
    ids: { kind: "none" },
    cgroups: [],
    files: { config: "", exit: "", pid: "" },
    ...particulars,
  };
}
