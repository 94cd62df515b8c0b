/** `commit`: a container's own layer on top of its image's, and a config that runs it as it ran. */
import {
  type ByteStream,
  createHasher,
  observed,
  readFileStream,
  type TarInput,
  TemporaryFile,
  writeTar,
} from "../../base/mod.ts";
import {
  applyChange,
  convertImage,
  type ImageSource,
  joinedContent,
  memoryContent,
  sourceOf,
} from "../../image/mod.ts";
import { textOf } from "../../kernel/mod.ts";
import {
  type Descriptor,
  type Digest,
  digestOf,
  type ExecutionConfig,
  encodeImageConfig,
  encodeManifest,
  formatDigest,
  type ImageConfig,
  mediaTypes,
} from "../../oci/mod.ts";
import type { Store, StoredImage } from "../../store/mod.ts";
import type { Container } from "../containers/record.ts";
import { readConfig } from "../exec-container.ts";
import { type DiffDeps, type OwnLayer, readOwnLayer } from "./diff.ts";
import { frozen } from "./freeze.ts";
import { membersOf, plainMember, typeOf } from "./members.ts";
import { requireImage } from "./require-image.ts";
import { openRoot } from "./view.ts";

export interface CommitOptions {
  readonly author?: string | undefined;
  readonly message?: string | undefined;
  /** Instructions for the config: see `applyChange`. */
  readonly changes: readonly string[];
  /** `if-possible`: where the container has no freezer it goes on meanwhile. */
  readonly pause: "yes" | "if-possible" | "no";
  /** All in one layer. */
  readonly squash: boolean;
  readonly format: "oci" | "docker";
  readonly names: readonly string[];
  /** Milliseconds since the epoch. */
  readonly created: number;
}

export interface CommitDeps extends DiffDeps {
  readonly watch: (source: ImageSource) => ImageSource;
}

/** The same container, options and time give the same image. Returns its id. Errors: those of `readOwnLayer`, of `Store.put`. */
export async function commitContainer(
  container: Container,
  options: CommitOptions,
  deps: CommitDeps,
): Promise<Digest> {
  // What is wrong with the changes is told before anything is done.
  for (const change of options.changes) applyChange({}, change);
  const store = await deps.openStore(container.ids);
  const base = baseImage(store, container);
  const spool = await TemporaryFile.create(store.temporaryDirectory(), "commit");
  try {
    const layer = await frozen(container, options.pause, deps.paths, () =>
      spoolLayer(spool, (options.squash ? squashed : ownMembers)(container, deps)),
    );
    const source = imageOf(container, base, layer, options, store, deps);
    await using converted = await convertImage(
      source,
      { format: options.format },
      store.temporaryDirectory(),
    );
    const { ids } = await store.put(deps.watch(converted.source), { names: options.names });
    return ids[0]!;
  } finally {
    await spool.discard();
  }
}

function baseImage(store: Store, container: Container): StoredImage {
  requireImage(container, `vitrine export ${container.name} | vitrine import - NAME`);
  return store.resolve(container.imageId);
}

// --- the layer ---

interface NewLayer {
  /** undefined: nothing changed. */
  readonly descriptor: Descriptor | undefined;
  readonly file: string;
}

async function spoolLayer(spool: TemporaryFile, members: AsyncGenerator<TarInput, void>): Promise<NewLayer> {
  const hasher = createHasher("sha256");
  let count = 0;
  async function* counted(): AsyncGenerator<TarInput, void> {
    for await (const member of members) {
      count += 1;
      yield member;
    }
  }
  const size = await spool.write(observed(writeTar(counted()), (chunk) => hasher.update(chunk)));
  const digest = formatDigest("sha256", hasher.hex());
  return {
    descriptor: count === 0 ? undefined : { mediaType: mediaTypes.layer, digest, size },
    file: spool.path,
  };
}

/** image-spec layer.md#representing-changes. */
async function* ownMembers(container: Container, deps: CommitDeps): AsyncGenerator<TarInput, void> {
  const layer = await readOwnLayer(container, deps);
  try {
    const links: string[] = [];
    const tree = { path: { base: "host", path: layer.tree }, name: "", top: false } as const;
    const members = membersOf(layer.reader.tree(tree), (entry) => {
      const name = textOf(entry.path);
      if (!layer.kept.has(name)) return undefined;
      if (typeOf(entry) !== "hardlink" || layer.kept.has(textOf(entry.linkTarget))) return plainMember(entry);
      links.push(name);
      return undefined;
    });
    for await (const member of members) {
      yield member;
      if (layer.opaque.has(member.path)) yield whiteout(`${member.path}/.wh..wh..opq`);
    }
    yield* contentOf(layer, links);
    for (const name of [...layer.deleted].sort()) yield whiteout(whiteoutName(name));
    await layer.finish();
  } catch (error) {
    throw (await layer.abort()) ?? error;
  }
}

