import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { compileTemplate, labelMap, labelOf, renderRows } from "./mod.ts";

const labels = Object.assign(Object.create(null), { "a.b": "one", z: "two" }) as Record<string, string>;
const data = {
  Name: "web",
  Size: 1536,
  Ratio: 0.5,
  Empty: "",
  On: true,
  Off: false,
  Nil: null,
  Row: { Labels: labelMap(labels), Label: (...keys: readonly unknown[]) => labelOf(labels, keys) },
  Config: { Env: ["A=1", "B=2"], Labels: labels, None: [] },
};

function apply(template: string, value: unknown = data): string {
  return compileTemplate(template)(value, false);
}

function fails(template: string, code: string, hint?: RegExp): void {
  assert.throws(
    () => apply(template),
    (error: { code?: string; hint?: string }) => {
      assert.equal(error.code, code);
      if (hint !== undefined) assert.match(error.hint ?? "", hint);
      return true;
    },
  );
}

describe("templates follow text/template", () => {
  // Expected texts are those of Go 1.22's text/template over the same data.
  const cases: readonly (readonly [string, string])[] = [
    ["{{.Name}}: {{.Size}} {{.Ratio}} {{.On}}", "web: 1536 0.5 true"],
    ["{{ .Config.Env }}", "[A=1 B=2]"],
    ["{{.Config.Labels}}", "map[a.b:one z:two]"],
    [
      '{{.Row.Labels}} {{.Row.Label "z"}} {{.Row.Label "none"}}|{{index .Row.Labels "a.b"}}',
      "a.b=one,z=two two |one",
    ],
    ["{{json .Row}} {{range $k, $v := .Row.Labels}}{{$k}},{{end}}", '{"Labels":"a.b=one,z=two"} a.b,z,'],
    ["{{.Nil}}", "<nil>"],
    ["{{.Config.Labels.missing}}", "<no value>"],
    ['{{index .Config.Labels "a.b"}} {{index .Config.Env 1}}', "one B=2"],
    ["{{len .Config.Env}} {{len .Name}}", "2 3"],
    ["{{json .Config.Env}} {{json .Config.Labels}}", '["A=1","B=2"] {"a.b":"one","z":"two"}'],
    ["{{.Config.Env | json}}", '["A=1","B=2"]'],
    ["{{range .Config.Env}}<{{.}}>{{end}}", "<A=1><B=2>"],
    ["{{range $i, $e := .Config.Env}}{{$i}}={{$e}};{{end}}", "0=A=1;1=B=2;"],
    ["{{range $k, $v := .Config.Labels}}{{$k}}:{{$v} }}{{end}}".replace("} }}", "}},"), "a.b:one,z:two,"],
    ["{{range .Config.None}}x{{else}}none{{end}}", "none"],
    ['{{range .Config.Env}}{{if eq . "B=2"}}{{break}}{{end}}{{.}}{{end}}', "A=1"],
    ['{{range .Config.Env}}{{if eq . "A=1"}}{{continue}}{{end}}{{.}}{{end}}', "B=2"],
    ["{{range 3}}{{.}}{{end}}", "012"],
    ["{{range .Config.Env}}{{$.Name}} {{end}}", "web web "],
    ["{{if .Empty}}a{{else if .On}}b{{else}}c{{end}}", "b"],
    ["{{if .Empty}}a{{else if .Off}}b{{else}}c{{end}}", "c"],
    ["{{if and .On .Name}}yes{{end}}{{if or .Off .Empty}}no{{end}}", "yes"],
    ["{{and .On .Name}} {{or .Empty .Name}} {{not .On}}", "web web false"],
    ["{{or .On .Nonsense.Deep}}", "true"],
    ["{{with .Config}}{{index .Env 0}}{{end}}{{with .Empty}}x{{else}}y{{end}}", "A=1y"],
    ['{{$n := .Name}}{{$n = "db"}}{{$n}}', "db"],
    ["{{$n := 1}}{{range .Config.Env}}{{$n = 5}}{{end}}{{$n}}", "5"],
    ["{{$n := 1}}{{if .On}}{{$n := 2}}{{end}}{{$n}}", "1"],
    ['{{eq .Name "web"}} {{eq .Size 1 1536}} {{ne .Name "a"}}', "true true true"],
    ['{{lt 1 2}}{{le 2 2}}{{gt 1 2}}{{ge "b" "a"}}', "truetruefalsetrue"],
    [
      '{{printf "%-6s|%4d|%05.1f|%q|%x|%v|%%" .Name 42 3.14159 "a\\"b" "hi" .Config.Env}}',
      'web   |  42|003.1|"a\\"b"|6869|[A=1 B=2]|%',
    ],
    [
      '{{printf "%+d %o %b %c %t %.2s %e" 5 8 5 \'A\' true "abc" 1234.5}}',
      "+5 10 101 A true ab 1.234500e+03",
    ],
    ['{{printf "%d" "x"}} {{printf "%s"}} {{printf "a" 1}}', "%!d(x) %!s(MISSING) a%!(EXTRA 1)"],
    ['{{print 1 2 "a" 3}}{{println "b" 4}}', "1 2a3b 4\n"],
    ['{{upper .Name}} {{lower "ABC"}} {{title "two words"}}', "WEB abc Two Words"],
    ['{{join .Config.Env ", "}} {{split "a:b" ":"}}', "A=1, B=2 [a b]"],
    ["{{truncate .Name 2}}|{{pad .Name 1 2}}|{{slice .Name 1 2}}", "we| web  |e"],
    ['{{(index .Config.Env 0) | printf "<%s>"}}', "<A=1>"],
    ['a {{- " b " -}} c', "a b c"],
    ["a {{/* comment */ -}} b", "a b"],
    ["{{`raw\\n`}}", "raw\\n"],
    ['{{"\\u00e9\\x41"}}', "éA"],
    ["{{true}} {{0x10}} {{-3}} {{1.5}}", "true 16 -3 1.5"],
    ["a\\tb\\n", "a\tb\n"],
    ['{{split "a\\tb" "\\t" | len}}', "2"],
  ];
  for (const [template, expected] of cases) {
    it(template, () => assert.equal(apply(template), expected));
  }

  it("suggests the field that was meant", () => fails("{{.Nmae}}", "template-evaluation", /\.Name/));
  it("suggests the function that was meant", () => fails("{{jsn .}}", "template-evaluation", /json/));

  for (const template of [
    "{{.Name",
    "{{if .On}}",
    "{{end}}",
    "{{else}}",
    "{{}}",
    "{{.Name | }}",
    "{{(.Name}}",
    '{{"open}}',
    "{{`open}}",
    "{{/* open }}",
    '{{define "x"}}{{end}}',
    "{{.Name}} {{!}}",
    `{{${"(".repeat(500)}`,
    "{{if 1}}".repeat(500),
  ]) {
    it(`refuses ${template.slice(0, 30)}`, () => fails(template, "template-syntax"));
  }
  for (const template of [
    "{{.Name.Deep}}",
    "{{.Nil.Deep}}",
    "{{.constructor}}",
    "{{.Config.Env.length}}",
    "{{index .Config.Env 7}}",
    "{{len 5}}",
    "{{$x}}",
    '{{lt 1 "a"}}',
    "{{.Name 1}}",
    "{{range .On}}{{end}}",
    '{{printf "%999999d" 1}}',
    "{{toString .}}",
  ]) {
    it(`refuses to evaluate ${template}`, () => fails(template, "template-evaluation"));
  }

  it("escapes values for a terminal, not its own text", () => {
    const render = compileTemplate("\x1b[1m{{.Name}}");
    assert.equal(render({ Name: "a\x1b]0;b\x07" }, true), "\x1b[1ma\\e]0;b\\x07");
    assert.equal(render({ Name: "a\x1b" }, false), "\x1b[1ma\x1b");
  });
});

