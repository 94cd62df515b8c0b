/** Users and their passwords from a file of `htpasswd -B` (bcrypt). */
import { createHmac, randomBytes } from "node:crypto";
import { VitrineError } from "../../../base/mod.ts";
import { BoundedCache } from "../bounded-cache.ts";
import { RegistryError } from "../errors.ts";
import { FollowedFile } from "./followed-file.ts";

const entryGrammar = /^([^:]+):(\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53})$/;
/** 2^14 rounds take about two seconds: a file that asks for more would stop the server. */
const mostRounds = 14;
/** bcrypt looks at no more bytes than these: beyond them, two passwords would be the same. */
const longestPassword = 72;
const rememberedLogins = 1000;
const rememberedMilliseconds = 5 * 60 * 1000;
/** Verifications at once, and waiting: each costs tens of milliseconds of the one thread there is. */
const mostAtOnce = 2;
const mostWaiting = 50;
/** A hash of nothing in particular, so that an unknown name takes as long as a known one. */
const decoy = "$2b$10$CwTycUXWue0Thq9StjUM0uJ8pBSh0Zz6rYdlOjyoXVQJpA6wLxYzS";

/**
 * Reads the file's text. Errors (`htpasswd-invalid`, with the line): not `NAME:HASH`, a hash that is not bcrypt's, a cost
 * above 14.
 */
export function parseHtpasswd(text: string, name: string): ReadonlyMap<string, string> {
  const users = new Map<string, string>();
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() === "" || line.startsWith("#")) continue;
    const match = entryGrammar.exec(line.trim());
    if (match === null || Number(match[3]) > mostRounds) {
      throw new VitrineError("invalid", `${name}: line ${index + 1} is not a user with a bcrypt hash`, {
        code: "htpasswd-invalid",
        operand: name,
        hint: `make it with: htpasswd -nbB NAME PASSWORD (cost ${mostRounds} at most)`,
      });
    }
    users.set(match[1]!, match[2]!);
  }
  return users;
}

export class Htpasswd {
  private readonly now: () => number;
  private readonly users: FollowedFile<ReadonlyMap<string, string>>;
  /** Logins that held lately, by a keyed hash: no password is kept. */
  private readonly logins = new BoundedCache<number>(rememberedLogins);
  private readonly key = randomBytes(32);
  private active = 0;
  private readonly waiting: (() => void)[] = [];

  /** Errors: those of `parseHtpasswd`; the system's when the file cannot be read. */
  constructor(file: string, now: () => number = Date.now) {
    this.now = now;
    this.users = new FollowedFile(file, parseHtpasswd, now);
  }

  /** Whether user and password belong together. Error: 429 when too many are being checked. */
  async verify(user: string, password: string): Promise<boolean> {
    const hash = this.users.current().get(user);
    // Over both and the hash: a changed password ends what is remembered.
    const login = createHmac("sha256", this.key)
      .update(JSON.stringify([user, password, hash ?? ""]))
      .digest("base64");
    const until = this.logins.get(login);
    if (until !== undefined && until > this.now()) return true;
    if (Buffer.byteLength(password) > longestPassword) return false;
    const held = await this.compare(password, hash ?? decoy);
    if (!held || hash === undefined) return false;
    this.logins.set(login, this.now() + rememberedMilliseconds);
    return true;
  }

  private async compare(password: string, hash: string): Promise<boolean> {
    if (this.active >= mostAtOnce) {
      if (this.waiting.length >= mostWaiting) {
        throw new RegistryError(429, "TOOMANYREQUESTS", {
          message: "too many logins at once",
          headers: { "Retry-After": "2" },
        });
      }
      await new Promise<void>((resolve) => this.waiting.push(resolve));
    }
    this.active += 1;
    try {
      const bcrypt = await import("bcryptjs");
      return await bcrypt.compare(password, hash);
    } finally {
      this.active -= 1;
      this.waiting.shift()?.();
    }
  }
}
