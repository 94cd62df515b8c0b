import * as path from "node:path";
import { printable, VitrineError } from "../../base/mod.ts";
import { formatReference, type ImageReference, parseReference } from "../../image/mod.ts";
import { openRegistryClient, type RegistryClient } from "../../registry/mod.ts";
import { defineCommand } from "../framework/command.ts";
import type { Context } from "../framework/context.ts";
import { failureOf } from "../framework/failure.ts";
import { registryOptions, withClient } from "../remote/client.ts";
import { openPlace, type Place } from "../remote/places.ts";
import { sendImage } from "../remote/send.ts";
import { readSyncList, type SyncRegistry } from "../remote/sync-list.ts";
import { compareTags } from "../remote/tag-list.ts";
import { withWorld } from "../remote/world.ts";
import { version } from "../version.ts";

export const command = defineCommand({
  description: `Copies images by a list (the YAML of skopeo sync) to a registry, docker://HOST/PREFIX, or into directories or layouts below
    a directory, dir:DIR or oci:DIR. What is there already is not copied again.

    The list, by registry: 'images' has tags, patterns ("3.*") or digests (none: all tags); 'images-by-tag-regex' an expression;
    'images-by-semver' a range such as ">= 3.12, < 4". 'credentials', 'tls-verify' and 'cert-dir' are for that registry.`,
  options: {
    all: { type: "boolean", short: "a", help: "all platforms of each image" },
    scoped: { type: "boolean", help: "keep the registry's name and path below the destination" },
    "dry-run": { type: "boolean", help: "say what would be copied" },
    "keep-going": { type: "boolean", help: "copy the rest after a failure; the exit status tells" },
    quiet: { type: "boolean", short: "q", help: "show no progress" },
    ...registryOptions,
  },
  positionals: [{ name: "LIST", completion: "file" }, { name: "DESTINATION" }],
  examples: [
    { command: "vitrine sync mirror.yaml docker://localhost:5000/mirror", does: "into a registry" },
    { command: "vitrine sync --dry-run mirror.yaml oci:./mirror", does: "only look" },
  ],
  async run({ options, positionals, given, context }) {
    const list = await readSyncList(positionals[0]!);
    const target = parseTarget(positionals[1]!);
    let failed = 0;
    await withClient(context, options, given, async (client) => {
      for (const entry of list) {
        await withSource(entry, client, context, async (source) => {
          for (const reference of await referencesOf(entry, source)) {
            try {
              const place = placeBelow(target, reference, options.scoped);
              await copyOne(source, client, context, reference, place, options);
            } catch (error) {
              if (!options["keep-going"]) throw error;
              failed += 1;
              context.err(`${printable(formatReference(reference))}: ${failureOf(error, false).text}`);
            }
          }
        });
      }
    });
    return failed === 0 ? 0 : 1;
  },
});

type Target =
  | { readonly kind: "docker"; readonly prefix: string }
  | { readonly kind: "dir" | "oci"; readonly directory: string };

function parseTarget(text: string): Target {
  const docker = /^docker:\/\/([^\s]+?)\/*$/.exec(text);
  if (docker !== null) return { kind: "docker", prefix: docker[1]! };
  const directory = /^(dir|oci):(.+)$/s.exec(text);
  if (directory !== null) return { kind: directory[1] as "dir" | "oci", directory: directory[2]! };
  throw new VitrineError("invalid", `cannot copy many images to ${text}`, {
    code: "sync-target-invalid",
    operand: text,
    hint: "docker://HOST/PREFIX, dir:DIRECTORY or oci:DIRECTORY",
  });
}

/** As skopeo: the last component of the name below the destination, or with --scoped all of it. */
function placeBelow(target: Target, reference: ImageReference, scoped: boolean): Place {
  const name = scoped
    ? `${reference.domain.replace(":", "_")}/${reference.path}`
    : reference.path.split("/").at(-1)!;
  const label = reference.tag ?? reference.digest!.replace(":", "-");
  if (target.kind === "docker") {
    const { domain, path: prefix } = parseReference(`${target.prefix}/${name}`);
    return { transport: "docker", reference: { domain, path: prefix, tag: label.slice(0, 128) } };
  }
  const directory = path.join(target.directory, name);
  return target.kind === "dir"
    ? { transport: "dir", path: `${directory}:${label}` }
    : { transport: "oci", path: directory, name: label };
}

/** A client with what the list says of the registry, where it says something. */
async function withSource(
  entry: SyncRegistry,
  common: RegistryClient,
  context: Context,
  body: (client: RegistryClient) => Promise<void>,
): Promise<void> {
  const { credentials, tlsVerify, certificateDirectory } = entry;
  if (credentials === undefined && tlsVerify === undefined && certificateDirectory === undefined) {
    return body(common);
  }
  const client = openRegistryClient({
    environment: context.environment,
    uid: context.uid,
    userAgent: `vitrine/${version}`,
    ...(tlsVerify !== undefined && { tlsVerify }),
    ...(certificateDirectory !== undefined && { certificateDirectory }),
    ...(credentials !== undefined && { credentials: { kind: "password", ...credentials } }),
    onWarning: (registry, text) => context.log("warn", `${registry} says: ${printable(text)}`),
    onNote: (text) => context.log("info", printable(text)),
  });
  try {
    await body(client);
  } finally {
    client.close();
  }
}

async function referencesOf(entry: SyncRegistry, client: RegistryClient): Promise<readonly ImageReference[]> {
  const references: ImageReference[] = [];
  for (const wanted of entry.repositories) {
    const { domain, path: name } = parseReference(`${entry.registry}/${wanted.path}`);
    const tags = new Set(wanted.tags);
    if (wanted.choose !== undefined) {
      const repository = await client.repository({ domain, path: name });
      for (const tag of wanted.choose(await repository.tags())) tags.add(tag);
    }
    references.push(...[...tags].sort(compareTags).map((tag) => ({ domain, path: name, tag })));
    references.push(...wanted.digests.map((digest) => parseReference(`${domain}/${name}@${digest}`)));
  }
  return references;
}

async function copyOne(
  from: RegistryClient,
  to: RegistryClient,
  context: Context,
  reference: ImageReference,
  place: Place,
  options: { readonly all: boolean; readonly "dry-run": boolean; readonly quiet: boolean },
): Promise<void> {
  const label = printable(formatReference(reference));
  if (options["dry-run"]) {
    context.out(`${label}\n`);
    return;
  }
  const remote = await from.source(reference);
  if (place.transport === "docker" && options.all) {
    const there = await to.head(place.reference);
    if (there?.digest === remote.root.digest) {
      if (!options.quiet) context.err(`${label} is there already\n`);
      return;
    }
  }
  await withWorld(context, to, async (world) => {
    const opened =
      from === to
        ? await openPlace({ transport: "docker", reference }, world)
        : { source: remote, remote, close: async () => {} };
    await sendImage(opened, place, world, {
      all: options.all,
      quiet: options.quiet,
      platform: undefined,
      format: undefined,
      "compression-format": undefined,
      "compression-level": undefined,
      "force-compression": false,
      "preserve-digests": false,
    });
  });
  context.out(`${label}\n`);
}
