/** An ImageExplanation for people. */
import { formatBytes, printable, styles } from "../base/mod.ts";
import type { ExecutionConfig } from "../oci/mod.ts";
import type { ExplainedLayer, ImageExplanation, ImageStep } from "./image.ts";
import type { FileSum } from "./image-tree.ts";
import type { RenderOptions } from "./types.ts";

/** Width of the column of names. */
const nameWidth = 14;

/** Ends with a newline. Every word of the image is made printable. */
export function renderImage(explanation: ImageExplanation, options: RenderOptions): string {
  const { bold, dim } = styles({ CLICOLOR_FORCE: options.color ? "1" : "0" }, false);
  const cut = (line: string): string => shorten(line, options.width);
  const heading = (text: string): string => bold(text);
  const lines: string[] = [
    heading(`Image ${printable(explanation.names.join(", ") || explanation.id)}`),
    ...overview(explanation).map(cut),
    "",
    heading("What 'run' takes from it"),
    ...executionLines(explanation.config.execution).map(cut),
    "",
    heading("Layers and steps, the lowest first"),
    ...explanation.steps.flatMap((step) =>
      stepLines(step).map((line, at) => (at === 0 ? cut(line) : dim(cut(line)))),
    ),
    "",
    heading("Waste"),
    ...wasteLines(explanation).map(cut),
  ];
  if (explanation.privileged.length > 0) {
    lines.push("", heading("Files that give their user more"), ...privilegedLines(explanation).map(cut));
  }
  return `${lines.join("\n")}\n`;
}

function row(name: string, value: string): string {
  return `  ${name.padEnd(nameWidth)} ${value}`;
}

function overview(explanation: ImageExplanation): string[] {
  const { manifest, config, totals, platform } = explanation;
  const layers = explanation.steps.filter(({ layer }) => layer !== undefined).length;
  const lines = [
    row("id", explanation.id),
    row("manifest", `${manifest.digest} (${printable(manifest.mediaType)}, ${formatBytes(manifest.size)})`),
  ];
  if (manifest.index !== undefined) lines.push(row("chosen from", manifest.index));
  lines.push(row("config", `${config.digest} (${formatBytes(config.size)})`));
  lines.push(
    row(
      "platform",
      printable([platform.os, platform.architecture, platform.variant].filter(Boolean).join("/")),
    ),
  );
  if (explanation.created !== undefined) lines.push(row("created", printable(explanation.created)));
  if (explanation.author !== undefined) lines.push(row("author", printable(explanation.author)));
  lines.push(
    row(
      "size",
      `${formatBytes(totals.compressedBytes)} stored in ${count(layers, "layer")}; a container sees ${count(totals.visibleFiles, "file")} of ${formatBytes(totals.visibleBytes)}`,
    ),
  );
  for (const [key, value] of Object.entries(manifest.annotations)) {
    lines.push(row("annotation", printable(`${key}=${value}`)));
  }
  return lines;
}

/** One line a field of the config: what it does, its value, its name in the spec. */
function executionLines(execution: ExecutionConfig): string[] {
  const line = (name: string, value: string, field: string): string =>
    row(name, `${printable(value)}  [config.${field}]`);
  const lines: string[] = [];
  const { Entrypoint, Cmd, Env, User, WorkingDir, ExposedPorts, Volumes, Labels, StopSignal, Shell } =
    execution;
  if (Entrypoint?.length) lines.push(line("entrypoint", words(Entrypoint), "Entrypoint"));
  if (Cmd?.length) lines.push(line(Entrypoint?.length ? "arguments" : "command", words(Cmd), "Cmd"));
  if (!Entrypoint?.length && !Cmd?.length) lines.push(row("command", "none: 'run' needs one"));
  lines.push(User ? line("user", User, "User") : row("user", "0:0, because the image names none"));
  lines.push(
    WorkingDir
      ? line("directory", WorkingDir, "WorkingDir")
      : row("directory", "/, because the image names none"),
  );
  for (const variable of Env ?? []) lines.push(line("environment", variable, "Env"));
  for (const port of ExposedPorts ?? []) lines.push(line("port", port, "ExposedPorts"));
  for (const volume of Volumes ?? []) lines.push(line("volume", volume, "Volumes"));
  if (StopSignal) lines.push(line("stop signal", StopSignal, "StopSignal"));
  if (Shell?.length) lines.push(line("shell", words(Shell), "Shell"));
  if (execution.Healthcheck?.Test?.length) {
    lines.push(line("health check", words(execution.Healthcheck.Test), "Healthcheck"));
  }
  for (const [key, value] of Object.entries(Labels ?? {}))
    lines.push(line("label", `${key}=${value}`, "Labels"));
  return lines;
}

