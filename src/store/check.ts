/**
 * Is the store whole? Finds what a disk, a kill or a hand broke, and mends it where that loses nothing that is still good. What
 * the store keeps can be fetched again, so that mending mostly means to take a damaged thing away.
 */
import * as fs from "node:fs";
import * as path from "node:path";
import { decompress, sweepDead, TarParser, temporaryName, VitrineError } from "../base/mod.ts";
import { layoutHeaderBytes } from "../image/mod.ts";
import { ApplySession, FileReader, type Op, textOf } from "../kernel/mod.ts";
import {
  type Descriptor,
  type Digest,
  isDigest,
  isIndexMediaType,
  isManifestMediaType,
  parseImageConfig,
  parseManifestOrIndex,
  splitDigest,
} from "../oci/mod.ts";
import { applyOptions } from "./apply.ts";
import { contentOf as bytesOfBlob, storedBlob } from "./arrival.ts";
import { checkArtifacts } from "./artifact-check.ts";
import { hasBlob, listBlobs, namesIn, readDocument } from "./blobs.ts";
import { checkLock, damageOf, Report } from "./check-report.ts";
import { collect } from "./collect.ts";
import { readContainers } from "./containers.ts";
import { blobFile, formatVersion, initialize, locked, type StoreContext } from "./context.ts";
import { type IndexEntry, readIndex, withoutRoot, writeIndex } from "./index-file.ts";
import { rebuildIndex } from "./index-rescue.ts";
import { layerName } from "./layers/rows.ts";
import { LayerWriter } from "./layers/writer.ts";
import { anyLease } from "./leases.ts";
import { distinctRoots } from "./lookup.ts";
import { removeOwnedTree } from "./trees.ts";
import type { CheckOptions, Finding, StoredLayer } from "./types.ts";

/** Errors: `store-busy` when something is to be mended while another command writes; those of the disk. */
export async function checkStore(context: StoreContext, options: CheckOptions): Promise<readonly Finding[]> {
  if (!fs.existsSync(context.root)) return [];
  const report = new Report(options.repair);
  checkLock(context.lockFile, "lock.db", report);
  checkVersion(context, report);
  checkTemporary(context, report);
  if (options.repair) {
    await locked(context, () => {
      if (anyLease(context)) throw busy(context);
    });
  }
  const entries = await checkIndex(context, report);
  const bad = await checkBlobs(context, options, report);
  const images = await checkImages(context, entries, bad, report);
  await checkLayers(context, options, images, report);
  await checkGarbage(context, options, images, report);
  report.findings.push(...(await checkArtifacts(context.root, options, context.now())));
  return report.findings;
}

function busy(context: StoreContext): VitrineError {
  return new VitrineError("unavailable", "another command is writing to the store", {
    code: "store-busy",
    operand: context.root,
    hint: "try again when it is done",
  });
}

// --- what stands around the content ---

function checkVersion(context: StoreContext, report: Report): void {
  const file = path.join(context.root, "version");
  const text = fs.existsSync(file) ? fs.readFileSync(file, "latin1").trim() : "";
  if (!/^\d+$/.test(text)) {
    report.add("version", "version", "it says no version", `it becomes ${formatVersion}`, () =>
      fs.writeFileSync(file, `${formatVersion}\n`),
    );
  }
  if (report.findings.some(({ repaired }) => repaired)) initialize(context);
  const header = path.join(context.layout, "oci-layout");
  const wanted = Buffer.from(layoutHeaderBytes());
  if (fs.existsSync(context.layout) && !(fs.existsSync(header) && fs.readFileSync(header).equals(wanted))) {
    report.add("layout", "oci/oci-layout", "it is missing or damaged", "it is written anew", () =>
      fs.writeFileSync(header, wanted),
    );
  }
}

const known = new Set(["partials", "collect-later"]);

function checkTemporary(context: StoreContext, report: Report): void {
  const dead: string[] = [];
  sweepDead(context.temporary, { remove: (tree) => dead.push(tree) });
  for (const name of namesIn(context.temporary)) {
    // Names of ours carry who made them.
    if (!known.has(name) && !/\.\d+-\d+-/.test(name) && !name.includes("."))
      dead.push(path.join(context.temporary, name));
  }
  for (const tree of dead) {
    report.add("temporary", `tmp/${path.basename(tree)}`, "who made it is gone", "it is removed", () =>
      removeOwnedTree(context, tree),
    );
  }
}

