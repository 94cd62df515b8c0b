/** config.md: the version, the root, mounts, the process, names. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import {
  bundle,
  type Config,
  call,
  must,
  newId,
  output,
  refused,
  run,
  runBundle,
  scratch,
} from "./support.ts";

const createRefused = (change: (config: Config, directory: string) => void) => {
  const id = newId();
  refused(call(["create", "--bundle", bundle("true", change), id]));
  refused(call(["state", id]));
};

must("config.md#specification-version", "a version that is none is an error", () =>
  createRefused((config) => {
    config.ociVersion = "one";
  }),
);

must("config.md#specification-version", "another major version is an error", () =>
  createRefused((config) => {
    config.ociVersion = "2.0.0";
  }),
);

must("config.md#extensibility", "unknown fields are ignored", () => {
  assert.equal(
    output("echo fine", (config) => {
      config.unknownField = { deep: [1, 2] };
      config.process.alsoUnknown = true;
    }),
    "fine",
  );
});

must("config.md#annotations", "unknown keys are ignored", () => {
  output("true", (config) => {
    config.annotations = { "com.example.unknown": "1" };
  });
});

must("config.md#root", "a root that is not there is an error", () =>
  createRefused((config) => {
    config.root.path = "missing";
  }),
);

must("config.md#root", "an absolute path is taken as it is", () => {
  assert.equal(
    output("echo here", (config, directory) => {
      config.root.path = path.join(directory, "rootfs");
    }),
    "here",
  );
});

must("config.md#root", "readonly: nothing can be written", () => {
  const script = "if echo x > /file; then exit 1; else echo refused; fi 2>/dev/null";
  const readOnly = (config: Config) => {
    config.root.readonly = true;
  };
  assert.equal(output(script, readOnly), "refused");
});

must("config.md#root", "not readonly: it can", () => {
  assert.equal(output("echo x > /file && cat /file"), "x");
});

must("config.md#mounts", "are mounted in the order of the list", () => {
  const [first, second] = [scratch(), scratch()];
  fs.writeFileSync(path.join(first, "name"), "first");
  fs.writeFileSync(path.join(second, "name"), "second");
  assert.equal(
    output("cat /data/name", (config) => {
      for (const source of [first, second]) {
        config.mounts.push({ destination: "/data", type: "bind", source, options: ["bind"] });
      }
    }),
    "second",
  );
});

must("config.md#mounts", "a source relative to the bundle", () => {
  assert.equal(
    output("cat /data/name", (config, directory) => {
      fs.mkdirSync(path.join(directory, "data"));
      fs.writeFileSync(path.join(directory, "data/name"), "relative");
      config.mounts.push({ destination: "/data", type: "bind", source: "data", options: ["bind"] });
    }),
    "relative",
  );
});

must("config.md#mounts", "a bind source that is missing is an error", () =>
  createRefused((config) => {
    config.mounts.push({ destination: "/data", type: "bind", source: "/not/there", options: ["bind"] });
  }),
);

must("config.md#mounts", "files can be bound", () => {
  const file = path.join(scratch(), "file");
  fs.writeFileSync(file, "content");
  assert.equal(
    output("cat /etc/bound", (config) => {
      config.mounts.push({ destination: "/etc/bound", type: "bind", source: file, options: ["bind", "ro"] });
    }),
    "content",
  );
});

const optionsOf = (options: readonly string[]): string[] =>
  output("grep ' /opt ' /proc/self/mounts | tail -n 1", (config) => {
    config.mounts.push({ destination: "/opt", type: "tmpfs", source: "tmpfs", options });
  })
    .split(" ")[3]!
    .split(",");

for (const option of ["ro", "nosuid", "nodev", "noexec", "noatime", "nodiratime"]) {
  must("config.md#linux-mount-options", option, () => assert.ok(optionsOf([option]).includes(option)));
}

must("config.md#linux-mount-options", "later words undo earlier ones", () => {
  const options = optionsOf(["noexec", "ro", "exec", "rw"]);
  assert.ok(options.includes("rw") && !options.includes("noexec"));
});

must("config.md#linux-mount-options", "other words are the filesystem's", () => {
  const options = optionsOf(["size=1024k", "mode=711"]);
  assert.ok(options.includes("size=1024k") && options.includes("mode=711"));
});

must("config.md#linux-mount-options", "a word that the filesystem does not know is an error", () =>
  createRefused((config) => {
    config.mounts.push({ destination: "/opt", type: "tmpfs", source: "tmpfs", options: ["no-such-option"] });
  }),
);

must("config.md#linux-mount-options", "remount: flags of the mount, and options of its filesystem", () => {
  const shown = output("grep ' /t ' /proc/mounts", (config) => {
    const tmpfs = { destination: "/t", type: "tmpfs", source: "tmpfs" };
    config.mounts.push(
      { ...tmpfs, options: ["size=1m"] },
      { ...tmpfs, options: ["remount", "nosuid", "size=2m"] },
    );
  });
  assert.match(shown, /nosuid.*size=2048k/);
});

must("config.md#linux-mount-options", "rbind takes what is mounted below", () => {
  const lines = output("grep -c ' /hostproc' /proc/self/mounts", (config) => {
    config.mounts.push({ destination: "/hostproc", type: "bind", source: "/sys", options: ["rbind", "ro"] });
  });
  assert.ok(Number(lines) >= 1);
});

must("config.md#linux-mount-options", "ro of a bind mount", () => {
  const source = scratch();
  const { status } = run("echo x > /data/file 2>/dev/null && exit 5; exit 6", (config) => {
    config.mounts.push({ destination: "/data", type: "bind", source, options: ["bind", "ro"] });
  });
  assert.equal(status, 6);
});

must("config.md#linux-mount-options", "propagation words", () => {
  const line = output("grep ' /shared ' /proc/self/mountinfo", (config) => {
    config.mounts.push({
      destination: "/shared",
      type: "bind",
      source: scratch(),
      options: ["bind", "private"],
    });
  });
  assert.doesNotMatch(line, /shared:|master:/);
});

must("config.md#process", "cwd", () => {
  assert.equal(
    output("pwd", (config) => {
      config.process.cwd = "/usr/bin";
    }),
    "/usr/bin",
  );
});

must("config.md#process", "a relative cwd is an error", () =>
  createRefused((config) => {
    config.process.cwd = "usr";
  }),
);

must("config.md#process", "env is the environment, and all of it", () => {
  assert.deepEqual(
    output("env", (config) => {
      config.process.args = ["/bin/env"];
      config.process.env = ["A=1", "B=two words", "PATH=/bin"];
    })
      .split("\n")
      .filter((line) => !line.startsWith("HOME="))
      .sort(),
    ["A=1", "B=two words", "PATH=/bin"],
  );
});

must("config.md#process", "args: the program is found by PATH", () => {
  assert.equal(
    output("", (config) => {
      config.process.args = ["echo", "found", "by", "path"];
    }),
    "found by path",
  );
});

must("config.md#process", "without args is an error", () =>
  createRefused((config) => {
    config.process.args = [];
  }),
);

must("config.md#posix-process", "rlimits", () => {
  assert.equal(
    output("ulimit -Sn; ulimit -Hn", (config) => {
      config.process.rlimits = [{ type: "RLIMIT_NOFILE", soft: 512, hard: 1000 }];
    }),
    "512\n1000",
  );
});

must("config.md#posix-process", "a type of rlimit that there is not is an error", () =>
  createRefused((config) => {
    config.process.rlimits = [{ type: "RLIMIT_NONSENSE", soft: 1, hard: 1 }];
  }),
);

must("config.md#posix-process", "a type given twice is an error", () =>
  createRefused((config) => {
    config.process.rlimits = [
      { type: "RLIMIT_NOFILE", soft: 512, hard: 512 },
      { type: "RLIMIT_NOFILE", soft: 256, hard: 256 },
    ];
  }),
);

must("config.md#posix-platform-user", "uid, gid and additionalGids", () => {
  assert.equal(
    output("id -u; id -g; id -G", (config) => {
      config.process.user = { uid: 1000, gid: 1001, additionalGids: [29, 50] };
    }),
    "1000\n1001\n1001 29 50",
  );
});

must("config.md#posix-platform-user", "umask", () => {
  assert.equal(
    output("umask", (config) => {
      config.process.user.umask = 0o027;
    }),
    "0027",
  );
});

const status = (field: string, change?: (config: Config) => void) =>
  output(`grep ^${field}: /proc/self/status`, change).split(/\s+/)[1];

must("config.md#linux-process", "capabilities: exactly those of each set", () => {
  const change = (config: Config) => {
    config.process.capabilities = {
      bounding: ["CAP_CHOWN", "CAP_KILL"],
      effective: ["CAP_CHOWN"],
      permitted: ["CAP_CHOWN", "CAP_KILL"],
    };
    config.process.args = ["/bin/cat", "/proc/self/status"];
  };
  const text = output("", change);
  const set = (name: string) => Number.parseInt(new RegExp(`${name}:\\s*(\\w+)`).exec(text)?.[1] ?? "", 16);
  assert.equal(set("CapBnd"), 0b100001);
  assert.equal(set("CapInh"), 0);
  assert.equal(set("CapAmb"), 0);
  // execve by root: permitted and effective become what the bounding set allows.
  assert.equal(set("CapPrm") & ~0b100001, 0);
});

must("config.md#linux-process", "ambient capabilities reach a program of another user", () => {
  const value = status("CapEff", (config) => {
    const caps = ["CAP_NET_BIND_SERVICE"];
    config.process.user = { uid: 1000, gid: 1000 };
    config.process.capabilities = {
      bounding: caps,
      effective: caps,
      permitted: caps,
      inheritable: caps,
      ambient: caps,
    };
  });
  assert.equal(Number.parseInt(value ?? "", 16), 1 << 10);
});

must("config.md#linux-process", "an unknown capability is no error", () => {
  output("true", (config) => {
    config.process.capabilities.bounding = [...config.process.capabilities.bounding, "CAP_NO_SUCH_THING"];
  });
});

must("config.md#linux-process", "noNewPrivileges", () => {
  assert.equal(status("NoNewPrivs"), "1");
  assert.equal(
    status("NoNewPrivs", (config) => {
      config.process.noNewPrivileges = false;
    }),
    "0",
  );
});

must("config.md#linux-process", "oomScoreAdj", () => {
  assert.equal(
    output("cat /proc/self/oom_score_adj", (config) => {
      config.process.oomScoreAdj = 500;
    }),
    "500",
  );
});

must("config.md#linux-process", "oomScoreAdj that is not given is the runtime's", () => {
  assert.equal(
    output("cat /proc/self/oom_score_adj"),
    fs.readFileSync("/proc/self/oom_score_adj", "utf8").trim(),
  );
});

must("config.md#linux-process", "ioPriority", () => {
  output("true", (config) => {
    config.process.ioPriority = { class: "IOPRIO_CLASS_BE", priority: 4 };
  });
});

must("config.md#linux-process", "a scheduler policy that there is not is an error", () =>
  createRefused((config) => {
    config.process.scheduler = { policy: "SCHED_NONSENSE" };
  }),
);

must("config.md#linux-process", "scheduler", () => {
  const line = output("cat /proc/self/stat", (config) => {
    config.process.args = ["/bin/cat", "/proc/self/stat"];
    config.process.scheduler = { policy: "SCHED_BATCH", nice: 5 };
  });
  const fields = line.slice(line.lastIndexOf(")") + 2).split(" ");
  assert.deepEqual([fields[38], fields[16]], ["3", "5"]);
});

must("config.md#hostname", "is the container's", () => {
  assert.equal(output("hostname"), "conform");
});

must("config.md#domainname", "is the container's", () => {
  assert.equal(
    output("cat /proc/sys/kernel/domainname", (config) => {
      config.domainname = "example.org";
    }),
    "example.org",
  );
});

must("config.md#process", "terminal: the program has one, and /dev/console is it", () => {
  const directory = bundle("tty; test -c /dev/console && stat -c %t /dev/console", (config) => {
    config.process.terminal = true;
  });
  const answer = runBundle(directory, ["--detach"]);
  // Without a console socket nobody could have the other end.
  refused(answer);
});
