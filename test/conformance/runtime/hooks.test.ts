/** What each hook is told, and by whose eyes (runtime.md#state, config.md#posix-platform-hooks). */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import {
  bundle,
  type Config,
  call,
  must,
  newId,
  refused,
  scratch,
  state,
  stopped,
  succeeded,
} from "./support.ts";

const points = [
  "prestart",
  "createRuntime",
  "createContainer",
  "startContainer",
  "poststart",
  "poststop",
] as const;
type Point = (typeof points)[number];

interface Told {
  readonly ociVersion: string;
  readonly id: string;
  readonly status: string;
  readonly pid?: number;
  readonly bundle: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** A container whose hooks write their input, and their namespaces, into files of a directory that is in both roots. */
async function live(change: (config: Config) => void = () => {}) {
  const shared = scratch();
  const directory = bundle("true", (config) => {
    config.mounts.push({ destination: shared, type: "bind", source: shared, options: ["bind", "rw"] });
    config.process.user = { uid: 0, gid: 0 };
    config.annotations = { "org.example": "kept" };
    config.hooks = Object.fromEntries(
      points.map((point) => [
        point,
        [
          {
            path: "/bin/sh",
            args: [
              "sh",
              "-c",
              `cat > ${shared}/${point}; export PATH=/bin:/usr/bin; for n in uts mnt; do readlink /proc/self/ns/$n; done > ${shared}/${point}.ns`,
            ],
          },
        ],
      ]),
    );
    change(config);
  });
  const id = newId();
  succeeded(call(["create", "--bundle", directory, id]));
  const { pid } = state(id);
  const own = ["uts", "mnt"].map((name) => fs.readlinkSync(`/proc/${pid}/ns/${name}`));
  succeeded(call(["start", id]));
  await stopped(id);
  succeeded(call(["delete", id]));
  const read = (file: string) => fs.readFileSync(path.join(shared, file), "utf8");
  return {
    id,
    pid,
    directory,
    own,
    told: (point: Point) => JSON.parse(read(point)) as Told,
    namespaces: (point: Point) => read(`${point}.ns`).trim().split("\n"),
  };
}

const statuses: Readonly<Record<Point, string>> = {
  prestart: "creating",
  createRuntime: "creating",
  createContainer: "creating",
  startContainer: "created",
  poststart: "running",
  poststop: "stopped",
};

must("runtime.md#state", "hooks are told id, status, bundle and annotations", async () => {
  const { id, directory, told } = await live();
  for (const point of points) {
    const { status, id: name, bundle: where, annotations } = told(point);
    assert.deepEqual(
      { point, status, name, where, annotations },
      { point, status: statuses[point], name: id, where: directory, annotations: { "org.example": "kept" } },
    );
  }
});

must("runtime.md#state", "hooks are told the pid as they see it", async () => {
  const { pid, told } = await live();
  for (const point of ["prestart", "createRuntime", "poststart"] as const)
    assert.equal(told(point).pid, pid, point);
  for (const point of ["createContainer", "startContainer"] as const) assert.equal(told(point).pid, 1, point);
  assert.equal(told("poststop").pid ?? 0, 0);
});

must(
  "config.md#posix-platform-hooks",
  "run in the namespaces of the runtime, or of the container",
  async () => {
    const { own, namespaces } = await live();
    const ours = ["uts", "mnt"].map((name) => fs.readlinkSync(`/proc/self/ns/${name}`));
    for (const point of ["prestart", "createRuntime", "poststart", "poststop"] as const) {
      assert.deepEqual(namespaces(point), ours, point);
    }
    for (const point of ["createContainer", "startContainer"] as const) {
      assert.deepEqual(namespaces(point), own, point);
    }
  },
);

must("config.md#poststart", "a hook that fails is an error of start, and destroys the container", () => {
  const directory = bundle("while :; do sleep 1; done", (config) => {
    config.hooks = { poststart: [{ path: "/bin/false" }] };
  });
  const id = newId();
  succeeded(call(["create", "--bundle", directory, id]));
  refused(call(["start", id]));
  refused(call(["state", id]));
});

must(
  "config.md#posix-platform-hooks",
  "a program that is not there is an error of create, and leaves nothing",
  () => {
    for (const point of ["prestart", "createRuntime", "createContainer"] as const) {
      const directory = bundle("true", (config) => {
        config.hooks = { [point]: [{ path: "/no/such/hook" }] };
      });
      const id = newId();
      refused(call(["create", "--bundle", directory, id]));
      refused(call(["state", id]));
    }
  },
);
