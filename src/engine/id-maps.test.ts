import assert from "node:assert/strict";
import { test } from "node:test";
import type { IdMapRange } from "../kernel/mod.ts";
import type { StoreIds } from "../store/mod.ts";
import { bareUserHost, rootHost, userHost } from "./fixtures.ts";
import { chooseIds, lastContiguousId, shareIds, toHostId } from "./id-maps.ts";
import type { IdSources } from "./id-pools.ts";

const files = (text: string, taken: readonly StoreIds[] = []): IdSources => ({
  readHostFile: () => text,
  taken: () => taken,
});
const containers = files("ann:100000:65536\ncontainers:1000000:262144\n");

function uidsOf({ ids }: { readonly ids: StoreIds }): readonly IdMapRange[] {
  assert.equal(ids.kind, "range");
  return ids.kind === "range" ? ids.uids : [];
}

test("root runs under the host's ids unless it asks", () => {
  assert.deepEqual(chooseIds(rootHost).ids, { kind: "none" });
  assert.deepEqual(chooseIds(rootHost, { mode: "host" }).ids, { kind: "none" });
  assert.throws(() => chooseIds(rootHost, { mode: "keep-id" }), { code: "flag-conflict" });
  assert.throws(() => chooseIds(rootHost, { mode: "nomap" }), { code: "flag-conflict" });
});

test("root's private ids are the first slot of the entry, and are shared", () => {
  const choice = chooseIds(rootHost, { mode: "private" }, containers);
  const map = [{ containerID: 0, hostID: 1000000, size: 65536 }];
  assert.deepEqual(choice.ids, { kind: "range", uids: map, gids: map, newuidmap: "", newgidmap: "" });
  assert.equal(choice.unique, undefined);
  assert.deepEqual(
    chooseIds(rootHost, { mode: "private" }, { ...containers, taken: () => [choice.ids] }),
    choice,
  );
});

test("without an entry root's ids are where nobody has any", () => {
  const [free] = uidsOf(chooseIds(rootHost, { mode: "private" }, files("ann:100000:65536")));
  assert.equal(free!.hostID, 1_879_048_192);
  const [next] = uidsOf(chooseIds(rootHost, { mode: "private" }, files("ann:1879048200:1")));
  assert.equal(next!.hostID, 1_879_048_192 + 65_536);
  assert.throws(() => chooseIds(rootHost, { mode: "private" }, files("containers:5:10")), {
    code: "subordinate-ids-missing",
  });
});

test("auto takes the lowest free slots, until there are none", () => {
  const taken: StoreIds[] = [];
  const sources = files("containers:1000000:262144", taken);
  for (const hostID of [1065536, 1131072]) {
    const choice = chooseIds(rootHost, { mode: "auto" }, sources);
    assert.equal(choice.unique, true);
    assert.deepEqual(uidsOf(choice), [{ containerID: 0, hostID, size: 65536 }]);
    taken.push(choice.ids);
  }
  assert.throws(() => chooseIds(rootHost, { mode: "auto", size: 65537 }, sources), {
    code: "subordinate-ids-used-up",
  });
  taken.shift();
  assert.deepEqual(uidsOf(chooseIds(rootHost, { mode: "auto", size: 70000 }, sources)), [
    { containerID: 0, hostID: 1065536, size: 65536 },
    { containerID: 65536, hostID: 1196608, size: 4464 },
  ]);
});

test("a user's auto and nomap leave the own id out", () => {
  const first = chooseIds(userHost, { mode: "auto" });
  assert.deepEqual(uidsOf(first), [{ containerID: 0, hostID: 100000, size: 1024 }]);
  const second = chooseIds(userHost, { mode: "auto", size: 100 }, files("", [first.ids]));
  assert.deepEqual(uidsOf(second), [{ containerID: 0, hostID: 101024, size: 100 }]);
  assert.deepEqual(uidsOf(chooseIds(userHost, { mode: "nomap" })), [
    { containerID: 0, hostID: 100000, size: 65536 },
  ]);
  assert.throws(() => chooseIds(bareUserHost, { mode: "auto" }), { code: "subordinate-ids-missing" });
});

test("--uidmap counts the host's ids as root, the caller's as a user", () => {
  const map = (containerID: number, from: number, size: number, host = false) => ({
    containerID,
    from,
    host,
    size,
  });
  const maps = (...uids: ReturnType<typeof map>[]) => ({ mode: "maps", uids, gids: [] }) as const;
  assert.deepEqual(uidsOf(chooseIds(rootHost, maps(map(0, 5000, 10)))), [
    { containerID: 0, hostID: 5000, size: 10 },
  ]);
  assert.deepEqual(uidsOf(chooseIds(userHost, maps(map(0, 0, 3), map(7, 100009, 1, true)))), [
    { containerID: 0, hostID: 1000, size: 1 },
    { containerID: 1, hostID: 100000, size: 2 },
    { containerID: 7, hostID: 100009, size: 1 },
  ]);
  const invalid = { code: "invalid-flag-value", operand: "--uidmap" };
  assert.throws(() => chooseIds(userHost, maps(map(0, 65537, 1))), invalid);
  assert.throws(() => chooseIds(rootHost, maps(map(1, 5, 1))), invalid);
  assert.throws(() => chooseIds(rootHost, maps(map(0, 5, 10), map(9, 100, 1))), invalid);
  assert.throws(() => chooseIds(rootHost, maps(map(0, 5, 10), map(20, 14, 1))), invalid);
});

test("--subuidname takes the entries of that name in their order", () => {
  const sources = files("ann:100000:10\nbob:1:2\nann:300000:5\n");
  const named = (name: string) => ({ mode: "named", uidName: name, gidName: name }) as const;
  assert.deepEqual(uidsOf(chooseIds(rootHost, named("ann"), sources)), [
    { containerID: 0, hostID: 100000, size: 10 },
    { containerID: 10, hostID: 300000, size: 5 },
  ]);
  assert.throws(() => chooseIds(rootHost, named("eve"), sources), { code: "subordinate-ids-missing" });
});

test("two maps share ids where they overlap on the host", () => {
  const choose = (mode: "private" | "auto") => chooseIds(rootHost, { mode }, containers).ids;
  assert.equal(shareIds(choose("private"), choose("private")), true);
  assert.equal(shareIds(choose("private"), choose("auto")), false);
  assert.equal(shareIds({ kind: "none" }, choose("auto")), false);
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
