/** Every field of the spec once, 64-bit integers as they stand in files. */
export const fullConfigText = `{
  "ociVersion": "1.3.0",
  "process": {
    "terminal": true,
    "consoleSize": { "height": 25, "width": 80 },
    "user": { "uid": 1, "gid": 1, "umask": 63, "additionalGids": [5, 6] },
    "args": ["sh", ""],
    "env": ["PATH=/bin", "TERM=xterm"],
    "cwd": "/root",
    "capabilities": {
      "bounding": ["CAP_KILL", "CAP_CHOWN"], "effective": ["CAP_KILL"], "inheritable": ["CAP_KILL"],
      "permitted": ["CAP_KILL"], "ambient": ["CAP_KILL"]
    },
    "rlimits": [
      { "type": "RLIMIT_NOFILE", "soft": 1024, "hard": 1024 },
      { "type": "RLIMIT_CORE", "soft": 0, "hard": 18446744073709551615 }
    ],
    "noNewPrivileges": true,
    "apparmorProfile": "acme",
    "selinuxLabel": "system_u:system_r:svirt_lxc_net_t:s0:c124,c675",
    "oomScoreAdj": 100,
    "scheduler": { "policy": "SCHED_DEADLINE", "flags": ["SCHED_FLAG_RECLAIM"], "runtime": 10000000,
      "deadline": 20000000, "period": 9007199254740993 },
    "ioPriority": { "class": "IOPRIO_CLASS_IDLE", "priority": 4 },
    "execCPUAffinity": { "initial": "7", "final": "0-3,7" }
  },
  "root": { "path": "rootfs", "readonly": true },
  "hostname": "mrsdalloway",
  "domainname": "foobarbaz.test",
  "mounts": [
    { "destination": "/proc", "type": "proc", "source": "proc" },
    { "destination": "/data", "source": "/volumes", "options": ["rbind", "rw", "ridmap"],
      "uidMappings": [{ "containerID": 0, "hostID": 1000, "size": 10 }],
      "gidMappings": [{ "containerID": 0, "hostID": 1000, "size": 10 }] }
  ],
  "hooks": {
    "prestart": [{ "path": "/a", "args": ["a", "b"], "env": ["k=v"], "timeout": 5 }],
    "createRuntime": [{ "path": "/b" }],
    "createContainer": [{ "path": "/c" }],
    "startContainer": [{ "path": "/d" }],
    "poststart": [{ "path": "/e" }],
    "poststop": [{ "path": "/f" }]
  },
  "annotations": { "com.example.key1": "value1", "empty": "" },
  "linux": {
    "namespaces": [
      { "type": "pid", "path": "/proc/1234/ns/pid" }, { "type": "network" }, { "type": "mount" }, { "type": "ipc" },
      { "type": "uts" }, { "type": "user" }, { "type": "cgroup" }, { "type": "time" }
    ],
    "uidMappings": [{ "containerID": 0, "hostID": 1000, "size": 32000 }],
    "gidMappings": [{ "containerID": 0, "hostID": 1000, "size": 5 }, { "containerID": 5, "hostID": 9000, "size": 5 }],
    "timeOffsets": { "monotonic": { "secs": -172800, "nanosecs": 999999999 }, "boottime": {} },
    "devices": [
      { "type": "c", "path": "/dev/fuse", "major": 10, "minor": 229, "fileMode": 438, "uid": 0, "gid": 0 },
      { "type": "p", "path": "/dev/pipe" }
    ],
    "netDevices": { "eth0": { "name": "ctr%d" }, "eth1": {} },
    "cgroupsPath": "/myRuntime/myContainer",
    "resources": {
      "devices": [{ "allow": false, "access": "rwm" }, { "allow": true, "type": "c", "major": 10, "minor": -1, "access": "rw" }],
      "memory": { "limit": 536870912, "reservation": -1, "swap": 536870912, "kernel": -1, "kernelTCP": -1,
        "swappiness": 0, "disableOOMKiller": false, "useHierarchy": true, "checkBeforeUpdate": true },
      "cpu": { "shares": 1024, "quota": 1000000, "burst": 1000000, "period": 500000, "realtimeRuntime": 950000,
        "realtimePeriod": 1000000, "cpus": "2-3", "mems": "0-7", "idle": 0 },
      "pids": { "limit": 0 },
      "blockIO": { "weight": 10, "leafWeight": 10,
        "weightDevice": [{ "major": 8, "minor": 0, "weight": 500, "leafWeight": 300 }],
        "throttleReadBpsDevice": [{ "major": 8, "minor": 0, "rate": 18446744073709551615 }],
        "throttleWriteBpsDevice": [], "throttleReadIOPSDevice": [],
        "throttleWriteIOPSDevice": [{ "major": 8, "minor": 16, "rate": 300 }] },
      "hugepageLimits": [{ "pageSize": "2MB", "limit": 209715200 }],
      "network": { "classID": 1048577, "priorities": [{ "name": "eth0", "priority": 500 }] },
      "rdma": { "mlx5_1": { "hcaHandles": 3, "hcaObjects": 10000 }, "rxe3": { "hcaObjects": 1 } },
      "unified": { "io.max": "259:0 rbps=2097152\\n253:0 rbps=1", "hugetlb.1GB.max": "1073741824" }
    },
    "rootfsPropagation": "slave",
    "seccomp": {
      "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38,
      "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X32"],
      "flags": ["SECCOMP_FILTER_FLAG_LOG"],
      "listenerPath": "/run/agent.sock", "listenerMetadata": "m",
      "syscalls": [
        { "names": ["getcwd"], "action": "SCMP_ACT_ALLOW" },
        { "names": ["mkdir"], "action": "SCMP_ACT_NOTIFY" },
        { "names": ["personality"], "action": "SCMP_ACT_TRACE", "errnoRet": 65535,
          "args": [{ "index": 0, "value": 18446744073709551615, "valueTwo": 9007199254740993, "op": "SCMP_CMP_MASKED_EQ" }] }
      ]
    },
    "sysctl": { "net.ipv4.ip_forward": "1", "kernel.shmmax": "1" },
    "maskedPaths": ["/proc/kcore"],
    "readonlyPaths": ["/proc/sys"],
    "mountLabel": "system_u:object_r:svirt_sandbox_file_t:s0:c715,c811",
    "intelRdt": { "closID": "group", "schemata": ["L3:0=7f0"], "l3CacheSchema": "L3:0=f", "memBwSchema": "MB:0=20", "enableMonitoring": true },
    "memoryPolicy": { "mode": "MPOL_INTERLEAVE", "nodes": "2-3", "flags": ["MPOL_F_STATIC_NODES"] },
    "personality": { "domain": "LINUX32" }
  }
}`;
