/** What can go wrong between us and a registry, said so that a person can act on it. */
import { collect, errnoOf, formatBytes, limits, quoted, VitrineError } from "../../base/mod.ts";
import { parseErrors, type WireError } from "../protocol/mod.ts";
import type { HttpResponse } from "./http.ts";

/** Errors after which the same request may succeed: the way is at fault, not the question. */
const transient: ReadonlySet<string> = new Set([
  "registry-connection-broken",
  "registry-timeout",
  "registry-name-pending",
]);

export function isTransient(error: unknown): boolean {
  return error instanceof VitrineError && transient.has(error.code);
}

/** An error of a socket or of the HTTP parser as one of ours. */
export function connectionError(error: unknown, url: URL): VitrineError {
  if (error instanceof VitrineError) return error;
  const code = codeOf(error);
  const what = error instanceof Error ? error.message : String(error);
  const host = url.host;
  const make = (kind: VitrineError["kind"], id: string, message: string, hint?: string): VitrineError =>
    new VitrineError(kind, message, { code: id, operand: host, hint, cause: error });

  if (code.startsWith("HPE_")) {
    return make(
      "unavailable",
      "registry-malformed-response",
      `${host} does not answer as HTTP asks: ${quoted(what)}`,
      "is this the address of a registry?",
    );
  }
  if (wantsCertificate.test(what) || wantsCertificate.test(code)) {
    return make(
      "denied",
      "registry-client-certificate",
      `${host} wants a client certificate, or another one`,
      `put it into ~/.config/containers/certs.d/${host}/ as client.cert and client.key, or name its directory with --cert-dir`,
    );
  }
  if (notTls.test(code) || notTls.test(what)) {
    return make(
      "unavailable",
      "registry-not-tls",
      `${host} does not speak TLS`,
      `if it is a registry without TLS that you trust: --tls-verify=false, or insecure = true in registries.conf`,
    );
  }
  if (certificateProblem.test(code)) {
    return make(
      "denied",
      "registry-tls",
      `the certificate of ${host} cannot be trusted: ${what}`,
      `put its authority into certs.d/${host}/ca.crt (below /etc/containers or ~/.config/containers), or use --tls-verify=false`,
    );
  }
  switch (code) {
    case "ENOTFOUND":
      return make(
        "unavailable",
        "registry-unreachable",
        `there is no host ${url.hostname}`,
        "check the name of the registry, and the network",
      );
    case "EAI_AGAIN":
      return make("unavailable", "registry-name-pending", `the name ${url.hostname} cannot be looked up now`);
    case "ECONNREFUSED":
    case "EHOSTUNREACH":
    case "ENETUNREACH":
    case "EACCES":
      return make(
        "unavailable",
        "registry-unreachable",
        `cannot connect to ${host}: ${code}`,
        "is it running?",
      );
    default:
      return make("unavailable", "registry-connection-broken", `the connection to ${host} broke: ${what}`);
  }
}

const notTls = /EPROTO|WRONG_VERSION_NUMBER|packet length too long|PACKET_LENGTH_TOO_LONG|HTTP_REQUEST/i;
/** The other side's alert (RFC 8446 section 6.2), by the names that OpenSSL and BoringSSL give it. */
const wantsCertificate = /alert[_ ](?:bad[_ ]certificate|certificate[_ ]required|unknown[_ ]ca)/i;
const certificateProblem =
  /^(?:ERR_TLS_|CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|HOSTNAME_MISMATCH|ERR_SSL_)/;

function codeOf(error: unknown): string {
  const errno = errnoOf(error);
  if (errno !== undefined) return errno;
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
}

export function timeoutError(url: URL, what: string): VitrineError {
  return new VitrineError("unavailable", `${url.host} ${what}`, {
    code: "registry-timeout",
    operand: url.host,
  });
}

/** No more of an error's body is read than this. */
const bodyBytes = 64 * 1024;

/**
 * An unexpected response as an error; its body is read. `operand` is what was asked for.
 * Codes: `proxy-unauthorized`, `registry-unauthorized`, `registry-denied`, `manifest-unknown`, `blob-unknown`, `registry-not-found`,
 * `registry-rate-limited`, `registry-unavailable`, `registry-unsupported-operation`, `registry-refused`.
 */
