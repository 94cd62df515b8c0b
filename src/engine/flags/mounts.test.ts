import assert from "node:assert/strict";
import { test } from "node:test";
import { parseMount } from "./mount-flag.ts";
import { parseTmpfs, parseVolume, parseVolumesFrom } from "./mounts.ts";

const invalid = { code: "invalid-flag-value" };
const unsupported = { code: "flag-unsupported" };

const bind = {
  kind: "bind",
  readOnly: "writable",
  recursive: true,
  propagation: undefined,
  options: [],
} as const;

test("a volume is a bind of a host path", () => {
  const flag = "--volume";
  assert.deepEqual(parseVolume("/srv:/data", "/"), { ...bind, source: "/srv", target: "/data", flag });
  assert.deepEqual(parseVolume("./src/:/data/:ro,rslave,noexec", "/home/ann"), {
    ...bind,
    source: "/home/ann/src",
    target: "/data",
    readOnly: "recursive-if-possible",
    propagation: "rslave",
    options: ["noexec"],
    flag,
  });
  assert.deepEqual(parseVolume("/a\\:b:/c", "/"), { ...bind, source: "/a:b", target: "/c", flag });
  assert.deepEqual(parseVolume("/a:/c:rro,bind,z", "/"), {
    ...bind,
    source: "/a",
    target: "/c",
    readOnly: "recursive",
    recursive: false,
    flag,
  });
  assert.deepEqual(parseVolume("/only", "/"), {
    kind: "anonymous",
    target: "/only",
    readOnly: false,
    copyUp: true,
    flag,
  });
});

test("volumes that cannot be are refused", () => {
  for (const text of [
    "",
    ":",
    "/a:",
    ":/b",
    "/a:b",
    "/a:/",
    "/a:/..",
    "/a:/b:ro,rw",
    "/a:/b:exec,noexec",
    "/a:/b:rslave,rprivate",
    "/a:/b:wat",
    "/a:/b:ro:x",
    "/a\0:/b",
  ]) {
    assert.throws(() => parseVolume(text, "/"), invalid, JSON.stringify(text));
  }
  for (const text of ["a:/data", "-name:/data", "na me:/data", "na/me:/data", `${"n".repeat(200)}:/data`]) {
    assert.throws(() => parseVolume(text, "/"), { code: "volume-name-invalid" }, text);
  }
  for (const text of ["/a:/b:O", "/a:/b:idmap"]) {
    assert.throws(() => parseVolume(text, "/"), unsupported, text);
  }
});

test("--mount says the same in other words", () => {
  const flag = "--mount";
  assert.deepEqual(parseMount("type=bind,src=/srv,dst=/data", "/"), {
    ...bind,
    source: "/srv",
    target: "/data",
    flag,
  });
  assert.deepEqual(
    parseMount(
      'type=bind,"source=/a,b",target=/c,readonly,bind-propagation=rshared,bind-recursive=writable',
      "/",
    ),
    {
      ...bind,
      source: "/a,b",
      target: "/c",
      readOnly: "top",
      propagation: "rshared",
      flag,
    },
  );
  const recursive = parseMount("type=bind,src=/a,dst=/b,ro,bind-recursive=readonly", "/");
  assert.equal(recursive.kind === "bind" && recursive.readOnly, "recursive");
  const single = parseMount("type=bind,src=/a,dst=/b,bind-recursive=disabled", "/");
  assert.equal(single.kind === "bind" && single.recursive, false);
  const writable = parseMount("type=bind,src=/a,dst=/b,readonly=false", "/");
  assert.equal(writable.kind === "bind" && writable.readOnly, "writable");
  assert.deepEqual(parseMount("type=tmpfs,target=/t,tmpfs-size=64m,tmpfs-mode=700", "/"), {
    kind: "tmpfs",
    target: "/t",
    options: ["size=67108864", "mode=0700"],
    flag,
  });
  assert.deepEqual(parseMount("target=/v,volume-nocopy", "/"), {
    kind: "anonymous",
    target: "/v",
    readOnly: false,
    copyUp: false,
    flag,
  });
  for (const text of [
    "type=bind,target=/b",
    "type=bind,source=/a",
    "type=tmpfs,source=/a,target=/b",
    "type=bind,source=/a,target=/b,bind-propagation=odd",
    "type=bind,source=/a,target=/b,nonsense=1",
    "type=bind,source=/a,target=b",
    "type=bind,source=/a,target=/b,bind-recursive=readonly",
    "type=tmpfs,target=/b,tmpfs-size=x",
  ]) {
    assert.throws(() => parseMount(text, "/"), invalid, text);
  }
  assert.throws(() => parseMount("type=glob,source=alpine,target=/d", "/"), unsupported);
});

