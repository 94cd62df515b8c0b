/** Which signals end a container for good: asserted of vitrine and of docker (test/integration/restart.test.ts, runtime-engines.test.ts). */
export interface KillCase {
  readonly signal: string;
  readonly flags: readonly string[];
  /** It is run again after the signal ended its program. */
  readonly comesBack: boolean;
}

export const killCases: readonly KillCase[] = [
  { signal: "HUP", flags: ["--restart", "always"], comesBack: false },
  { signal: "HUP", flags: ["--restart", "on-failure:3"], comesBack: false },
  { signal: "HUP", flags: ["--restart", "always", "--stop-signal", "USR1"], comesBack: true },
  { signal: "TERM", flags: ["--restart", "on-failure:3", "--stop-signal", "USR1"], comesBack: true },
  { signal: "USR1", flags: ["--restart", "always", "--stop-signal", "USR1"], comesBack: false },
  { signal: "KILL", flags: ["--restart", "always", "--stop-signal", "USR1"], comesBack: false },
  // What is the default anyway, said by somebody, is a stop signal of its own.
  { signal: "HUP", flags: ["--restart", "always", "--stop-signal", "TERM"], comesBack: true },
  { signal: "HUP", flags: ["--restart", "unless-stopped", "--stop-signal", "USR1"], comesBack: false },
];

/** Any of them ends it. */
export const killScript = 'trap "exit 4" HUP USR1 TERM; echo up; while :; do sleep 0.02; done';
