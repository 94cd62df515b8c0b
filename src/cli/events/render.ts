/** An event as docker shows it, with podman's fields beside. */
import { printable } from "../../base/mod.ts";
import type { RecordedEvent } from "../../engine/mod.ts";
import { jsonText } from "../format/json.ts";

/** `2026-01-31T12:00:00.123456789Z container start ID (image=alpine, name=web)` */
export function eventLine({ time, type, action, id, attributes }: RecordedEvent): string {
  const shown = Object.keys(attributes)
    .sort()
    .map((key) => `${printable(key)}=${printable(attributes[key]!)}`)
    .join(", ");
  return `${localTime(time)} ${type} ${printable(action)} ${printable(id)} (${shown})`;
}

/** One line; the time in nanoseconds is a number that no double holds. */
export function eventJson(event: RecordedEvent): string {
  return `${jsonText(dockerFields(event)).slice(0, -1)},"timeNano":${event.time}}`;
}

function dockerFields({ time, type, action, id, attributes }: RecordedEvent) {
  const from = type === "container" ? (attributes["image"] ?? "") : "";
  return {
    status: action,
    id,
    ...(from === "" ? {} : { from }),
    Type: type,
    Action: action,
    Actor: { ID: id, Attributes: attributes },
    scope: "local",
    time: Number(time / 1_000_000_000n),
  };
}

/** What a template sees: docker's fields, and podman's names of them. */
export function eventFields(event: RecordedEvent) {
  const { time, type, action, id, attributes } = event;
  const from = type === "container" ? (attributes["image"] ?? "") : "";
  return {
    ...dockerFields(event),
    timeNano: time,
    ID: id,
    Status: action,
    From: from,
    Image: from,
    Name: attributes["name"] ?? "",
    Attributes: attributes,
    Scope: "local",
    Time: Number(time / 1_000_000_000n),
    TimeNano: time,
    ContainerExitCode: Number(attributes["exitCode"] ?? 0),
    HealthStatus: action.startsWith("health_status: ") ? action.slice("health_status: ".length) : "",
  };
}

function localTime(time: bigint): string {
  const milliseconds = Number(time / 1_000_000n);
  const offset = -new Date(milliseconds).getTimezoneOffset();
  const wall = new Date(milliseconds + offset * 60_000).toISOString().slice(0, 19);
  const fraction = String(time % 1_000_000_000n).padStart(9, "0");
  if (offset === 0) return `${wall}.${fraction}Z`;
  const minutes = Math.abs(offset);
  const two = (value: number): string => String(value).padStart(2, "0");
  return `${wall}.${fraction}${offset < 0 ? "-" : "+"}${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`;
}
