import assert from "node:assert/strict";
import { test } from "node:test";
import {
  MOUNT_ATTR__ATIME as atime,
  MOUNT_ATTR_NOATIME as noatime,
  MOUNT_ATTR_NODEV as nodev,
  MOUNT_ATTR_NODIRATIME as nodiratime,
  MOUNT_ATTR_NOEXEC as noexec,
  MOUNT_ATTR_NOSUID as nosuid,
  MOUNT_ATTR_NOSYMFOLLOW as nosymfollow,
  MOUNT_ATTR_RDONLY as rdonly,
  MOUNT_ATTR_STRICTATIME as strictatime,
} from "../kernel/mod.ts";
import { parseIdMapRanges } from "./mount-id-map.ts";
import { bindAttributes, parseMountOptions, propagationWord } from "./mount-options.ts";

/** The table of config.md#linux-mount-options: each attribute word with what it sets and clears. */
const attributeWords: readonly (readonly [string, bigint, bigint])[] = [
  ["ro", rdonly, 0n],
  ["rw", 0n, rdonly],
  ["nosuid", nosuid, 0n],
  ["suid", 0n, nosuid],
  ["nodev", nodev, 0n],
  ["dev", 0n, nodev],
  ["noexec", noexec, 0n],
  ["exec", 0n, noexec],
  ["nodiratime", nodiratime, 0n],
  ["diratime", 0n, nodiratime],
  ["nosymfollow", nosymfollow, 0n],
  ["symfollow", 0n, nosymfollow],
  ["noatime", noatime, atime],
  ["strictatime", strictatime, atime],
  ["relatime", 0n, atime],
  ["norelatime", 0n, 0n],
];

test("each attribute word, and with r before it for the whole tree", () => {
  for (const [word, set, clear] of attributeWords) {
    const own = parseMountOptions([word]);
    assert.deepEqual(own.attributes, { set, clear }, word);
    assert.deepEqual(own.recursiveAttributes, { set: 0n, clear: 0n }, word);
    const tree = parseMountOptions([`r${word}`]);
    assert.deepEqual(tree.recursiveAttributes, { set, clear }, `r${word}`);
    assert.deepEqual(tree.attributes, { set: 0n, clear: 0n }, `r${word}`);
    assert.deepEqual([...own.data, ...tree.data], []);
  }
});

test("atime and nostrictatime end what was asked for; of a tree they ask for the default", () => {
  for (const word of ["atime", "nostrictatime", "norelatime"]) {
    const { attributes, attributesGiven } = parseMountOptions([word]);
    assert.deepEqual([attributes, attributesGiven], [{ set: 0n, clear: 0n }, true], word);
  }
  assert.deepEqual(parseMountOptions(["noatime", "atime"]).attributes, { set: 0n, clear: 0n });
  assert.deepEqual(parseMountOptions(["noatime", "nostrictatime"]).attributes, {
    set: noatime,
    clear: atime,
  });
  assert.deepEqual(parseMountOptions(["ratime"]).recursiveAttributes, { set: 0n, clear: atime });
});

test("a bind mount with any attribute word has no other flag of its source's, access times apart", () => {
  const plain = rdonly | nosuid | nodev | noexec | nosymfollow;
  const of = (...words: string[]) => bindAttributes(parseMountOptions(words));
  assert.deepEqual(of("bind"), { attributes: { set: 0n, clear: 0n }, unasked: 0n });
  assert.deepEqual(of("bind", "rro"), { attributes: { set: 0n, clear: 0n }, unasked: 0n });
  assert.deepEqual(of("dev"), { attributes: { set: 0n, clear: nodev }, unasked: plain & ~nodev });
  assert.deepEqual(of("ro", "rnosuid"), {
    attributes: { set: rdonly, clear: 0n },
    unasked: plain & ~(rdonly | nosuid),
  });
  assert.deepEqual(of("atime"), { attributes: { set: 0n, clear: 0n }, unasked: plain });
  assert.deepEqual(of("diratime"), { attributes: { set: 0n, clear: 0n }, unasked: plain });
  assert.deepEqual(of("noatime"), {
    attributes: { set: noatime, clear: atime },
    unasked: plain | nodiratime,
  });
  assert.deepEqual(of("nodiratime"), { attributes: { set: nodiratime, clear: atime }, unasked: plain });
});

test("a later word undoes an earlier one", () => {
  assert.deepEqual(parseMountOptions(["ro", "rw"]).attributes, { set: 0n, clear: rdonly });
  assert.deepEqual(parseMountOptions(["rw", "ro"]).attributes, { set: rdonly, clear: 0n });
  assert.deepEqual(parseMountOptions(["noatime", "strictatime"]).attributes, {
    set: strictatime,
    clear: atime,
  });
  assert.deepEqual(parseMountOptions(["sync", "lazytime", "async"]).superblock, ["lazytime"]);
});

test("no word of the spec's table reaches the filesystem", () => {
  const words =
    "async atime bind defaults dev diratime dirsync exec iversion lazytime loud mand noatime nodev nodiratime noexec noiversion nolazytime nomand norelatime nostrictatime nosuid nosymfollow private ratime rbind rdev rdiratime relatime remount rexec rnoatime rnodiratime rnoexec rnorelatime rnostrictatime rnosuid rnosymfollow ro rprivate rrelatime rro rrw rshared rslave rstrictatime rsuid rsymfollow runbindable rw shared silent slave strictatime suid symfollow sync tmpcopyup unbindable idmap ridmap";
  assert.deepEqual(parseMountOptions(words.split(" ")).data, []);
});

test("crun's words: maps after idmap, links that are copied", () => {
  const { idmap, idmapRanges, copySymlink, data } = parseMountOptions(["ridmap=uids=0-1-2", "copy-symlink"]);
  assert.deepEqual([idmap, idmapRanges, copySymlink, data], ["ridmap", "uids=0-1-2", true, []]);
  assert.deepEqual(parseIdMapRanges("uids=0-1-10#@10-11-5;gids=0-100-10", "/x"), {
    uids: [
      { containerID: 0, hostID: 1, size: 10, ofContainer: false },
      { containerID: 10, hostID: 11, size: 5, ofContainer: true },
    ],
    gids: [{ containerID: 0, hostID: 100, size: 10, ofContainer: false }],
  });
  for (const wrong of ["0-1-2", "uids=", "uids=0-1", "uids=0-1-0", "pids=0-1-2", "uids=0-4294967295-1"]) {
    assert.throws(() => parseIdMapRanges(wrong, "/x"), { code: "mount-idmap-invalid" }, wrong);
  }
});

test("what it does not know belongs to the filesystem", () => {
  assert.deepEqual(parseMountOptions(["mode=755", "ro", "size=1k", "rolax", "r"]).data, [
    "mode=755",
    "size=1k",
    "rolax",
    "r",
  ]);
});

test("propagation and its recursive words", () => {
  assert.deepEqual(parseMountOptions(["rslave", "unbindable"]).propagation, [(1 << 19) | 0x4000, 1 << 17]);
  assert.equal(propagationWord("rshared"), (1 << 20) | 0x4000);
  assert.equal(propagationWord("ro"), undefined);
});

test("rbind is the stronger of its pair, of idmap and ridmap the last one counts", () => {
  assert.equal(parseMountOptions(["rbind", "bind"]).bind, "rbind");
  assert.equal(parseMountOptions(["idmap", "ridmap"]).idmap, "ridmap");
  assert.equal(parseMountOptions(["ridmap", "idmap"]).idmap, "idmap");
});
