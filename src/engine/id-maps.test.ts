import assert from "node:assert/strict";
import { test } from "node:test";
import { bareUserHost, rootHost, userHost } from "./fixtures.ts";
import { chooseIds, lastContiguousId, toHostId } from "./id-maps.ts";

test("root runs under the host's ids, and is told what it cannot have", () => {
  assert.deepEqual(chooseIds(rootHost).ids, { kind: "none" });
  assert.deepEqual(chooseIds(rootHost, { mode: "host" }).ids, { kind: "none" });
  assert.throws(() => chooseIds(rootHost, { mode: "private" }), { code: "flag-unsupported" });
  assert.throws(() => chooseIds(rootHost, { mode: "keep-id" }), { code: "flag-conflict" });
});

test("a user with subordinate ids is 0, the range follows", () => {
  const { ids, warnings } = chooseIds(userHost);
  assert.equal(ids.kind, "range");
  assert.deepEqual(ids.kind === "range" && ids.uids, [
    { containerID: 0, hostID: 1000, size: 1 },
    { containerID: 1, hostID: 100000, size: 65536 },
  ]);
  assert.deepEqual(warnings, []);
});

test("keep-id puts the own id where it is and the range around it", () => {
  const { ids, defaultUser } = chooseIds(userHost, { mode: "keep-id" });
  assert.deepEqual(ids.kind === "range" && ids.uids, [
    { containerID: 0, hostID: 100000, size: 1000 },
    { containerID: 1000, hostID: 1000, size: 1 },
    { containerID: 1001, hostID: 101000, size: 64536 },
  ]);
  assert.deepEqual(defaultUser, { uid: 1000, gid: 1000 });
  assert.deepEqual(chooseIds(userHost, { mode: "keep-id", uid: 5 }).defaultUser, { uid: 5, gid: 1000 });
});

test("keep-id with fewer ids than its number leaves a gap", () => {
  const few = {
    ...userHost,
    subordinateIds: { ...userHost.subordinateIds, uids: [{ start: 100000, count: 10 }] },
  };
  const { ids } = chooseIds(few, { mode: "keep-id" });
  assert.deepEqual(ids.kind === "range" && ids.uids, [
    { containerID: 0, hostID: 100000, size: 10 },
    { containerID: 1000, hostID: 1000, size: 1 },
  ]);
});

test("several ranges are used one after the other", () => {
  const two = {
    ...userHost,
    subordinateIds: {
      ...userHost.subordinateIds,
      uids: [
        { start: 100000, count: 2 },
        { start: 300000, count: 3 },
      ],
    },
  };
  const { ids } = chooseIds(two, { mode: "keep-id", uid: 3 });
  assert.deepEqual(ids.kind === "range" && ids.uids, [
    { containerID: 0, hostID: 100000, size: 2 },
    { containerID: 2, hostID: 300000, size: 1 },
    { containerID: 3, hostID: 1000, size: 1 },
    { containerID: 4, hostID: 300001, size: 2 },
  ]);
});

test("without subordinate ids only the own id is there, and the user is told", () => {
  const { ids, warnings } = chooseIds(bareUserHost);
  assert.deepEqual(ids, {
    kind: "single",
    uids: [{ containerID: 0, hostID: 1000, size: 1 }],
    gids: [{ containerID: 0, hostID: 1000, size: 1 }],
  });
  assert.equal(warnings.length, 1);
});

test("a machine without user namespaces for users is named as such", () => {
  const closed = {
    ...userHost,
    userNamespace: { ...userHost.userNamespace, maximum: 0, unprivilegedAllowed: false },
  };
  assert.throws(() => chooseIds(closed), { code: "user-namespaces-disabled" });
});

test("ids are translated through the map, and its first run ends at a gap", () => {
  const map = [
    { containerID: 5, hostID: 300, size: 5 },
    { containerID: 0, hostID: 1000, size: 1 },
    { containerID: 1, hostID: 100, size: 2 },
  ];
  assert.equal(toHostId(map, 2), 101);
  assert.equal(toHostId(map, 3), undefined);
  assert.equal(toHostId(map, 9), 304);
  assert.equal(lastContiguousId(map), 2);
  assert.equal(lastContiguousId([{ containerID: 1, hostID: 1, size: 1 }]), -1);
});
