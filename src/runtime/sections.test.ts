/** Every section that a plan refers to exists in the runtime spec v1.3.0. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";

/** The headings of the spec's files at v1.3.0 as anchors. */
const anchors: Readonly<Record<string, string>> = {
  "config.md":
    "root mounts linux-mount-options posix-platform-mounts process posix-process linux-process user posix-platform-user hostname domainname posix-platform-hooks prestart createruntime-hooks createcontainer-hooks startcontainer-hooks poststart poststop annotations",
  "config-linux.md":
    "default-filesystems namespaces user-namespace-mappings offset-for-time-namespace devices default-devices network-devices control-groups cgroups-path cgroup-ownership allowed-device-list memory cpu block-io huge-page-limits network pids rdma unified intelrdt memory-policy sysctl seccomp the-container-process-state rootfs-mount-propagation masked-paths readonly-paths mount-label personality",
  "runtime.md": "state lifecycle errors warnings operations hooks",
  "runtime-linux.md": "file-descriptors dev-symbolic-links",
};

test("every section named in this folder is one of the spec's", () => {
  let found = 0;
  for (const name of readdirSync(import.meta.dirname)) {
    if (!name.endsWith(".ts") || name === "sections.test.ts") {
      continue;
    }
    const text = readFileSync(`${import.meta.dirname}/${name}`, "utf8");
    for (const [, file = "", anchor = ""] of text.matchAll(
      /"((?:config|runtime)(?:-linux)?\.md)#([a-z-]+)"/g,
    )) {
      assert.ok(anchors[file]?.split(" ").includes(anchor), `${name}: ${file}#${anchor}`);
      found++;
    }
  }
  assert.ok(found > 30, `${found} sections`);
});

test("every section of a whole plan too", () => {
  const plan = readFileSync(new URL("golden/hooks.json", import.meta.url), "utf8");
  for (const [, file = "", anchor = ""] of plan.matchAll(/"section":"([^"#]+)#([^"]+)"/g)) {
    assert.ok(anchors[file]?.split(" ").includes(anchor), `${file}#${anchor}`);
  }
});
