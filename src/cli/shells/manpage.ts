/** vitrine(1) in man(7) roff, from the registry and the commands' tables. */
import type { Command, CommandEntry, OptionTable } from "../framework/command.ts";
import { globalOptions } from "../framework/globals.ts";
import { optionHelp, optionName, otherNames, sections, usageLines } from "../framework/help.ts";
import { registry } from "../registry.ts";

/** `date` is for the footer, as YYYY-MM-DD. */
export async function manPage(version: string, date: string): Promise<string> {
  const parts = [
    `.TH VITRINE 1 ${quote(date)} ${quote(`vitrine ${version}`)} "User Commands"`,
    ".SH NAME",
    `vitrine ${escapeText("- a daemonless OCI container engine you can see through")}`,
    ".SH SYNOPSIS",
    ".B vitrine",
    "[GLOBAL OPTIONS] COMMAND [ARG...]",
    ".SH DESCRIPTION",
    escapeText(
      "vitrine runs OCI images without a daemon. What it does to the kernel is a plan that can be printed before it is carried out, each step with the field of the OCI specification it comes from and with who asked for it: a flag, the image, a default or the host.",
    ),
    ".SH GLOBAL OPTIONS",
    optionList(globalOptions),
    ".SH COMMANDS",
  ];
  for (const entry of registry) {
    if (entry.hidden) continue;
    if (entry.subcommands === undefined) {
      parts.push(await commandSection([entry.name], entry));
      continue;
    }
    for (const subcommand of entry.subcommands) {
      // Those that are a command of their own are described there.
      const isAlias = registry.some((candidate) => candidate.load === subcommand.load);
      if (!isAlias) parts.push(await commandSection([entry.name, subcommand.name], subcommand));
    }
  }
  parts.push(environment, files, exitStatus, seeAlso);
  return `${parts.join("\n")}\n`;
}

async function commandSection(path: readonly string[], entry: CommandEntry): Promise<string> {
  const { command }: { command: Command } = await entry.load!();
  const parts = [`.SS ${quote(`vitrine ${path.join(" ")}`)}`, `${escapeText(entry.summary)}.`];
  for (const usage of usageLines(path, command)) parts.push(".PP", `.B ${escapeText(usage)}`);
  for (const paragraph of command.description?.trim().split(/\n\s*\n/) ?? []) {
    parts.push(".PP", escapeText(paragraph.replace(/\s+/g, " ")));
  }
  const aliases = otherNames(entry, path);
  if (aliases.length > 0) parts.push(".PP", escapeText(`Also: ${aliases.join(", ")}.`));
  for (const [section, options] of sections(command.options)) {
    if (section !== "Options") parts.push(".PP", `.I ${escapeText(section)}`);
    parts.push(optionList(options));
  }
  for (const example of command.examples ?? []) {
    parts.push(
      ".PP",
      `${escapeText(example.does)}:`,
      ".RS",
      ".nf",
      escapeText(example.command),
      ".fi",
      ".RE",
    );
  }
  return parts.join("\n");
}

function optionList(options: OptionTable): string {
  return Object.entries(options)
    .map(
      ([long, definition]) =>
        `.TP\n.B ${escapeText(optionName(long, definition).trim())}\n${escapeText(optionHelp(definition))}`,
    )
    .join("\n");
}

const environment = `.SH ENVIRONMENT
.TP
.BR VITRINE_ROOT ", " VITRINE_RUNROOT ", " VITRINE_STORAGE_DRIVER ", " VITRINE_LOG_LEVEL
As the global options of these names, which go before.
.TP
.B VITRINE_HELPER
Path of the helper, where it is neither beside the executable nor in ../libexec/vitrine.
.TP
.BR XDG_DATA_HOME ", " XDG_RUNTIME_DIR
Where users other than root keep images and the state of this boot.
.TP
.BR NO_COLOR ", " CLICOLOR_FORCE
Switch colours off and on.
.TP
.B SOURCE_DATE_EPOCH
Creation time of an imported image, in seconds since 1970.`;

const files = `.SH FILES
.TP
.IR /var/lib/vitrine ", " $XDG_DATA_HOME/vitrine
Images, layers and containers of root and of other users.
.IR oci
in it is an OCI image layout that other tools can read.
.TP
.IR /run/vitrine ", " $XDG_RUNTIME_DIR/vitrine
State that does not outlive this boot.`;

const exitStatus = `.SH EXIT STATUS
.TP
.B 125
vitrine itself failed.
.TP
.B 126
The command of a container cannot be executed.
.TP
.B 127
The command of a container was not found.
.TP
.B 128+\\fIn\\fP
It was ended by signal \\fIn\\fP.
.PP
Any other status of
.B vitrine run
is that of the container's command.`;

const seeAlso = `.SH SEE ALSO
.BR namespaces (7),
.BR user_namespaces (7),
.BR cgroups (7),
.BR capabilities (7),
.BR seccomp (2),
.BR subuid (5)`;

function quote(text: string): string {
  return `"${escapeText(text).replaceAll('"', "\\(dq")}"`;
}

/** Hyphens stay hyphens for copying, and no line begins with a control character. */
function escapeText(text: string): string {
  return text
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replaceAll("'", "\\(aq")
    .replace(/^\./gm, "\\&.");
}
