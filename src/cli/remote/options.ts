/** The options that every command with a registry has. */
import type { OptionTable } from "../framework/command.ts";

const section = "Registry";

export const registryOptions = {
  creds: {
    type: "string",
    value: "USER[:PASSWORD]",
    section,
    help: "credentials for this command alone; without a password it is asked for",
  },
  authfile: {
    type: "string",
    value: "FILE",
    completion: "file",
    section,
    help: "auth.json or config.json with credentials",
    defaultText: "$REGISTRY_AUTH_FILE, podman's, docker's",
  },
  "cert-dir": {
    type: "string",
    value: "DIR",
    completion: "directory",
    section,
    help: "authorities (*.crt) and client certificates (*.cert, *.key) instead of certs.d",
  },
  "tls-verify": {
    type: "boolean",
    section,
    help: "require TLS with a valid certificate; =false allows plain HTTP",
    defaultText: "registries.conf; localhost may be plain",
  },
} as const satisfies OptionTable;

/** What a command with `registryOptions` was given. */
export interface RegistryFlags {
  readonly creds?: string | undefined;
  readonly authfile?: string | undefined;
  readonly "cert-dir"?: string | undefined;
  readonly "tls-verify"?: boolean;
}
