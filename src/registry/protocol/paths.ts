/** The paths of the API (spec.md#endpoints). The server reads them from the end: a repository may be called `a/blobs`. */
import { isRepositoryName } from "./names.ts";

export const paths = {
  base: "/v2/",
  manifest: (name: string, reference: string) => `/v2/${name}/manifests/${reference}`,
  blob: (name: string, digest: string) => `/v2/${name}/blobs/${digest}`,
  uploads: (name: string) => `/v2/${name}/blobs/uploads/`,
  upload: (name: string, id: string) => `/v2/${name}/blobs/uploads/${id}`,
  tags: (name: string) => `/v2/${name}/tags/list`,
  referrers: (name: string, digest: string) => `/v2/${name}/referrers/${digest}`,
  catalog: "/v2/_catalog",
} as const;

export type ApiPath =
  | { readonly kind: "base" }
  | { readonly kind: "catalog" }
  | { readonly kind: "manifest"; readonly name: string; readonly reference: string }
  | { readonly kind: "blob"; readonly name: string; readonly digest: string }
  | { readonly kind: "uploads"; readonly name: string }
  | { readonly kind: "upload"; readonly name: string; readonly id: string }
  | { readonly kind: "tags"; readonly name: string }
  | { readonly kind: "referrers"; readonly name: string; readonly digest: string };

/**
 * Reads the path of a request target (no query). `undefined`: no endpoint has this form. `"name-invalid"`: the form is
 * right, the repository's name is not. References and digests are not checked.
 */
export function parseApiPath(path: string): ApiPath | "name-invalid" | undefined {
  if (path === "/v2/" || path === "/v2") return { kind: "base" };
  if (!path.startsWith("/v2/")) return undefined;
  if (path === paths.catalog) return { kind: "catalog" };
  let segments: string[];
  try {
    segments = path.slice(4).split("/").map(decodeURIComponent);
  } catch {
    return undefined;
  }
  // An encoded slash is no separator, and no grammar here has a slash within a segment.
  if (segments.some((segment) => segment.includes("/"))) return "name-invalid";
  const found = match(segments);
  if (found === undefined) return undefined;
  return isRepositoryName(found.name) ? found : "name-invalid";
}

function match(segments: readonly string[]): Exclude<ApiPath, { kind: "base" | "catalog" }> | undefined {
  const count = segments.length;
  const last = segments[count - 1]!;
  const second = segments[count - 2];
  const third = segments[count - 3];
  const nameUpTo = (end: number): string => segments.slice(0, end).join("/");
  if (third === "blobs" && second === "uploads") {
    const name = nameUpTo(count - 3);
    return last === "" ? { kind: "uploads", name } : { kind: "upload", name, id: last };
  }
  if (second === "blobs" && last === "uploads") return { kind: "uploads", name: nameUpTo(count - 2) };
  const name = nameUpTo(count - 2);
  switch (second) {
    case "manifests":
      return { kind: "manifest", name, reference: last };
    case "blobs":
      return { kind: "blob", name, digest: last };
    case "tags":
      return last === "list" ? { kind: "tags", name } : undefined;
    case "referrers":
      return { kind: "referrers", name, digest: last };
    default:
      return undefined;
  }
}