// --- the content ---

async function checkIndex(context: StoreContext, report: Report): Promise<readonly IndexEntry[]> {
  let problem: string;
  try {
    const entries = readIndex(context);
    if (fs.existsSync(context.indexFile) || listBlobs(context).size === 0) return entries;
    problem = "it is missing";
  } catch (error) {
    problem = error instanceof Error ? error.message : String(error);
  }
  const rescued = rebuildIndex(context);
  const names = rescued.filter(({ name }) => name !== undefined).length;
  const remedy = `rebuilt with ${names} name${names === 1 ? "" : "s"} and ${rescued.length - names} images without`;
  const damaged = path.join(context.root, "tmp", temporaryName("index"));
  report.add("index", "oci/index.json", problem, remedy, () => {
    if (fs.existsSync(context.indexFile)) fs.renameSync(context.indexFile, damaged);
    writeIndex(context, rescued);
    fs.rmSync(damaged, { force: true });
  });
  return rescued;
}

/** Blobs that are not what their names say; taken away when mending. */
async function checkBlobs(
  context: StoreContext,
  { quick }: CheckOptions,
  report: Report,
): Promise<ReadonlySet<Digest>> {
  const bad = new Set<Digest>();
  for (const algorithm of namesIn(path.join(context.layout, "blobs"))) {
    for (const name of namesIn(path.join(context.layout, "blobs", algorithm))) {
      if (isDigest(`${algorithm}:${name}`)) continue;
      const file = path.join(context.layout, "blobs", algorithm, name);
      report.add("blob", `oci/blobs/${algorithm}/${name}`, "its name is no digest", "it is removed", () =>
        fs.rmSync(file, { recursive: true }),
      );
    }
  }
  for (const [digest, size] of quick ? [] : listBlobs(context)) {
    const file = blobFile(context, digest);
    const problem = await damageOf(file, { mediaType: "", digest, size });
    if (problem === undefined) continue;
    bad.add(digest);
    report.add("blob", digest, problem, "it is removed", () => fs.rmSync(file, { force: true }));
  }
  return bad;
}

interface Image {
  readonly layers: readonly StoredLayer[];
  readonly blobs: ReadonlySet<Digest>;
}

/** Images of which something is missing. One that a container uses stays: its layers may be all that is needed. */
async function checkImages(
  context: StoreContext,
  entries: readonly IndexEntry[],
  bad: ReadonlySet<Digest>,
  report: Report,
): Promise<readonly Image[]> {
  const images: Image[] = [];
  const used = new Set(
    readContainers(context).flatMap(({ imageId, manifestDigest }) => [imageId, manifestDigest]),
  );
  for (const { root } of distinctRoots(entries)) {
    const found = lookAt(context, root, bad);
    images.push(...found.images);
    if (found.missing.length === 0) continue;
    const names = entries
      .filter((entry) => entry.root.digest === root.digest)
      .flatMap(({ name }) => name ?? []);
    const object = names[0] ?? root.digest;
    const problem = `${found.missing.length === 1 ? "a blob is" : `${found.missing.length} blobs are`} missing: ${found.missing[0]}`;
    const inUse = found.ids.some((id) => used.has(id)) || used.has(root.digest);
    if (inUse) {
      report.add(
        "image",
        object,
        `${problem}; a container uses it`,
        `vitrine pull ${names[0] ?? "IMAGE"}, or remove the container`,
      );
      continue;
    }
    report.add(
      "image",
      object,
      problem,
      `it is removed: vitrine pull ${names[0] ?? "IMAGE"} brings it back`,
      () => writeIndex(context, withoutRoot(readIndex(context), root.digest)),
    );
  }
  return images;
}

interface Looked {
  readonly missing: readonly Digest[];
  readonly images: readonly Image[];
  /** Digests of manifests and configs. */
  readonly ids: readonly string[];
}

