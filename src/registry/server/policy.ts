/** What may change in which repository, whoever asks: read-only, immutable tags, quotas. */
import { RegistryError } from "./errors.ts";

export interface RepositoryRule {
  /** Repository names: `*` stands for any characters but `/`, `**` for any. The first rule that fits counts. */
  readonly repositories: string;
  /** Tags (with `*`) that are never moved or deleted once pushed. */
  readonly immutableTags?: readonly string[];
  /** Bytes of blobs and manifests that one repository may hold. */
  readonly quotaBytes?: number;
  readonly retention?: Retention;
}

export interface Retention {
  /** Of the tags that fit, the newest so many are kept. */
  readonly keepTags?: number;
  /** Tags older than this many days are deleted. */
  readonly maxAgeDays?: number;
  /** Tags (with `*`) that retention never deletes. */
  readonly exceptTags?: readonly string[];
  /** Manifests without a tag, that nothing refers to, are deleted after so many days. */
  readonly untaggedDays?: number;
}

export interface PolicyOptions {
  readonly readOnly?: boolean;
  readonly deletes?: boolean;
  /** Manifests may name content that is not here: `indexes` only (sparse multi-platform images), or any. */
  readonly missingContent?: "refuse" | "indexes" | "accept";
  readonly rules?: readonly RepositoryRule[];
}

export class Policy {
  readonly readOnly: boolean;
  readonly missingContent: "refuse" | "indexes" | "accept";
  private readonly deletes: boolean;
  private rules: readonly { readonly pattern: RegExp; readonly rule: RepositoryRule }[];

  constructor(options: PolicyOptions) {
    this.readOnly = options.readOnly ?? false;
    this.deletes = options.deletes ?? true;
    this.missingContent = options.missingContent ?? "refuse";
    this.rules = compileRules(options.rules);
  }

  /** Instead of those that were, from the next request on. */
  useRules(rules: readonly RepositoryRule[] | undefined): void {
    this.rules = compileRules(rules);
  }

  ruleFor(repository: string): RepositoryRule | undefined {
    return this.rules.find(({ pattern }) => pattern.test(repository))?.rule;
  }

  /** Throws 405 where nothing may be written. */
  requireWritable(): void {
    if (this.readOnly) {
      throw new RegistryError(405, "UNSUPPORTED", { message: "this registry is read-only" });
    }
  }

  requireDeletes(): void {
    this.requireWritable();
    if (!this.deletes) throw new RegistryError(405, "UNSUPPORTED", { message: "deletion is disabled" });
  }

  isImmutable(repository: string, tag: string): boolean {
    return (this.ruleFor(repository)?.immutableTags ?? []).some((pattern) => tagPattern(pattern).test(tag));
  }

  quotaOf(repository: string): number | undefined {
    return this.ruleFor(repository)?.quotaBytes;
  }
}

function compileRules(rules: readonly RepositoryRule[] = []) {
  return rules.map((rule) => ({ pattern: namePattern(rule.repositories), rule }));
}

/** `team/*` fits `team/a`; `team/**` also `team/a/b`; `**` everything. */
export function namePattern(glob: string): RegExp {
  const source = glob.replace(/\*\*|\*|[^*]+/g, (part) =>
    part === "**" ? ".*" : part === "*" ? "[^/]*" : part.replace(/[.+?^${}()|[\]\\]/g, "\\$&"),
  );
  return new RegExp(`^${source}$`);
}

export function tagPattern(glob: string): RegExp {
  return namePattern(glob.replace(/\*+/g, "*"));
}
