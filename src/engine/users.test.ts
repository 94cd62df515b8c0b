import assert from "node:assert/strict";
import { test } from "node:test";
import { group, passwd } from "./fixtures.ts";
import { resolveUser } from "./users.ts";

const files = { passwd, group };

test("nothing asked for is root with root's groups", () => {
  assert.deepEqual(resolveUser("", [], files), {
    uid: 0,
    gid: 0,
    groups: [0, 10],
    home: "/root",
    name: "root",
  });
});

test("a name brings its own group, home and the groups that list it", () => {
  assert.deepEqual(resolveUser("app", [], files), {
    uid: 1000,
    gid: 1001,
    groups: [1001, 10, 29],
    home: "/home/app",
    name: "app",
  });
  assert.deepEqual(resolveUser("1000", [], files), resolveUser("app", [], files));
});

test("with a group, only that one counts, as in docker", () => {
  assert.deepEqual(resolveUser("app:audio", [], files).groups, [29]);
  assert.equal(resolveUser("app:4242", [], files).gid, 4242);
});

test("a number without an entry has group 0 and no home of its own", () => {
  assert.deepEqual(resolveUser("5555", [], files), {
    uid: 5555,
    gid: 0,
    groups: [0],
    home: "/",
    name: undefined,
  });
  assert.equal(resolveUser("0", [], { passwd: "", group: "" }).home, "/root");
});

test("a name that is a number is a name first", () => {
  const odd = { passwd: "1000:x:7:8::/seven:/bin/sh\napp:x:1000:1::/app:/bin/sh\n", group: "" };
  assert.equal(resolveUser("1000", [], odd).uid, 7);
});

test("added groups are looked up or taken as numbers, once each", () => {
  assert.deepEqual(resolveUser("0:0", ["audio", "29", "777"], files).groups, [0, 29, 777]);
});

test("who is not there is an error with a code", () => {
  assert.throws(() => resolveUser("nobody-here", [], files), { code: "user-not-found" });
  assert.throws(() => resolveUser("app:no-group", [], files), { code: "group-not-found" });
  assert.throws(() => resolveUser("app", ["no-group"], files), { code: "group-not-found" });
  assert.throws(() => resolveUser("4294967295", [], files), { code: "user-invalid" });
  assert.throws(() => resolveUser("-1", [], files), { code: "user-invalid" });
});

test("damaged lines of an image are passed over", () => {
  const damaged = {
    passwd: "root:x:zero:0::/:/bin/sh\n::::::\nroot\nroot:x:99999999999:0::/:\napp:x:5:6\n#app:x:1:1\n",
    group: "app:x:nope:app\nother:x:9:app\n",
  };
  assert.deepEqual(resolveUser("app", [], damaged), {
    uid: 5,
    gid: 6,
    groups: [6, 9],
    home: "/",
    name: "app",
  });
  assert.throws(() => resolveUser("root", [], damaged), { code: "user-not-found" });
});
