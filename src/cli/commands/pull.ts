import { isUnanswered } from "../../api/mod.ts";
import { printable, VitrineError, writeFileAtomically } from "../../base/mod.ts";
import { formatReference, hostPlatform, parsePlatform } from "../../image/mod.ts";
import type { Store } from "../../store/mod.ts";
import { defineCommand } from "../framework/command.ts";
import { digestFile } from "../framework/flags.ts";
import { registryOptions, withClient } from "../remote/client.ts";
import { type Pulled, pullByName, pullReference, type WatchedPullWishes } from "../remote/pull-image.ts";

export const command = defineCommand({
  description: `Fetches images from registries into the store and prints their IDs. Every byte is verified; layers are unpacked while
    they come in. What is here already is not fetched again, and a pull that was interrupted goes on where it stopped.

    A name without a registry means what registries.conf says, else Docker Hub. Of an image for several platforms the one for this
    machine is pulled.`,
  options: {
    "all-tags": { type: "boolean", short: "a", help: "all tags of the repository" },
    platform: { type: "string", value: "OS/ARCH", help: "this platform of the image" },
    os: { type: "string", value: "OS", help: "in place of this machine's, as in --platform" },
    arch: { type: "string", value: "ARCH", help: "in place of this machine's, as in --platform" },
    variant: { type: "string", value: "VARIANT", help: "of the architecture, as in --platform" },
    "all-platforms": { type: "boolean", help: "all platforms of the image" },
    digestfile: { ...digestFile, help: "write the digest of the image here, as the registry has it" },
    policy: {
      type: "string",
      value: "POLICY",
      choices: ["always", "missing", "newer", "never"],
      default: "always",
      help: "when to ask the registry",
    },
    quiet: { type: "boolean", short: "q", help: "show no progress" },
    "remove-signatures": { type: "boolean", hidden: true, help: "accepted for compatibility" },
    "disable-content-trust": { type: "boolean", hidden: true, help: "accepted for compatibility" },
    ...registryOptions,
  },
  positionals: [{ name: "IMAGE", variadic: true }],
  examples: [
    { command: "vitrine pull alpine", does: "the newest Alpine, for this machine" },
    { command: "vitrine pull --platform linux/arm64 debian:12", does: "for another machine" },
    { command: "vitrine pull localhost:5000/app@sha256:…", does: "exactly this image" },
  ],
  async run({ options, positionals, given, context }) {
    const wishes = readWishes(options);
    const asks = options.policy !== "missing" && options.policy !== "never";
    // Nothing was told yet, which a second start would tell again.
    const beforeLongWork = asks && positionals.length === 1 ? context.restart : undefined;
    return withClient(context, options, given, async (client) => {
      // The registry answers while the store is opened.
      if (asks && !options["all-tags"] && !wishes.allPlatforms) await client.ahead(nameOf(positionals[0]!));
      const store = await context.store();
      const pulled: Pulled[] = [];
      for (const argument of positionals) {
        const text = nameOf(argument);
        if (!asks) {
          const id =
            options.policy === "never"
              ? store.resolve(text, wishes.platform).id
              : idUnlessMissing(store, text, wishes);
          if (id !== undefined) {
            context.out(`${id}\n`);
            continue;
          }
        }
        if (!options["all-tags"]) {
          const one = await pullByName(text, client, store, context, { ...wishes, beforeLongWork }).catch(
            (error: unknown) => {
              // As podman; but what came damaged, or a full disk, is no reason to go on with what is here.
              if (options.policy !== "newer" || !isUnanswered(error)) throw error;
              const id = idUnlessMissing(store, text, wishes);
              if (id === undefined) throw error;
              context.log("warn", `${printable(text)} is taken as it is here: ${error.message}`);
              context.out(`${id}\n`);
              return undefined;
            },
          );
          if (one !== undefined) pulled.push(one);
          continue;
        }
        const [reference] = await client.candidates(text);
        const repository = await client.repository(reference!);
        for (const tag of await repository.tags()) {
          const { domain, path } = reference!;
          pulled.push(await pullReference({ domain, path, tag }, client, store, context, wishes));
        }
      }
      for (const { reference, fresh, ids } of pulled) {
        if (!fresh && !options.quiet) context.err(`${printable(formatReference(reference))} is up to date\n`);
        context.out(ids.map((id) => `${id}\n`).join(""));
      }
      if (options.digestfile !== undefined) {
        writeFileAtomically(options.digestfile, pulled.map(({ digest }) => digest).join("\n"));
      }
      return 0;
    });
  },
});

function nameOf(argument: string): string {
  return argument.replace(/^docker:\/\//, "");
}

/** Undefined where it is not here. */
function idUnlessMissing(store: Store, text: string, { platform }: WatchedPullWishes): string | undefined {
  try {
    return store.resolve(text, platform).id;
  } catch (error) {
    const missing =
      error instanceof VitrineError && ["image-not-found", "platform-not-found"].includes(error.code);
    if (missing) return undefined;
    throw error;
  }
}

function readWishes(options: {
  readonly platform: string | undefined;
  readonly os: string | undefined;
  readonly arch: string | undefined;
  readonly variant: string | undefined;
  readonly "all-platforms": boolean;
  readonly quiet: boolean;
}): WatchedPullWishes {
  const allPlatforms = options["all-platforms"];
  const parts = (["os", "arch", "variant"] as const).filter((name) => options[name] !== undefined);
  const [one, other] = [
    ...(options.platform === undefined ? [] : ["platform"]),
    ...parts.slice(0, 1),
    ...(allPlatforms ? ["all-platforms"] : []),
  ];
  if (other !== undefined) {
    throw new VitrineError("invalid", `--${one} and --${other} exclude each other`, {
      code: "flag-conflict",
      operand: `--${other}`,
    });
  }
  const host = hostPlatform();
  const { os = host.os, arch = host.architecture, variant } = options;
  const asked = parts.length === 0 ? options.platform : [os, arch, variant].filter(Boolean).join("/");
  return {
    allPlatforms,
    quiet: options.quiet,
    ...(asked !== undefined && {
      platform: parsePlatform(asked, host),
      strict: true,
    }),
  };
}
