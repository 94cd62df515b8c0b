import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { dropAllCredentials, dropCredentials, findCredentials, keepCredentials } from "./credentials.ts";
import { codeOf } from "./testing.ts";

let home = "";
const basic = (user: string, password: string) => ({
  auth: Buffer.from(`${user}:${password}`).toString("base64"),
});
const write = (file: string, content: unknown): string => {
  const target = path.join(home, file);
  fs.mkdirSync(path.dirname(target), { recursive: true });
  fs.writeFileSync(target, typeof content === "string" ? content : JSON.stringify(content));
  return target;
};
const options = (more: Readonly<Record<string, string>> = {}) => ({
  environment: { HOME: home, XDG_RUNTIME_DIR: path.join(home, "run"), PATH: home, ...more },
  uid: 1000,
});
const userOf = async (registry: string, name?: string, more = {}) => {
  const found = await findCredentials(registry, name, options(more));
  return found?.kind === "password" ? `${found.user}:${found.password}` : found?.kind;
};

beforeEach(() => {
  home = fs.mkdtempSync(path.join(os.tmpdir(), "vitrine-auth-"));
});
afterEach(() => fs.rmSync(home, { recursive: true, force: true }));

describe("credentials", () => {
  it("are those of the longest key", async () => {
    write("run/containers/auth.json", {
      auths: { "r.io": basic("a", "1"), "r.io/team": basic("b", "2"), "r.io/team/app": basic("c", "3:4") },
    });
    assert.equal(await userOf("r.io", "team/app"), "c:3:4");
    assert.equal(await userOf("r.io", "team/other"), "b:2");
    assert.equal(await userOf("r.io", "teams/app"), "a:1");
    assert.equal(await userOf("r.io"), "a:1");
    assert.equal(await userOf("other.io", "team/app"), undefined);
  });

  it("come from podman's files before docker's, and from a named one only", async () => {
    write(".docker/config.json", { auths: { "https://index.docker.io/v1/": basic("hub", "h") } });
    write(".config/containers/auth.json", { auths: { "r.io": basic("podman", "p") } });
    assert.equal(await userOf("docker.io", "library/alpine"), "hub:h");
    assert.equal(await userOf("r.io", "x"), "podman:p");
    const named = write("named.json", { auths: { "r.io": basic("named", "n") } });
    assert.equal(await userOf("r.io", "x", { REGISTRY_AUTH_FILE: named }), "named:n");
    assert.equal(await userOf("docker.io", "x", { REGISTRY_AUTH_FILE: named }), undefined);
  });

  it("may be tokens, or under old keys", async () => {
    write(".docker/config.json", {
      auths: {
        "a.io": { identitytoken: "t" },
        "b.io": { registrytoken: "t" },
        "https://c.io/v1/": basic("old", "o"),
        "d.io": {},
      },
    });
    assert.equal(await userOf("a.io"), "identity");
    assert.equal(await userOf("b.io"), "token");
    assert.equal(await userOf("c.io"), "old:o");
    assert.equal(await userOf("d.io"), undefined);
  });

  it("come from helpers", async () => {
    const helper = write(
      "docker-credential-test",
      '#!/bin/sh\nread server\ncase "$1 $server" in\n"get r.io") echo \'{"Username":"u","Secret":"s"}\' ;;\n"get t.io") echo \'{"Username":"<token>","Secret":"s"}\' ;;\n"get bad.io") echo nonsense ;;\n*) echo credentials not found in native keychain; exit 1 ;;\nesac\n',
    );
    fs.chmodSync(helper, 0o755);
    write("run/containers/auth.json", {
      credHelpers: { "r.io": "test", "t.io": "test", "n.io": "test", "bad.io": "test", "m.io": "missing" },
    });
    const more = { PATH: `${home}:/usr/bin:/bin` };
    assert.equal(await userOf("r.io", "x", more), "u:s");
    assert.equal(await userOf("t.io", "x", more), "identity");
    assert.equal(await userOf("n.io", "x", more), undefined);
    assert.equal(await codeOf(userOf("bad.io", "x", more)), "credential-helper-failed");
    assert.equal(await codeOf(userOf("m.io", "x", more)), "credential-helper-missing");
  });

  it("are looked for, kept and dropped where registries.conf says", async () => {
    // Keeps each server in a file of its name.
    const program = `#!/bin/sh
cd ${home}/kept || exit 1
case $1 in
list) printf '{'; for f in *; do [ -f "$f" ] && printf '%s"%s":"u"' "$sep" "$f" && sep=,; done; echo '}' ;;
store) read -r line; echo "$line" >"$(echo "$line" | sed 's/.*"ServerURL":"\\([^"]*\\)".*/\\1/')" ;;
*) read -r server; [ -f "$server" ] || { echo credentials not found in native keychain; exit 1; }
  if [ $1 = get ]; then cat "$server"; else rm "$server"; fi ;;
esac
`;
    fs.mkdirSync(path.join(home, "kept"));
    fs.chmodSync(write("docker-credential-shelf", program), 0o755);
    const files = {
      ...options({ PATH: `${home}:/usr/bin:/bin` }),
      helpers: ["shelf", "containers-auth.json"],
    };
    const find = async (registry: string, name?: string) => {
      const found = await findCredentials(registry, name, files);
      return found?.kind === "password" ? found.user : found?.kind;
    };
    const kept = (user: string) => ({ kind: "password", user, password: "p" }) as const;
    assert.equal(await keepCredentials("r.io", kept("shelf"), files), "docker-credential-shelf");
    // A namespace is nothing that helpers know.
    const file = path.join(home, "run/containers/auth.json");
    assert.equal(await keepCredentials("s.io/team", kept("file"), files), file);
    assert.equal(await find("r.io", "x"), "shelf");
    assert.equal(await find("s.io", "team/x"), "file");
    assert.equal(await findCredentials("r.io", "x", { ...files, helpers: undefined }), undefined);
    assert.equal(await dropCredentials("r.io", files), true);
    assert.equal(await dropCredentials("r.io", files), false);
    await keepCredentials("r.io", kept("shelf"), files);
    write("run/containers/auth.json", { auths: { "s.io": basic("a", "1") }, credsStore: "shelf" });
    assert.deepEqual([...(await dropAllCredentials(files))].sort(), ["r.io", "s.io"]);
    assert.deepEqual(fs.readdirSync(path.join(home, "kept")), []);
    assert.equal(await find("s.io"), undefined);
  });

  it("under the keys that docker wrote once are dropped too", async () => {
    write(".docker/config.json", {
      auths: { "https://c.io/v1/": basic("old", "o"), "d.io": basic("d", "o") },
    });
    assert.equal(await dropCredentials("c.io", options()), true);
    assert.equal(await userOf("c.io"), undefined);
    assert.equal(await userOf("d.io"), "d:o");
  });

  it("of helpers that would leave PATH are refused", async () => {
    write("run/containers/auth.json", { credHelpers: { "r.io": "../../evil" } });
    assert.equal(await codeOf(userOf("r.io")), "credential-helper-failed");
  });

  it("of broken files are an error that names the file", async () => {
    write("run/containers/auth.json", "{");
    assert.equal(await codeOf(userOf("r.io")), "auth-file-invalid");
    write("run/containers/auth.json", { auths: { "r.io": { auth: "!!" } } });
    assert.equal(await codeOf(userOf("r.io")), "auth-file-invalid");
    write("run/containers/auth.json", "");
    assert.equal(await userOf("r.io"), undefined);
  });

  it("are kept for the user alone, beside what is there, and dropped", async () => {
    const file = path.join(home, "run/containers/auth.json");
    write("run/containers/auth.json", { auths: { "a.io": basic("a", "1") }, other: true });
    const kept = { kind: "password", user: "b", password: "2" } as const;
    assert.equal(await keepCredentials("b.io/team", kept, options()), file);
    assert.equal(fs.statSync(file).mode & 0o777, 0o600);
    assert.equal(await userOf("b.io", "team/x"), "b:2");
    assert.equal(await userOf("a.io"), "a:1");
    assert.equal(JSON.parse(fs.readFileSync(file, "utf8")).other, true);
    assert.equal(await dropCredentials("b.io/team", options()), true);
    assert.equal(await dropCredentials("b.io/team", options()), false);
    assert.equal(await userOf("b.io", "team/x"), undefined);
    assert.deepEqual(await dropAllCredentials(options()), ["a.io"]);
    assert.equal(await userOf("a.io"), undefined);
  });
});
