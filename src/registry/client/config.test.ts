import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { formatReference, parseReference } from "../../image/mod.ts";
import { openRegistryClient } from "./client.ts";
import { credentialHelpers, endpointsFor, loadRegistriesConfig } from "./config.ts";
import { proxyFor } from "./proxy.ts";
import { shortNameCandidates } from "./short-names.ts";
import { codeOf, openTestClient, startScripted, testImage } from "./testing.ts";

let root = "";
beforeEach(() => {
  root = fs.mkdtempSync(path.join(os.tmpdir(), "vitrine-conf-"));
});
afterEach(() => fs.rmSync(root, { recursive: true, force: true }));

const write = (file: string, text: string): void => {
  const target = path.join(root, file);
  fs.mkdirSync(path.dirname(target), { recursive: true });
  fs.writeFileSync(target, text);
};
const load = () =>
  loadRegistriesConfig({
    environment: { HOME: path.join(root, "home") },
    uid: 0,
    systemDirectory: path.join(root, "etc"),
  });
const places = async (text: string): Promise<readonly string[]> =>
  endpointsFor(await load(), parseReference(text)).map(
    ({ domain, path: name, insecure }) => `${domain}/${name}${insecure ? " insecure" : ""}`,
  );

describe("registries.conf", () => {
  it("need not be there", async () => {
    assert.deepEqual(await places("alpine"), ["docker.io/library/alpine"]);
  });

  it("leads to mirrors, then to the location", async () => {
    write(
      "etc/containers/registries.conf",
      `[[registry]]
prefix = "example.com/foo"
location = "internal.example.com/bar"
insecure = true
[[registry.mirror]]
location = "mirror-0.local/mirror-for-foo"
[[registry.mirror]]
location = "mirror-1.local:5000"
insecure = true
pull-from-mirror = "digest-only"
[[registry]]
location = "docker.io"
[[registry.mirror]]
location = "cache.local"`,
    );
    assert.deepEqual(await places("example.com/foo/image:1"), [
      "mirror-0.local/mirror-for-foo/image",
      "internal.example.com/bar/image insecure",
    ]);
    assert.deepEqual(await places(`example.com/foo/image@sha256:${"a".repeat(64)}`), [
      "mirror-0.local/mirror-for-foo/image",
      "mirror-1.local:5000/image insecure",
      "internal.example.com/bar/image insecure",
    ]);
    assert.deepEqual(await places("example.com/foobar"), ["example.com/foobar"]);
    assert.deepEqual(await places("alpine"), ["cache.local/library/alpine", "docker.io/library/alpine"]);
  });

  it("takes the longest prefix, wildcards, and the files in their order", async () => {
    write("etc/containers/registries.conf", '[[registry]]\nprefix = "*.corp.example"\ninsecure = true');
    write("etc/containers/registries.conf.d/10.conf", '[[registry]]\nlocation = "a.io"\nblocked = true');
    write("etc/containers/registries.conf.d/20.conf", '[[registry]]\nprefix = "a.io/ok"\nlocation = "b.io"');
    assert.deepEqual(await places("x.y.corp.example/app"), ["x.y.corp.example/app insecure"]);
    assert.deepEqual(await places("corp.example/app"), ["corp.example/app"]);
    assert.deepEqual(await places("a.io/ok/app"), ["b.io/app"]);
    assert.equal(await codeOf(places("a.io/other")), "registry-blocked");
  });

  it("of a user replaces the machine's", async () => {
    write("etc/containers/registries.conf", '[[registry]]\nlocation = "a.io"\nblocked = true');
    write("home/.config/containers/registries.conf", 'unqualified-search-registries = ["quay.io"]');
    assert.deepEqual(await places("a.io/x"), ["a.io/x"]);
    const named = shortNameCandidates("team/app:1", await load()).map(formatReference);
    assert.deepEqual(named, ["quay.io/team/app:1"]);
  });

  it("says who keeps credentials", async () => {
    const options = { environment: {}, uid: 0, systemDirectory: path.join(root, "etc") };
    assert.equal(await credentialHelpers(options), undefined);
    write("etc/containers/registries.conf", 'credential-helpers = ["containers-auth.json", "secretservice"]');
    assert.deepEqual(await credentialHelpers(options), ["containers-auth.json", "secretservice"]);
  });

  it("gives short names their meaning", async () => {
    write(
      "etc/containers/registries.conf",
      'unqualified-search-registries = ["r.io", "docker.io"]\n[aliases]\n"fedora" = "registry.fedoraproject.org/fedora"\n"gone" = "x.io/y"',
    );
    write("etc/containers/registries.conf.d/x.conf", '[aliases]\n"gone" = ""');
    const config = await load();
    const names = (text: string) => shortNameCandidates(text, config).map(formatReference);
    assert.deepEqual(names("fedora:40"), ["registry.fedoraproject.org/fedora:40"]);
    assert.deepEqual(names("gone"), ["r.io/gone:latest", "docker.io/library/gone:latest"]);
    assert.deepEqual(names("localhost/x"), ["localhost/x:latest"]);
    assert.throws(() => shortNameCandidates("x", { ...config, mode: "enforcing" }), {
      code: "short-name-unresolved",
    });
    assert.deepEqual(shortNameCandidates("alpine", { ...config, searched: undefined }).map(formatReference), [
      "docker.io/library/alpine:latest",
    ]);
  });

  it("asks which registry a short name means, where somebody can be asked, and keeps the answer", async () => {
    write(
      "etc/containers/registries.conf",
      'unqualified-search-registries = ["r.io", "docker.io"]\nshort-name-mode = "enforcing"',
    );
    write("home/.cache/containers/short-name-aliases.conf", '[aliases]\n"old" = "o.io/old"\n');
    const options = {
      environment: { HOME: path.join(root, "home") },
      uid: 1000,
      systemDirectory: path.join(root, "etc"),
    };
    const asked: (readonly string[])[] = [];
    const client = openRegistryClient({
      ...options,
      choosePlace: (text, list) => {
        asked.push([text, ...list]);
        return asked.length === 1 ? 7 : 1;
      },
    });
    try {
      assert.equal(await codeOf(client.candidates("app:1")), "short-name-unresolved");
      const chosen = (await client.candidates("app:1")).map(formatReference);
      assert.deepEqual(chosen, ["docker.io/library/app:1"]);
      assert.deepEqual((await client.candidates("app:1")).map(formatReference), chosen);
      assert.deepEqual(asked, Array(2).fill(["app:1", "r.io/app:1", "docker.io/app:1"]));
      await client.remember("app:1");
      await client.remember("r.io/other");
    } finally {
      client.close();
    }
    const { aliases } = await loadRegistriesConfig(options);
    assert.deepEqual(
      [...aliases],
      [
        ["old", "o.io/old"],
        ["app", "docker.io/library/app"],
      ],
    );
  });

  it("that is wrong is named with its place", async () => {
    for (const text of [
      "[[registry]",
      "unqualified-search-registries = 7",
      '[[registry]]\nprefix = "a.*.io"',
      '[[registry]]\nlocation = "https://a.io"',
      "[[registry]]\ninsecure = true",
      'short-name-mode = "maybe"',
    ]) {
      write("etc/containers/registries.conf", text);
      assert.equal(await codeOf(load()), "registries-conf-invalid", text);
    }
  });

  it("makes a mirror serve, and the place itself when the mirror has nothing", async () => {
    const image = testImage(Buffer.from("x"));
    const manifest = {
      headers: { "content-type": image.manifest.mediaType },
      body: image.bytes(image.manifest.digest),
    };
    await using mirror = await startScripted(({ target }) =>
      target === "/v2/" ? {} : target.startsWith("/v2/app/manifests/v1?") ? manifest : { status: 404 },
    );
    await using own = await startScripted(({ target }) => (target === "/v2/" ? {} : manifest));
    write(
      "etc/containers/registries.conf",
      `[[registry]]\nlocation = "${own.host}"\n[[registry.mirror]]\nlocation = "${mirror.host}"`,
    );
    await using client = openTestClient({ systemDirectory: path.join(root, "etc") });
    const first = await client.source(own.reference("app:v1"));
    assert.equal(first.repository.registry, mirror.host);
    assert.deepEqual(first.names, [`${own.host}/app:v1`]);
    assert.equal(
      mirror.asked.at(-1)!.target,
      `/v2/app/manifests/v1?${new URLSearchParams({ ns: own.host })}`,
    );
    const second = await client.source(own.reference("app:v2"));
    assert.equal(second.repository.registry, own.host);
  });
});

