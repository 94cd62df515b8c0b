/** Tokens → a tree (text/template "Actions" and "Pipelines", without template definitions). */
import { lex, type Token } from "./lex.ts";
import { templateError } from "./problem.ts";

export type Node =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "print"; readonly pipeline: Pipeline }
  | {
      readonly kind: "if" | "with";
      readonly pipeline: Pipeline;
      readonly body: Block;
      readonly otherwise: Block;
    }
  | { readonly kind: "range"; readonly pipeline: Pipeline; readonly body: Block; readonly otherwise: Block }
  | { readonly kind: "break" | "continue" };

export type Block = readonly Node[];

export interface Pipeline {
  /** Names before `:=` or `=`; two only in `range`. */
  readonly variables: readonly string[];
  readonly declares: boolean;
  readonly commands: readonly CommandNode[];
}

/** Operands side by side: a function and its arguments, or one value. */
export type CommandNode = readonly Operand[];

export type Operand =
  | { readonly kind: "value"; readonly value: string | number | boolean | null }
  /** `.A.B`, `$x.A`, `(pipeline).A` */
  | { readonly kind: "fields"; readonly base: Operand; readonly names: readonly string[] }
  | { readonly kind: "dot" }
  | { readonly kind: "variable"; readonly name: string }
  | { readonly kind: "function"; readonly name: string }
  | { readonly kind: "group"; readonly pipeline: Pipeline };

/** Deeper nesting than any person writes; the evaluator recurses. */
const deepest = 100;

/** Throws VitrineError `template-syntax`. */
export function parseTemplate(source: string): Block {
  const parser = new Parser(source);
  return parser.template();
}

class Parser {
  private readonly source: string;
  private readonly tokens: readonly Token[];
  private at = 0;
  private depth = 0;

  constructor(source: string) {
    this.source = source;
    this.tokens = lex(source);
  }

  template(): Block {
    const { block, end } = this.block();
    if (end !== undefined) throw this.problem(`unexpected '${end}'`);
    return block;
  }

  /** Nodes up to `end` or `else` (whose `open` and word are consumed) or the end of the text. */
  private block(): { block: Block; end: "end" | "else" | undefined } {
    if (++this.depth > deepest) throw this.problem("nested too deeply");
    const nodes: Node[] = [];
    while (this.at < this.tokens.length) {
      const token = this.tokens[this.at++]!;
      if (token.kind === "text") {
        nodes.push({ kind: "text", text: token.text });
        continue;
      }
      this.skipSpace();
      const word = this.peekWord();
      if (word === "end" || word === "else") {
        this.at += 1;
        this.depth -= 1;
        return { block: nodes, end: word };
      }
      nodes.push(this.action(word));
    }
    this.depth -= 1;
    return { block: nodes, end: undefined };
  }

  private action(word: string | undefined): Node {
    switch (word) {
      case "if":
      case "with":
      case "range":
        this.at += 1;
        return this.control(word);
      case "break":
      case "continue":
        this.at += 1;
        this.close();
        return { kind: word };
      case "define":
      case "template":
      case "block":
        throw this.problem(`'${word}' is not supported here`);
      default: {
        const pipeline = this.pipeline(false);
        this.close();
        return { kind: "print", pipeline };
      }
    }
  }

  private control(kind: "if" | "with" | "range"): Node {
    const pipeline = this.pipeline(kind === "range");
    this.close();
    const body = this.block();
    let otherwise: Block = [];
    if (body.end === "else") {
      this.skipSpace();
      const word = this.peekWord();
      if (word === "if" || (word === "with" && kind === "with")) {
        // `else if` closes with the one `end` of the outer action.
        this.at += 1;
        return { kind, pipeline, body: body.block, otherwise: [this.control(word)] };
      }
      this.close();
      const rest = this.block();
      if (rest.end !== "end") throw this.problem("'end' is missing");
      otherwise = rest.block;
    } else if (body.end === undefined) {
      throw this.problem(`'end' of '${kind}' is missing`);
    }
    this.close();
    return { kind, pipeline, body: body.block, otherwise };
  }

  private pipeline(inRange: boolean): Pipeline {
    if (++this.depth > deepest) throw this.problem("nested too deeply");
    this.skipSpace();
    const declared = this.declaration(inRange);
    const commands: CommandNode[] = [this.command()];
    while (this.peek()?.kind === "pipe") {
      this.at += 1;
      commands.push(this.command());
    }
    this.depth -= 1;
    return { ...declared, commands };
  }

  /** `$x :=`, `$x =`, in range also `$i, $x :=`. Nothing is consumed when there is none. */
  private declaration(inRange: boolean): Pick<Pipeline, "variables" | "declares"> {
    const start = this.at;
    const variables: string[] = [];
    while (true) {
      const token = this.peek();
      if (token?.kind !== "variable") break;
      variables.push(token.name);
      this.at += 1;
      this.skipSpace();
      const next = this.peek();
      if (next?.kind === "declare" || next?.kind === "assign") {
        this.at += 1;
        return { variables, declares: next.kind === "declare" };
      }
      if (next?.kind !== "comma" || !inRange || variables.length > 1) break;
      this.at += 1;
      this.skipSpace();
    }
    this.at = start;
    return { variables: [], declares: false };
  }

  private command(): CommandNode {
    const operands: Operand[] = [];
    while (true) {
      this.skipSpace();
      const token = this.peek();
      if (token === undefined || ["close", "pipe", "right"].includes(token.kind)) break;
      operands.push(this.operand());
    }
    if (operands.length === 0) throw this.problem("a value is missing");
    return operands;
  }

  private operand(): Operand {
    let base = this.term();
    const names: string[] = [];
    for (let token = this.peek(); token?.kind === "field" && token.name !== ""; token = this.peek()) {
      names.push(token.name);
      this.at += 1;
    }
    if (names.length > 0) base = { kind: "fields", base, names };
    return base;
  }

  private term(): Operand {
    const token = this.tokens[this.at++]!;
    switch (token.kind) {
      case "field":
        return token.name === ""
          ? { kind: "dot" }
          : { kind: "fields", base: { kind: "dot" }, names: [token.name] };
      case "variable":
        return { kind: "variable", name: token.name };
      case "string":
      case "number":
        return { kind: "value", value: token.value };
      case "word":
        if (token.word === "true" || token.word === "false")
          return { kind: "value", value: token.word === "true" };
        if (token.word === "nil") return { kind: "value", value: null };
        return { kind: "function", name: token.word };
      case "left": {
        const pipeline = this.pipeline(false);
        if (this.peek()?.kind !== "right") throw this.problem("')' is missing");
        this.at += 1;
        return { kind: "group", pipeline };
      }
      default:
        this.at -= 1;
        throw this.problem("a value is missing");
    }
  }

  private close(): void {
    this.skipSpace();
    if (this.peek()?.kind !== "close") throw this.problem("unexpected text in the action");
    this.at += 1;
  }

  private skipSpace(): void {
    while (this.peek()?.kind === "space") this.at += 1;
  }

  private peek(): Token | undefined {
    return this.tokens[this.at];
  }

  private peekWord(): string | undefined {
    const token = this.peek();
    return token?.kind === "word" ? token.word : undefined;
  }

  private problem(message: string) {
    return templateError(this.source, this.peek()?.at ?? this.source.length, message);
  }
}
