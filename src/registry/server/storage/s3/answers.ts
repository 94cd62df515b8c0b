/** What an object store answers: small answers read whole, the XML in them, and the errors they become. */
import type * as http from "node:http";
import { errnoOf, printable, VitrineError } from "../../../../base/mod.ts";

export interface S3Answer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: Buffer;
}

const mostDocumentBytes = 64 * 1024 * 1024;

/** All of an answer. Throws when the connection ended before it did, which not every runtime tells by itself. */
export async function readAnswer(response: http.IncomingMessage, method: string): Promise<S3Answer> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Uint8Array>) {
    bytes += chunk.length;
    if (bytes > mostDocumentBytes) {
      response.destroy();
      throw new VitrineError("corrupt", "the object store sent a document that is too large", {
        code: "s3-failed",
      });
    }
    chunks.push(chunk);
  }
  const { statusCode: status = 0, headers } = response;
  const stated = headers["content-length"];
  const bodiless = method === "HEAD" || status === 204 || status === 304;
  if (!response.complete || (!bodiless && stated !== undefined && Number(stated) !== bytes)) {
    throw new Error("the answer was cut off");
  }
  return { status, headers, body: Buffer.concat(chunks) };
}

/** The text of the first element of that name. */
export function element(xml: string, name: string): string | undefined {
  const text = new RegExp(`<${name}>([^<]*)</${name}>`).exec(xml)?.[1];
  return text
    ?.replace(/&lt;/g, "<")
    .replace(/&gt;/g, ">")
    .replace(/&quot;/g, '"')
    .replace(/&#39;|&apos;/g, "'")
    .replace(/&amp;/g, "&");
}

export function codeOf(answer: S3Answer): string | undefined {
  return element(answer.body.toString("utf8"), "Code");
}

export function require2xx(answer: S3Answer, key: string): void {
  if (answer.status < 200 || answer.status > 299) throw failure(answer, key);
}

/** Errors: `s3-denied`, `s3-failed`. */
export function failure(answer: S3Answer, key: string): VitrineError {
  const { status } = answer;
  const code = codeOf(answer);
  const denied = status === 403 || status === 401;
  return new VitrineError(
    denied ? "denied" : "unavailable",
    `the object store answered ${status}${code === undefined ? "" : ` ${printable(code)}`} for ${key}`,
    { code: denied ? "s3-denied" : "s3-failed", operand: key, hint: hintFor(answer, code) },
  );
}

function hintFor(answer: S3Answer, code: string | undefined): string | undefined {
  switch (code) {
    case "RequestTimeTooSkewed":
      return `set this machine's clock: the object store says that it is ${answer.headers.date ?? "another time"}`;
    case "NoSuchBucket":
      return "make the bucket first";
    case "SignatureDoesNotMatch":
      return "check the secret key (AWS_SECRET_ACCESS_KEY)";
    case "InvalidAccessKeyId":
      return "check the access key (AWS_ACCESS_KEY_ID)";
    case "ExpiredToken":
    case "InvalidToken":
      return "the session token is no longer taken: renew it (AWS_SESSION_TOKEN)";
    case "AuthorizationHeaderMalformed":
    case "PermanentRedirect":
    case "IllegalLocationConstraintException": {
      const region =
        element(answer.body.toString("utf8"), "Region") ?? answer.headers["x-amz-bucket-region"]?.toString();
      return region === undefined
        ? "check the region and the endpoint"
        : `the bucket is in ${printable(region)}: set 'region', and the endpoint of that region`;
    }
    case "SlowDown":
      return "the object store takes no more requests for now";
  }
  return answer.status === 403 || answer.status === 401
    ? "check the credentials, the region and the bucket's policy"
    : undefined;
}

export function unreachable(endpoint: string, cause?: unknown): VitrineError {
  const errno = errnoOf(cause);
  const what =
    errno !== undefined ? ` (${errno})` : cause instanceof Error ? ` (${printable(cause.message)})` : "";
  return new VitrineError("unavailable", `the object store ${endpoint} cannot be reached${what}`, {
    code: "s3-unreachable",
    operand: endpoint,
    cause,
  });
}
