/**
 * Is ROOT/artifacts whole? It is looked at without its lock; where something is found, once more under the lock, so that a command
 * that adds or removes an artifact at the same time is no damage.
 */
import * as fs from "node:fs";
import * as path from "node:path";
import { removeTree, sweepDead, VitrineError, withLock } from "../base/mod.ts";
import { layoutHeaderBytes } from "../image/mod.ts";
import { type Digest, isDigest, isManifestMediaType, splitDigest } from "../oci/mod.ts";
import { type ArtifactEntry, contentOf, readArtifact, readEntries, writeEntries } from "./artifact-layout.ts";
import { hasBlob, listBlobs, namesIn } from "./blobs.ts";
import { checkLock, damageOf, Report } from "./check-report.ts";
import { blobFile } from "./context.ts";
import { documentsIn, salvaged } from "./index-rescue.ts";
import type { CheckOptions, Finding } from "./types.ts";

/** `root` is ROOT. Errors: those of the lock and the disk. */
export async function checkArtifacts(
  root: string,
  options: CheckOptions,
  now: number,
): Promise<readonly Finding[]> {
  const layout = path.join(root, "artifacts");
  if (!fs.existsSync(layout)) return [];
  const lock = new Report(options.repair);
  checkLock(path.join(layout, "lock.db"), "artifacts/lock.db", lock);
  const look = await findings(layout, { ...options, repair: false }, now);
  if (look.length === 0) return lock.findings;
  // What is no lock cannot be taken.
  if (lock.findings.some(({ repaired }) => !repaired)) return [...lock.findings, ...look];
  const found = await withLock(path.join(layout, "lock.db"), () => findings(layout, options, now));
  return [...lock.findings, ...found];
}

async function findings(layout: string, options: CheckOptions, now: number): Promise<readonly Finding[]> {
  const report = new Report(options.repair);
  checkDirectory(layout, report);
  const entries = checkIndex(layout, report);
  const bad = await checkBlobs(layout, options, report);
  const live = checkContent(layout, entries, bad, report);
  checkGarbage(layout, options, live, now, report);
  return report.findings;
}

function checkDirectory(layout: string, report: Report): void {
  const header = path.join(layout, "oci-layout");
  const wanted = Buffer.from(layoutHeaderBytes());
  const isWhole = fs.existsSync(header) && fs.readFileSync(header).equals(wanted);
  if (!isWhole && listBlobs({ layout }).size > 0) {
    report.add("layout", "artifacts/oci-layout", "it is missing or damaged", "it is written anew", () =>
      fs.writeFileSync(header, wanted),
    );
  }
  sweepDead(layout, {
    remove: (tree) => {
      report.add(
        "temporary",
        `artifacts/${path.basename(tree)}`,
        "who made it is gone",
        "it is removed",
        () => removeTree(tree),
      );
    },
  });
}

function checkIndex(layout: string, report: Report): readonly ArtifactEntry[] {
  const file = path.join(layout, "index.json");
  let problem: string;
  try {
    const entries = readEntries(layout);
    if (fs.existsSync(file) || documentsIn({ layout }).size === 0) return entries;
    problem = "it is missing";
  } catch (error) {
    problem = error instanceof Error ? error.message : String(error);
  }
  const rescued = rescue(layout, file);
  const remedy = `rebuilt with ${rescued.length} artifact${rescued.length === 1 ? "" : "s"}`;
  report.add("index", "artifacts/index.json", problem, remedy, () => writeEntries(layout, rescued));
  return rescued;
}