describe("renderRows", () => {
  const rows = [
    { ID: "0123456789ab", Name: "web", Note: "first\tone" },
    { ID: "ba9876543210", Name: "a-rather-long-name", Note: "" },
  ];
  const shape = { headings: { ID: "CONTAINER ID" }, standard: "{{.ID}}\t{{.Name}}\t{{.Note}}" } as const;
  const render = (format: string | undefined, heading = true): string =>
    renderRows(rows, shape, { format, heading, forTerminal: false });

  it("lays the standard table out as podman does", () => {
    assert.equal(
      render(undefined),
      "CONTAINER ID  NAME                NOTE\n" +
        "0123456789ab  web                 first\\tone\n" +
        "ba9876543210  a-rather-long-name  \n",
    );
    assert.equal(render("table"), render(undefined));
  });
  it("prints a chosen table with its headings", () => {
    assert.equal(
      render("table {{.Name}}\\t{{.ID | upper}}").split("\n")[0],
      "NAME                CONTAINER ID",
    );
    assert.equal(render("table {{.Name}}", false), "web\na-rather-long-name\n");
  });
  it("prints a line for each row of a template", () => {
    assert.equal(render("{{.Name}}"), "web\na-rather-long-name\n");
  });
  it("prints JSON", () => assert.deepEqual(JSON.parse(render("json")), rows));
  it("prints only headings, or nothing, without rows", () => {
    const none = (format: string | undefined) =>
      renderRows([], shape, { format, heading: true, forTerminal: false });
    assert.equal(none(undefined), "CONTAINER ID  NAME        NOTE\n");
    assert.equal(none("{{.Name}}"), "");
    assert.equal(none("json"), "[]\n");
  });
});
