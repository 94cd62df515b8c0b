import { printable, VitrineError, writeAll } from "../../base/mod.ts";
import { findContainer, findVolume } from "../../engine/mod.ts";
import { hostPlatform, parsePlatform } from "../../image/mod.ts";
import type { StoredImage } from "../../store/mod.ts";
import { chosenNames } from "../containers/each.ts";
import { jsonText } from "../format/json.ts";
import { defineCommand } from "../framework/command.ts";
import type { Context } from "../framework/context.ts";
import { failureOf } from "../framework/failure.ts";
import { type RegistryFlags, registryOptions } from "../remote/options.ts";
import { compileTemplate } from "../template/mod.ts";

export const command = defineCommand({
  description: `Prints what is known of containers, images and volumes as a JSON array, or with --format one line each. Of those
    that have the name, the first in this order is meant.

    docker://NAME is read from its registry, oci:DIR, oci-archive:FILE, docker-archive:FILE and dir:DIR from there, where the path has a
    slash or begins with a dot (oci:v1 is an image); no layer is fetched.`,
  options: {
    format: {
      type: "string",
      short: "f",
      value: "FORMAT",
      help: "'json', or a Go template such as '{{.Config.Env}}'",
    },
    latest: { type: "boolean", short: "l", help: "the newest container" },
    platform: { type: "string", value: "OS/ARCH", help: "this platform of an image" },
    size: { type: "boolean", short: "s", help: "add what a container wrote, and its size with its image" },
    type: {
      type: "string",
      short: "t",
      value: "TYPE",
      choices: ["all", "container", "image", "volume"],
      default: "all",
      help: "what to look for",
    },
    config: { type: "boolean", help: "the image's configuration as it is, in place of all that" },
    "no-tags": { type: "boolean", hidden: true, help: "no tags are listed; accepted for compatibility" },
    raw: {
      type: "boolean",
      help: "the image's manifest or index, or with --config its configuration: the very bytes",
    },
    ...registryOptions,
  },
  positionals: [{ name: "NAME", optional: true, variadic: true, completion: "container or image" }],
  examples: [
    { command: "vitrine inspect alpine", does: "everything" },
    { command: "vitrine inspect -f '{{.State.Pid}}' web", does: "one field" },
    { command: "vitrine inspect docker://alpine", does: "an image of a registry" },
  ],
  async run({ options, positionals, given, path, context }) {
    const apply =
      options.format === undefined || options.format === "json" ? undefined : compileTemplate(options.format);
    const type = path[0] === "image" || path[0] === "container" ? path[0] : options.type;
    if (options.config || options.raw) return printDocuments(positionals, { ...options, given }, context);
    const look = await looker(type, { ...options, given }, context);
    const found: unknown[] = [];
    let status = 0;
    const complaints: string[] = [];
    const names = options.latest ? chosenNames(context, [], { latest: true }) : positionals;
    if (names.length === 0) throw nothingNamed();
    for (const name of names) {
      try {
        found.push(await look(name));
      } catch (error) {
        // The others are still shown, as docker and podman do.
        const failure = failureOf(error, context.globals.debug);
        complaints.push(failure.text);
        status = failure.status;
      }
    }
    if (apply === undefined) context.out(`${jsonText(found, 4)}\n`);
    else for (const each of found) context.out(`${apply(each, context.stdoutIsTerminal)}\n`);
    for (const complaint of complaints) context.err(complaint);
    return status;
  },
});

function nothingNamed(): VitrineError {
  return new VitrineError("invalid", "NAME is missing", {
    code: "missing-argument",
    hint: "vitrine inspect NAME...",
  });
}

/** What a registry, an archive or a directory holds; a plain name is none of these, also with a tag or a port (`oci:5000/app`). */
const elsewhere = /^(?:docker:\/\/|(?:oci|oci-archive|docker-archive|dir):(?:[./]|(?!\d+\/)[^:@]*\/))/;

interface LookOptions extends RegistryFlags {
  readonly given: ReadonlySet<string>;
  readonly size: boolean;
  readonly platform: string | undefined;
}

async function findImage(name: string, options: LookOptions, context: Context): Promise<StoredImage> {
  const platform =
    options.platform === undefined ? undefined : parsePlatform(options.platform, hostPlatform());
  if (elsewhere.test(name)) {
    const { inspectElsewhere } = await import("../remote/inspect-place.ts");
    return inspectElsewhere(context, options, options.given, name, platform);
  }
  const { resolveImage } = await import("../images/resolve.ts");
  return resolveImage(await context.store(), name, platform);
}

/** As skopeo inspect has them: `--raw` is the manifest's bytes, `--config` the configuration for people, both its bytes. */
async function printDocuments(
  names: readonly string[],
  options: LookOptions & { readonly config: boolean; readonly raw: boolean },
  context: Context,
): Promise<number> {
  if (names.length === 0) throw nothingNamed();
  for (const name of names) {
    if (options.config) {
      const { configBytes } = await findImage(name, options, context);
      if (options.raw) writeAll(1, configBytes);
      else
        context.out(
          `${printable(jsonText(JSON.parse(Buffer.from(configBytes).toString()), 4), { lines: true })}\n`,
        );
    } else {
      // A plain name is one of the store.
      if (!elsewhere.test(name)) await findImage(name, options, context);
      const { rootDocument } = await import("../remote/inspect-place.ts");
      writeAll(1, (await rootDocument(context, options, options.given, name)).bytes);
    }
  }
  return 0;
}

async function looker(
  type: string,
  options: LookOptions,
  context: Context,
): Promise<(name: string) => Promise<unknown>> {
  const container = async (name: string): Promise<unknown> => {
    const record = findContainer(context.paths(), name);
    const { inspectContainer } = await import("../containers/inspect.ts");
    if (!options.size) return inspectContainer(context.paths(), record);
    const { containerSizes } = await import("../containers/sizes.ts");
    return inspectContainer(context.paths(), record, (await containerSizes(context))(record));
  };
  const image = async (name: string): Promise<unknown> => {
    const { inspectImage } = await import("../images/inspect.ts");
    return inspectImage(await findImage(name, options, context));
  };
  const volume = async (name: string): Promise<unknown> => {
    const { inspectVolume } = await import("../volumes/view.ts");
    return inspectVolume(context.paths(), findVolume(context.paths(), name));
  };
  switch (type) {
    case "container":
      return container;
    case "image":
      return image;
    case "volume":
      return volume;
  }
  return async (name) => {
    if (elsewhere.test(name)) return image(name);
    for (const lookFor of [container, image, volume]) {
      try {
        return await lookFor(name);
      } catch (error) {
        if (!(error instanceof VitrineError) || !missing.test(error.code)) throw error;
      }
    }
    throw nothingFound(name);
  };
}

/** A volume's name may be none that an image can have. */
const missing = /^(?:container|image|volume)-not-found$|^reference-/;

function nothingFound(name: string): VitrineError {
  return new VitrineError("not-found", `there is no container, image or volume ${JSON.stringify(name)}`, {
    code: "nothing-found",
    operand: name,
    hint: "vitrine ps --all, vitrine images and vitrine volume ls list them",
  });
}
