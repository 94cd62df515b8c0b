import * as path from "node:path";
import { printable, VitrineError, writeFileAtomically } from "../../base/mod.ts";
import { formatReference, type ImageReference, parseReference } from "../../image/mod.ts";
import type { Digest } from "../../oci/mod.ts";
import { openRegistryClient, type RegistryClient } from "../../registry/mod.ts";
import { defineCommand } from "../framework/command.ts";
import type { Context } from "../framework/context.ts";
import { failureOf } from "../framework/failure.ts";
import { flagsOfSide, registryOptions, sideOptions, withClient } from "../remote/client.ts";
import { openPlace, type Place } from "../remote/places.ts";
import { type SendFlags, sendImage, sendOptions } from "../remote/send.ts";
import { readSyncList, type SyncRegistry } from "../remote/sync-list.ts";
import { imagesBelow, listOfName } from "../remote/sync-source.ts";
import { compareTags } from "../remote/tag-list.ts";
import { withWorld } from "../remote/world.ts";
import { version } from "../version.ts";

export const command = defineCommand({
  description: `Copies images by a list (the YAML of skopeo sync) to a registry, docker://HOST/PREFIX, or into directories or layouts below
    a directory, dir:DIR or oci:DIR. What is there already is not copied again.

    The list, by registry: 'images' has tags, patterns ("3.*") or digests (none: all tags); 'images-by-tag-regex' an expression;
    'images-by-semver' a range such as ">= 3.12, < 4". 'credentials', 'tls-verify' and 'cert-dir' are for that registry.

    Without a list: --src docker copies HOST/NAME with all its tags, or HOST/NAME:TAG; --src dir what an earlier sync wrote below a
    directory. --dest says what kind of place DESTINATION is, in place of its transport.`,
  options: {
    all: { type: "boolean", short: "a", help: "all platforms of each image" },
    src: {
      type: "string",
      short: "s",
      value: "KIND",
      choices: ["yaml", "docker", "dir"],
      default: "yaml",
      help: "what the first argument is: a list, a name in a registry, a directory",
    },
    dest: {
      type: "string",
      short: "d",
      value: "KIND",
      choices: ["docker", "dir", "oci"],
      help: "what kind of place the second one is",
    },
    format: sendOptions.format,
    "preserve-digests": sendOptions["preserve-digests"],
    "append-suffix": { type: "string", value: "TEXT", help: "end every tag at the destination with this" },
    "remove-signatures": { type: "boolean", hidden: true, help: "accepted for compatibility" },
    scoped: { type: "boolean", help: "keep the registry's name and path below the destination" },
    "dry-run": { type: "boolean", help: "say what would be copied" },
    "keep-going": { type: "boolean", help: "copy the rest after a failure; the exit status tells" },
    digestfile: {
      type: "string",
      value: "FILE",
      completion: "file",
      help: "write a line here for each image: its digest and where it is now",
    },
    quiet: { type: "boolean", short: "q", help: "show no progress" },
    ...registryOptions,
    ...sideOptions("src"),
    ...sideOptions("dest"),
  },
  positionals: [{ name: "SOURCE", completion: "file" }, { name: "DESTINATION" }],
  examples: [
    { command: "vitrine sync mirror.yaml docker://localhost:5000/mirror", does: "into a registry" },
    { command: "vitrine sync --dry-run mirror.yaml oci:./mirror", does: "only look" },
    {
      command: "vitrine sync --src dir --dest docker /media/usb localhost:5000/mirror",
      does: "from what was carried over",
    },
  ],
  async run({ options, positionals, given, context }) {
    const [text, destination] = positionals as [string, string];
    const target = parseTarget(options.dest === undefined ? destination : ofKind(options.dest, destination));
    let failed = 0;
    const lines: string[] = [];
    const attempt = async <T>(label: string, job: () => Promise<T>): Promise<T | undefined> => {
      try {
        return await job();
      } catch (error) {
        if (!options["keep-going"]) throw error;
        failed += 1;
        context.err(`${printable(label)}: ${failureOf(error, false).text}`);
        return undefined;
      }
    };
    const each = async (label: string, place: Place, copy: () => Promise<Digest | undefined>) => {
      const digest = await attempt(label, copy);
      if (digest !== undefined) lines.push(`${digest} ${nameOf(place)}\n`);
    };
    const [from, to] = [flagsOfSide("src", options, given), flagsOfSide("dest", options, given)];
    const copyAll = async (writer: RegistryClient): Promise<void> => {
      if (options.src === "dir") {
        for (const { directory, name } of imagesBelow(text, options.scoped)) {
          const place = placeNamed(target, name, options);
          await each(directory, place, () => copyDirectory(directory, writer, context, place, options));
        }
        return;
      }
      const list = options.src === "docker" ? [listOfName(text)] : await readSyncList(text);
      const own = from.own.length > 0 || to.own.length > 0;
      await withReader(own, context, from, writer, async (reader) => {
        for (const entry of list) {
          await withSource(entry, reader, context, async (source) => {
            for (const wanted of entry.repositories) {
              const { domain, path: name } = parseReference(`${entry.registry}/${wanted.path}`);
              const references = await attempt(`${domain}/${name}`, () =>
                referencesOf({ domain, path: name }, wanted, source),
              );
              for (const reference of references ?? []) {
                const place = placeBelow(target, reference, options);
                await each(formatReference(reference), place, () =>
                  copyOne(source, writer, context, reference, place, options),
                );
              }
            }
          });
        }
      });
    };
    try {
      await withClient(context, to.flags, to.given, copyAll);
    } finally {
      // After a failure too: what was copied is there.
      if (options.digestfile !== undefined) writeFileAtomically(options.digestfile, lines.join(""));
    }
    return failed === 0 ? 0 : 1;
  },
});

