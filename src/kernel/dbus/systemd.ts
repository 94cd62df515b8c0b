/** systemd as the owner of cgroups: transient scopes on its D-Bus interface (org.freedesktop.systemd1(5)). */
import * as fs from "node:fs";
import { VitrineError } from "../../base/mod.ts";
import { type ConnectOptions, DbusConnection } from "./connection.ts";
import type { DbusValue, Message, Variant } from "./wire.ts";

/** A property of a unit. Values of type `t` are decimal text, so that JSON carries them; of `ay` a list of bytes. */
export interface UnitProperty {
  readonly name: string;
  readonly type: "b" | "s" | "t" | "ay" | "as";
  readonly value: boolean | string | readonly number[] | readonly string[];
  /** The first version of systemd that knows it; older ones are not told. */
  readonly since?: number;
}

export interface ScopeRequest {
  /** The unit's first process. */
  readonly pid: number;
  /** `vitrine-ID.scope`. */
  readonly unit: string;
  readonly properties: readonly UnitProperty[];
  /** The cgroup that it must get, as /proc/PID/cgroup would show it. */
  readonly controlGroup: string;
  /** The socket. */
  readonly socket: string;
  /** False: systemd's own, without a bus. */
  readonly bus: boolean;
}

const answerMilliseconds = 30_000;

const manager = {
  destination: "org.freedesktop.systemd1",
  path: "/org/freedesktop/systemd1",
  interface: "org.freedesktop.systemd1.Manager",
} as const;
const properties = "org.freedesktop.DBus.Properties";

/** Where systemd can be asked; undefined: nowhere. `user`: the user's own manager. */
export function systemdSocket(
  user: boolean,
  environment: Readonly<Record<string, string | undefined>>,
  exists: (path: string) => boolean = fs.existsSync,
): { readonly socket: string; readonly bus: boolean } | undefined {
  if (!exists("/run/systemd/system")) return undefined;
  const places: { readonly socket: string; readonly bus: boolean }[] = [];
  if (user) {
    const named = pathOfAddress(environment["DBUS_SESSION_BUS_ADDRESS"]);
    if (named !== undefined) places.push({ socket: named, bus: true });
    const runtime = environment["XDG_RUNTIME_DIR"];
    if (runtime?.startsWith("/")) {
      places.push(
        { socket: `${runtime}/bus`, bus: true },
        { socket: `${runtime}/systemd/private`, bus: false },
      );
    }
  } else {
    places.push(
      { socket: "/run/dbus/system_bus_socket", bus: true },
      { socket: "/run/systemd/private", bus: false },
    );
  }
  return places.find(({ socket }) => socket.startsWith("\0") || exists(socket));
}

/** The first unix socket of `unix:path=/run/user/1000/bus,guid=…;…`. */
function pathOfAddress(address: string | undefined): string | undefined {
  for (const each of (address ?? "").split(";")) {
    if (!each.startsWith("unix:")) continue;
    for (const word of each.slice("unix:".length).split(",")) {
      const [key, value = ""] = word.split("=", 2);
      const text = value.replace(/%([0-9a-fA-F]{2})/g, (_, hex: string) =>
        String.fromCharCode(Number.parseInt(hex, 16)),
      );
      if (key === "path") return text;
      if (key === "abstract") return `\0${text}`;
    }
  }
  return undefined;
}

/**
 * Starts the unit and waits until systemd is done with it.
 * Errors: `scope-failed`, `scope-elsewhere`, `dbus-unreachable`, `dbus-error`, …
 */
export async function startScope(request: ScopeRequest, uid: number): Promise<void> {
  await withSystemd(request, uid, async (connection) => {
    const jobs = await followJobs(connection);
    const known = await knownTo(connection, request.properties);
    const body: DbusValue = [
      ["PIDs", { signature: "au", value: [request.pid] }],
      ...known.map(({ name, type, value }) => [name, variantOf(type, value)]),
    ];
    const start = () =>
      connection.call({
        ...manager,
        member: "StartTransientUnit",
        signature: "ssa(sv)a(sa(sv))",
        body: [request.unit, "replace", body, []],
      });
    const [job] = await whenFree(connection, request.unit, start);
    const result = await connection.within(jobs.resultOf(String(job)), `the start of ${request.unit}`);
    if (result !== "done") {
      throw new VitrineError("unavailable", `systemd could not start ${request.unit}: ${result}`, {
        code: "scope-failed",
        operand: request.unit,
        hint: `see 'systemctl status ${request.unit}' and 'journalctl -u ${request.unit}'`,
      });
    }
    await checkPlace(connection, request);
  });
}

