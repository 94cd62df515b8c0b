/** Who may do what in which repository. Rules add up: what one of them grants is granted. */
import { namePattern } from "../policy.ts";
import type { Action } from "./types.ts";

export interface AccessRule {
  /** Repository names: `*` for any characters but `/`, `**` for any, `{user}` for the name of the one who asks. */
  readonly repositories: string;
  /** Names of users; `*` is everybody who has a name, `anonymous` also those who have none. */
  readonly users: readonly string[];
  readonly actions: readonly Action[];
}

/** Without rules, everybody with a name may do everything, and nobody else anything. */
const defaultRules: readonly AccessRule[] = [
  { repositories: "**", users: ["*"], actions: ["pull", "push", "delete", "list"] },
];

export class Rules {
  private readonly rules: readonly AccessRule[];
  private readonly patterns = new Map<string, RegExp>();

  constructor(rules: readonly AccessRule[] | undefined) {
    this.rules = rules ?? defaultRules;
  }

  /** Whether anybody without a name may do anything. */
  get letsAnonymousIn(): boolean {
    return this.rules.some(({ users }) => users.includes("anonymous"));
  }

  /** `repository` is undefined for the catalog, which shows only what may be pulled. */
  allows(user: string | undefined, repository: string | undefined, action: Action): boolean {
    return this.rules.some((rule) => {
      if (!rule.actions.includes(action) || !named(rule, user)) return false;
      return repository === undefined || this.pattern(rule.repositories, user)?.test(repository) === true;
    });
  }

  private pattern(glob: string, user: string | undefined): RegExp | undefined {
    if (!glob.includes("{user}")) return this.compiled(glob);
    // The name of a user may hold anything; only one that is a repository's component stands for itself.
    return user !== undefined && /^[a-z0-9]+(?:[._-][a-z0-9]+)*$/.test(user)
      ? this.compiled(glob.replaceAll("{user}", user))
      : undefined;
  }

  private compiled(glob: string): RegExp {
    let pattern = this.patterns.get(glob);
    if (pattern === undefined) {
      pattern = namePattern(glob);
      this.patterns.set(glob, pattern);
    }
    return pattern;
  }
}

function named(rule: AccessRule, user: string | undefined): boolean {
  if (rule.users.includes("anonymous")) return true;
  return user !== undefined && (rule.users.includes("*") || rule.users.includes(user));
}
