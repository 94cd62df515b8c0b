import * as fs from "node:fs";
import { compare, type Subject } from "../bench.ts";

/** `cp` of 200 MB into and out of a container, against a pipe of two tars. */
export const copy: Subject = {
  name: "copy",
  *parts(bench) {
    const { work, vitrine } = bench;
    const from = `${work}/copy-from`;
    fs.mkdirSync(from);
    for (const name of ["tar", "out", "in-tar"]) fs.mkdirSync(`${work}/copy-${name}`);
    for (let at = 0; at < 200; at++)
      fs.writeFileSync(`${from}/f${at}`, crypto.getRandomValues(new Uint8Array(50_000)));
    for (let at = 0; at < 19; at++) fs.writeFileSync(`${from}/g${at}`, Buffer.alloc(10_000_000, `${at} `));
    bench.shell(`tar -C ${bench.repository}/build/fixtures -cf - probe.tar | ${vitrine} import - copied`);
    bench.shell(`${vitrine} create -q --name copy copied true`);
    const pipe = (source: string, target: string) => [
      "sh",
      "-c",
      `tar -C ${source} -c . | tar -C ${target} -x`,
    ];
    const how = { rounds: 5, warmup: 1 };
    const ways = [
      { where: "into", ours: [vitrine, "cp", `${from}/.`, "copy:/in"], target: `${work}/copy-tar` },
      {
        where: "out of",
        ours: [vitrine, "cp", "copy:/in/.", `${work}/copy-out`],
        target: `${work}/copy-in-tar`,
      },
    ];
    for (const { where, ours, target } of ways) {
      const what = `\`cp\` of 200 MB ${where} a container`;
      const peers = [{ name: "tar \\| tar", command: pipe(from, target), budget: 1.5 }];
      yield { what, measure: () => compare(bench, how, { what, ours, peers }) };
    }
  },
};
