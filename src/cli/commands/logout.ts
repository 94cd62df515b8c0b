import { printable, VitrineError } from "../../base/mod.ts";
import { credentialHelpers, dropAllCredentials, dropCredentials } from "../../registry/mod.ts";
import { defineCommand } from "../framework/command.ts";
import { authFileOf, parseLoginKey } from "../remote/login-key.ts";

export const command = defineCommand({
  description:
    "Removes what 'login' kept, from every file and helper where it is. Without a registry, Docker Hub is meant.",
  options: {
    all: { type: "boolean", short: "a", help: "every registry in the files" },
    "compat-auth-file": {
      type: "string",
      value: "FILE",
      completion: "file",
      help: "this file alone, one of docker",
    },
    authfile: { type: "string", value: "FILE", completion: "file", help: "this file alone" },
  },
  positionals: [{ name: "REGISTRY", optional: true }],
  async run({ options, positionals, context }) {
    const { environment, uid } = context;
    const helpers = await credentialHelpers({ environment, uid });
    const { registry, key } = parseLoginKey(positionals[0] ?? "docker.io");
    const files = { environment, uid, ...authFileOf(options, key === registry), helpers };
    if (options.all) {
      const keys = await dropAllCredentials(files);
      context.out(keys.map((key) => `Removed login credentials for ${printable(key)}\n`).join(""));
      return 0;
    }
    if (!(await dropCredentials(key, files))) {
      throw new VitrineError("not-found", `not logged in to ${key}`, { code: "not-logged-in", operand: key });
    }
    context.out(`Removed login credentials for ${printable(key)}\n`);
    return 0;
  },
});
