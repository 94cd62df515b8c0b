import { VitrineError } from "../../base/mod.ts";
import { defineCommand } from "../framework/command.ts";
import { completionScript, shells } from "../shells/scripts.ts";

export const command = defineCommand({
  description: `Prints the completion script of a shell. 'make install' puts the scripts where the shells look; without it:

    bash: source <(vitrine completion bash)

    zsh: source <(vitrine completion zsh)

    fish: vitrine completion fish | source`,
  options: {},
  usage: ["bash|zsh|fish"],
  positionals: [{ name: "SHELL" }],
  run({ positionals, context }) {
    const shell = shells.find((known) => known === positionals[0]);
    if (shell === undefined) {
      throw new VitrineError("invalid", `there is no completion for ${positionals[0]}`, {
        code: "shell-unknown",
        operand: positionals[0],
        hint: `it can be ${shells.join(", ")}`,
      });
    }
    context.out(completionScript(shell));
  },
});