/** Names that stand whole in the damaged file; of the others the manifests, named by their digests. */
function rescue(layout: string, file: string): readonly ArtifactEntry[] {
  const manifests = [...documentsIn({ layout }).values()].filter(({ root }) =>
    isManifestMediaType(root.mediaType),
  );
  const here = new Set(manifests.map(({ root }) => root.digest));
  const named = salvaged(file).flatMap(({ name, root }) =>
    name !== undefined && here.has(root.digest) ? [{ name, root }] : [],
  );
  const known = new Set(named.map(({ root }) => root.digest));
  const loose = manifests.filter(({ root }) => !known.has(root.digest));
  const nameOf = (digest: Digest): string => `localhost/recovered:${splitDigest(digest).hex.slice(0, 12)}`;
  return [...named, ...loose.map(({ root }) => ({ name: nameOf(root.digest), root }))];
}

/** Blobs that are not what their names say. */
async function checkBlobs(
  layout: string,
  { quick }: CheckOptions,
  report: Report,
): Promise<ReadonlySet<Digest>> {
  for (const algorithm of namesIn(path.join(layout, "blobs"))) {
    for (const name of namesIn(path.join(layout, "blobs", algorithm))) {
      if (isDigest(`${algorithm}:${name}`)) continue;
      const file = path.join("blobs", algorithm, name);
      report.add("blob", `artifacts/${file}`, "its name is no digest", "it is removed", () =>
        removeTree(path.join(layout, file)),
      );
    }
  }
  const bad = new Set<Digest>();
  for (const [digest, size] of quick ? [] : listBlobs({ layout })) {
    const file = blobFile({ layout }, digest);
    const problem = await damageOf(file, { mediaType: "", digest, size });
    if (problem === undefined) continue;
    bad.add(digest);
    report.add("blob", `artifacts/${digest}`, problem, "it is removed", () =>
      fs.rmSync(file, { force: true }),
    );
  }
  return bad;
}

/** Artifacts of which something is missing go. Returns what the others need. */
function checkContent(
  layout: string,
  entries: readonly ArtifactEntry[],
  bad: ReadonlySet<Digest>,
  report: Report,
): ReadonlySet<Digest> {
  const live = new Set<Digest>();
  for (const entry of entries) {
    const missing = missingOf(layout, entry, bad, live);
    if (missing.length === 0) continue;
    report.add(
      "artifact",
      entry.name,
      `${missing.length === 1 ? "a blob is" : `${missing.length} blobs are`} missing: ${missing[0]}`,
      `it is removed: vitrine artifact pull ${entry.name} brings back what came from a registry`,
      () =>
        writeEntries(
          layout,
          readEntries(layout).filter(({ name }) => name !== entry.name),
        ),
    );
  }
  return live;
}

function missingOf(
  layout: string,
  entry: ArtifactEntry,
  bad: ReadonlySet<Digest>,
  live: Set<Digest>,
): readonly Digest[] {
  live.add(entry.root.digest);
  try {
    const content = contentOf(entry, readArtifact(layout, entry));
    for (const { digest } of content) live.add(digest);
    const missing = content.filter((blob) => !hasBlob({ layout }, blob) || bad.has(blob.digest));
    return [...new Set(missing.map(({ digest }) => digest))];
  } catch (error) {
    if (error instanceof VitrineError && error.code === "artifact-damaged") return [entry.root.digest];
    throw error;
  }
}

/** What an artifact had that goes now is left for the next prune. */
function checkGarbage(
  layout: string,
  { maxAgeMilliseconds }: CheckOptions,
  live: ReadonlySet<Digest>,
  now: number,
  report: Report,
): void {
  const old = [...listBlobs({ layout }).keys()].filter((digest) => {
    const stat = fs.statSync(blobFile({ layout }, digest), { throwIfNoEntry: false });
    return !live.has(digest) && stat !== undefined && now - stat.mtimeMs > maxAgeMilliseconds;
  });
  if (old.length === 0) return;
  const what = `${old.length} blob${old.length === 1 ? "" : "s"} of artifacts`;
  report.add("garbage", what, "no artifact leads there", "removed", () => {
    for (const digest of old) fs.rmSync(blobFile({ layout }, digest), { force: true });
  });
}