describe("proxies", () => {
  const environment = {
    https_proxy: "http://user:pass@proxy:3128",
    HTTP_PROXY: "plain:8080",
    NO_PROXY: "internal.example,.sub.example,10.0.0.0/8,host.example:5000,[::2]",
  };
  const through = (url: string) => proxyFor(new URL(url), environment)?.host;
  it("are chosen by scheme and NO_PROXY", () => {
    assert.equal(through("https://r.io/"), "proxy:3128");
    assert.equal(through("http://r.io/"), "plain:8080");
    for (const direct of [
      "https://internal.example/",
      "https://a.internal.example/",
      "https://x.sub.example/",
      "https://10.1.2.3/",
      "https://host.example:5000/",
      "https://[::2]/",
      "http://localhost:5000/",
      "http://127.0.0.9/",
      "http://[::1]:5000/",
    ]) {
      assert.equal(through(direct), undefined, direct);
    }
    assert.equal(through("https://sub.example/"), "proxy:3128");
    assert.equal(through("https://host.example/"), "proxy:3128");
    assert.equal(through("https://11.1.2.3/"), "proxy:3128");
    assert.throws(() => proxyFor(new URL("https://r.io"), { HTTPS_PROXY: "socks5://x" }), {
      code: "proxy-invalid",
    });
  });
});
