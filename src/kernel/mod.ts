/** The door of `kernel/`: the Linux machine as values. Knows no OCI. */
export type * from "./host-facts.ts";
export * from "./ops.ts";
export * from "./plan.ts";
export type * from "./seccomp/profile.ts";
