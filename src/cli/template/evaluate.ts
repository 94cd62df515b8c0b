/**
 * Runs a template over a value. Objects are structs: a field that is not there is an error with a suggestion.
 * Objects without a prototype are maps (labels): a missing key is nothing. Only own properties are reachable.
 */
import { nearest } from "../framework/nearest.ts";
import { evaluateLogic, functions, goText, truth } from "./functions.ts";
import type { Block, CommandNode, Operand, Pipeline } from "./parse.ts";
import { evaluationError } from "./problem.ts";

/** What `{{.}}` may be. */
export type TemplateData = unknown;

type Scope = Map<string, unknown>[];

/** How a block ended before its end. */
type Jump = "break" | "continue" | undefined;

/** A block that is run over many values. */
export function prepare(block: Block): (data: TemplateData, shown: (text: string) => string) => string {
  const parts = block.map(plainPart);
  if (!parts.every((part) => part !== undefined)) return (data, shown) => evaluate(block, data, shown);
  return (data, shown) => {
    let line = "";
    for (const part of parts) line += "text" in part ? part.text : shown(goText(field(data, part.name)));
    return line;
  };
}

/** Text, or a field of the value itself: what tables are made of. */
function plainPart(node: Block[number]): { readonly text: string } | { readonly name: string } | undefined {
  if (node.kind === "text") return node;
  if (node.kind !== "print" || node.pipeline.variables.length > 0) return undefined;
  const [command, ...more] = node.pipeline.commands;
  const [operand, ...others] = command ?? [];
  if (more.length > 0 || others.length > 0 || operand?.kind !== "fields") return undefined;
  return operand.base.kind === "dot" && operand.names.length === 1 ? { name: operand.names[0]! } : undefined;
}

/** `shown` is applied to every printed value, not to the template's own text. */
function evaluate(block: Block, data: TemplateData, shown: (text: string) => string): string {
  const state = new Evaluation(data, shown);
  state.run(block, data);
  return state.output.join("");
}

class Evaluation {
  readonly output: string[] = [];
  private readonly shown: (text: string) => string;
  private readonly scope: Scope;

  constructor(data: TemplateData, shown: (text: string) => string) {
    this.shown = shown;
    this.scope = [new Map([["", data]])];
  }

  run(block: Block, dot: unknown): Jump {
    this.scope.push(new Map());
    try {
      for (const node of block) {
        const jump = this.node(node, dot);
        if (jump !== undefined) return jump;
      }
      return undefined;
    } finally {
      this.scope.pop();
    }
  }

  private node(node: Block[number], dot: unknown): Jump {
    switch (node.kind) {
      case "text":
        this.output.push(node.text);
        return undefined;
      case "print": {
        const value = this.pipeline(node.pipeline, dot);
        if (node.pipeline.variables.length === 0) this.output.push(this.shown(goText(value)));
        return undefined;
      }
      case "if":
      case "with":
        return this.inScope(() => {
          const value = this.pipeline(node.pipeline, dot);
          if (!truth(value)) return this.run(node.otherwise, dot);
          return this.run(node.body, node.kind === "with" ? value : dot);
        });
      case "range":
        return this.inScope(() => this.range(node, dot));
      default:
        return node.kind;
    }
  }

  private range(node: Extract<Block[number], { kind: "range" }>, dot: unknown): Jump {
    const entries = rangeEntries(this.commands(node.pipeline, dot));
    if (entries.length === 0) return this.run(node.otherwise, dot);
    const names = node.pipeline.variables;
    for (const [key, value] of entries) {
      const jump = this.inScope(() => {
        if (names.length === 1) this.set(names[0]!, value, node.pipeline.declares);
        if (names.length === 2) {
          this.set(names[0]!, key, node.pipeline.declares);
          this.set(names[1]!, value, node.pipeline.declares);
        }
        return this.run(node.body, value);
      });
      if (jump === "break") break;
    }
    return undefined;
  }

  private inScope<T>(body: () => T): T {
    this.scope.push(new Map());
    try {
      return body();
    } finally {
      this.scope.pop();
    }
  }