/** An index may lack the manifests of other platforms: of a pull for one of them it does. */
function lookAt(context: StoreContext, root: Descriptor, bad: ReadonlySet<Digest>): Looked {
  const missing: Digest[] = [];
  const images: Image[] = [];
  const ids: string[] = [root.digest];
  const isHere = (blob: Descriptor): boolean => hasBlob(context, blob) && !bad.has(blob.digest);
  const visit = (descriptor: Descriptor, above: readonly Digest[], optional: boolean): void => {
    if (!isHere(descriptor)) {
      if (!optional || fs.existsSync(blobFile(context, descriptor.digest))) missing.push(descriptor.digest);
      return;
    }
    let parsed: ReturnType<typeof parseManifestOrIndex>;
    try {
      parsed = parseManifestOrIndex(readDocument(context, descriptor), descriptor.mediaType);
    } catch {
      missing.push(descriptor.digest);
      return;
    }
    const path = [...above, descriptor.digest];
    if (parsed.kind === "index") {
      for (const entry of parsed.index.manifests) {
        if (isManifestMediaType(entry.mediaType) || isIndexMediaType(entry.mediaType))
          visit(entry, path, true);
      }
      return;
    }
    const { config, layers } = parsed.manifest;
    ids.push(descriptor.digest, config.digest);
    for (const blob of [config, ...layers]) {
      // Foreign layers are not kept.
      if (!isHere(blob) && (blob.urls === undefined || blob.urls.length === 0)) missing.push(blob.digest);
    }
    const blobs = new Set([...path, config.digest, ...layers.map(({ digest }) => digest)]);
    const diffIDs = isHere(config) ? diffIDsOf(readDocument(context, config)) : [];
    const both = diffIDs.flatMap((diffID, at) =>
      layers[at] === undefined ? [] : [{ diffID, descriptor: layers[at] }],
    );
    images.push({ layers: both, blobs });
  };
  visit(root, [], false);
  return { missing: [...new Set(missing)], images, ids };
}

function diffIDsOf(config: Uint8Array): readonly Digest[] {
  try {
    return parseImageConfig(config).config.rootfs.diff_ids;
  } catch {
    return [];
  }
}

/** Takes away the names of images of which a blob is missing. Only under the lock. */
export async function dropIncompleteImages(context: StoreContext): Promise<void> {
  await checkImages(context, readIndex(context), new Set(), new Report(true));
}

// --- what is unpacked ---

async function checkLayers(
  context: StoreContext,
  { quick }: CheckOptions,
  images: readonly Image[],
  report: Report,
): Promise<void> {
  const held = new Set(
    readContainers(context).flatMap(({ layers }) => layers.filter(isDigest).map((id) => layerName(id))),
  );
  const stored = new Map(
    images.flatMap(({ layers }) => layers).map((layer) => [splitDigest(layer.diffID).hex, layer]),
  );
  for (const kind of ["layers", "chains"] as const) {
    const all = path.join(context.root, kind);
    for (const map of namesIn(all)) {
      for (const name of namesIn(path.join(all, map))) {
        const directory = path.join(all, map, name);
        const layer = stored.get(name.split(".")[0]!);
        const problem = await treeDamage(context, directory, kind, quick, layer);
        if (problem === undefined) continue;
        const object = `${kind}/${map}/${name}`;
        if (kind === "layers" && held.has(name.split(".")[0]!) && isLive(context)) {
          report.add(
            "layer",
            object,
            `${problem}; a container that runs uses it`,
            "stop it, then check again",
          );
          continue;
        }
        const remedy =
          layer !== undefined || kind === "chains"
            ? "it is unpacked again when it is needed"
            : "it is removed";
        report.add("layer", object, problem, remedy, () => {
          const trash = path.join(context.temporary, temporaryName("trash"));
          fs.renameSync(directory, trash);
          removeOwnedTree(context, trash);
        });
      }
    }
  }
}

/** Whether any container has state of this boot: which layers a mount uses is not written down. */
function isLive(context: StoreContext): boolean {
  return namesIn(path.join(context.runroot, "containers")).length > 0;
}

