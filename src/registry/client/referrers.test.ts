import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { VitrineError } from "../../base/mod.ts";
import { type Digest, digestOf, encodeManifest, mediaTypes, parseManifestOrIndex } from "../../oci/mod.ts";
import { addReferrer, removeReferrer } from "./referrers.ts";
import type { OutgoingManifest, Repository } from "./types.ts";

const subject = { mediaType: mediaTypes.manifest, digest: digestOf(Buffer.from("subject")), size: 7 };
const config = {
  mediaType: "application/vnd.oci.empty.v1+json",
  digest: digestOf(Buffer.from("{}")),
  size: 2,
};

function artifact(artifactType: string): OutgoingManifest {
  const manifest = {
    schemaVersion: 2,
    mediaType: mediaTypes.manifest,
    artifactType,
    config,
    layers: [],
    subject,
  };
  const bytes = encodeManifest(manifest as Parameters<typeof encodeManifest>[0]);
  return { bytes, mediaType: mediaTypes.manifest, digest: digestOf(bytes) };
}

/** A registry that knows tags alone. `onPut` hears of each list that was put. */
function registry(onPut: (lists: Uint8Array[]) => void = () => undefined) {
  const lists: Uint8Array[] = [];
  const repository = {
    getManifest: async () => {
      const bytes = lists.at(-1);
      if (bytes === undefined) throw new VitrineError("not-found", "none", { code: "manifest-unknown" });
      return { parsed: parseManifestOrIndex(bytes, mediaTypes.index) };
    },
    putManifest: async ({ bytes }: OutgoingManifest) => {
      lists.push(bytes);
      onPut(lists);
    },
  } as unknown as Repository;
  const digests = (): readonly Digest[] => {
    const parsed = parseManifestOrIndex(lists.at(-1)!, mediaTypes.index);
    return parsed.kind === "index" ? parsed.index.manifests.map(({ digest }) => digest) : [];
  };
  return { repository, digests, lists };
}

describe("the referrers tag", () => {
  it("gets what another overwrote again, and loses what was deleted", async () => {
    const [one, two, three] = [artifact("a/one"), artifact("a/two"), artifact("a/three")];
    const other = registry();
    await addReferrer(other.repository, two);
    const stale = other.lists.at(-1)!;
    let overwrites = 2;
    const { repository, digests } = registry((lists) => {
      if (overwrites-- > 0) lists.push(stale);
    });
    await addReferrer(repository, one);
    assert.deepEqual(digests(), [two.digest, one.digest]);
    await addReferrer(repository, three);
    await removeReferrer(repository, subject.digest, one.digest);
    assert.deepEqual(digests(), [two.digest, three.digest]);
  });

  it("is not written where nothing changes", async () => {
    const { repository, lists } = registry();
    await removeReferrer(repository, subject.digest, artifact("a/one").digest);
    assert.equal(lists.length, 0);
    await addReferrer(repository, artifact("a/one"));
    await addReferrer(repository, artifact("a/one"));
    assert.equal(lists.length, 1);
  });
});