function withReader(
  own: boolean,
  context: Context,
  { flags, given }: ReturnType<typeof flagsOfSide>,
  shared: RegistryClient,
  body: (client: RegistryClient) => Promise<void>,
): Promise<void> {
  return own ? withClient(context, flags, given, body) : body(shared);
}

/** `localhost:5000/x` of `--dest docker` as `docker://localhost:5000/x`. */
function ofKind(kind: string, text: string): string {
  const transport = kind === "docker" ? "docker://" : `${kind}:`;
  return text.startsWith(transport) ? text : `${transport}${text}`;
}

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
function placeBelow(
  target: Target,
  reference: ImageReference,
  { scoped, format, "append-suffix": suffix = "" }: CopyFlags,
): Place {
  // A directory may have a colon in its name, a repository and oci: may not.
  const host = target.kind === "dir" ? reference.domain : reference.domain.replace(":", "_");
  const name = scoped ? `${host}/${reference.path}` : reference.path.split("/").at(-1)!;
  const { digest } = reference;
  if (target.kind === "docker") {
    const { domain, path: prefix } = parseReference(`${target.prefix}/${name}`);
    return {
      transport: "docker",
      reference: { domain, path: prefix, ...labelOf(reference, suffix, format) },
    };
  }
  const directory = path.join(target.directory, name);
  if (target.kind === "dir") {
    const label = digest === undefined ? `:${reference.tag}${suffix}` : `@${digest}`;
    return { transport: "dir", path: `${directory}${label}` };
  }
  const label = digest?.replace(":", "-") ?? `${reference.tag}${suffix}`;
  return { transport: "oci", path: directory, name: label };
}

/** What was named by its digest has no tag; another format gives it another digest. */
function labelOf(
  { tag, digest }: ImageReference,
  suffix: string,
  format: string | undefined,
): Pick<ImageReference, "tag" | "digest"> {
  if (digest !== undefined) return format === undefined ? { digest } : {};
  return { tag: `${tag ?? "latest"}${suffix}`.slice(0, 128) };
}

