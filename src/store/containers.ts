/** Which images and layers containers hold: read from the records that the engine writes. */
import * as fs from "node:fs";
import * as path from "node:path";
import { errnoOf, limits, parseJson, VitrineError } from "../base/mod.ts";
import { type DocumentKind, Field } from "../oci/mod.ts";
import { namesIn } from "./blobs.ts";
import type { StoreContext } from "./context.ts";
import type { ContainerRecord } from "./types.ts";

const kind: DocumentKind = { name: "container.json", code: "container-record-invalid", errorKind: "corrupt" };

/** Every container's record. One that is being made or removed has none yet or any more. */
export function readContainers(context: StoreContext): readonly ContainerRecord[] {
  return namesIn(context.containers).flatMap((id) => readContainer(context, id) ?? []);
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
    return {
      id,
      imageId: record.at("imageId").optional((field) => field.string()) ?? "",
      manifestDigest: record.at("manifestDigest").optional((field) => field.string()) ?? "",
      layers: record.at("layers").optional((field) => field.strings()) ?? [],
    };
  } catch (cause) {
    throw new VitrineError("corrupt", `the record of container ${id} is damaged`, {
      code: "container-record-invalid",
      operand: file,
      hint: `remove the container: vitrine rm --force ${id}`,
      cause,
    });
  }
}
