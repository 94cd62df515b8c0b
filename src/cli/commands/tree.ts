import { printable } from "../../base/mod.ts";
import type { Store, StoredImage } from "../../store/mod.ts";
import { humanSize } from "../format/human.ts";
import { jsonText } from "../format/json.ts";
import { defineCommand } from "../framework/command.ts";
import { shortId } from "../images/names.ts";
import { resolveImage } from "../images/resolve.ts";
import { allImages, type NamedImage, sharersOf } from "../images/sharing.ts";

export const command = defineCommand({
  description: `Shows the layers of an image from the lowest to the top, with the size of each and the other images that have it as
    well. With --whatrequires it shows the images that are built on this one.`,
  options: {
    whatrequires: { type: "boolean", help: "show the images that have all layers of this one" },
    format: { type: "string", value: "FORMAT", choices: ["json"], help: "'json'" },
  },
  positionals: [{ name: "IMAGE", completion: "image" }],
  async run({ options, positionals, context }) {
    const store = await context.store();
    const image = await resolveImage(store, positionals[0]!);
    const all = allImages(store);
    if (options.whatrequires) {
      const built = builtOn(image, all);
      if (options.format === "json") {
        context.out(
          `${jsonText(
            built.map(({ label, image: { id } }) => ({ Name: label, Id: id })),
            4,
          )}\n`,
        );
      } else {
        context.out(heading(image) + branches(built.map((other) => describeBuilt(other, image))));
      }
      return;
    }
    const layers = describeLayers(store, image, all);
    if (options.format === "json") {
      context.out(`${jsonText({ Id: image.id, Names: image.names, Size: image.size, Layers: layers }, 4)}\n`);
      return;
    }
    const shared = layers.filter(({ SharedWith }) => SharedWith.length > 0).length;
    const summary = `Layers:   ${layers.length}${shared > 0 ? `, ${shared} shared with other images` : ""}\n`;
    context.out(heading(image) + summary + branches(layers.map(layerLine)));
  },
});

interface TreeLayer {
  readonly DiffID: string;
  readonly Digest: string;
  /** Compressed bytes. */
  readonly Size: number;
  /** Bytes of the files when unpacked, null when not known yet. */
  readonly UnpackedSize: number | null;
  readonly CreatedBy: string;
  readonly SharedWith: readonly string[];
}

function describeLayers(store: Store, image: StoredImage, all: readonly NamedImage[]): readonly TreeLayer[] {
  const sharers = sharersOf(image, all);
  const steps = (image.config.history ?? []).filter((step) => step.empty_layer !== true);
  return image.layers.map(({ descriptor, diffID }, index) => ({
    DiffID: diffID,
    Digest: descriptor.digest,
    Size: descriptor.size,
    UnpackedSize: store.layerRow(image, index)?.fileBytes ?? null,
    CreatedBy: steps.length === image.layers.length ? (steps[index]!.created_by ?? "") : "",
    SharedWith: sharers[index]!,
  }));
}

function heading(image: StoredImage): string {
  const names = image.names.map((name) => printable(name)).join(", ");
  return `Image ID: ${shortId(image.id)}\nTags:     ${names === "" ? "<none>" : names}\nSize:     ${humanSize(image.size)}\n`;
}

function layerLine(layer: TreeLayer): string {
  const unpacked = layer.UnpackedSize === null ? "" : ` (${humanSize(layer.UnpackedSize)} unpacked)`;
  const shared =
    layer.SharedWith.length === 0 ? "" : `  shared with ${printable(layer.SharedWith.join(", "))}`;
  const by = layer.CreatedBy === "" ? "" : `  ${shorten(printable(layer.CreatedBy))}`;
  return `${shortId(layer.DiffID)}  ${humanSize(layer.Size)}${unpacked}${by}${shared}`;
}

function shorten(text: string): string {
  return text.length <= 60 ? text : `${text.slice(0, 59)}…`;
}

function branches(lines: readonly string[]): string {
  return lines.map((line, index) => `${index === lines.length - 1 ? "└── " : "├── "}${line}\n`).join("");
}

/** Images whose lowest layers are exactly those of `image`. */
function builtOn(image: StoredImage, all: readonly NamedImage[]): readonly NamedImage[] {
  return all.filter(
    (other) =>
      other.image.id !== image.id &&
      image.layers.length > 0 &&
      image.layers.every(({ diffID }, index) => other.image.layers[index]?.diffID === diffID),
  );
}

function describeBuilt(other: NamedImage, base: StoredImage): string {
  const more = other.image.layers.length - base.layers.length;
  return `${printable(other.label)}  ${shortId(other.image.id)}  ${more} more ${more === 1 ? "layer" : "layers"}`;
}
