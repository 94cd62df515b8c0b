/**
 * 32-bit x86 reaches sockets and System V IPC by two calls more, socketcall(2) and ipc(2), whose first argument says
 * which is meant (<linux/net.h>, <linux/ipc.h>). A rule for `connect` that knew only the direct call would be no rule.
 */

const socketCalls =
  "socket bind connect listen accept getsockname getpeername socketpair send recv sendto recvfrom shutdown setsockopt getsockopt sendmsg recvmsg accept4 recvmmsg sendmmsg".split(
    " ",
  );

/** A profile may name a call `constructor`: a map has nothing but its own. */
const ipcCalls: ReadonlyMap<string, bigint> = new Map(
  Object.entries({
    semop: 1n,
    semget: 2n,
    semctl: 3n,
    semtimedop: 4n,
    msgsnd: 11n,
    msgrcv: 12n,
    msgget: 13n,
    msgctl: 14n,
    shmat: 21n,
    shmdt: 22n,
    shmget: 23n,
    shmctl: 24n,
  }),
);

export function multiplexed(
  name: string,
): { readonly call: "socketcall" | "ipc"; readonly selector: bigint } | undefined {
  const socket = socketCalls.indexOf(name);
  if (socket >= 0) return { call: "socketcall", selector: BigInt(socket + 1) };
  const selector = ipcCalls.get(name);
  return selector === undefined ? undefined : { call: "ipc", selector };
}