async function treeDamage(
  context: StoreContext,
  directory: string,
  kind: "layers" | "chains",
  quick: boolean,
  layer: StoredLayer | undefined,
): Promise<string | undefined> {
  const file = path.join(directory, kind === "layers" ? "layer.json" : "chain.json");
  try {
    const row = JSON.parse(fs.readFileSync(file, "utf8")) as {
      fileBytes?: number;
      layers?: readonly { fileBytes: number }[];
    };
    if (kind === "layers" && typeof row.fileBytes !== "number") return "its layer.json says nothing";
    if (kind === "chains" && !Array.isArray(row.layers)) return "its chain.json says nothing";
  } catch {
    return `its ${path.basename(file)} cannot be read`;
  }
  if (fs.statSync(path.join(directory, "fs"), { throwIfNoEntry: false })?.isDirectory() !== true)
    return "its files are gone";
  return quick || kind === "chains" || layer === undefined
    ? undefined
    : await differs(context, path.join(directory, "fs"), layer);
}

/** Whether everything that the layer's archive made is there: names, kinds and sizes. */
async function differs(context: StoreContext, tree: string, layer: StoredLayer): Promise<string | undefined> {
  const wanted = await contentOf(context, layer);
  if (wanted === undefined) return undefined;
  const session = new ApplySession(applyOptions(context.helperPath, context.widestIds ?? context.ids), {
    answers: true,
  });
  const reader = new FileReader(session);
  try {
    for await (const event of reader.tree({ path: { base: "host", path: tree }, name: "", content: false })) {
      if (event.kind !== "entry") continue;
      const name = textOf(event.entry.path);
      const size = wanted.get(name);
      if (
        size !== undefined &&
        (size < 0 || BigInt(size) === event.entry.size || event.entry.type === hardLink)
      ) {
        wanted.delete(name);
      }
    }
    await session.end();
  } catch {
    await session.abort();
    return undefined;
  } finally {
    reader.close();
  }
  const [first] = wanted.keys();
  return first === undefined ? undefined : `${wanted.size} of its files are missing or cut short: /${first}`;
}

const hardLink = "1".charCodeAt(0);
const regular = "0".charCodeAt(0);
const directoryType = "5".charCodeAt(0);
const device = new Set(["3", "4"].map((digit) => digit.charCodeAt(0)));

/** Name → size, -1 of what is no file. undefined: the archive is not here, or damaged itself. */
async function contentOf(
  context: StoreContext,
  { descriptor }: StoredLayer,
): Promise<Map<string, number> | undefined> {
  const found = new Map<string, number>();
  const directories = new Set<string>();
  const op = (each: Op): void => {
    if (each.op !== "layerEntry" || device.has(each.type)) return;
    const name = textOf(each.path);
    if (name === ".") return;
    if (each.type === directoryType) directories.add(name);
    else if (directories.delete(name))
      for (const other of found.keys()) if (other.startsWith(`${name}/`)) found.delete(other);
    found.set(name, each.type === regular ? Number(each.size) : -1);
  };
  const writer = new LayerWriter(
    { op, data: () => {} },
    { style: "trusted", maps: () => true, ignoreOwner: true, dropTrusted: false },
  );
  try {
    const parser = new TarParser(writer, { name: descriptor.digest });
    const blob = storedBlob(context, descriptor);
    try {
      const plain = await decompress(bytesOfBlob(blob));
      for await (const chunk of plain.stream) parser.push(chunk);
    } finally {
      await blob.close();
    }
    parser.finish();
    return found;
  } catch (error) {
    if (error instanceof VitrineError) return undefined;
    throw error;
  }
}

// --- what nothing leads to ---

async function checkGarbage(
  context: StoreContext,
  { maxAgeMilliseconds }: CheckOptions,
  images: readonly Image[],
  report: Report,
): Promise<void> {
  const live = new Set(images.flatMap(({ blobs }) => [...blobs]));
  const roots = report.findings.some(({ kind }) => kind === "index") ? [] : distinctRoots(readIndex(context));
  for (const { root } of roots) live.add(root.digest);
  const old = [...listBlobs(context).keys()].filter((digest) => {
    if (live.has(digest)) return false;
    const stat = fs.statSync(blobFile(context, digest), { throwIfNoEntry: false });
    return stat !== undefined && context.now() - stat.mtimeMs > maxAgeMilliseconds;
  });
  if (old.length > 0) {
    const what = `${old.length} blob${old.length === 1 ? "" : "s"}`;
    report.add("garbage", what, "no image leads there", "removed by the collection", () => {});
  }
  if (report.findings.some(({ repaired }) => repaired)) await collect(context);
}
