/** TLS of a registry: the machine's roots, and what certs.d has for it (containers-certs.d(5)). */
import * as fs from "node:fs";
import * as path from "node:path";
import { errnoOf, VitrineError } from "../../base/mod.ts";
import type { Environment } from "./types.ts";

export interface Certificates {
  /** PEM; undefined leaves the runtime's own roots. */
  readonly authorities: readonly string[] | undefined;
  /** PEM pairs for a registry that asks who we are. */
  readonly clients: readonly { readonly certificate: string; readonly key: string }[];
}

/** Where distributions keep their roots; the first that is there. */
const bundles = [
  "/etc/ssl/certs/ca-certificates.crt",
  "/etc/pki/tls/certs/ca-bundle.crt",
  "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
  "/etc/ssl/ca-bundle.pem",
  "/etc/ssl/cert.pem",
];

export interface CertificateOptions {
  readonly environment: Environment;
  /** Instead of certs.d. */
  readonly directory?: string;
  /** `/etc`, or a test's own. */
  readonly systemDirectory: string;
}

/**
 * Certificates for `host` (with its port where it has one). *.crt are further roots, *.cert with the *.key of the same name
 * a client's. Errors: `certificate-unreadable`, `certificate-key-missing`.
 */
export function loadCertificates(host: string, options: CertificateOptions): Certificates {
  const own = options.directory ?? findDirectory(host, options);
  const files = own === undefined ? [] : namesIn(own).map((name) => path.join(own, name));
  const roots = files.filter((file) => file.endsWith(".crt")).map(readPem);
  const clients = files
    .filter((file) => file.endsWith(".cert"))
    .map((file) => {
      const key = `${file.slice(0, -".cert".length)}.key`;
      if (!files.includes(key)) throw keyMissing(file, key);
      return { certificate: readPem(file), key: readPem(key) };
    });
  const system = systemRoots(options.environment);
  if (roots.length === 0) return { authorities: system === undefined ? undefined : [system], clients };
  // Naming authorities replaces the runtime's own: they are added to what the machine trusts, as in docker and podman.
  const base = system === undefined ? process.getBuiltinModule("node:tls").rootCertificates : [system];
  return { authorities: [...base, ...roots], clients };
}

/** The first of the places that has a directory for the registry. */
function findDirectory(host: string, options: CertificateOptions): string | undefined {
  const { HOME, XDG_CONFIG_HOME } = options.environment;
  const config = XDG_CONFIG_HOME || (HOME ? path.join(HOME, ".config") : undefined);
  const places = [
    ...(config === undefined ? [] : [path.join(config, "containers/certs.d")]),
    path.join(options.systemDirectory, "containers/certs.d"),
    path.join(options.systemDirectory, "docker/certs.d"),
  ];
  return places
    .map((place) => path.join(place, host))
    .find((directory) => fs.statSync(directory, { throwIfNoEntry: false })?.isDirectory() === true);
}

function systemRoots(environment: Environment): string | undefined {
  const chosen = environment["SSL_CERT_FILE"];
  if (chosen !== undefined && chosen !== "") return readPem(chosen);
  const bundle = bundles.find((file) => fs.existsSync(file));
  return bundle === undefined ? undefined : readPem(bundle);
}

function namesIn(directory: string): readonly string[] {
  try {
    return fs.readdirSync(directory).sort();
  } catch (error) {
    throw unreadable(directory, error);
  }
}

function readPem(file: string): string {
  try {
    return fs.readFileSync(file, "utf8");
  } catch (error) {
    throw unreadable(file, error);
  }
}

function unreadable(file: string, cause: unknown): VitrineError {
  return new VitrineError("denied", `cannot read ${file}: ${errnoOf(cause) ?? "unknown error"}`, {
    code: "certificate-unreadable",
    operand: file,
    hint: "it is configured for the registry: check its mode, or remove it",
    cause,
  });
}

function keyMissing(certificate: string, key: string): VitrineError {
  return new VitrineError("invalid", `${certificate} has no key ${path.basename(key)} beside it`, {
    code: "certificate-key-missing",
    operand: certificate,
    hint: "a client certificate is a pair NAME.cert and NAME.key; authorities are NAME.crt",
  });
}
