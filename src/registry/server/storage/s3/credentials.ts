/**
 * Where credentials come from, in the order of Amazon's own tools: the environment, a web identity (a pod's service account), the
 * shared file, a container's endpoint, the instance's metadata (version 2). Those that end are asked for again before they do.
 */
import * as fs from "node:fs";
import * as path from "node:path";
import { VitrineError } from "../../../../base/mod.ts";
import { element } from "./answers.ts";
import type { S3Credentials } from "./signature.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

interface Found extends S3Credentials {
  /** Milliseconds since 1970. */
  readonly ends?: number;
}

/** Asked for again so long before they end. */
const earlyMilliseconds = 5 * 60_000;
/** A source that fails is not asked for every request, while what it gave is still taken. */
const againMilliseconds = 30_000;
const requestMilliseconds = 5000;
/** Where there is no metadata service, nobody answers. */
const metadataMilliseconds = 1000;
const metadataAddress = "http://169.254.169.254";
const containerAddress = "http://169.254.170.2";

/**
 * What gives credentials for each request. Errors of what it returns: `s3-credentials-missing`, `s3-credentials-unusable`.
 * `region` is for the service that a web identity is shown to.
 */
export function findCredentials(
  environment: Environment,
  region: string,
  now: () => number = Date.now,
): () => Promise<S3Credentials> {
  let known: Found | undefined;
  let again = 0;
  let asking: Promise<Found> | undefined;
  return async () => {
    if (
      known !== undefined &&
      (known.ends === undefined || now() < Math.max(known.ends - earlyMilliseconds, again))
    ) {
      return known;
    }
    asking ??= find(environment, region).finally(() => {
      asking = undefined;
    });
    try {
      known = await asking;
    } catch (error) {
      if (known?.ends === undefined || now() >= known.ends) throw error;
      again = now() + againMilliseconds;
    }
    return known;
  };
}

async function find(environment: Environment, region: string): Promise<Found> {
  const found =
    ofEnvironment(environment) ??
    (await ofWebIdentity(environment, region)) ??
    ofFile(environment) ??
    (await ofContainer(environment)) ??
    (await ofInstance(environment));
  if (found !== undefined) return found;
  throw new VitrineError("invalid", "the object store's credentials are missing", {
    code: "s3-credentials-missing",
    hint: "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or write them to ~/.aws/credentials",
  });
}

function ofEnvironment(environment: Environment): Found | undefined {
  const accessKey = environment["AWS_ACCESS_KEY_ID"];
  const secretKey = environment["AWS_SECRET_ACCESS_KEY"];
  if (!accessKey || !secretKey) return undefined;
  return { accessKey, secretKey, ...session(environment["AWS_SESSION_TOKEN"]) };
}

/** STS AssumeRoleWithWebIdentity: no signature, the token speaks for itself. */
async function ofWebIdentity(environment: Environment, region: string): Promise<Found | undefined> {
  const file = environment["AWS_WEB_IDENTITY_TOKEN_FILE"];
  const role = environment["AWS_ROLE_ARN"];
  if (!file || !role) return undefined;
  const endpoint = environment["AWS_ENDPOINT_URL_STS"] ?? `https://sts.${region}.amazonaws.com`;
  const body = new URLSearchParams({
    Action: "AssumeRoleWithWebIdentity",
    Version: "2011-06-15",
    RoleArn: role,
    RoleSessionName: environment["AWS_ROLE_SESSION_NAME"] ?? "vitrine-registry",
    WebIdentityToken: readText(file).trim(),
  });
  const answer = await ask(endpoint, { method: "POST", body }, requestMilliseconds);
  if (!answer.ok)
    throw unusable(endpoint, `answered ${answer.status} ${element(answer.text, "Code") ?? ""}`.trim());
  return temporary(
    endpoint,
    element(answer.text, "AccessKeyId"),
    element(answer.text, "SecretAccessKey"),
    element(answer.text, "SessionToken"),
    element(answer.text, "Expiration"),
  );
}

/** The section of AWS_PROFILE in `~/.aws/credentials`, else in `~/.aws/config`. */
function ofFile(environment: Environment): Found | undefined {
  const home = environment["HOME"] ?? "/";
  const profile = environment["AWS_PROFILE"] ?? "default";
  const files = [
    [environment["AWS_SHARED_CREDENTIALS_FILE"] ?? path.join(home, ".aws/credentials"), profile],
    [
      environment["AWS_CONFIG_FILE"] ?? path.join(home, ".aws/config"),
      profile === "default" ? profile : `profile ${profile}`,
    ],
  ] as const;
  for (const [file, section] of files) {
    if (fs.statSync(file, { throwIfNoEntry: false }) === undefined) continue;
    const values = readSection(readText(file), section);
    const accessKey = values.get("aws_access_key_id");
    const secretKey = values.get("aws_secret_access_key");
    if (!accessKey || !secretKey) continue;
    return { accessKey, secretKey, ...session(values.get("aws_session_token")) };
  }
  return undefined;
}

