/** Which images and layers containers hold: read from the records that the engine writes. */
import * as fs from "node:fs";
import * as path from "node:path";
import { errnoOf, limits, parseJson, VitrineError } from "../base/mod.ts";
import { type DocumentKind, Field } from "../oci/mod.ts";
import { namesIn } from "./blobs.ts";
import type { StoreContext } from "./context.ts";
import type { ContainerRecord } from "./types.ts";

const kind: DocumentKind = { name: "container.json", code: "container-record-invalid", errorKind: "corrupt" };

/**
 * Every container's record, and one more under the same id for each image that is mounted in it. A container that is
 * being made or removed has none yet or any more.
 */
export function readContainers(context: StoreContext): readonly ContainerRecord[] {
  return namesIn(context.containers).flatMap((id) => {
    const record = readContainer(context, id);
    if (record === undefined) return [];
    const { mountedImages = [], ...own } = record;
    return [own, ...mountedImages.map((image) => ({ id, ...image }))];
  });
}

function readContainer(context: StoreContext, id: string): ContainerRecord | undefined {
  const file = path.join(context.containers, id, "container.json");
  let bytes: Uint8Array;
  try {
    bytes = fs.readFileSync(file);
  } catch (error) {
    if (errnoOf(error) === "ENOENT" || errnoOf(error) === "ENOTDIR") return undefined;
    throw error;
  }
  try {
    const record = Field.root(kind, parseJson(bytes, { maxBytes: limits.runtimeConfigBytes, name: file }));
    const mounted = record.at("mountedImages").optional((field) => field.array(imageOf));
    return { id, ...imageOf(record), ...(mounted === undefined ? {} : { mountedImages: mounted }) };
  } catch (cause) {
    throw new VitrineError("corrupt", `the record of container ${id} is damaged`, {
      code: "container-record-invalid",
      operand: file,
      hint: `remove the container: vitrine rm --force ${id}`,
      cause,
    });
  }
}

function imageOf(record: Field): Omit<ContainerRecord, "id" | "mountedImages"> {
  return {
    imageId: record.at("imageId").optional((field) => field.string()) ?? "",
    manifestDigest: record.at("manifestDigest").optional((field) => field.string()) ?? "",
    layers: record.at("layers").optional((field) => field.strings()) ?? [],
  };
}
