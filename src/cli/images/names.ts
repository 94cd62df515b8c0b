/** Image names in the columns and filters of the image commands. */
import { VitrineError } from "../../base/mod.ts";
import {
  familiarName,
  familiarReference,
  formatReference,
  type ImageReference,
  parseReference,
  repositoryName,
} from "../../image/mod.ts";

export { familiarReference };

export const none = "<none>";

export interface NameParts {
  readonly repository: string;
  readonly tag: string;
}

export function nameParts(name: string | undefined): NameParts {
  const reference = name === undefined ? undefined : parsed(name);
  if (reference === undefined) return { repository: none, tag: none };
  return { repository: repositoryName(reference), tag: reference.tag ?? none };
}

/** A name of index.json that some other tool wrote need not be one that we would write. */
export function parsed(name: string): ImageReference | undefined {
  try {
    return parseReference(name);
  } catch (error) {
    if (error instanceof VitrineError) return undefined;
    throw error;
  }
}

/** The twelve digits that people type. */
export function shortId(id: string): string {
  return id.slice(id.indexOf(":") + 1).slice(0, 12);
}

/** The normalised name for `tag`, `import`, …: a tag, never a digest. Errors: `tag-has-digest`, those of parseReference. */
export function newName(text: string): string {
  const reference = parseReference(text);
  if (reference.digest === undefined) return formatReference(reference);
  throw new VitrineError("invalid", `${text}: a name that is given to an image cannot hold a digest`, {
    code: "tag-has-digest",
    operand: text,
    hint: "leave '@' and what follows out",
  });
}

/**
 * Whether `pattern` (a repository, a reference, or either with `*`, `?` and `[…]`) means `name`. As in docker a
 * pattern without a tag means every tag, and both the short and the full spelling count.
 */
export function matchesReference(pattern: string, name: string): boolean {
  const reference = parsed(name);
  if (reference === undefined) return globPattern(pattern).test(name);
  const spellings = [
    formatReference(reference),
    familiarReference(reference),
    repositoryName(reference),
    familiarName(reference),
  ];
  const glob = globPattern(pattern);
  return spellings.some((spelling) => glob.test(spelling));
}

/** Go's path.Match: `*` and `?` do not cross a slash. */
function globPattern(pattern: string): RegExp {
  const source = pattern.replace(/\[(?:\^|!)?[^\]/]+\]|[\s\S]/g, (part) => {
    if (part === "*") return "[^/]*";
    if (part === "?") return "[^/]";
    if (part.length > 1) {
      const negated = part[1] === "^" || part[1] === "!";
      const inner = part.slice(negated ? 2 : 1, -1).replace(/[\\^\]]/g, "\\$&");
      return `[${negated ? "^" : ""}${inner}]`;
    }
    return part.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&");
  });
  try {
    return new RegExp(`^${source}$`);
  } catch (cause) {
    throw new VitrineError("invalid", `invalid pattern ${JSON.stringify(pattern)}`, {
      code: "pattern-invalid",
      operand: pattern,
      cause,
    });
  }
}
