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
  username: { type: "string", value: "USER", section, hidden: true, help: "as skopeo: of --creds" },
  password: { type: "string", value: "PASSWORD", section, hidden: true, help: "as skopeo: of --creds" },
  "no-creds": { type: "boolean", section, help: "ask as nobody, whatever is logged in" },
  "registry-token": {
    type: "string",
    value: "TOKEN",
    section,
    help: "a bearer token in place of credentials",
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
  retry: {
    type: "number",
    value: "N",
    section,
    help: "tries after a failed one, of each request",
    defaultText: "4",
    aliases: ["retry-times"],
  },
  "retry-delay": {
    type: "string",
    value: "DURATION",
    section,
    help: "pause before the second try; doubled for each further one",
    defaultText: "250ms",
  },
} as const satisfies OptionTable;

/** What a command with `registryOptions` was given. */
export interface RegistryFlags {
  readonly creds?: string | undefined;
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  readonly "no-creds"?: boolean;
  readonly "registry-token"?: string | undefined;
  readonly authfile?: string | undefined;
  readonly "cert-dir"?: string | undefined;
  readonly "tls-verify"?: boolean;
  readonly retry?: number | undefined;
  readonly "retry-delay"?: string | undefined;
}

const sides = { src: "The source's registry", dest: "The destination's registry" } as const;
const whoWeAre = ["creds", "username", "password", "no-creds", "registry-token"] as const;
const ofOneSide = [...whoWeAre, "authfile", "cert-dir", "tls-verify"] as const;
type Side = keyof typeof sides;
type OfOneSide = (typeof ofOneSide)[number];

/** `--src-creds` and its like, as skopeo has them: where both ends are registries, each may have its own. */
export function sideOptions<S extends Side>(
  side: S,
): { readonly [Name in OfOneSide as `${S}-${Name}`]: (typeof registryOptions)[Name] } {
  const entries = ofOneSide.map((name) => {
    const { help, ...rest } = registryOptions[name];
    const shortHelp = name === "tls-verify" ? "as --tls-verify" : help;
    return [`${side}-${name}`, { ...rest, help: shortHelp, section: sides[side], defaultText: `--${name}` }];
  });
  return Object.fromEntries(entries);
}

/** The flags for one side: its own, else those for both. What is said of one side's credentials replaces all that was said of both's. */
export function flagsOfSide(
  side: Side,
  options: RegistryFlags & Readonly<Record<string, unknown>>,
  given: ReadonlySet<string>,
): {
  readonly flags: RegistryFlags;
  readonly given: ReadonlySet<string>;
  /** What was said of this side alone. */
  readonly own: readonly string[];
} {
  const own = ofOneSide.filter((name) => given.has(`${side}-${name}`));
  const flags: Record<string, unknown> = { ...options };
  const names = new Set(given);
  if (whoWeAre.some((name) => own.includes(name))) {
    for (const name of whoWeAre) {
      delete flags[name];
      names.delete(name);
    }
  }
  for (const name of own) {
    flags[name] = options[`${side}-${name}`];
    names.add(name);
  }
  return { flags, given: names, own };
}