function readSection(text: string, section: string): ReadonlyMap<string, string> {
  const values = new Map<string, string>();
  let inside = false;
  for (const line of text.split("\n")) {
    const header = /^\s*\[\s*(.*?)\s*\]/.exec(line);
    if (header !== null) inside = header[1] === section;
    const pair = /^\s*([A-Za-z_]+)\s*=\s*(.*?)\s*$/.exec(line);
    if (inside && pair !== null) values.set(pair[1]!.toLowerCase(), pair[2]!);
  }
  return values;
}

/** What runs a container (ECS, EKS Pod Identity) tells its endpoint. */
async function ofContainer(environment: Environment): Promise<Found | undefined> {
  const relative = environment["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"];
  const url = relative ? `${containerAddress}${relative}` : environment["AWS_CONTAINER_CREDENTIALS_FULL_URI"];
  if (!url) return undefined;
  const file = environment["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"];
  const token = file ? readText(file).trim() : environment["AWS_CONTAINER_AUTHORIZATION_TOKEN"];
  const answer = await ask(url, { headers: token ? { Authorization: token } : {} }, requestMilliseconds);
  if (!answer.ok) throw unusable(url, `answered ${answer.status}`);
  return ofDocument(url, answer.text);
}

/** IMDSv2: a token first, which what only forwards requests cannot get. */
async function ofInstance(environment: Environment): Promise<Found | undefined> {
  if (environment["AWS_EC2_METADATA_DISABLED"]?.toLowerCase() === "true") return undefined;
  const base = environment["AWS_EC2_METADATA_SERVICE_ENDPOINT"]?.replace(/\/$/, "") ?? metadataAddress;
  const token = await ask(
    `${base}/latest/api/token`,
    { method: "PUT", headers: { "X-aws-ec2-metadata-token-ttl-seconds": "21600" } },
    metadataMilliseconds,
  ).catch(() => undefined);
  if (token?.ok !== true) return undefined;
  const headers = { "X-aws-ec2-metadata-token": token.text };
  const roles = `${base}/latest/meta-data/iam/security-credentials/`;
  const role = await ask(roles, { headers }, requestMilliseconds);
  const name = role.ok ? role.text.split("\n")[0]!.trim() : "";
  if (name === "") return undefined;
  const answer = await ask(`${roles}${encodeURIComponent(name)}`, { headers }, requestMilliseconds);
  if (!answer.ok) throw unusable(roles, `answered ${answer.status}`);
  return ofDocument(roles, answer.text);
}

function ofDocument(source: string, text: string): Found {
  let document: Record<string, unknown>;
  try {
    document = JSON.parse(text);
  } catch {
    throw unusable(source, "sent no JSON");
  }
  const { AccessKeyId, SecretAccessKey, Token, Expiration } = document;
  return temporary(source, AccessKeyId, SecretAccessKey, Token, Expiration);
}

function temporary(
  source: string,
  accessKey: unknown,
  secretKey: unknown,
  token: unknown,
  ends: unknown,
): Found {
  if (typeof accessKey !== "string" || typeof secretKey !== "string")
    throw unusable(source, "sent no credentials");
  const time = Date.parse(String(ends));
  return {
    accessKey,
    secretKey,
    ...session(typeof token === "string" ? token : undefined),
    ...(!Number.isNaN(time) && { ends: time }),
  };
}

function session(sessionToken: string | undefined): Partial<S3Credentials> {
  return sessionToken ? { sessionToken } : {};
}

interface Text {
  readonly ok: boolean;
  readonly status: number;
  readonly text: string;
}

async function ask(url: string, init: RequestInit, milliseconds: number): Promise<Text> {
  try {
    const response = await fetch(url, {
      ...init,
      redirect: "manual",
      signal: AbortSignal.timeout(milliseconds),
    });
    return { ok: response.ok, status: response.status, text: await response.text() };
  } catch (cause) {
    throw unusable(url, "cannot be reached", cause);
  }
}

function readText(file: string): string {
  try {
    return fs.readFileSync(file, "utf8");
  } catch (cause) {
    throw unusable(file, "cannot be read", cause);
  }
}

function unusable(source: string, what: string, cause?: unknown): VitrineError {
  return new VitrineError("unavailable", `the object store's credentials: ${source} ${what}`, {
    code: "s3-credentials-unusable",
    operand: source,
    cause,
  });
}
