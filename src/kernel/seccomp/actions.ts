/** Actions of a profile as return values of a BPF program, <linux/seccomp.h>. */

import { quoted, VitrineError } from "../../base/mod.ts";

const EPERM = 1;
export const ENOSYS = 38;

export const ret = {
  killProcess: 0x80000000,
  killThread: 0x00000000,
  trap: 0x00030000,
  errno: 0x00050000,
  notify: 0x7fc00000,
  trace: 0x7ff00000,
  log: 0x7ffc0000,
  allow: 0x7fff0000,
} as const;

const values: Readonly<Record<string, number>> = {
  SCMP_ACT_KILL: ret.killThread,
  SCMP_ACT_KILL_THREAD: ret.killThread,
  SCMP_ACT_KILL_PROCESS: ret.killProcess,
  SCMP_ACT_TRAP: ret.trap,
  SCMP_ACT_ERRNO: ret.errno,
  SCMP_ACT_TRACE: ret.trace,
  SCMP_ACT_ALLOW: ret.allow,
  SCMP_ACT_LOG: ret.log,
  SCMP_ACT_NOTIFY: ret.notify,
};

/** MAX_ERRNO: the kernel returns no larger one. */
const maxErrno = 4095;

/**
 * The SECCOMP_RET_* value. The runtime spec demands an error where an action that takes no errno is given one.
 * Throws VitrineError `seccomp-action-unknown`, `seccomp-errno-invalid`, `seccomp-errno-unsupported`.
 */
export function returnValue(action: string, errnoRet: number | undefined): number {
  const value = values[action];
  if (value === undefined) {
    throw new VitrineError("invalid", `unknown seccomp action ${quoted(action)}`, {
      code: "seccomp-action-unknown",
      operand: action,
      hint: `use one of ${Object.keys(values).join(", ")}`,
    });
  }
  if (value !== ret.errno && value !== ret.trace) {
    if (errnoRet === undefined) return value;
    throw new VitrineError("invalid", `seccomp action ${action} takes no errno`, {
      code: "seccomp-errno-unsupported",
      operand: action,
      hint: "remove errnoRet, or use SCMP_ACT_ERRNO or SCMP_ACT_TRACE",
    });
  }
  const data = errnoRet ?? EPERM;
  const most = value === ret.errno ? maxErrno : 0xffff;
  if (!Number.isInteger(data) || data < 0 || data > most) {
    throw new VitrineError("invalid", `seccomp errno ${data} is out of range`, {
      code: "seccomp-errno-invalid",
      operand: String(data),
      hint: `errnoRet of ${action} is 0 to ${most}`,
    });
  }
  return value | data;
}

/** The action part of a return value, without its data. */
export function actionOf(value: number): number {
  return (value & 0xffff0000) >>> 0;
}

/**
 * The kernel's order when several filters speak: the lower the stricter. It compares them as signed numbers, which
 * puts KILL_PROCESS first.
 */
export function strictness(value: number): number {
  return actionOf(value) | 0;
}