export async function responseError(
  response: HttpResponse,
  operand: string,
  unknown: "manifest-unknown" | "blob-unknown" | "registry-not-found" = "registry-not-found",
): Promise<VitrineError> {
  let errors: readonly WireError[] = [];
  try {
    errors = parseErrors(await collect(response.body, bodyBytes));
  } catch {
    await response.discard();
  }
  const { status } = response;
  const host = response.url.host;
  const said = errors
    .slice(0, 3)
    .map(({ code, message }) => (message === undefined || message === "" ? code : `${message} (${code})`))
    .join("; ");
  const tail = said === "" ? `status ${status}` : quoted(said, 400).slice(1, -1);
  const make = (kind: VitrineError["kind"], code: string, message: string, hint?: string): VitrineError =>
    new VitrineError(kind, message, { code, operand, hint, cause: errors[0] });
  const denied = (): VitrineError =>
    make(
      "denied",
      "registry-denied",
      `${host} denies access to ${operand}: ${tail}`,
      "check the name, and the rights of the account",
    );
  switch (status) {
    case 401:
      if (response.refusesCredentials === true) return wrongCredentials(host, errors[0], operand);
      // It gave us a token as the one we said we are: the token does not reach so far.
      if (response.knowsUs === true) return denied();
      return make(
        "denied",
        "registry-unauthorized",
        `${host} wants to know who you are: ${tail}`,
        `vitrine login ${host}; registries say this also of what is not there`,
      );
    case 403:
      return denied();
    case 404:
      return make("not-found", unknown, `${host} has no ${operand}: ${tail}`);
    case 407:
      return make(
        "denied",
        "proxy-unauthorized",
        `the proxy on the way to ${host} wants a user name and a password, or others`,
        proxyLogin,
      );
    case 405:
    case 501:
      return make("unsupported", "registry-unsupported-operation", `${host} does not offer this: ${tail}`);
    case 429:
      return rateLimited(response, operand, tail);
    default:
      return status >= 500
        ? make("unavailable", "registry-unavailable", `${host} fails: ${tail}`, "try again later")
        : make("invalid", "registry-refused", `${host} refuses ${operand}: ${tail}`);
  }
}

/** Where a proxy learns who we are. */
export const proxyLogin = "put them into HTTP_PROXY or HTTPS_PROXY: http://USER:PASSWORD@HOST:PORT";

/** A registry knows us by what we sent, and does not let us in. */
export function wrongCredentials(host: string, cause: unknown, operand: string = host): VitrineError {
  return new VitrineError("denied", `${host} does not accept the user name or the password`, {
    code: "registry-unauthorized",
    operand,
    hint: `log in again: vitrine login ${host}; or check what --creds says`,
    cause,
  });
}

/** What a 429 tells: the limit (`100;w=21600` is a hundred in six hours), what is left, and when to come back. */
function rateLimited(response: HttpResponse, operand: string, tail: string): VitrineError {
  const host = response.url.host;
  const limit = response.headers.get("ratelimit-limit");
  const match = /^\s*(\d+)(?:\s*;\s*w=(\d+))?/.exec(limit ?? "");
  const window = match?.[2] === undefined ? "" : ` in ${Math.round(Number(match[2]) / 60)} minutes`;
  const told = match === null ? "" : `; the limit is ${match[1]} requests${window}`;
  const pause = retryAfter(response, Date.now());
  const when = pause === undefined ? "" : `; try again in ${Math.ceil(pause / 1000)} s`;
  return new VitrineError("unavailable", `${host} allows no more requests now: ${tail}${told}${when}`, {
    code: "registry-rate-limited",
    operand,
    hint: `an account often has a higher limit: vitrine login ${host}`,
  });
}

/** Milliseconds that `Retry-After` (RFC 9110 section 10.2.3) asks for; undefined without a usable one. */
export function retryAfter(response: HttpResponse, now: number): number | undefined {
  const value = response.headers.get("retry-after")?.trim();
  if (value === undefined) return undefined;
  if (/^\d{1,9}$/.test(value)) return Number(value) * 1000;
  const date = Date.parse(value);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}

/** A document of a registry that is larger than anybody needs. */
export function documentTooLarge(
  operand: string,
  code: string,
  most: number = limits.manifestBytes,
): VitrineError {
  return new VitrineError("invalid", `${operand} is larger than the ${formatBytes(most)} allowed`, {
    code,
    operand,
  });
}