test("a name is a volume", () => {
  const volume = { kind: "volume", name: "db", target: "/d", readOnly: false, copyUp: true } as const;
  assert.deepEqual(parseVolume("db:/d", "/"), { ...volume, flag: "--volume" });
  assert.deepEqual(parseVolume("db:/d:ro,z,nocopy,U,noexec,rslave", "/"), {
    ...volume,
    readOnly: true,
    copyUp: false,
    options: ["noexec", "rslave"],
    chown: true,
    flag: "--volume",
  });
  assert.throws(() => parseVolume("db:/d:copy,nocopy", "/"), invalid);
  const flag = "--mount";
  assert.deepEqual(parseMount("type=volume,src=db,dst=/d", "/"), { ...volume, flag });
  assert.deepEqual(
    parseMount("source=db,target=/d,readonly,volume-nocopy,volume-subpath=/a/./b/,volume-label=k=v", "/"),
    { ...volume, readOnly: true, copyUp: false, labels: { k: "v" }, subpath: "a/b", flag },
  );
  const memory =
    'type=volume,src=mm,volume-opt=type=tmpfs,volume-opt=device=tmpfs,"volume-opt=o=size=1m,mode=700",dst=/d';
  assert.deepEqual(parseMount(memory, "/"), {
    ...volume,
    name: "mm",
    volumeOptions: { type: "tmpfs", device: "tmpfs", o: "size=1m,mode=700" },
    flag,
  });
  assert.throws(() => parseMount("src=db,dst=/d,volume-opt=size=1g", "/"), {
    code: "volume-quota-unsupported",
  });
  assert.throws(() => parseMount("src=db,dst=/d,volume-driver=nfs", "/"), {
    code: "volume-driver-unsupported",
  });
  assert.throws(() => parseMount("src=/db,dst=/d", "/"), invalid);
});

test("images are mounted read-only unless said otherwise", () => {
  const image = { kind: "image", image: "alpine:3", target: "/i", writable: false, flag: "--mount" };
  assert.deepEqual(parseMount("type=image,source=alpine:3,target=/i", "/"), image);
  assert.deepEqual(parseMount("type=image,src=alpine:3,dst=/i,rw=true,subpath=etc", "/"), {
    ...image,
    writable: true,
    subpath: "etc",
  });
  for (const text of [
    "type=image,target=/i",
    "type=image,source=a,target=/i,subpath=../x",
    "type=image,source=a,target=i",
  ]) {
    assert.throws(() => parseMount(text, "/"), invalid, text);
  }
});

test("--volumes-from", () => {
  assert.deepEqual(parseVolumesFrom("web"), { container: "web", readOnly: undefined });
  assert.deepEqual(parseVolumesFrom("web:ro,z"), { container: "web", readOnly: true });
  for (const text of ["", ":ro", "web:wat", "a:b:c"])
    assert.throws(() => parseVolumesFrom(text), invalid, text);
});

test("--tmpfs knows tmpfs' own options", () => {
  assert.deepEqual(parseTmpfs("/t:rw,size=10%,mode=1777,uid=5,exec"), {
    kind: "tmpfs",
    target: "/t",
    options: ["rw", "size=10%", "mode=1777", "uid=5", "exec"],
    flag: "--tmpfs",
  });
  for (const text of ["t", "/t:size=", "/t:uid=x", "/t:bind", "/t:nope", "/:size=1m"]) {
    assert.throws(() => parseTmpfs(text), invalid, text);
  }
});