/** Puts a process into a unit: a user's own systemd may where the user may not. */
export async function attachToScope(
  place: { readonly pid: number; readonly unit: string; readonly socket: string; readonly bus: boolean },
  uid: number,
): Promise<void> {
  await withSystemd(place, uid, async (connection) => {
    await connection.call({
      ...manager,
      member: "AttachProcessesToUnit",
      signature: "ssau",
      body: [place.unit, "", [place.pid]],
    });
  });
}

/** Errors: as of `startScope`. */
export async function setUnitProperties(
  place: { readonly unit: string; readonly socket: string; readonly bus: boolean },
  wanted: readonly UnitProperty[],
  uid: number,
): Promise<void> {
  await withSystemd(place, uid, async (connection) => {
    const known = await knownTo(connection, wanted);
    const body: DbusValue = known.map(({ name, type, value }) => [name, variantOf(type, value)]);
    await connection.call({
      ...manager,
      member: "SetUnitProperties",
      signature: "sba(sv)",
      body: [place.unit, true, body],
    });
  });
}

/** How long the unit of a container that ended a moment ago may still be known. */
const settleTurns = 100;
const settleMilliseconds = 20;

/** A unit of that name may have failed, or be on its way out: forgotten, it can be made again. */
async function whenFree<T>(connection: DbusConnection, unit: string, start: () => Promise<T>): Promise<T> {
  for (let turn = 0; ; turn++) {
    try {
      return await start();
    } catch (error) {
      if (!isNamed(error, "UnitExists") || turn === settleTurns) throw error;
    }
    await connection
      .call({ ...manager, member: "ResetFailedUnit", signature: "s", body: [unit] })
      .catch(() => undefined);
    await new Promise((resolve) => setTimeout(resolve, settleMilliseconds));
  }
}

async function withSystemd(
  { socket, bus }: { readonly socket: string; readonly bus: boolean },
  uid: number,
  body: (connection: DbusConnection) => Promise<void>,
): Promise<void> {
  const options: ConnectOptions = { socket, bus, uid, timeoutMilliseconds: answerMilliseconds };
  const connection = await DbusConnection.connect(options);
  try {
    await body(connection);
  } finally {
    connection.close();
  }
}

/** A job may be done before its name is known to us: all results are kept. */
async function followJobs(connection: DbusConnection) {
  const results = new Map<string, string>();
  const waiting = new Map<string, (result: string) => void>();
  connection.onSignal(({ member, body }: Message) => {
    if (member !== "JobRemoved") return;
    const [, job, , result] = body;
    results.set(String(job), String(result));
    waiting.get(String(job))?.(String(result));
  });
  await connection.match(`type='signal',interface='${manager.interface}',member='JobRemoved'`);
  await connection.call({ ...manager, member: "Subscribe" });
  return {
    resultOf: (job: string): Promise<string> =>
      new Promise((resolve) => {
        const known = results.get(job);
        if (known === undefined) waiting.set(job, resolve);
        else resolve(known);
      }),
  };
}

async function knownTo(
  connection: DbusConnection,
  wanted: readonly UnitProperty[],
): Promise<readonly UnitProperty[]> {
  if (wanted.every(({ since }) => since === undefined)) return wanted;
  const text = await propertyOf(connection, manager.path, manager.interface, "Version");
  const version = Number(/\d+/.exec(String(text))?.[0] ?? 0);
  return wanted.filter(({ since = 0 }) => since <= version);
}

async function propertyOf(
  connection: DbusConnection,
  path: string,
  owner: string,
  name: string,
): Promise<DbusValue> {
  const [variant] = await connection.call({
    destination: manager.destination,
    path,
    interface: properties,
    member: "Get",
    signature: "ss",
    body: [owner, name],
  });
  return (variant as Variant).value;
}

/** Limits are written where the plan says: systemd must have made that very cgroup. */
async function checkPlace(connection: DbusConnection, { unit, controlGroup }: ScopeRequest): Promise<void> {
  const [path] = await connection.call({ ...manager, member: "GetUnit", signature: "s", body: [unit] });
  const found = String(
    await propertyOf(connection, String(path), "org.freedesktop.systemd1.Scope", "ControlGroup"),
  );
  if (found === controlGroup) return;
  throw new VitrineError("internal", `systemd put ${unit} into the cgroup ${found}, not ${controlGroup}`, {
    code: "scope-elsewhere",
    operand: unit,
    hint: "--cgroup-manager cgroupfs does without systemd",
  });
}

function variantOf(type: UnitProperty["type"], value: UnitProperty["value"]): Variant {
  if (type === "t") return { signature: "t", value: BigInt(value as string) };
  if (type === "ay") return { signature: "ay", value: Uint8Array.from(value as readonly number[]) };
  return { signature: type, value: value as DbusValue };
}

function isNamed(error: unknown, name: string): boolean {
  return (
    error instanceof VitrineError && error.code === "dbus-error" && (error.operand ?? "").endsWith(`.${name}`)
  );
}
