import assert from "node:assert/strict";
import { test } from "node:test";
import { parseHealthFile } from "../containers/health.ts";
import { changedHealthCheck, healthCheckOf } from "../health.ts";
import { healthSettings } from "../supervision.ts";
import { parsePidFile } from "./process.ts";
import {
  type HealthFlags,
  parseHealth,
  parseRestartPolicy,
  parseTimeout,
  refuseRestartOfRemoved,
} from "./supervision.ts";
import { parseTimezone } from "./timezone.ts";

const none: HealthFlags = {
  "health-cmd": undefined,
  "health-interval": undefined,
  "health-timeout": undefined,
  "health-retries": undefined,
  "health-start-period": undefined,
  "health-start-interval": undefined,
  "health-on-failure": undefined,
  "no-healthcheck": false,
};

test("restart policies", () => {
  assert.equal(parseRestartPolicy("no"), undefined);
  assert.equal(parseRestartPolicy(""), undefined);
  assert.deepEqual(parseRestartPolicy("always"), { name: "always", maximumRetryCount: 0 });
  assert.deepEqual(parseRestartPolicy("unless-stopped"), { name: "unless-stopped", maximumRetryCount: 0 });
  assert.deepEqual(parseRestartPolicy("on-failure"), { name: "on-failure", maximumRetryCount: 0 });
  assert.deepEqual(parseRestartPolicy("on-failure:12"), { name: "on-failure", maximumRetryCount: 12 });
  for (const text of [
    "often",
    "always:1",
    "no:1",
    "on-failure:",
    "on-failure:-1",
    "on-failure:1.5",
    "Always",
  ]) {
    assert.throws(() => parseRestartPolicy(text), { code: "invalid-flag-value" }, text);
  }
  refuseRestartOfRemoved(undefined, true);
  refuseRestartOfRemoved(parseRestartPolicy("always"), false);
  assert.throws(() => refuseRestartOfRemoved(parseRestartPolicy("always"), true), { code: "flag-conflict" });
});

test("health flags", () => {
  assert.equal(parseHealth(none), undefined);
  assert.deepEqual(parseHealth({ ...none, "no-healthcheck": true }), { disabled: true });
  assert.deepEqual(parseHealth({ ...none, "health-cmd": "none" }), { disabled: true });
  assert.throws(() => parseHealth({ ...none, "no-healthcheck": true, "health-cmd": "x" }), {
    code: "flag-conflict",
  });
  assert.deepEqual(parseHealth({ ...none, "health-cmd": "curl -f x" }), { test: ["CMD-SHELL", "curl -f x"] });
  assert.deepEqual(parseHealth({ ...none, "health-cmd": '["curl","x"]' }), { test: ["CMD", "curl", "x"] });
  assert.deepEqual(parseHealth({ ...none, "health-cmd": '["CMD-SHELL","x y"]' }), {
    test: ["CMD-SHELL", "x y"],
  });
  assert.deepEqual(parseHealth({ ...none, "health-cmd": "[ -e /ok ]" }), {
    test: ["CMD-SHELL", "[ -e /ok ]"],
  });
  assert.deepEqual(
    parseHealth({
      ...none,
      "health-interval": "1m30s",
      "health-timeout": "1.5s",
      "health-start-period": "0",
      "health-retries": 2,
      "health-on-failure": "stop",
    }),
    { interval: 90e9, timeout: 1.5e9, startPeriod: 0, retries: 2, onFailure: "stop" },
  );
  for (const bad of [
    { "health-interval": "10" },
    { "health-timeout": "10us" },
    { "health-retries": -1 },
    { "health-retries": 1.5 },
    { "health-on-failure": "explode" },
    { "health-cmd": "[]" },
    { "health-cmd": "[1]" },
    { "health-cmd": "" },
  ]) {
    assert.throws(
      () => parseHealth({ ...none, ...bad }),
      { code: "invalid-flag-value" },
      JSON.stringify(bad),
    );
  }
});

