import { VitrineError } from "../../base/mod.ts";
import { defineCommand } from "../framework/command.ts";
import { failureOf } from "../framework/failure.ts";
import { recordRemovals, removalLines } from "../images/removals.ts";

/** podman's: an image is missing, an image is in use, anything else. */
const status = { missing: 1, inUse: 2, failed: 125 };

export const command = defineCommand({
  description: `Removes names and images: a name of several is only taken away, the last name, an ID or a digest removes the
    image. Layers go when no other image has them.

    Exit status: 1 when an image is not there, 2 when one is in use, 125 for other errors.`,
  options: {
    all: { type: "boolean", short: "a", help: "remove all images" },
    force: {
      type: "boolean",
      short: "f",
      help: "also images with several names or stopped containers; a missing image is no error",
    },
    ignore: { type: "boolean", short: "i", help: "a missing image is no error" },
    "no-prune": { type: "boolean", hidden: true, help: "accepted for compatibility" },
  },
  positionals: [{ name: "IMAGE", optional: true, variadic: true, completion: "image" }],
  async run({ options, positionals, context }) {
    if (options.all === positionals.length > 0) {
      throw new VitrineError("invalid", options.all ? "--all takes no images" : "no image is named", {
        code: options.all ? "surplus-argument" : "missing-argument",
        hint: "vitrine rmi IMAGE..., or vitrine rmi --all",
      });
    }
    const store = await context.store();
    const targets = options.all ? [...new Set(store.list().map((row) => row.id))] : positionals;
    // By ID every name of an image goes with it.
    const force = options.force || options.all;
    let worst = 0;
    for (const target of targets) {
      try {
        const removals = await store.remove(target, { force });
        recordRemovals(context.paths(), removals);
        context.out(removalLines(removals));
      } catch (error) {
        const missing = error instanceof VitrineError && error.code === "image-not-found";
        if (missing && (options.ignore || options.force || options.all)) continue;
        const failure = failureOf(error, context.globals.debug);
        context.err(failure.text);
        const inUse =
          error instanceof VitrineError &&
          (error.code === "image-in-use" || error.code === "image-has-names");
        worst = Math.max(worst, missing ? status.missing : inUse ? status.inUse : status.failed);
      }
    }
    return worst;
  },
});