  private set(name: string, value: unknown, declares: boolean): void {
    const frame = declares ? this.scope.at(-1) : this.scope.findLast((candidate) => candidate.has(name));
    if (frame === undefined) throw evaluationError(`undefined variable $${name}`);
    frame.set(name, value);
  }

  private pipeline(pipeline: Pipeline, dot: unknown): unknown {
    const value = this.commands(pipeline, dot);
    for (const name of pipeline.variables) this.set(name, value, pipeline.declares);
    return value;
  }

  private commands(pipeline: Pipeline, dot: unknown): unknown {
    let value: unknown;
    for (const [index, command] of pipeline.commands.entries()) {
      value = this.command(command, dot, index === 0 ? [] : [value]);
    }
    return value;
  }

  private command(command: CommandNode, dot: unknown, piped: readonly unknown[]): unknown {
    const first = command[0]!;
    if (first.kind !== "function") {
      const value = this.operand(first, dot);
      const given = [...command.slice(1).map((operand) => this.operand(operand, dot)), ...piped];
      // A method of docker's rows: `{{.Label "team"}}`.
      if (typeof value === "function") return value(...given);
      if (given.length > 0) throw evaluationError("only a function can take arguments");
      return value;
    }
    const lazy = [
      ...command.slice(1).map((operand) => () => this.operand(operand, dot)),
      ...piped.map((value) => () => value),
    ];
    if (first.name === "and" || first.name === "or") return evaluateLogic(first.name, lazy);
    const call = Object.hasOwn(functions, first.name) ? functions[first.name] : undefined;
    if (call === undefined) {
      const close = nearest(first.name, Object.keys(functions));
      throw evaluationError(
        `function '${first.name}' is not defined`,
        close === undefined ? `known are ${Object.keys(functions).join(", ")}` : `did you mean '${close}'?`,
      );
    }
    return call(...lazy.map((operand) => operand()));
  }

  private operand(operand: Operand, dot: unknown): unknown {
    switch (operand.kind) {
      case "value":
        return operand.value;
      case "dot":
        return dot;
      case "variable": {
        const frame = this.scope.findLast((candidate) => candidate.has(operand.name));
        if (frame === undefined) throw evaluationError(`undefined variable $${operand.name}`);
        return frame.get(operand.name);
      }
      case "fields":
        return operand.names.reduce(field, this.operand(operand.base, dot));
      case "group":
        return this.pipeline(operand.pipeline, dot);
      case "function":
        return this.command([operand], dot, []);
    }
  }
}

function field(value: unknown, name: string): unknown {
  if (value === null || value === undefined) throw evaluationError(`.${name} of nothing`);
  if (typeof value !== "object" || Array.isArray(value)) {
    throw evaluationError(`.${name} of ${Array.isArray(value) ? "a list" : `a ${typeof value}`}`);
  }
  if (Object.hasOwn(value, name)) return (value as Readonly<Record<string, unknown>>)[name];
  if (Object.getPrototypeOf(value) === null) return undefined;
  const close = nearest(name, Object.keys(value));
  throw evaluationError(
    `no field ${name}`,
    close === undefined ? `fields are ${Object.keys(value).join(", ")}` : `did you mean .${close}?`,
  );
}

/** Keys and values in the order of Go: lists by index, maps by sorted key, an integer n as 0 … n-1. */
function rangeEntries(value: unknown): (readonly [unknown, unknown])[] {
  if (value === null || value === undefined) return [];
  if (Array.isArray(value)) return value.map((element, index) => [index, element] as const);
  if (typeof value === "object") {
    return Object.keys(value)
      .sort()
      .map((key) => [key, Reflect.get(value, key)] as const);
  }
  if (typeof value === "number" && Number.isInteger(value) && value <= 1_000_000) {
    return Array.from({ length: Math.max(value, 0) }, (_, index) => [index, index] as const);
  }
  throw evaluationError(`range cannot go over a ${typeof value}`);
}
