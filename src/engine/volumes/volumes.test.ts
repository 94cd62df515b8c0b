/** Volumes as directories, without a container: no privilege is needed. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { after, test } from "node:test";
import { removeTree, VitrineError } from "../../base/mod.ts";
import { type Container, containerDirectory, createContainer } from "../containers/record.ts";
import { specInput } from "../fixtures.ts";
import type { RunOptions } from "../options.ts";
import { inheritedFlag, type KeptMount, UserMountList } from "../spec/user-mounts.ts";
import { createVolume } from "./create.ts";
import { gatherMounts } from "./gather.ts";
import { checkVolumeOptions, driverMount } from "./options.ts";
import { prepareVolumes } from "./prepare.ts";
import {
  isUnused,
  listVolumes,
  makeVolume,
  readVolume,
  type Volume,
  volumeData,
  volumeDirectory,
  volumeNames,
} from "./record.ts";
import { pruneVolumes, removeAnonymousVolumes, removeVolume, sweepVolumes } from "./remove.ts";
import { volumeSize } from "./size.ts";

const directory = fs.mkdtempSync(path.join(os.tmpdir(), "vt-volumes-unit-"));
after(() => removeTree(directory));
let stores = 0;
const newPaths = () => {
  const root = path.join(directory, String(stores++));
  return { root, runroot: `${root}/run` };
};
const remove = async (tree: string): Promise<void> => removeTree(tree);
const codeOf = (action: () => unknown): string => {
  try {
    action();
  } catch (error) {
    assert.ok(error instanceof VitrineError, String(error));
    return error.code;
  }
  return "";
};
const plain = { driver: "local", labels: {}, options: {} } as const;
const idOf = (digit: string): string => digit.repeat(64);
const mounted = (name: string, more: object = {}): KeptMount => ({
  kind: "volume",
  name,
  target: `/${name.slice(0, 8)}`,
  readOnly: false,
  copyUp: true,
  flag: "--volume",
  ...more,
});

function container(
  paths: { root: string; runroot: string },
  id: string,
  mounts: readonly KeptMount[],
): Container {
  const record = { id, name: `n${id[0]}`, remove: false, mounts } as unknown as Container;
  createContainer(paths, record);
  return record;
}

test("a volume appears whole, once, and says when it was not used yet", () => {
  const paths = newPaths();
  assert.deepEqual(volumeNames(paths), []);
  const volume: Volume = { name: "db", ...plain, created: 1_700_000_000_123, labels: { a: "b" } };
  assert.equal(makeVolume(paths, volume), true);
  assert.equal(makeVolume(paths, { ...volume, created: 5 }), false);
  assert.deepEqual(readVolume(paths, "db"), volume);
  assert.equal(fs.statSync(volumeData(paths, "db")).mode & 0o777, 0o755);
  assert.equal(isUnused(paths, volume), true);
  fs.writeFileSync(`${volumeData(paths, "db")}/file`, "12345");
  assert.equal(isUnused(paths, volume), false);
  assert.equal(volumeSize(paths, volume), 5);
  assert.deepEqual(fs.readdirSync(`${paths.root}/volumes`), ["db"]);
});

test("a damaged record is told, listed around, and can be removed", async () => {
  const paths = newPaths();
  for (const name of ["bad", "good"]) createVolume(paths, { ...plain, name }, 1);
  fs.writeFileSync(`${volumeDirectory(paths, "bad")}/volume.json`, "{");
  assert.equal(
    codeOf(() => readVolume(paths, "bad")),
    "volume-record-invalid",
  );
  assert.deepEqual(
    listVolumes(paths).map(({ name }) => name),
    ["good"],
  );
  await removeVolume(paths, "bad", remove);
  assert.deepEqual(volumeNames(paths), ["good"]);
});

test("create: what is there with the same options is what was asked for", () => {
  const paths = newPaths();
  const options = { type: "tmpfs", device: "tmpfs" };
  const first = createVolume(paths, { ...plain, name: "mem", options }, 1);
  assert.deepEqual(createVolume(paths, { ...plain, name: "mem", options }, 2), first);
  assert.deepEqual(createVolume(paths, { ...plain, name: "mem" }, 2), first);
  const other = { ...plain, name: "mem", options: { ...options, o: "size=1m" } };
  assert.equal(
    codeOf(() => createVolume(paths, other, 2)),
    "volume-exists",
  );
  assert.deepEqual(createVolume(paths, other, 2, { ignore: true }), first);
  assert.match(createVolume(paths, plain, 3).name, /^[0-9a-f]{64}$/);
});

test("options of the driver", () => {
  for (const [options, code] of [
    [{}, ""],
    [{ type: "tmpfs", device: "tmpfs", o: "size=1m" }, ""],
    [{ type: "none", device: "/srv", o: "bind" }, ""],
    [{ type: "nfs", device: ":/x", o: "addr=192.0.2.7,rw" }, ""],
    [{ type: "nfs4", device: ":/x", o: "addr=2001:db8::1" }, ""],
    [{ type: "nfs", device: ":/x", o: "addr=server" }, "volume-option-invalid"],
    [{ type: "none", device: "srv", o: "bind" }, "volume-option-invalid"],
    [{ type: "none", device: "/srv" }, "volume-option-invalid"],
    [{ device: "/dev/sdz" }, "volume-option-invalid"],
    [{ type: "ext4" }, "volume-option-invalid"],
    [{ o: "size=1m" }, "volume-option-invalid"],
    [{ wat: "1" }, "volume-option-invalid"],
    [{ size: "1g" }, "volume-quota-unsupported"],
  ] as const) {
    assert.equal(
      codeOf(() => checkVolumeOptions(options)),
      code,
      JSON.stringify(options),
    );
  }
  assert.equal(driverMount({}), undefined);
  assert.deepEqual(driverMount({ type: "none", device: "/srv", o: "rbind,ro" }), {
    type: "bind",
    device: "/srv",
    options: ["rbind", "ro"],
  });
});

test("a volume that a container has is neither removed nor pruned", async () => {
  const paths = newPaths();
  for (const name of ["held", "free"]) createVolume(paths, { ...plain, name }, 1);
  const nameless = createVolume(paths, plain, 1);
  container(paths, idOf("a"), [mounted("held")]);
  await assert.rejects(removeVolume(paths, "held", remove), { code: "volume-in-use" });
  await assert.rejects(removeVolume(paths, "../x", remove), { code: "volume-not-found" });
  const pruned = await pruneVolumes(paths, ({ anonymous }) => anonymous === true, remove);
  assert.deepEqual(
    pruned.map(({ name }) => name),
    [nameless.name],
  );
  await pruneVolumes(paths, () => true, remove);
  assert.deepEqual(volumeNames(paths), ["held"]);
});

test("what goes with a container: its own volumes, unless another one has them", async () => {
  const paths = newPaths();
  const [own, shared] = [idOf("1"), idOf("2")];
  for (const name of [own, shared])
    makeVolume(paths, { name, ...plain, created: 1, anonymous: true, container: idOf("c") });
  createVolume(paths, { ...plain, name: "named" }, 1);
  const first = container(paths, idOf("c"), [
    mounted(own, { anonymous: true }),
    mounted(shared, { anonymous: true }),
    mounted("named"),
  ]);
  container(paths, idOf("d"), [mounted(shared, { anonymous: true, flag: inheritedFlag })]);
  await removeAnonymousVolumes(paths, first, remove);
  assert.deepEqual(volumeNames(paths), [shared, "named"]);
  // Its monitor left it alone; when nobody has it any more, the next command removes it.
  removeTree(containerDirectory(paths, idOf("c")));
  await sweepVolumes(paths, remove);
  assert.deepEqual(volumeNames(paths), [shared, "named"]);
  removeTree(containerDirectory(paths, idOf("d")));
  await sweepVolumes(paths, remove);
  assert.deepEqual(volumeNames(paths), ["named"]);
});

test("before a container starts: made where they are not there, shared where another one has them", () => {
  const paths = newPaths();
  const own = mounted(idOf("1"), { anonymous: true });
  container(paths, idOf("e"), [own, mounted("named")]);
  const input = { paths, remove: true, volumeOptions: new Map(), now: 7, own: () => {} };
  prepareVolumes({ ...input, id: idOf("e"), kept: [own, mounted("named")] });
  assert.deepEqual(readVolume(paths, idOf("1"))?.container, idOf("e"));
  assert.equal(readVolume(paths, "named")?.container, undefined);
  const link = `${containerDirectory(paths, idOf("e"))}/anonymous`;
  assert.equal(fs.realpathSync(link), fs.realpathSync(`${paths.root}/volumes`));
  const from = { container: idOf("e"), readOnly: true };
  const { inherited } = gatherMounts(paths, { mounts: [], volumesFrom: [from] } as unknown as RunOptions);
  assert.deepEqual(
    inherited.map((mount) => mount.kind === "volume" && [mount.name, mount.readOnly, mount.copyUp]),
    [
      [idOf("1"), true, false],
      ["named", true, false],
    ],
  );
  container(paths, idOf("f"), inherited);
  prepareVolumes({ ...input, id: idOf("f"), kept: inherited });
  assert.equal(fs.existsSync(link), false, "the first one leaves it alone from now on");
  removeTree(volumeDirectory(paths, idOf("1")));
  assert.equal(
    codeOf(() => prepareVolumes({ ...input, id: idOf("f"), kept: inherited })),
    "volume-not-found",
  );
  const planned = new Map([["named", { type: "tmpfs" }]]);
  assert.equal(
    codeOf(() =>
      prepareVolumes({ ...input, id: idOf("f"), kept: [mounted("named")], volumeOptions: planned }),
    ),
    "volume-changed",
  );
});

test("volumes as mounts of config.json", () => {
  const list = new UserMountList({
    ...specInput(),
    volumeOptions: new Map([
      ["bound", { type: "none", device: "/srv", o: "bind,noexec" }],
      ["memory", { type: "tmpfs", device: "tmpfs", o: "size=1m" }],
    ]),
  });
  const request = { kind: "volume", target: "/t", readOnly: true, copyUp: true, flag: "--volume" } as const;
  assert.deepEqual(list.volume({ ...request, name: "plain", subpath: "a/b" }), {
    destination: "/t",
    type: "bind",
    source: "/var/lib/vitrine/volumes/plain/_data/a/b",
    options: ["rbind", "rprivate", "nosuid", "nodev", "ro"],
  });
  assert.deepEqual(list.volume({ ...request, name: "bound", readOnly: false }).source, "/srv");
  assert.deepEqual(list.volume({ ...request, name: "memory" }), {
    destination: "/t",
    type: "tmpfs",
    source: "tmpfs",
    options: ["nosuid", "nodev", "size=1m", "ro"],
  });
  assert.equal(
    codeOf(() => list.volume({ ...request, name: "memory", subpath: "x" })),
    "volume-type-unsupported",
  );
  const image = list.image({
    kind: "image",
    image: "alpine",
    target: "/i",
    subpath: "etc",
    writable: false,
    flag: "--mount",
  });
  assert.equal(image.source, "/var/lib/vitrine/containers/ID/images/0/etc");
  const { volumes, beneath, images } = list.result();
  assert.equal(volumes.find(({ name }) => name === "bound")?.lock, "/var/lib/vitrine/volumes/bound");
  assert.deepEqual(
    beneath.map(({ root, path: below }) => [root, below]),
    [
      ["/var/lib/vitrine/volumes/plain/_data", "a/b"],
      ["/var/lib/vitrine/containers/ID/images/0", "etc"],
    ],
  );
  assert.deepEqual(images, [
    { image: "alpine", at: "/var/lib/vitrine/containers/ID/images/0", writable: false },
  ]);
});
