/** An image as `docker image inspect` and `podman image inspect` show it: docker's fields, then podman's. */
import type { StoredImage } from "../../store/mod.ts";
import { nameParts, none } from "./names.ts";

/** A map of a template: missing keys are nothing rather than errors. */
function mapOf<T>(entries: Iterable<readonly [string, T]>): Record<string, T> {
  const map = Object.create(null) as Record<string, T>;
  for (const [key, value] of entries) map[key] = value;
  return map;
}

function setOf(names: readonly string[] | undefined): Record<string, Record<string, never>> | null {
  return names === undefined || names.length === 0 ? null : mapOf(names.map((name) => [name, {}] as const));
}

export function inspectImage(image: StoredImage) {
  const { config } = image;
  const execution = config.config ?? {};
  const labels = execution.Labels === undefined ? null : mapOf(Object.entries(execution.Labels));
  const history = config.history ?? [];
  const tags = image.names.filter((name) => nameParts(name).tag !== none);
  const repositories = [...new Set(image.names.map((name) => nameParts(name).repository))];
  return {
    Id: image.id,
    RepoTags: tags,
    RepoDigests: repositories.map((repository) => `${repository}@${image.root.digest}`),
    Parent: "",
    Comment: history.at(-1)?.comment ?? "",
    Created: config.created ?? null,
    DockerVersion: "",
    Author: config.author ?? "",
    Config: {
      User: execution.User ?? "",
      ExposedPorts: setOf(execution.ExposedPorts),
      Env: execution.Env ?? null,
      Cmd: execution.Cmd ?? null,
      Healthcheck: execution.Healthcheck ?? null,
      ArgsEscaped: execution.ArgsEscaped ?? false,
      Volumes: setOf(execution.Volumes),
      WorkingDir: execution.WorkingDir ?? "",
      Entrypoint: execution.Entrypoint ?? null,
      OnBuild: execution.OnBuild ?? null,
      Labels: labels,
      StopSignal: execution.StopSignal ?? "",
      Shell: execution.Shell ?? null,
    },
    Architecture: config.architecture,
    Variant: config.variant ?? "",
    Os: config.os,
    OsVersion: config["os.version"] ?? "",
    Size: image.size,
    VirtualSize: image.size,
    RootFS: { Type: "layers", Layers: config.rootfs.diff_ids },
    Metadata: { LastTagTime: null },
    Digest: image.root.digest,
    ManifestDigest: image.manifestDescriptor.digest,
    ManifestType: image.manifestDescriptor.mediaType,
    Annotations: mapOf(Object.entries(image.manifest.annotations ?? {})),
    Labels: labels,
    User: execution.User ?? "",
    NamesHistory: image.names,
    History: history,
    Layers: image.layers.map(({ descriptor, diffID }) => ({
      Digest: descriptor.digest,
      DiffID: diffID,
      MediaType: descriptor.mediaType,
      Size: descriptor.size,
    })),
  };
}
