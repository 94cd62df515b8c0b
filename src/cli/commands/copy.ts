import { printable, VitrineError, writeFileAtomically } from "../../base/mod.ts";
import type { RegistryClient } from "../../registry/mod.ts";
import { defineCommand } from "../framework/command.ts";
import type { Context } from "../framework/context.ts";
import { flagsOfSide, registryOptions, sideOptions, withClient } from "../remote/client.ts";
import { openPlace, parsePlace } from "../remote/places.ts";
import { sendImage, sendOptions } from "../remote/send.ts";
import { withWorld } from "../remote/world.ts";

function withOther<T>(
  shared: RegistryClient | undefined,
  context: Context,
  { flags, given }: ReturnType<typeof flagsOfSide>,
  body: (client: RegistryClient) => Promise<T>,
): Promise<T> {
  return shared === undefined ? withClient(context, flags, given, body) : body(shared);
}

/** skopeo's switches of dir: are formats here. Error: `flag-conflict`. */
function compressionOf(options: {
  readonly "compression-format": string | undefined;
  readonly "dest-compress": boolean;
  readonly "dest-decompress": boolean;
}): string | undefined {
  const said = (["dest-compress", "dest-decompress"] as const).filter((name) => options[name]);
  if (said.length > 1) {
    throw new VitrineError("invalid", "--dest-compress and --dest-decompress exclude each other", {
      code: "flag-conflict",
      operand: "--dest-decompress",
    });
  }
  return options["compression-format"] ?? (said[0] === undefined ? undefined : formats[said[0]]);
}

const formats = { "dest-compress": "gzip", "dest-decompress": "none" } as const;

export const command = defineCommand({
  description: `Copies an image between any two places, verified on the way; the store is only used where a place is in it.

    Places: docker://NAME (a registry), vitrine:NAME (the store), oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:NAME],
    dir:DIR. Of an image with several platforms the one for this machine is copied; --all copies it as it is.

    Where both ends are registries, --src-… and --dest-… say for one of them what --creds and its like say for both.`,
  options: {
    ...sendOptions,
    "additional-tag": {
      type: "strings",
      value: "TAG",
      help: "a further tag in the destination's repository",
    },
    "multi-arch": {
      type: "string",
      value: "WHICH",
      choices: ["system", "all"],
      hidden: true,
      help: "all: as --all; system: the platform of this machine",
    },
    "remove-signatures": { type: "boolean", hidden: true, help: "accepted for compatibility" },
    "dest-compress": { type: "boolean", hidden: true, help: "as --compression-format gzip" },
    "dest-decompress": { type: "boolean", hidden: true, help: "as --compression-format none" },
    "dest-oci-accept-uncompressed-layers": {
      type: "boolean",
      hidden: true,
      help: "always so; accepted for compatibility",
    },
    "dest-precompute-digests": {
      type: "boolean",
      hidden: true,
      help: "always so; accepted for compatibility",
    },
    "image-parallel-copies": { type: "number", hidden: true, help: "accepted for compatibility" },
    ...registryOptions,
    ...sideOptions("src"),
    ...sideOptions("dest"),
  },
  positionals: [{ name: "SOURCE" }, { name: "DESTINATION" }],
  examples: [
    { command: "vitrine copy docker://alpine oci:./layout:3", does: "from a registry into a layout" },
    {
      command: "vitrine copy --all docker://debian:12 docker://localhost:5000/debian:12",
      does: "from registry to registry, all platforms",
    },
    { command: "vitrine copy docker-archive:app.tar vitrine:app", does: "from an archive into the store" },
  ],
  async run({ options, positionals, given, context }) {
    const from = parsePlace(positionals[0]!);
    const to = parsePlace(positionals[1]!);
    const [source, target] = [flagsOfSide("src", options, given), flagsOfSide("dest", options, given)];
    const same = source.own.length === 0 && target.own.length === 0;
    const send = {
      ...options,
      all: options.all || options["multi-arch"] === "all",
      "compression-format": compressionOf(options),
    };
    return withClient(context, source.flags, source.given, (reader) =>
      withOther(same ? reader : undefined, context, target, (writer) =>
        withWorld(context, writer, async (world) => {
          const opened = await openPlace(from, { ...world, client: reader });
          try {
            const digest = await sendImage(opened, to, world, send, { moreTags: options["additional-tag"] });
            if (options.digestfile !== undefined) writeFileAtomically(options.digestfile, digest);
            if (!options.quiet) context.err(`Copied to ${printable(positionals[1]!)}\n`);
            context.out(`${digest}\n`);
          } finally {
            await opened.close();
          }
          return 0;
        }),
      ),
    );
  },
});
