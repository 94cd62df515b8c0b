#!/bin/sh
# view.sh CGROUPS PEERS WORK REPOSITORY COMMAND...: runs a command with the machine as the compared programs need it, in a
# mount namespace that goes with it.
#   CGROUPS  `host`, or `v2`: the unified hierarchy alone, at /sys/fs/cgroup (crun refuses v1 and v2 side by side)
#   PEERS    a chroot with the peers, made visible at WORK/peers with WORK and REPOSITORY at their own paths; or empty
set -eu
if [ "${VITRINE_BENCH_VIEW:-}" != 1 ]; then
  VITRINE_BENCH_VIEW=1 exec unshare -m --propagation private "$0" "$@"
fi
unset VITRINE_BENCH_VIEW
cgroups=$1 peers=$2 work=$3 repository=$4
shift 4
if [ "$cgroups" = v2 ]; then
  umount -R /sys/fs/cgroup
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
fi
if [ -n "$peers" ]; then
  root=$work/peers
  scratch=$work/peers-scratch
  mkdir -p "$root" "$scratch"
  mount -t tmpfs tmpfs "$scratch"
  mkdir "$scratch/upper" "$scratch/work"
  # The chroot itself stays as it is.
  mount -t overlay -o "lowerdir=$peers,upperdir=$scratch/upper,workdir=$scratch/work" overlay "$root"
  mkdir -p "$root$work" "$root$repository"
  mount --bind "$work" "$root$work"
  mount --bind "$repository" "$root$repository"
  mount -t proc proc "$root/proc"
  mount --rbind /dev "$root/dev"
  mount --rbind /sys "$root/sys"
  mount -t tmpfs tmpfs "$root/run"
fi
exec "$@"
