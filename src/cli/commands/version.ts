import { jsonText } from "../format/json.ts";
import { defineCommand } from "../framework/command.ts";
import { compileTemplate } from "../template/mod.ts";
import { version } from "../version.ts";

export const command = defineCommand({
  options: {
    format: {
      type: "string",
      short: "f",
      value: "FORMAT",
      help: "'json', or a Go template with .Version .OsArch .Runtime",
    },
  },
  positionals: [],
  examples: [{ command: "vitrine version --format '{{.Version}}'", does: "the bare number" }],
  run({ options, context }) {
    const facts = {
      Version: version,
      OsArch: `${process.platform}/${process.arch === "x64" ? "amd64" : process.arch}`,
      Runtime: runtime(),
      RuntimeSpec: "1.2.1",
      ImageSpec: "1.1.1",
    };
    // `.Client.Version` is what scripts for docker and podman ask for.
    const data = { Client: facts, ...facts };
    if (options.format === "json") {
      context.out(`${jsonText({ Client: facts }, 2)}\n`);
    } else if (options.format !== undefined) {
      context.out(`${compileTemplate(options.format)(data, context.stdoutIsTerminal)}\n`);
    } else {
      context.out(
        `Version:       ${facts.Version}\nOS/Arch:       ${facts.OsArch}\nRuntime:       ${facts.Runtime}\nRuntime spec:  ${facts.RuntimeSpec}\nImage spec:    ${facts.ImageSpec}\n`,
      );
    }
  },
});

function runtime(): string {
  const bun = process.versions["bun"];
  return bun === undefined ? `node ${process.versions.node}` : `bun ${bun}`;
}
