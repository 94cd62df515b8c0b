/** A dockerd of a test's own, at `socket`, that touches no network of the machine. */
export function dockerdFlags(directory: string, socket: string): readonly string[] {
  const own = [
    "--data-root",
    `${directory}/data`,
    "--exec-root",
    `${directory}/exec`,
    "-p",
    `${directory}/pid`,
  ];
  const alone = ["--bridge", "none", "--iptables=false", "--ip-forward=false", "--ip-masq=false"];
  return ["-H", socket, ...own, ...alone, "--storage-driver", "vfs"];
}