test("flags and image together", () => {
  const image = {
    Healthcheck: { Test: ["CMD-SHELL", "image"], Interval: 5e9, Retries: 9 },
    Shell: ["/bin/ash", "-ec"],
  };
  assert.equal(healthCheckOf(undefined, undefined), undefined);
  assert.equal(healthCheckOf({ disabled: true }, image), undefined);
  assert.equal(healthCheckOf(undefined, { Healthcheck: { Test: ["NONE"] } }), undefined);
  assert.equal(healthCheckOf({ interval: 1e9 }, {}), undefined);
  assert.equal(healthCheckOf(undefined, { Healthcheck: { Test: ["CMD"] } }), undefined);
  assert.deepEqual(healthCheckOf(undefined, image), {
    test: ["CMD-SHELL", "image"],
    args: ["/bin/ash", "-ec", "image"],
    interval: 5e9,
    timeout: 30e9,
    startPeriod: 0,
    startInterval: 5e9,
    retries: 9,
    onFailure: "none",
  });
  const both = healthCheckOf({ test: ["CMD", "own"], retries: 1, onFailure: "kill" }, image);
  assert.deepEqual([both?.args, both?.interval, both?.retries, both?.onFailure], [["own"], 5e9, 1, "kill"]);
});

test("a changed check: what is not asked for stays", () => {
  const image = {
    Healthcheck: { Test: ["CMD-SHELL", "image"], Interval: 5e9, StartPeriod: 7e9 },
    Shell: ["/bin/ash", "-ec"],
  };
  const present = healthCheckOf({ onFailure: "kill", retries: 9 }, image);
  assert.deepEqual(changedHealthCheck(present, {}), present);
  assert.deepEqual(changedHealthCheck(present, { test: ["CMD-SHELL", "image -v"], retries: 2 }), {
    ...present,
    test: ["CMD-SHELL", "image -v"],
    args: ["/bin/ash", "-ec", "image -v"],
    retries: 2,
  });
  assert.deepEqual(changedHealthCheck(present, { startPeriod: 0, onFailure: "none" }), {
    ...present,
    startPeriod: 0,
    onFailure: "none",
  });
  assert.equal(changedHealthCheck(present, { disabled: true }), undefined);
  assert.equal(changedHealthCheck(undefined, { interval: 1e9 }), undefined);
  assert.deepEqual(
    changedHealthCheck(undefined, { test: ["CMD", "true"] }),
    healthCheckOf({ test: ["CMD", "true"] }, {}),
  );
  assert.equal(healthSettings(present), "5000 30000 7000 5000 9 1 1\n");
  assert.equal(healthSettings(undefined), "0 0 0 0 0 0 0\n");
});

test("the monitor's file of results", () => {
  const text = "unhealthy 3\n1700000000000000001 1700000000000000002 1 6\na\n1 2\n\n5 6 -1 0\n\n";
  assert.deepEqual(parseHealthFile(Buffer.from(text)), {
    status: "unhealthy",
    failingStreak: 3,
    log: [
      { began: 1700000000000000001n, ended: 1700000000000000002n, exitCode: 1, output: "a\n1 2\n" },
      { began: 5n, ended: 6n, exitCode: -1, output: "" },
    ],
  });
  assert.deepEqual(parseHealthFile(Buffer.from("starting 0\n")), {
    status: "starting",
    failingStreak: 0,
    log: [],
  });
  for (const bad of ["", "well 0\n", "healthy x\n"])
    assert.equal(parseHealthFile(Buffer.from(bad)), undefined);
  // Cut off in the middle: what is whole counts.
  assert.equal(parseHealthFile(Buffer.from("healthy 0\n1 2 0 5\nab"))?.log.length, 1);
});

test("--timeout, --pidfile and --tz", () => {
  assert.equal(parseTimeout(0), 0);
  assert.equal(parseTimeout(90), 90);
  for (const seconds of [-1, 0.5, Number.NaN, 2 ** 32]) {
    assert.throws(() => parseTimeout(seconds), { code: "invalid-flag-value" });
  }
  assert.equal(parsePidFile("a/pid", "/home/ann"), "/home/ann/a/pid");
  assert.equal(parsePidFile("/run/pid", "/home/ann"), "/run/pid");
  assert.throws(() => parsePidFile("", "/"), { code: "invalid-flag-value" });
  const file = (text: string, environment = {}): string | undefined => parseTimezone(text, environment)?.file;
  assert.equal(file(""), undefined);
  assert.equal(file("local"), "/etc/localtime");
  assert.equal(file("America/Argentina/Ushuaia"), "/usr/share/zoneinfo/America/Argentina/Ushuaia");
  assert.equal(file("Etc/GMT+3", { TZDIR: "/zones" }), "/zones/Etc/GMT+3");
  for (const text of ["/etc/passwd", "../x", "a/../../x", "a b", ".hidden", "a\0b"]) {
    assert.throws(() => parseTimezone(text, {}), { code: "invalid-flag-value" }, text);
  }
});
