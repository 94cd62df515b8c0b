import { jsonText } from "../format/json.ts";
import { goText } from "./functions.ts";
import { evaluationError } from "./problem.ts";

/** A wider field than this is a mistake or an attack on memory. */
const widest = 10_000;

/** Go's fmt.Sprintf for the verbs that make sense over JSON values: v s q d t x X o b c f e g T and %%. */
export function goFormat(format: string, values: readonly unknown[]): string {
  let next = 0;
  const take = (): unknown => values[next++];
  const text = format.replace(
    /%([-+# 0]*)(\*|\d+)?(?:\.(\*|\d+)?)?(.)?/gsu,
    (all, flags: string, widthText?: string, precisionText?: string, verb?: string) => {
      if (verb === "%") return "%";
      if (verb === undefined) return "%!(NOVERB)";
      const width = widthText === "*" ? Number(take()) : Number(widthText ?? 0);
      const hasPrecision = all.includes(".");
      const precision = precisionText === "*" ? Number(take()) : Number(precisionText ?? 0);
      if (!(Math.abs(width) <= widest && precision <= 100)) throw evaluationError(`too wide: ${all}`);
      if (next >= values.length) return `%!${verb}(MISSING)`;
      const value = take();
      const body = formatOne(verb, flags, hasPrecision ? precision : undefined, value);
      const left = flags.includes("-") || width < 0;
      const zero = flags.includes("0") && !left && typeof value === "number";
      if (zero && body.startsWith("-")) return `-${body.slice(1).padStart(width - 1, "0")}`;
      return left ? body.padEnd(Math.abs(width)) : body.padStart(width, zero ? "0" : " ");
    },
  );
  if (next >= values.length) return text;
  return `${text}%!(EXTRA ${values.slice(next).map(goText).join(", ")})`;
}

function formatOne(verb: string, flags: string, precision: number | undefined, value: unknown): string {
  const bad = `%!${verb}(${goText(value)})`;
  switch (verb) {
    case "v":
    case "s":
      return precision === undefined ? goText(value) : [...goText(value)].slice(0, precision).join("");
    case "q":
      return jsonText(goText(value));
    case "t":
      return typeof value === "boolean" ? String(value) : bad;
    case "T":
      return Array.isArray(value) ? "list" : value === null || value === undefined ? "<nil>" : typeof value;
    case "x":
    case "X": {
      const hex =
        typeof value === "number"
          ? value.toString(16)
          : typeof value === "string"
            ? Buffer.from(value).toString("hex")
            : bad;
      return verb === "X" ? hex.toUpperCase() : hex;
    }
    default:
      return typeof value === "number" ? formatNumber(verb, flags, precision, value) : bad;
  }
}

function formatNumber(verb: string, flags: string, precision: number | undefined, value: number): string {
  const sign = flags.includes("+") && value >= 0 ? "+" : "";
  switch (verb) {
    case "d":
      return sign + String(Math.trunc(value));
    case "o":
      return value.toString(8);
    case "b":
      return value.toString(2);
    case "c":
      return value >= 0 && value <= 0x10ffff ? String.fromCodePoint(value) : "\ufffd";
    case "f":
    case "F":
      return sign + value.toFixed(precision ?? 6);
    case "e":
      return sign + value.toExponential(precision ?? 6).replace(/e([+-])(\d)$/, "e$10$2");
    case "g":
      return (
        sign + (precision === undefined ? String(value) : String(Number(value.toPrecision(precision || 1))))
      );
    default:
      return `%!${verb}(${value})`;
  }
}