/** The place of `NAME[:TAG]` or `NAME@DIGEST`, as a directory of an earlier sync is called. Error: `sync-target-invalid`. */
function placeNamed(
  target: Target,
  name: string,
  { format, "append-suffix": suffix = "" }: Pick<CopyFlags, "format" | "append-suffix">,
): Place {
  if (target.kind !== "docker") {
    throw new VitrineError("invalid", "a directory is copied to a registry", {
      code: "sync-target-invalid",
      operand: "--dest",
      hint: "--dest docker, or 'vitrine copy dir:… …' for one image",
    });
  }
  const clean = name.replace(/^([^/]+):([0-9]+)\//, "$1_$2/");
  const reference = parseReference(`${target.prefix}/${clean}`);
  const { domain, path: prefix } = reference;
  return { transport: "docker", reference: { domain, path: prefix, ...labelOf(reference, suffix, format) } };
}

/** As skopeo writes it into --digestfile. */
function nameOf(place: Place): string {
  if (place.transport === "docker") return `docker://${formatReference(place.reference)}`;
  if (place.transport === "oci") return `oci:${place.path}:${place.name}`;
  return `dir:${"path" in place ? place.path : ""}`;
}

/** Returns the digest of what is there now; undefined where nothing was to be copied. */
async function copyDirectory(
  directory: string,
  client: RegistryClient,
  context: Context,
  place: Place,
  options: CopyFlags,
): Promise<Digest | undefined> {
  const copied = options["dry-run"]
    ? undefined
    : await withWorld(context, client, async (world) => {
        const opened = await openPlace({ transport: "dir", path: directory }, world);
        return sendImage(opened, place, world, sendFlags(options));
      });
  context.out(`${printable(directory)}\n`);
  return copied;
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

async function referencesOf(
  place: Pick<ImageReference, "domain" | "path">,
  wanted: SyncRegistry["repositories"][number],
  client: RegistryClient,
): Promise<readonly ImageReference[]> {
  const tags = new Set(wanted.tags);
  if (wanted.choose !== undefined) {
    const repository = await client.repository(place);
    for (const tag of wanted.choose(await repository.tags())) tags.add(tag);
  }
  return [
    ...[...tags].sort(compareTags).map((tag) => ({ ...place, tag })),
    ...wanted.digests.map((digest) => parseReference(`${place.domain}/${place.path}@${digest}`)),
  ];
}

async function copyOne(
  from: RegistryClient,
  to: RegistryClient,
  context: Context,
  reference: ImageReference,
  place: Place,
  options: CopyFlags,
): Promise<Digest | undefined> {
  const label = printable(formatReference(reference));
  if (options["dry-run"]) {
    context.out(`${label}\n`);
    return undefined;
  }
  const remote = await from.source(reference);
  if (place.transport === "docker" && options.all) {
    const there = await to.head(place.reference);
    if (there?.digest === remote.root.digest) {
      if (!options.quiet) context.err(`${label} is there already\n`);
      return there.digest;
    }
  }
  const copied = await withWorld(context, to, async (world) => {
    const opened =
      from === to
        ? await openPlace({ transport: "docker", reference }, world)
        : { source: remote, remote, close: async () => {} };
    return sendImage(opened, place, world, sendFlags(options));
  });
  context.out(`${label}\n`);
  return copied;
}

interface CopyFlags {
  readonly all: boolean;
  readonly scoped: boolean;
  readonly "append-suffix": string | undefined;
  readonly "dry-run": boolean;
  readonly quiet: boolean;
  readonly format: string | undefined;
  readonly "preserve-digests": boolean;
}

function sendFlags({ all, quiet, format, "preserve-digests": preserve }: CopyFlags): SendFlags {
  return {
    all,
    quiet,
    format,
    platform: undefined,
    "compression-format": undefined,
    "compression-level": undefined,
    "force-compression": false,
    "preserve-digests": preserve,
  };
}
