import assert from "node:assert/strict";
import { test } from "node:test";
import { completeEnvironment } from "./environment.ts";

const passwd = new TextEncoder().encode(
  "root:x:0:0:root:/root:/bin/sh\nbroken:x:7\nuser:x:1000:1000::/home/user:/bin/sh\nnone:x:9:9:::\n",
);
const completed = (uid: number, env: readonly string[] | undefined): readonly string[] | undefined =>
  completeEnvironment(
    { args: ["a"], cwd: "/", user: { uid, gid: 0 }, ...(env === undefined ? {} : { env }) },
    () => passwd,
  ).env;

test("HOME comes from /etc/passwd where it is missing or empty, else it is /", () => {
  assert.deepEqual(completed(0, ["A=1"]), ["A=1", "HOME=/root"]);
  assert.deepEqual(completed(1000, ["HOME=", "A=1"]), ["A=1", "HOME=/home/user"]);
  for (const uid of [7, 9, 4242]) assert.deepEqual(completed(uid, []), ["HOME=/"]);
});

test("a HOME that is given stays, and nothing is looked up", () => {
  const process = { args: ["a"], cwd: "/", user: { uid: 0, gid: 0 }, env: ["HOME=/there"] };
  const never = () => assert.fail("looked up");
  assert.deepEqual(completeEnvironment(process, never).env, ["HOME=/there"]);
});

test("of two variables of one name the last counts, in its place", () => {
  assert.deepEqual(completed(0, ["A=1", "B=1", "A=2", "HOME=/x", "B=1", "HOME=/y"]), [
    "A=2",
    "B=1",
    "HOME=/y",
  ]);
});

test("no environment stays none", () => {
  assert.equal(completed(0, undefined), undefined);
});
