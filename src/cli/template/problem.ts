import { VitrineError } from "../../base/mod.ts";

/** `template-syntax`, with the column in the template. */
export function templateError(source: string, at: number, message: string): VitrineError {
  return new VitrineError("invalid", `template: column ${at + 1}: ${message}`, {
    code: "template-syntax",
    operand: source,
    hint: "see https://pkg.go.dev/text/template; '--format json' shows every field",
  });
}

/** `template-evaluation`: the template is well formed but does not fit the data. */
export function evaluationError(message: string, hint?: string): VitrineError {
  return new VitrineError("invalid", `template: ${message}`, {
    code: "template-evaluation",
    hint: hint ?? "'--format json' shows every field",
  });
}
