import { printable, writeAll } from "../../base/mod.ts";
import { jsonText } from "../format/json.ts";
import { defineCommand } from "../framework/command.ts";
import { rootDocument } from "../remote/inspect-place.ts";
import { registryOptions } from "../remote/options.ts";

export const command = defineCommand({
  description: `Prints the manifest or index of an image as it is, in the store or else in its registry. A transport such as docker:// or
    oci: names the place.`,
  options: {
    raw: { type: "boolean", help: "the very bytes that the digest is over" },
    digest: { type: "boolean", help: "print the digest instead" },
    ...registryOptions,
  },
  positionals: [{ name: "IMAGE", completion: "image" }],
  examples: [{ command: "vitrine manifest inspect docker://alpine", does: "which platforms Alpine has" }],
  async run({ options, positionals, given, context }) {
    const { root, bytes } = await rootDocument(context, options, given, positionals[0]!);
    if (options.digest) context.out(`${root.digest}\n`);
    else if (options.raw) writeAll(1, bytes);
    else {
      const value: unknown = JSON.parse(Buffer.from(bytes).toString("utf8"));
      context.out(`${printable(jsonText(value, 4), { lines: true })}\n`);
    }
  },
});