function words(list: readonly string[]): string {
  return list.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : JSON.stringify(word))).join(" ");
}

function stepLines({ layer, createdBy, comment }: ImageStep): string[] {
  const made = printable(createdBy.replace(/\s+/g, " ").trim()) || "(the image does not say what made it)";
  const remark = comment === "" ? "" : `  # ${printable(comment)}`;
  if (layer === undefined) return [`   -  ${made}${remark}`];
  return [`  ${String(layer.index + 1).padStart(2)}  ${made}${remark}`, ...layerLines(layer)];
}

function layerLines(layer: ExplainedLayer): string[] {
  const detail = (name: string, text: string): string => `      ${name.padEnd(8)} ${text}`;
  const lines = [
    detail("stored", `${formatBytes(layer.compressedBytes)}  ${layer.digest}  ${printable(layer.mediaType)}`),
  ];
  if (layer.adds.files > 0) lines.push(detail("adds", sumText(layer.adds)));
  if (layer.changes.files > 0) lines.push(detail("changes", sumText(layer.changes)));
  if (layer.unchangedBytes > 0) {
    lines.push(
      detail("copies", `${formatBytes(layer.unchangedBytes)} again for a new owner, mode or time only`),
    );
  }
  if (layer.hides.files > 0) lines.push(detail("hides", sumText(layer.hides)));
  if (layer.adds.files + layer.changes.files + layer.hides.files === 0) {
    lines.push(detail("adds", "no file"));
  }
  if (layer.wastedBytes > 0) {
    const percent = Math.round((layer.wastedBytes / Math.max(layer.bytes, 1)) * 100);
    lines.push(
      detail("wasted", `${formatBytes(layer.wastedBytes)} (${percent}%) replaced or hidden by later layers`),
    );
  }
  return lines;
}

function sumText(sum: FileSum): string {
  const largest = sum.largest
    .slice(0, 3)
    .filter(({ bytes }) => bytes > 0)
    .map(({ path, bytes }) => `${printable(path)} ${formatBytes(bytes)}`);
  const examples =
    largest.length === 0 ? "" : `: ${largest.join(", ")}${sum.files > largest.length ? ", …" : ""}`;
  return `${count(sum.files, "file")}, ${formatBytes(sum.bytes)}${examples}`;
}

function wasteLines({ waste, duplicates, totals }: ImageExplanation): string[] {
  const lines: string[] = [];
  if (waste.bytes === 0) {
    lines.push("  nothing: every file of every layer is visible");
  } else {
    const percent = Math.round((waste.bytes / Math.max(totals.layerBytes, 1)) * 100);
    lines.push(
      `  ${formatBytes(waste.bytes)} of ${formatBytes(totals.layerBytes)} (${percent}%) in ${count(waste.files, "file")} is stored and not visible`,
    );
    for (const { path, bytes, layer, by } of waste.largest) {
      lines.push(
        `  ${formatBytes(bytes).padStart(10)}  ${printable(path)}  of layer ${layer + 1}, gone with layer ${by + 1}`,
      );
    }
  }
  if (duplicates.bytes > 0) {
    lines.push(`  ${formatBytes(duplicates.bytes)} in ${count(duplicates.groups, "group")} of equal files`);
    for (const { bytes, paths } of duplicates.largest.slice(0, 5)) {
      const shown = paths.slice(0, 3).map((path) => printable(path));
      lines.push(
        `  ${formatBytes(bytes).padStart(10)}  ${paths.length} times: ${shown.join(", ")}${paths.length > 3 ? ", …" : ""}`,
      );
    }
  }
  return lines;
}

function privilegedLines({ privileged }: ImageExplanation): string[] {
  const most = 20;
  const lines = privileged.slice(0, most).map(({ path, setuid, setgid, capabilities }) => {
    const why = [setuid ? "setuid" : "", setgid ? "setgid" : "", capabilities ? "capabilities" : ""];
    return row(why.filter((word) => word !== "").join(", "), printable(path));
  });
  if (privileged.length > most) lines.push(`  and ${privileged.length - most} more`);
  return lines;
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

/** Lines are cut where the terminal ends; what was cut is in `--format json`. */
function shorten(line: string, width: number): string {
  if (line.length <= width) return line;
  return `${[...line].slice(0, Math.max(width - 1, 1)).join("")}…`;
}