/** Files whose first name is none of the container's changes (copy driver): with their bytes. */
async function* contentOf(layer: OwnLayer, names: readonly string[]): AsyncGenerator<TarInput, void> {
  for (const name of names) {
    const path = { base: "host", path: `${layer.tree}/${name}` } as const;
    yield* membersOf(layer.reader.tree({ path, name }), plainMember);
  }
}

function whiteout(path: string): TarInput {
  return { path, type: "file", mode: 0o600, size: 0 };
}

function whiteoutName(name: string): string {
  const slash = name.lastIndexOf("/");
  return `${name.slice(0, slash + 1)}.wh.${name.slice(slash + 1)}`;
}

async function* squashed(container: Container, deps: CommitDeps): AsyncGenerator<TarInput, void> {
  const view = await openRoot(container, { write: false, view: "layers" }, deps);
  try {
    yield* membersOf(
      view.reader.tree({ path: { base: "root", path: "/" }, name: "", top: true }),
      plainMember,
    );
    await view.finish();
  } catch (error) {
    throw (await view.abort()) ?? error;
  }
}

// --- the documents ---

function imageOf(
  container: Container,
  base: StoredImage,
  { descriptor, file }: NewLayer,
  options: CommitOptions,
  store: Store,
  { paths }: CommitDeps,
): ImageSource {
  const created = new Date(options.created).toISOString().replace(/\.000Z$/, "Z");
  const before = runConfig(container, base.config, readConfig(paths, container.id).process);
  const { author, message, squash } = options;
  const added = descriptor === undefined ? [] : [descriptor];
  const layers = [...(squash ? [] : base.manifest.layers), ...added];
  const history = {
    created,
    created_by: container.command.join(" "),
    ...(author === undefined ? {} : { author }),
    ...(message === undefined ? {} : { comment: message }),
    ...(descriptor === undefined ? { empty_layer: true } : {}),
  };
  const { author: _author, ...inherited } = base.config;
  const configBytes = encodeImageConfig({
    ...inherited,
    created,
    ...(author === undefined ? {} : { author }),
    config: options.changes.reduce(applyChange, before),
    rootfs: {
      type: "layers",
      diff_ids: [...(squash ? [] : base.config.rootfs.diff_ids), ...added.map(({ digest }) => digest)],
    },
    history: [...(squash ? [] : (base.config.history ?? [])), history],
  });
  const config = { mediaType: mediaTypes.config, digest: digestOf(configBytes), size: configBytes.length };
  const manifestBytes = encodeManifest({ schemaVersion: 2, mediaType: mediaTypes.manifest, config, layers });
  const root = {
    mediaType: mediaTypes.manifest,
    digest: digestOf(manifestBytes),
    size: manifestBytes.length,
  };
  const documents = memoryContent(
    new Map([
      [config.digest, configBytes],
      [root.digest, manifestBytes],
    ]),
  );
  const below = store.source(base);
  const spooled = {
    has: (wanted: Digest) => wanted === descriptor?.digest,
    openUnverified: (wanted: Digest): ByteStream | undefined =>
      wanted === descriptor?.digest ? readFileStream(file) : undefined,
  };
  const inherit = {
    has: (wanted: Digest) => base.manifest.layers.some(({ digest }) => digest === wanted),
    openUnverified: (wanted: Digest): ByteStream | undefined => {
      const layer = base.manifest.layers.find(({ digest }) => digest === wanted);
      return layer === undefined || !below.has(layer) ? undefined : below.openBlob(layer);
    },
  };
  return sourceOf(joinedContent(joinedContent(documents, spooled), inherit), root, options.names);
}

/** What it was started with: the image's config, and what its flags made of it. */
function runConfig(
  { command, labels, stopSignal }: Container,
  image: ImageConfig,
  process: ReturnType<typeof readConfig>["process"],
): ExecutionConfig {
  const before = image.config ?? {};
  const entrypoint = before.Entrypoint ?? [];
  const same = entrypoint.every((word, at) => command[at] === word);
  const known = new Set((before.Env ?? []).map(nameOf));
  const env = (process?.env ?? []).filter(
    (entry) => known.has(nameOf(entry)) || !madeUp.has(nameOf(entry).toLowerCase()),
  );
  const cwd = process?.cwd ?? "/";
  return {
    ...before,
    ...(env.length > 0 ? { Env: env } : {}),
    ...(same
      ? { Cmd: command.slice(entrypoint.length) }
      : { Entrypoint: command.slice(0, 1), Cmd: command.slice(1) }),
    ...(cwd === (before.WorkingDir ?? "/") ? {} : { WorkingDir: cwd }),
    ...(Object.keys(labels).length === 0 ? {} : { Labels: labels }),
    ...(before.StopSignal === undefined && stopSignal === "SIGTERM" ? {} : { StopSignal: stopSignal }),
  };
}

function nameOf(entry: string): string {
  return entry.slice(0, entry.indexOf("="));
}

/** Every container gets these, whatever its image says. */
const madeUp: ReadonlySet<string> = new Set([
  "hostname",
  "home",
  "term",
  "container",
  "http_proxy",
  "https_proxy",
  "ftp_proxy",
  "no_proxy",
  "all_proxy",
]);
