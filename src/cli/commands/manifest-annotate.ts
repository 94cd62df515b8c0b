import { VitrineError } from "../../base/mod.ts";
import { compact, type Descriptor, parseDigest } from "../../oci/mod.ts";
import { defineCommand } from "../framework/command.ts";
import { newName } from "../images/names.ts";
import { parseAnnotationFlags } from "../remote/artifact.ts";
import { readStoredIndex, storeIndex } from "../remote/index-edit.ts";

export const command = defineCommand({
  description:
    "Changes what an index of the store says of one of its images, or with --index of itself; prints the new digest.",
  options: {
    index: { type: "boolean", help: "annotate the index itself" },
    annotation: { type: "strings", value: "KEY=VALUE", help: "annotation; without a value it is taken away" },
    os: { type: "string", value: "OS", help: "operating system of the image" },
    arch: { type: "string", value: "ARCH", help: "architecture of the image" },
    variant: { type: "string", value: "VARIANT", help: "variant of the architecture" },
    "os-version": { type: "string", value: "VERSION", help: "version of the operating system" },
    "os-features": { type: "strings", value: "FEATURE", help: "feature that the operating system must have" },
  },
  positionals: [
    { name: "NAME", completion: "image" },
    { name: "DIGEST", optional: true },
  ],
  async run({ options, positionals, context }) {
    const name = newName(positionals[0]!);
    const store = await context.store();
    const { index, source } = await readStoredIndex(store, name);
    const changes = parseAnnotationFlags(options.annotation);
    if (options.index) {
      const changed = { ...index, annotations: merged(index.annotations, changes) };
      context.out(`${await storeIndex(store, name, compact(changed), [source])}\n`);
      return 0;
    }
    const digest = parseDigest(positionals[1] ?? "", "DIGEST");
    if (!index.manifests.some((entry) => entry.digest === digest)) {
      throw new VitrineError("not-found", `${name} has no ${digest}`, {
        code: "manifest-unknown",
        operand: digest,
        hint: `vitrine manifest inspect ${name}`,
      });
    }
    const change = (entry: Descriptor): Descriptor => {
      if (entry.digest !== digest) return entry;
      const { os, arch, variant } = options;
      const before = entry.platform ?? { os: "linux", architecture: "unknown" };
      const platform = compact({
        ...before,
        os: os ?? before.os,
        architecture: arch ?? before.architecture,
        variant: variant ?? before.variant,
        "os.version": options["os-version"] ?? before["os.version"],
        "os.features": options["os-features"].length > 0 ? options["os-features"] : before["os.features"],
      });
      return compact({ ...entry, platform, annotations: merged(entry.annotations, changes) });
    };
    const changed = { ...index, manifests: index.manifests.map(change) };
    context.out(`${await storeIndex(store, name, changed, [source])}\n`);
    return 0;
  },
});

function merged(
  before: Readonly<Record<string, string>> | undefined,
  changes: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> | undefined {
  const all = Object.entries({ ...before, ...changes }).filter(([, value]) => value !== "");
  return all.length === 0 ? undefined : Object.fromEntries(all);
}
