/** The process itself: ids, limits, directory, words, environment, and the sysctls of its namespaces. */
import type { Plan, ProcessTruth, Reading } from "../kernel/mod.ts";
import { limitText, octal, personalityText, rlimitName } from "./flags.ts";
import { mapReading, opsOf, rowOf, statusField, type TruthRow, textOfReading } from "./truth.ts";

export function processRows(plan: Plan, truth: ProcessTruth): readonly TruthRow[] {
  return [
    ...userRows(plan, truth),
    ...opsOf(plan, "setUmask").map((one) =>
      rowOf(
        "process",
        "umask",
        one,
        octal(one.op.mask),
        mapReading(statusField(truth.files["status"], "Umask"), (text) => octal(Number.parseInt(text, 8))),
      ),
    ),
    ...opsOf(plan, "changeDirectory").map((one) =>
      rowOf("process", "directory", one, one.op.path, directoryOf(truth)),
    ),
    ...opsOf(plan, "setPersonality").map((one) =>
      rowOf(
        "process",
        "personality",
        one,
        personalityText(one.op.persona),
        mapReading(truth.files["personality"], (text) => personalityText(Number.parseInt(text, 16))),
      ),
    ),
    ...limitRows(plan, truth),
    ...fileRows(plan, truth),
    ...programRows(plan, truth),
  ];
}

/** As the reader sees it the path begins with the container's root where that is no mount namespace's root. */
function directoryOf({ files }: ProcessTruth): Reading {
  const root = textOfReading(files["root"]) ?? "/";
  return mapReading(files["cwd"], (text) =>
    root !== "/" && (text === root || text.startsWith(`${root}/`)) ? text.slice(root.length) || "/" : text,
  );
}

/** The kernel tells ids as the reader's namespace has them: the map leads back. */
function userRows(plan: Plan, truth: ProcessTruth): readonly TruthRow[] {
  const { status } = truth.files;
  const uids = (text: string): string => inside(truth.files["uid_map"], text);
  const gids = (text: string): string => inside(truth.files["gid_map"], text);
  return opsOf(plan, "setUser").flatMap((one) => {
    const { uid, gid, groups, skipGroups } = one.op;
    const sorted = (text: string): string =>
      text
        .split(/\s+/)
        .filter((word) => word !== "")
        .map(Number)
        .sort((a, b) => a - b)
        .join(" ");
    return [
      rowOf("process", "user", one, four(uid), mapReading(statusField(status, "Uid"), uids)),
      rowOf("process", "group", one, four(gid), mapReading(statusField(status, "Gid"), gids)),
      ...(skipGroups
        ? []
        : [
            rowOf(
              "process",
              "groups",
              one,
              sorted(groups.join(" ")),
              mapReading(statusField(status, "Groups"), (text) => sorted(gids(text))),
            ),
          ]),
    ];
  });
}

/** real, effective, saved, of the filesystem */
const four = (id: number): string => `${id} ${id} ${id} ${id}`;

function inside(map: Reading | undefined, ids: string): string {
  const ranges = (textOfReading(map) ?? "").split("\n").map((line) => line.trim().split(/\s+/).map(Number));
  return ids
    .split(/\s+/)
    .filter((word) => word !== "")
    .map((word) => {
      const id = Number(word);
      const range = ranges.find(([, host = -1, size = 0]) => id >= host && id < host + size);
      return range === undefined ? `${id} of the host` : String(range[0]! + id - range[1]!);
    })
    .join(" ");
}

/** The first words of the lines of /proc/PID/limits, by the number of the limit. */
const limitTitles = [
  "cpu time",
  "file size",
  "data size",
  "stack size",
  "core file size",
  "resident set",
  "processes",
  "open files",
  "locked memory",
  "address space",
  "file locks",
  "pending signals",
  "msgqueue size",
  "nice priority",
  "realtime priority",
  "realtime timeout",
];

function limitRows(plan: Plan, truth: ProcessTruth): readonly TruthRow[] {
  return opsOf(plan, "setRlimit").map((one) => {
    const { resource, soft, hard } = one.op;
    const now = mapReading(truth.files["limits"], (text) => {
      const title = `Max ${limitTitles[resource] ?? "?"} `;
      const line = text.split("\n").find((each) => each.startsWith(title)) ?? "";
      const [low = "?", high = "?"] = line.slice(title.length).trim().split(/\s+/);
      return `${limitWord(low)} ${limitWord(high)}`;
    });
    return rowOf("process", rlimitName(resource), one, `${limitText(soft)} ${limitText(hard)}`, now);
  });
}

const limitWord = (text: string): string => (text === "unlimited" ? "RLIM_INFINITY" : text);

/** What is written below /proc: sysctls, and the process's own files. */
function fileRows(plan: Plan, truth: ProcessTruth): readonly TruthRow[] {
  return opsOf(plan, "writeFile").flatMap((one) => {
    const { path, data } = one.op;
    if (path.base !== "proc") return [];
    const text = squeeze(new TextDecoder().decode(data));
    if (path.path.startsWith("sys/")) {
      const name = path.path.slice(4);
      return [
        rowOf(
          "process",
          `sysctl ${name.replaceAll("/", ".")}`,
          one,
          text,
          mapReading(truth.sysctls[name], squeeze),
        ),
      ];
    }
    const file = path.path.replace(/^self\//, "");
    const now = truth.files[file];
    return now === undefined ? [] : [rowOf("process", file, one, text, mapReading(now, squeeze))];
  });
}

const squeeze = (text: string): string => text.trim().replace(/\s+/g, " ");

function programRows(plan: Plan, truth: ProcessTruth): readonly TruthRow[] {
  return opsOf(plan, "execute").flatMap((one) => {
    const words = mapReading(truth.files["cmdline"], (text) => text.replace(/\0$/, "").split("\0").join(" "));
    const env = mapReading(truth.files["environ"], (text) =>
      [...text.split("\0")]
        .filter((word) => word !== "")
        .sort()
        .join(" "),
    );
    return [
      rowOf("process", "command", one, one.op.argv.join(" "), words),
      rowOf("process", "environment", one, [...one.op.env].sort().join(" "), env),
    ];
  });
}
