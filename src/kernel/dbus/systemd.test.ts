import assert from "node:assert/strict";
import { test } from "node:test";
import { DbusConnection } from "./connection.ts";
import { type Answer, fakeBus, jobRemoved } from "./fake-bus.ts";
import { attachToScope, type ScopeRequest, setUnitProperties, startScope, systemdSocket } from "./systemd.ts";
import type { Message } from "./wire.ts";

const unit = "vitrine-abc.scope";
const job = "/org/freedesktop/systemd1/job/1";
const group = `/machine.slice/${unit}`;
const request = (socket: string): ScopeRequest => ({
  pid: 4242,
  unit,
  socket,
  bus: true,
  controlGroup: group,
  properties: [
    { name: "Slice", type: "s", value: "machine.slice" },
    { name: "Delegate", type: "b", value: true },
    { name: "TasksMax", type: "t", value: "18446744073709551615" },
    { name: "AllowedCPUs", type: "ay", value: [3], since: 244 },
    { name: "OOMPolicy", type: "s", value: "kill", since: 253 },
  ],
});

/** A systemd 252 that does what it is asked; `start` answers StartTransientUnit. */
function systemd(start: (count: number) => Answer, found = group): (call: Message) => Answer | undefined {
  let starts = 0;
  return ({ member, body }) => {
    switch (member) {
      case "Hello":
        return { signature: "s", body: [":1.5"] };
      case "StartTransientUnit":
        return start(++starts);
      case "GetUnit":
        return { signature: "o", body: ["/unit"] };
      case "Get":
        return {
          signature: "v",
          body: [{ signature: "s", value: body[1] === "Version" ? "252.39-1~deb12u1" : found }],
        };
      default:
        return {};
    }
  };
}

const started: Answer = { signature: "o", body: [job], after: [jobRemoved(job, unit, "done")] };

test("a scope is asked for with its process and the properties that this systemd knows", async () => {
  await using bus = await fakeBus(systemd(() => started));
  await startScope(request(bus.socket), 0);
  const names = bus.calls.map(({ member }) => member);
  assert.deepEqual(names, ["Hello", "AddMatch", "Subscribe", "Get", "StartTransientUnit", "GetUnit", "Get"]);
  const call = bus.calls.find(({ member }) => member === "StartTransientUnit");
  assert.equal(call?.destination, "org.freedesktop.systemd1");
  assert.deepEqual(call?.body, [
    unit,
    "replace",
    [
      ["PIDs", { signature: "au", value: [4242] }],
      ["Slice", { signature: "s", value: "machine.slice" }],
      ["Delegate", { signature: "b", value: true }],
      ["TasksMax", { signature: "t", value: 2n ** 64n - 1n }],
      ["AllowedCPUs", { signature: "ay", value: new Uint8Array([3]) }],
    ],
    [],
  ]);
});

test("a job that is done before its name is told is not waited for", async () => {
  const early: Answer = { signature: "o", body: [job], before: [jobRemoved(job, unit, "done")] };
  await using bus = await fakeBus(systemd(() => early));
  await startScope(request(bus.socket), 0);
});

test("a scope of that name that failed is forgotten, and asked for again", async () => {
  const exists = { error: "org.freedesktop.systemd1.UnitExists", signature: "s", body: ["exists"] };
  await using bus = await fakeBus(systemd((count) => (count < 3 ? exists : started)));
  await startScope(request(bus.socket), 0);
  assert.equal(bus.calls.filter(({ member }) => member === "ResetFailedUnit").length, 2);
});

test("what systemd refuses, fails, or puts elsewhere is an error", async () => {
  const failing = async (answer: Answer, found = group) => {
    await using bus = await fakeBus(systemd(() => answer, found));
    await startScope(request(bus.socket), 0);
  };
  await assert.rejects(failing({ signature: "o", body: [job], after: [jobRemoved(job, unit, "failed")] }), {
    code: "scope-failed",
  });
  await assert.rejects(
    failing({ error: "org.freedesktop.DBus.Error.AccessDenied", signature: "s", body: ["no"] }),
    {
      code: "dbus-error",
      operand: "org.freedesktop.DBus.Error.AccessDenied",
    },
  );
  await assert.rejects(failing(started, "/system.slice/other.scope"), { code: "scope-elsewhere" });
});

test("a bus that denies, is not there, hangs up or says nothing is an error", async () => {
  const connect = (socket: string) =>
    DbusConnection.connect({ socket, uid: 0, bus: true, timeoutMilliseconds: 50_000 });
  await assert.rejects(connect("/nonexistent/bus"), { code: "dbus-unreachable" });
  await using denying = await fakeBus(() => ({}), { deny: true });
  await assert.rejects(connect(denying.socket), { code: "dbus-denied" });
  await using silent = await fakeBus(() => undefined);
  // A machine that is busy may take long to connect: only the answer is not waited for.
  const patience = { socket: silent.socket, uid: 0, bus: false, timeoutMilliseconds: 50_000 };
  const ignored = await DbusConnection.connect(patience);
  patience.timeoutMilliseconds = 50;
  await assert.rejects(ignored.call({ path: "/", interface: "a.b", member: "c" }), { code: "dbus-timeout" });
  ignored.close();
  const ending = await fakeBus(systemd(() => started));
  const connection = await connect(ending.socket);
  await ending[Symbol.asyncDispose]();
  await assert.rejects(connection.call({ path: "/", interface: "a.b", member: "c" }), {
    code: "dbus-unreachable",
  });
});

test("systemd's own socket has no bus: nobody is greeted and nothing matched", async () => {
  await using bus = await fakeBus(systemd(() => started));
  await startScope({ ...request(bus.socket), bus: false }, 0);
  assert.ok(!bus.calls.some(({ member }) => member === "Hello" || member === "AddMatch"));
});

test("properties of a unit, and a process for it", async () => {
  await using bus = await fakeBus(systemd(() => started));
  const place = { unit, socket: bus.socket, bus: true };
  await setUnitProperties(place, [{ name: "MemoryMax", type: "t", value: "1048576" }], 0);
  await attachToScope({ ...place, pid: 7 }, 0);
  const [set, attached] = bus.calls.filter(({ destination }) => destination === "org.freedesktop.systemd1");
  assert.deepEqual(set?.body, [unit, true, [["MemoryMax", { signature: "t", value: 1048576n }]]]);
  assert.deepEqual(attached?.body, [unit, "", [7]]);
});

test("where systemd is asked", () => {
  const all = (path: string) => path !== "/run/user/1/bus";
  assert.deepEqual(systemdSocket(false, {}, all), { socket: "/run/dbus/system_bus_socket", bus: true });
  const without = (path: string) => !path.includes("dbus");
  assert.deepEqual(systemdSocket(false, {}, without), { socket: "/run/systemd/private", bus: false });
  assert.equal(
    systemdSocket(false, {}, () => false),
    undefined,
  );
  assert.equal(systemdSocket(true, {}, all), undefined);
  const session = {
    DBUS_SESSION_BUS_ADDRESS: "tcp:host=x;unix:path=/tmp/a%20b,guid=1",
    XDG_RUNTIME_DIR: "/run/user/1",
  };
  assert.deepEqual(systemdSocket(true, session, all), { socket: "/tmp/a b", bus: true });
  const runtime = { XDG_RUNTIME_DIR: "/run/user/1" };
  assert.deepEqual(systemdSocket(true, runtime, all), { socket: "/run/user/1/systemd/private", bus: false });
});
