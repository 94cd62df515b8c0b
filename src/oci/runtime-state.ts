/** The state of a container (runtime.md#state) and what a seccomp agent is told (config-linux.md#containerprocessstate). */

export const containerStatuses = ["creating", "created", "running", "stopped"] as const;
export type ContainerStatus = (typeof containerStatuses)[number];

/** What `state` prints and what every hook reads on its standard input. */
export interface State {
  readonly ociVersion: string;
  readonly id: string;
  readonly status: ContainerStatus;
  /** As the runtime sees it. Required while created or running. */
  readonly pid?: number;
  /** Absolute path of the bundle directory. */
  readonly bundle: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** The name of the one descriptor in `ContainerProcessState.fds`. */
export const seccompFdName = "seccompFd";

export interface ContainerProcessState {
  readonly ociVersion: string;
  /** Names of the descriptors sent with SCM_RIGHTS, in their order. */
  readonly fds: readonly string[];
  readonly pid: number;
  readonly metadata?: string;
  readonly state: State;
}
