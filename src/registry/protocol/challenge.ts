/** `WWW-Authenticate` (RFC 9110 section 11.6.1) with Basic and Docker's Bearer, and the scopes of Docker's tokens. */

export interface Challenge {
  /** Lower case: `basic`, `bearer`. */
  readonly scheme: string;
  /** Names in lower case: `realm`, `service`, `scope`, `error`. */
  readonly parameters: Readonly<Record<string, string>>;
}

/** `Bearer realm="…",service="…",scope="…"` */
export function formatChallenge(
  scheme: "Basic" | "Bearer",
  parameters: Readonly<Record<string, string>>,
): string {
  const pairs = Object.entries(parameters).map(
    ([name, value]) => `${name}="${value.replace(/["\\]/g, "\\$&")}"`,
  );
  return `${scheme} ${pairs.join(",")}`;
}

const longestHeader = 16 * 1024;
const token = /[!#$%&'*+.^_`|~0-9A-Za-z-]+/y;
const pair = /([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))/y;
const gap = /[\s,]*/y;
const token68 = /[A-Za-z0-9._~+/-]+=*(?=\s*(?:,|$))/y;

/** All challenges of one header value; what follows a malformed one is dropped. */
export function parseChallenges(header: string): readonly Challenge[] {
  const challenges: Challenge[] = [];
  if (header.length > longestHeader) return challenges;
  let at = 0;
  const take = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at;
    const match = pattern.exec(header);
    if (match !== null) at = pattern.lastIndex;
    return match;
  };
  while (true) {
    take(gap);
    const scheme = take(token)?.[0];
    if (scheme === undefined) return challenges;
    const parameters: Record<string, string> = {};
    while (true) {
      const before = at;
      take(gap);
      const match = take(pair);
      if (match === null) {
        at = before;
        break;
      }
      parameters[match[1]!.toLowerCase()] = match[3] ?? match[2]!.replace(/\\(.)/g, "$1");
    }
    // A scheme with one opaque value (Negotiate, NTLM).
    if (Object.keys(parameters).length === 0 && /^\s/.test(header.slice(at))) {
      take(/\s*/y);
      take(token68);
    }
    challenges.push({ scheme: scheme.toLowerCase(), parameters });
  }
}

/** `repository:library/alpine:pull,push` */
export interface AccessScope {
  readonly type: string;
  readonly name: string;
  readonly actions: readonly string[];
}

export function formatScope(scope: AccessScope): string {
  return `${scope.type}:${scope.name}:${scope.actions.join(",")}`;
}

/** The scopes of one `scope` parameter, separated by spaces; malformed ones are dropped. The name may hold colons (a port). */
export function parseScopes(text: string): readonly AccessScope[] {
  const scopes: AccessScope[] = [];
  for (const part of text.split(" ")) {
    const first = part.indexOf(":");
    const last = part.lastIndexOf(":");
    if (first <= 0 || last <= first) continue;
    scopes.push({
      type: part.slice(0, first),
      name: part.slice(first + 1, last),
      actions: part
        .slice(last + 1)
        .split(",")
        .filter((action) => action !== ""),
    });
  }
  return scopes;
}

/** User and password of `Basic …` (RFC 7617, UTF-8); undefined when malformed. */
export function parseBasic(header: string): { readonly user: string; readonly password: string } | undefined {
  const match = /^basic +([A-Za-z0-9+/]+={0,2})$/i.exec(header.trim());
  if (match === null) return undefined;
  const text = Buffer.from(match[1]!, "base64").toString("utf8");
  const colon = text.indexOf(":");
  return colon === -1 ? undefined : { user: text.slice(0, colon), password: text.slice(colon + 1) };
}

/** The token of `Bearer …` (RFC 6750); undefined when malformed. */
export function parseBearer(header: string): string | undefined {
  return /^bearer +([A-Za-z0-9._~+/-]+=*)$/i.exec(header.trim())?.[1];
}
