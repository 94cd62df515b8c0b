/** Lists of the API that come in pages (spec.md#listing-tags). */
import { collect, type JsonValue, parseJson, VitrineError } from "../../base/mod.ts";
import { type AccessScope, parseNextLink } from "../protocol/mod.ts";
import { documentTooLarge, responseError } from "./failures.ts";
import type { HttpResponse } from "./http.ts";
import type { Session } from "./session.ts";

const pageBytes = 32 * 1024 * 1024;
/** A registry that always has one page more. */
const mostPages = 10_000;

/** The pages of a list, by `Link`. Errors: those of `responseError`; `registry-malformed-response`. */
export async function* fetchLists(
  session: Session,
  path: string,
  scopes: readonly AccessScope[],
  operand: string,
): AsyncGenerator<JsonValue, void> {
  let target: string | URL = path;
  const seen = new Set<string>();
  for (let page = 1; page <= mostPages; page++) {
    const response: HttpResponse = await session.send({ method: "GET", target, scopes });
    if (response.status !== 200) throw await responseError(response, operand);
    yield await readJson(response, operand);
    const next = nextPage(session, response);
    if (next === undefined) return;
    if (seen.has(next.href)) throw malformed(session, "its pages lead in a circle");
    seen.add(next.href);
    target = next;
  }
  throw malformed(session, `it has more than ${mostPages} pages`);
}

/** The page after this response; undefined when it is the last. */
export function nextPage(session: Session, response: HttpResponse): URL | undefined {
  const link = response.headers
    .all("link")
    .map(parseNextLink)
    .find((found) => found !== undefined);
  return link === undefined ? undefined : session.locate(link, response.url);
}

export async function readJson(response: HttpResponse, operand: string): Promise<JsonValue> {
  let bytes: Uint8Array;
  try {
    bytes = await collect(response.body, pageBytes, operand);
  } catch (error) {
    if (error instanceof VitrineError && error.code === "bomb") {
      throw documentTooLarge(operand, "registry-malformed-response", pageBytes);
    }
    throw error;
  }
  try {
    return parseJson(bytes, { maxBytes: pageBytes, name: operand });
  } catch (cause) {
    throw new VitrineError("unavailable", `${response.url.host} sent a list that cannot be read`, {
      code: "registry-malformed-response",
      operand,
      cause,
    });
  }
}

/** The texts of a list of a page; `null` is an empty one, as Go writes it. */
export function listOfTexts(page: JsonValue, key: string): readonly string[] {
  const value =
    typeof page === "object" && page !== null && !Array.isArray(page)
      ? (page as Readonly<Record<string, JsonValue | undefined>>)[key]
      : undefined;
  if (value === null || value === undefined) return [];
  if (Array.isArray(value) && value.every((item) => typeof item === "string")) return value;
  throw new VitrineError("unavailable", `the registry sent something else than a list of ${key}`, {
    code: "registry-malformed-response",
    operand: key,
  });
}

function malformed(session: Session, what: string): VitrineError {
  return new VitrineError("unavailable", `${session.registry} sends a list without end: ${what}`, {
    code: "registry-malformed-response",
    operand: session.registry,
  });
}
